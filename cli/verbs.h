// The verbs of the `halfulp` command.
//
// To add one: write cli/<verb>.cc with its run_<verb>, declare that below and give it a row in kVerbs. Lists, help and
// error messages follow from the row. A run_ function declares what it takes, calls Arguments::parse, and then reads
// and prints; what it throws becomes one line on the standard error and exit code 2.
#pragma once

#include <string_view>

#include "cli/arguments.h"

namespace halfulp::cli {

// Each returns the exit code: 0, or 1 where a check or a run failed or an interrupt came first.
int run_formats(Arguments& arguments);
int run_blocks(Arguments& arguments);
int run_units(Arguments& arguments);
int run_cast(Arguments& arguments);
int run_explain(Arguments& arguments);
int run_decode(Arguments& arguments);
int run_quantize(Arguments& arguments);
int run_vectors(Arguments& arguments);
int run_mma(Arguments& arguments);
int run_validate(Arguments& arguments);
int run_recipes(Arguments& arguments);
int run_tasks(Arguments& arguments);
int run_sweep(Arguments& arguments);
int run_run(Arguments& arguments);
int run_results(Arguments& arguments);
int run_export(Arguments& arguments);

struct Verb {
  std::string_view name;
  std::string_view summary;
  std::string_view example;  // command lines that work as they stand, one a line
  int (*run)(Arguments&);
};

inline constexpr Verb kVerbs[] = {
    {"formats", "List the number formats, or show one: its parameters or all its codes",
     "halfulp formats\n"
     "halfulp formats e4m3fn\n"
     "halfulp formats e2m1 --codes\n"
     "halfulp formats e6m9",
     run_formats},
    {"blocks", "List the block formats, their options, rules and variants, or show any one",
     "halfulp blocks\n"
     "halfulp blocks mxfp4\n"
     "halfulp blocks e2m1/ue5m3/1x16:outer=tensor,target=448\n"
     "halfulp blocks --variants",
     run_blocks},
    {"units", "List the matrix units, how each computes and how that is known, or show any one",
     "halfulp units\n"
     "halfulp units hopper.wgmma.e4m3\n"
     "halfulp units hopper.wgmma.e4m3:fraction=25,result=binary32\n"
     "halfulp units --fields",
     run_units},
    {"cast", "Numbers to codes: one correctly rounded step",
     "halfulp cast --format e4m3fn 465 0x1.0ffffep+0 nan -0\n"
     "halfulp cast --format e2m1 --rounding stochastic_a --random-bits 8 --seed 1 0.3 0.3 -0.3\n"
     "printf '1.5\\n-inf\\n' | halfulp cast --format e5m2 --profile cuda --json",
     run_cast},
    {"explain",
     "One number in one format: its neighbours, and the codes that roundings (with policies of ocp) and profiles give "
     "it",
     "halfulp explain 465 --format e4m3fn\n"
     "halfulp explain nan --format e2m1\n"
     "halfulp explain 0.3 --format e2m1 --random-bits 8 --csv",
     run_explain},
    {"decode", "Codes to numbers, exactly",
     "halfulp decode --format e4m3fn 7e 0x08 ff\n"
     "printf '7e\\n08\\n' | halfulp decode --format e4m3fn --csv",
     run_decode},
    {"quantize", "Round an array to a block format and write the numbers that remain, on request codes and scales too",
     "halfulp quantize --block nvfp4 in.npy out.npy\n"
     "halfulp quantize --block nvfp4:variant=te,outer=row in.npy out.npy --tensor-scales tensor_scales.npy\n"
     "halfulp quantize --block mxfp4 --scale-rule floor in.npy out.npy --codes codes.npy --scales scales.npy",
     run_quantize},
    {"vectors",
     "Write conformance vectors: inputs with their codes and values, as plain text for tests of other programs",
     "halfulp vectors --format e4m3fn\n"
     "halfulp vectors --format e2m1 --rounding stochastic_b --random-bits 4 --profile cuda e2m1.txt\n"
     "halfulp vectors --kind decode --format e5m2 --limit 20\n"
     "halfulp vectors --kind scale --block mxfp8_e4m3\n"
     "halfulp vectors --kind block --block nvfp4 --shape 16x16",
     run_vectors},
    {"mma", "Outputs of a matrix unit, bit for bit, from codes of its operands",
     "printf '3c00 4000 3c00 3c00  3c00 3c00 3c00 3c00  3f800000\\n' | halfulp mma --unit volta.mma.f16\n"
     "printf '3c00 3c00 3c00 3c00 0000' | halfulp mma --unit volta.mma.f16.f16:k=2 --json",
     run_mma},
    {"validate", "Replay captured outputs of the hardware through the models of its matrix units",
     "halfulp validate H100_E4M3.bin H100_fp16.bin\n"
     "halfulp validate --unit hopper.mma.f16:fraction=24 H100_fp16.bin",
     run_validate},
    {"recipes", "List the training recipes, or show one as settings for a study",
     "halfulp recipes\n"
     "halfulp recipes nvfp4-nvidia",
     run_recipes},
    {"tasks", "List the training tasks with their data and models",
     "halfulp tasks\n"
     "halfulp tasks --measure",
     run_tasks},
    {"sweep", "Run the experiments of a study that a store lacks, then rank the results",
     "halfulp sweep studies/first_look.toml --store results/first_look.db --jobs 2\n"
     "halfulp sweep studies/first_look.toml --dry-run",
     run_sweep},
    {"run", "Run one experiment of a study and show its learning curve",
     "halfulp run studies/first_look.toml --set task=vision --set recipe=nvfp4-naive --set optimizer.lr=0.01", run_run},
    {"results", "Rank the results of a store, with intervals over seeds",
     "halfulp results results/first_look.db\n"
     "halfulp results results/first_look.db --where task=vision --sort accuracy --top 5",
     run_results},
    {"export", "Write all experiments and metrics of a store as one flat CSV table",
     "halfulp export results/first_look.db results/first_look.csv", run_export},
};

}  // namespace halfulp::cli
