// What cannot be used is turned down in one line that names what, where and what is allowed, with exit code 2, nothing
// on the standard output and no file left behind. A row for each way to go wrong; tests of single verbs have more.

#include "tests/cli/command.h"

namespace halfulp {
namespace {

using Strings = std::vector<std::string>;

/// A command line, run in a folder with the files of `prepare`, and what its one line must hold.
struct Row {
  Strings arguments;
  Strings parts;
};

constexpr const char* kStudy = "title = 't'\nseeds = [1]\n[base]\ntask = 'vision'\nsteps = 100\n";

void prepare(const ScratchFolder& scratch) {
  write_file(scratch.file("in.npy"), float_npy("(2, 3)", {1, 2, 3, 4, 5, 6}));
  write_file(scratch.file("doubles.npy"),
             npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", "12345678"));
  write_file(scratch.file("cut.npy"), float_npy("(2, 4)", {1, 2, 3, 4, 5, 6}));
  write_file(scratch.file("long.npy"), float_npy("(2, 2)", {1, 2, 3, 4, 5, 6}));
  write_file(scratch.file("scales.npy"),
             npy_bytes("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1), }\n", "1\x7f"));
  write_file(scratch.file("high.npy"),
             npy_bytes("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1), }\n", "1\x81"));
  write_file(scratch.file("V100_fp16.bin"), "MMAG");
  write_file(scratch.file("X9_fp16.bin"), std::string("MMAG\1\0\2\0", 8));
  write_file(scratch.file("study.toml"), kStudy);
}

void expect_turned_down(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.arguments));
    const ScratchFolder scratch;
    prepare(scratch);
    const size_t files = scratch.file_count();
    std::string line = "cd " + scratch.file("") + " && HALFULP_DATA=none halfulp";
    for (const std::string& word : row.arguments) line += " '" + word + "'";
    const CommandResult result = shell(line);
    expect_unusable(result, row.parts);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(scratch.file_count(), files) << "a file was left behind";
  }
}

TEST(BadInput, impossible_formats) {
  expect_turned_down({
      {{"formats", "e0m0"}, {"NAME: format 'e0m0': needs an exponent or mantissa bit"}},
      {{"formats", "e12m3"}, {"'e12m3': at most 11 exponent, 23 mantissa and 31 bits of both"}},
      {{"formats", "e3m2b901"}, {"'e3m2b901': the bias lies in -900 … 900"}},
      {{"formats", "e3m2b-901"}, {"the bias lies in -900 … 900"}},
      {{"formats", "e11m3b-900"}, {"every number lies within 2^-1000 … 2^1001"}},
      {{"formats", "e1m0ieee"}, {"ieee needs at least two exponent bits and a mantissa bit"}},
      {{"formats", "ue3m2fnuz"}, {"fnuz needs a sign"}},
      {{"formats", "e0m1fn"}, {"needs a finite number besides zero"}},
      {{"formats", "e99999999999m2"}, {"no format named 'e99999999999m2'", "[u]e<E>m<M>"}},
      {{"formats", "e3m2b"}, {"no format named 'e3m2b'"}},
      {{"formats", ""}, {"NAME: no format named ''"}},
      {{"cast", "--format", "e0m0", "1"}, {"--format: format 'e0m0': needs"}},
      {{"cast", "--format=", "1"}, {"--format: no format named ''"}},
      {{"decode", "--format", "e2m1", "10"}, {"argument 1 '10': not a code of e2m1; hexadecimal from 0 to f"}},
  });
}

TEST(BadInput, impossible_random_bits) {
  const auto cast = [](Strings more) {
    more.insert(more.begin(), {"cast", "--format", "e2m1", "--rounding", "stochastic_a"});
    more.push_back("1");
    return more;
  };
  expect_turned_down({
      {cast({}), {"--random-bits is missing: stochastic_a takes 1 to 32"}},
      {cast({"--random-bits", "-1", "--seed", "1"}), {"--random-bits: stochastic_a takes 1 to 32 of them, not -1"}},
      {cast({"--random-bits", "0", "--seed", "1"}), {"not 0"}},
      {cast({"--random-bits", "33", "--seed", "1"}), {"not 33"}},
      {cast({"--random-bits", "8x", "--seed", "1"}), {"--random-bits: '8x' is not a whole number"}},
      {cast({"--random-bits=", "--seed", "1"}), {"--random-bits: '' is not a whole number"}},
      {cast({"--random-bits", "8", "--seed", "-1"}), {"--seed: '-1' is not a whole number from 0"}},
      {cast({"--random-bits", "8", "--random", "256"}), {"number 1 is '256'", "0 to 255 for 8 random bits"}},
      {cast({"--random-bits", "8", "--random", ""}), {"--random: an empty word"}},
      {{"run", "study.toml", "--set", "recipe.fprop.x.random_bits=-1"}, {"random_bits: 1 … 32 of them, not -1"}},
  });
}

TEST(BadInput, impossible_blocks) {
  const auto shaped = [](const std::string& shape) {
    return Strings{"quantize", "--block", "nvfp4", "--shape", shape, "in.npy", "out.npy"};
  };
  expect_turned_down({
      {shaped("0x16"), {"block shape '0x16': rows x columns, each a positive number or 'all'"}},
      {shaped("16x0"), {"block shape '16x0'"}},
      {shaped("-1x16"), {"block shape '-1x16'"}},
      {shaped("99999999999x1"), {"block shape '99999999999x1'"}},
      {shaped("16"), {"block shape '16'"}},
      {shaped("1x16x2"), {"block shape '1x16x2'"}},
      {shaped(""), {"--shape: an empty word"}},
      {{"run", "study.toml", "--set", "recipe=nvfp4-naive", "--set", "recipe.fprop.x.block=0x1"},
       {"recipe.fprop.x: block shape '0x1'"}},
      {{"blocks", ""}, {"NAME: an empty word; a value belongs there"}},
      {{"recipes", ""}, {"NAME: an empty word"}},
  });
}

TEST(BadInput, unusable_arrays) {
  const auto quantize = [](const std::string& in, const std::string& out = "out.npy", Strings more = {}) {
    more.insert(more.begin(), {"quantize", "--block", "nvfp4", in, out});
    return more;
  };
  expect_turned_down({
      {quantize("none.npy"), {"none.npy: No such file or directory"}},
      {quantize("."), {".: Is a directory"}},
      {quantize("/proc/self/mem"), {"/proc/self/mem: Input/output error"}},
      {quantize("study.toml"), {"study.toml: no .npy file: it does not begin with"}},
      {quantize("doubles.npy"), {"doubles.npy: its type is '<f8'; only '<f4'"}},
      {quantize("cut.npy"), {"cut.npy: ends after 24 bytes of data; its shape takes 32"}},
      {quantize("long.npy"), {"long.npy: goes on after the 16 bytes"}},
      {quantize("in.npy", "none/out.npy"), {"none/out.npy", "No such file or directory"}},
      {quantize("in.npy", "."), {".: Is a directory"}},
      {quantize("in.npy", ""), {"OUT.npy: an empty word"}},
      {quantize("in.npy", "out.npy", {"--codes", ""}), {"--codes: an empty word"}},
      {quantize("in.npy", "out.npy", {"--codes", "./out.npy"}), {"each a file of its own, not './out.npy' twice"}},
      {quantize("in.npy", "out.npy", {"--codes", "a.npy", "--scales", "none/../a.npy"}), {"each a file of its own"}},
  });
}

TEST(BadInput, unusable_captures) {
  expect_turned_down({
      {{"validate", "none.bin"}, {"none.bin: No such file or directory"}},
      {{"validate", "."}, {".: Is a directory"}},
      {{"validate", "in.npy"}, {"in.npy: no captured outputs: it begins neither with MMAG nor with HALFULPM"}},
      {{"validate", "V100_fp16.bin"}, {"V100_fp16.bin: ends inside the version"}},
      {{"validate", "X9_fp16.bin"}, {"X9_fp16.bin: no GPU named 'X9'", "V100, A100"}},
      {{"validate", ""}, {"FILE"}},
      {{"validate", "--unit", "", "in.npy"}, {"--unit: an empty word"}},
      {{"units", ""}, {"NAME: an empty word"}},
      {{"units", "volta.mma.f16:block=0"}, {"block: '0' is not a whole number in 1 … 65536"}},
      {{"mma", "--unit", "volta.mma.f16:rounding=up"}, {"rounding: no rounding named 'up'"}},
  });
}

TEST(BadInput, unusable_given_scales) {
  const auto quantize = [](const std::string& scales, const std::string& block = "nvfp4") {
    return Strings{"quantize", "--block", block, "in.npy", "out.npy", "--given-scales", scales};
  };
  const auto of_amax = [](const std::string& amax, const std::string& block = "nvfp4") {
    return Strings{"quantize", "--block", block, "in.npy", "out.npy", "--amax", amax};
  };
  expect_turned_down({
      {quantize("none.npy"), {"none.npy: No such file or directory"}},
      {quantize("in.npy"), {"in.npy: its type is '<f4'; only '|u1', uint8, is read"}},
      {quantize("scales.npy"), {"scales.npy: scale 1 is nan (code 0x7f); finite numbers from 0"}},
      {quantize("high.npy"), {"high.npy: scale 1 has code 0x81; there are 7 bits"}},
      {quantize("scales.npy", "nvfp4:shape=1x1"), {"scales.npy: scales of shape (2, 1); the blocks are (2, 3)"}},
      {quantize("scales.npy", "e2m1/binary32/1x3:rule=nearest"),
       {"its type is '|u1'; only '<u4', little-endian uint32"}},
      {quantize(""), {"--given-scales: an empty word"}},
      {of_amax("nan"), {"--amax: 'nan' is not a finite number from 0"}},
      {of_amax("-1"), {"--amax: '-1' is not a finite number from 0"}},
      {of_amax("1e39"), {"--amax: '1e39' is not a finite number from 0"}},
      {of_amax("1", "mxfp4:rule=floor"), {"--amax: mxfp4", "has no tensor scale"}},
  });
}

TEST(BadInput, two_names_of_one_file_are_one_file) {
  const ScratchFolder scratch;
  prepare(scratch);
  std::filesystem::create_symlink("out.npy", scratch.file("link.npy"));
  write_file(scratch.file("out.npy"), "old");
  expect_unusable({"quantize", "--block", "nvfp4", scratch.file("in.npy"), scratch.file("out.npy"), "--scales",
                   scratch.file("link.npy")},
                  {"each a file of its own", "link.npy' twice"});
  EXPECT_EQ(read_file(scratch.file("out.npy")), "old");
}

TEST(BadInput, unusable_studies_and_stores) {
  expect_turned_down({
      {{"sweep", "."}, {".: cannot be read as a study: Is a directory"}},
      {{"sweep", "none.toml"}, {"none.toml: cannot be read as a study: No such file"}},
      {{"sweep", "/proc/self/mem"}, {"/proc/self/mem: cannot be read as a study: Input/output error"}},
      {{"sweep", "in.npy"}, {"in.npy:1: not TOML"}},
      {{"sweep", "study.toml"}, {"no file none/"}},
      {{"sweep", "study.toml", "--store", ""}, {"--store: an empty word"}},
      {{"sweep", "study.toml", "--store", "in.npy"}, {"in.npy: file is not a database"}},
      {{"sweep", "study.toml", "--jobs", "0"}, {"--jobs: 0 is not in 1 … 1024"}},
      {{"sweep", "study.toml", "--shard", "2/2"}, {"--shard: '2/2' is not I/N with I from 0 to N - 1"}},
      {{"sweep", "study.toml", "--shard="}, {"--shard: an empty word"}},
      {{"sweep", "study.toml", "--limit", "-1"}, {"--limit: -1 is negative"}},
      {{"run", "study.toml", "--set", "=1"}, {"--set: '=1' is not KEY=VALUE"}},
      {{"run", "study.toml", "--set", "batch=0"}, {"batch: 0 is not in 1 … 1048576"}},
      {{"run", "study.toml", "--set", "optimizer.lr=nan"}, {"optimizer.lr: 'nan' is not a finite number"}},
      {{"results", "none.db"}, {"none.db: cannot be opened for reading (No such file or directory)"}},
      {{"results", "in.npy"}, {"in.npy: file is not a database"}},
      {{"results", "none.db", "--top", "0"}, {"--top: 0 is not a number from 1 on"}},
      {{"export", "none.db", "out.csv"}, {"none.db: cannot be opened"}},
  });
}

TEST(BadInput, arrays_without_numbers_take_no_time_however_many_rows_they_have) {
  const ScratchFolder scratch;
  write_file(scratch.file("in.npy"), float_npy("(2147483647, 0)", {}));
  for (const char* shape : {"1x16", "3x16", "2147483646x5", "2147483647x2147483647"})
    output_of({"quantize", "--block", "nvfp4", "--shape", shape, scratch.file("in.npy"), scratch.file("out.npy"),
               "--codes", scratch.file("codes.npy"), "--scales", scratch.file("scales.npy")});
}

}  // namespace
}  // namespace halfulp
