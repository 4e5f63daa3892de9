#include "sim/study.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <stdexcept>

#include "sim/sweep.h"
#include "tests/sim/digits_study.h"

namespace halfulp {
namespace {

namespace fs = std::filesystem;

Study parse(std::string_view toml) { return parse_study(toml, "s.toml"); }

Plan expand(std::string_view toml) { return halfulp::expand(parse(toml)); }

/// What is thrown, which must be a std::invalid_argument of one line.
std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

void expect_refused(std::string_view toml, const std::vector<std::string>& parts) {
  SCOPED_TRACE(toml.substr(0, 300));
  const std::string message = refusal([&] { expand(toml); });
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
}

/// Of every run, the values of some settings.
std::vector<std::string> values_of(const Plan& plan, const std::vector<std::string>& keys) {
  std::vector<std::string> all;
  for (const PlannedRun& run : plan.runs) {
    std::string text;
    for (const std::string& key : keys) {
      const std::vector<Setting> every = settings(run.experiment);
      const auto found = std::ranges::find(every, key, &Setting::key);
      text += (text.empty() ? "" : " ") + (key == "recipe"        ? describe(run.experiment.recipe)
                                           : found == every.end() ? "?"
                                                                  : found->value);
    }
    all.push_back(text);
  }
  return all;
}

using Texts = std::vector<std::string>;

TEST(Study, every_part_is_read) {
  const Study study = parse(R"(
title = "T"
question = "Q?"
metric = "accuracy"
seeds = [3, 1]
baseline = { recipe = "bf16", "optimizer.lr" = 1e-3 }
[base]
task = "digits"
[axes]
optimizer.lr = [1e-3, "0.01"]
[[zip]]
steps = [100, 200]
batch = [32, 64]
[[exclude]]
steps = 100
optimizer.lr = [0.01]
)");
  EXPECT_EQ(study.title, "T");
  EXPECT_EQ(study.question, "Q?");
  EXPECT_EQ(study.metric, "accuracy");
  EXPECT_EQ(study.seeds, (std::vector<uint64_t>{3, 1}));
  EXPECT_EQ(study.baseline, (std::vector<Setting>{{"recipe", "bf16"}, {"optimizer.lr", "0.001"}}));
  EXPECT_EQ(study.base, (std::vector<Setting>{{"task", "digits"}}));
  ASSERT_EQ(study.axes.size(), 2u);
  EXPECT_EQ(study.axes[0], (Study::Axis{{{"optimizer.lr", "0.001"}}, {{"optimizer.lr", "0.01"}}}));
  EXPECT_EQ(study.axes[1], (Study::Axis{{{"steps", "100"}, {"batch", "32"}}, {{"steps", "200"}, {"batch", "64"}}}));
  ASSERT_EQ(study.exclusions.size(), 1u);
  ASSERT_EQ(study.exclusions[0].conditions.size(), 2u);
  EXPECT_EQ(study.exclusions[0].conditions[1].key, "optimizer.lr");
  EXPECT_EQ(study.exclusions[0].conditions[1].values, Texts{"0.01"});
}

TEST(Study, dotted_quoted_and_nested_keys_mean_the_same) {
  const auto base_of = [](std::string_view lines) { return parse("seeds = [1]\n" + std::string(lines)).base; };
  const std::vector<Setting> want = {{"optimizer.lr", "0.01"}};
  EXPECT_EQ(base_of("[base]\noptimizer.lr = 0.01"), want);
  EXPECT_EQ(base_of("[base]\n\"optimizer.lr\" = 1e-2"), want);
  EXPECT_EQ(base_of("[base.optimizer]\nlr = 0.010"), want);
  EXPECT_EQ(base_of("base = { optimizer = { lr = '0.01' } }"), want);
  EXPECT_EQ(base_of("base.optimizer.lr = 0.01"), want);
}

TEST(Study, settings_keep_the_order_of_the_file_so_that_the_last_one_counts) {
  const Plan plan = expand(
      "seeds = [1]\n[base]\ntask = 'digits'\n'recipe.*.format' = 'e4m3fn'\n"
      "recipe.dgrad.g.format = 'e5m2'");
  EXPECT_EQ(values_of(plan, {"recipe.fprop.x.format", "recipe.dgrad.g.format"}), Texts{"e4m3fn e5m2"});
  const Plan reversed = expand(
      "seeds = [1]\n[base]\ntask = 'digits'\nrecipe.dgrad.g.format = 'e5m2'\n"
      "'recipe.*.format' = 'e4m3fn'");
  EXPECT_EQ(values_of(reversed, {"recipe.fprop.x.format", "recipe.dgrad.g.format"}), Texts{"e4m3fn e4m3fn"});
}

TEST(Study, expansion_varies_the_last_axis_fastest_and_the_seed_slowest) {
  const Plan plan = expand(
      "seeds = [2, 1]\n[base]\ntask = 'digits'\n[axes]\nsteps = [100, 200]\nbatch = [8, 16]\n"
      "[[zip]]\nmodel.width = [16, 32]\nmodel.layers = [1, 2]");
  EXPECT_EQ(plan.combinations, 16);
  EXPECT_EQ(plan.excluded, 0);
  EXPECT_EQ(values_of(plan, {"seed", "steps", "batch", "model.width", "model.layers"}),
            (Texts{"2 100 8 16 1", "2 100 8 32 2", "2 100 16 16 1", "2 100 16 32 2", "2 200 8 16 1", "2 200 8 32 2",
                   "2 200 16 16 1", "2 200 16 32 2", "1 100 8 16 1", "1 100 8 32 2", "1 100 16 16 1", "1 100 16 32 2",
                   "1 200 8 16 1", "1 200 8 32 2", "1 200 16 16 1", "1 200 16 32 2"}));
}

TEST(Study, an_axis_of_tasks_takes_the_defaults_of_each) {
  const Plan plan = expand("seeds = [1]\n[axes]\ntask = ['regression', 'char_lm']\n[base]\nbatch = 8");
  EXPECT_EQ(values_of(plan, {"task", "model.kind", "steps", "batch"}),
            (Texts{"regression mlp 1000 8", "char_lm char_transformer 600 8"}));
}

TEST(Study, keys_are_those_of_the_experiments_and_all_distinct) {
  const Plan plan = digits_plan("1, 2, 3");
  std::set<std::string> keys;
  for (const PlannedRun& run : plan.runs) {
    EXPECT_EQ(run.key, experiment_key(run.experiment));
    EXPECT_TRUE(keys.insert(run.key).second);
  }
  EXPECT_EQ(keys.size(), 18u);
}

TEST(Study, combinations_that_come_to_one_experiment_are_run_once) {
  // bfloat16 is rounded to nearest by default, and its random bits matter in stochastic rounding only
  const Plan plan = expand(
      "seeds = [1, 2]\n[base]\ntask = 'digits'\nrecipe = 'bf16'\n[axes]\n"
      "'recipe.dgrad.g.rounding' = ['ties_to_even', 'stochastic_a']\n'recipe.dgrad.g.random_bits' = [4, 8]");
  EXPECT_EQ(plan.combinations, 8);
  EXPECT_EQ(values_of(plan, {"seed", "recipe.dgrad.g.rounding", "recipe.dgrad.g.random_bits"}),
            (Texts{"1 ties_to_even 0", "1 stochastic_a 4", "1 stochastic_a 8", "2 ties_to_even 0", "2 stochastic_a 4",
                   "2 stochastic_a 8"}));
  // a named recipe and its settings one by one, and two spellings of one number
  EXPECT_EQ(expand("seeds = [1]\n[axes]\ntask = ['digits']\noptimizer.lr = [0.01, '1e-2']").runs.size(), 1u);
  EXPECT_EQ(expand("seeds = [1]\n[base]\ntask = 'digits'\n[[zip]]\nrecipe = ['bf16', 'fp32']\n"
                   "'recipe.*.format' = ['bfloat16', 'bfloat16']\n'recipe.*.overflow' = ['to_infinity', 'to_infinity']")
                .runs.size(),
            1u);
}

TEST(Study, exclusions_leave_out_what_meets_all_their_conditions) {
  const std::string axes =
      "seeds = [1, 2]\n[base]\ntask = 'digits'\nbatch = 8\n[axes]\nsteps = [100, 200, 300]\nmodel.layers = [1, 2]\n";
  const Plan both = expand(axes + "[[exclude]]\nsteps = [100, 300]\nmodel.layers = 2");
  EXPECT_EQ(both.combinations, 12);
  EXPECT_EQ(both.excluded, 4);
  EXPECT_EQ(values_of(both, {"seed", "steps", "model.layers"}),
            (Texts{"1 100 1", "1 200 1", "1 200 2", "1 300 1", "2 100 1", "2 200 1", "2 200 2", "2 300 1"}));
  const Plan either = expand(axes + "[[exclude]]\nsteps = 100\n[[exclude]]\nmodel.layers = [2]\nseed = 2");
  EXPECT_EQ(either.excluded, 6);
  EXPECT_EQ(values_of(either, {"seed", "steps", "model.layers"}),
            (Texts{"1 200 1", "1 200 2", "1 300 1", "1 300 2", "2 200 1", "2 300 1"}));
  // base settings count, and numbers are compared as numbers
  EXPECT_EQ(expand(axes + "[[exclude]]\nbatch = 8\nsteps = '1e2'").excluded, 4);
  // the value that an axis sets counts, not the one of [base] that it replaces
  const std::string replaced = "seeds = [1]\n[base]\ntask = 'digits'\nsteps = 100\n[axes]\nsteps = [200, 300]\n";
  EXPECT_EQ(expand(replaced + "[[exclude]]\nsteps = 100").excluded, 0);
  EXPECT_EQ(expand(replaced + "[[exclude]]\nsteps = 300").excluded, 1);
}

TEST(Study, excluding_everything_leaves_an_empty_plan) {
  const Plan plan = expand("seeds = [1, 2]\n[base]\ntask = 'digits'\n[[exclude]]\ntask = 'digits'");
  EXPECT_EQ(plan.excluded, 2);
  EXPECT_TRUE(plan.runs.empty());
}

TEST(Study, shards_partition_the_plan_and_keep_its_order) {
  const Plan plan = digits_plan("1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
  for (int shards : {1, 2, 3, 7, 64}) {
    std::multiset<std::string> all;
    size_t largest = 0;
    for (int shard = 0; shard < shards; ++shard) {
      const std::vector<const PlannedRun*> runs = remaining(plan, nullptr, {.shard = shard, .shards = shards});
      EXPECT_TRUE(std::ranges::is_sorted(runs)) << shard << "/" << shards;  // addresses within the plan
      for (const PlannedRun* run : runs) all.insert(run->key);
      largest = std::max(largest, runs.size());
    }
    EXPECT_EQ(all.size(), plan.runs.size()) << shards;
    for (const PlannedRun& run : plan.runs) EXPECT_EQ(all.count(run.key), 1u) << run.key << " of " << shards;
    EXPECT_LT(largest, plan.runs.size() / size_t(shards) + 15) << shards;
  }
}

TEST(Study, a_run_stays_in_its_shard_when_the_study_grows) {
  const SweepOptions half{.shard = 1, .shards = 2};
  const Plan small = digits_plan("1"), large = digits_plan("1, 2");
  std::set<std::string> of_large;
  for (const PlannedRun* run : remaining(large, nullptr, half)) of_large.insert(run->key);
  for (const PlannedRun* run : remaining(small, nullptr, half)) EXPECT_TRUE(of_large.contains(run->key));
}

TEST(Study, what_is_no_toml_is_refused_with_file_and_line) {
  expect_refused("seeds = [1]\ntitle = \n", {"s.toml:2: not TOML: "});
  expect_refused("seeds = [1]\nseeds = [2]\n", {"s.toml:2: not TOML: "});
  expect_refused("seeds = [1]\n[axes\n", {"s.toml:2: not TOML: "});
  expect_refused("seeds = [99999999999999999999]", {"s.toml:1: not TOML: "});
  expect_refused(std::string_view("\x7f"
                                  "ELF\x02\x01\0\0\xff\xfe",
                                  10),
                 {"s.toml:1: not TOML: "});
  expect_refused(std::string(1000, '['), {"s.toml:1: not TOML: "});
}

TEST(Study, parts_of_the_wrong_type_are_refused_with_file_line_and_key) {
  expect_refused("seeds = [1]\ntitle = 3", {"s.toml:2: title: needs a string"});
  expect_refused("seeds = [1]\nquestion = ['x']", {"s.toml:2: question: needs a string"});
  expect_refused("seeds = 1", {"s.toml:1: seeds: needs a list"});
  expect_refused("seeds = [1]\nbaseline = 'bf16'", {"s.toml:2: baseline: needs a table"});
  expect_refused("base = [1]\nseeds = [1]", {"s.toml:1: base: needs a table"});
  expect_refused("seeds = [1]\naxes = true", {"s.toml:2: axes: needs a table"});
  expect_refused("seeds = [1]\n[axes]\nsteps = 100", {"s.toml:3: steps: needs a list of at least one value"});
  expect_refused("seeds = [1]\n[axes]\nsteps = [[100]]", {"s.toml:3: steps: needs a string or a number"});
  expect_refused("seeds = [1]\n[base]\nsteps = true", {"s.toml:3: steps: needs a string or a number"});
  expect_refused("seeds = [1]\n[base]\nsteps = 2024-01-01", {"s.toml:3: steps: needs a string or a number"});
  expect_refused("seeds = [1]\n[base]\nsteps = [100]", {"s.toml:3: steps: needs a string or a number"});
  expect_refused("seeds = [1]\n[zip]\nsteps = [100]", {"s.toml:2: zip: needs tables [[zip]]"});
  expect_refused("seeds = [1]\nexclude = ['x']", {"s.toml:2: exclude: needs a table"});
}

TEST(Study, empty_lists_are_refused) {
  expect_refused("seeds = []", {"s.toml:1: seeds: needs a list of at least one value"});
  expect_refused("seeds = [1]\n[axes]\nsteps = []", {"s.toml:3: steps: needs a list of at least one value"});
  expect_refused("seeds = [1]\n[[zip]]", {"s.toml:2: zip: needs at least one key"});
  expect_refused("seeds = [1]\n[[zip]]\nsteps = []", {"s.toml:3: steps: needs a list of at least one value"});
}

TEST(Study, unequal_lists_of_a_zip_are_refused_with_both_lengths) {
  expect_refused("seeds = [1]\n[[zip]]\nsteps = [1, 2, 3]\nbatch = [1, 2]", {"s.toml:4: batch: has 2 values", "has 3"});
}

TEST(Study, seeds_are_required_distinct_and_whole) {
  expect_refused("", {"s.toml: seeds: missing", "[1, 2, 3]"});
  expect_refused("[base]\ntask = 'digits'", {"s.toml: seeds: missing"});
  expect_refused("seeds = [1, 7, 1, 7]", {"s.toml:1: seeds: 1 stands twice"});
  expect_refused("seeds = [-1]", {"s.toml:1: seeds: '-1' is not a whole number from 0 on"});
  expect_refused("seeds = [1.5]", {"s.toml:1: seeds: '1.5' is not a whole number"});
  expect_refused("seeds = ['one']", {"s.toml:1: seeds: 'one'"});
  EXPECT_EQ(parse("seeds = ['18446744073709551615']").seeds.front(), UINT64_MAX);
}

TEST(Study, a_seed_outside_the_list_of_seeds_is_refused) {
  expect_refused("seeds = [1]\n[base]\ntask = 'digits'\nseed = 3", {"seed", "`seeds`"});
  expect_refused("seeds = [1]\n[base]\ntask = 'digits'\n[axes]\nseed = [3]", {"seed", "`seeds`"});
}

TEST(Study, a_key_in_two_axes_is_refused) {
  expect_refused("seeds = [1]\n[base]\ntask = 'digits'\n[axes]\nsteps = [100]\n[[zip]]\nsteps = [200]\nbatch = [8]",
                 {"s.toml", "steps", "two axes"});
}

TEST(Study, unknown_names_are_answered_with_the_nearest) {
  expect_refused("sedes = [1]", {"s.toml:1: sedes: ", "nearest: seeds"});
  expect_refused("seeds = [1]\nmetric = 'acuracy'", {"s.toml:2: metric: ", "nearest: accuracy"});
  expect_refused("seeds = [1]\n[base]\ntask = 'digit'", {"no task named 'digit'", "nearest: digits"});
  const std::string base = "seeds = [1]\n[base]\ntask = 'digits'\n";
  expect_refused(base + "optimiser.lr = 1", {"'optimiser.lr'", "nearest: optimizer.lr"});
  expect_refused(base + "[axes]\nstep = [1]", {"'step'", "nearest: steps", "step = 1"});
  expect_refused(base + "[axes]\nrecipe = ['bf16', 'nvfp4-nvidea']", {"'nvfp4-nvidea'", "nearest: nvfp4-nvidia"});
  expect_refused(base + "recipe.fprop.x.format = 'e4m3fm'", {"recipe.fprop.x", "'e4m3fm'", "nearest: e4m3fn"});
  expect_refused(base + "recipe.fprop.x.rounding = 'nearest'",
                 {"recipe.fprop.x.rounding", "'nearest'", "ties_to_even"});
  expect_refused("seeds = [1]\n[axes]\nsteps = [10]", {"task", "digits"});
}

TEST(Study, an_exclusion_that_can_never_match_is_refused) {
  const std::string axes = "seeds = [1]\n[base]\ntask = 'digits'\n[axes]\noptimizer.lr = [0.003, 0.01]\n";
  expect_refused(axes + "[[exclude]]\noptimiser.lr = 0.01", {"exclude", "'optimiser.lr'", "nearest: optimizer.lr"});
  expect_refused(axes + "[[exclude]]\noptimizer.lr = [0.01, 0.03]",
                 {"exclude", "optimizer.lr", "'0.03'", "0.003, 0.01"});
}

TEST(Study, a_baseline_that_is_no_experiment_is_refused_before_anything_runs) {
  const std::string base = "seeds = [1]\n[base]\ntask = 'digits'\n";
  expect_refused("baseline = { recipe = 'bf61' }\n" + base, {"baseline", "'bf61'", "nearest: bf16"});
  expect_refused("baseline = { receipt = 'bf16' }\n" + base, {"baseline", "'receipt'", "nearest: "});
  expect_refused("baseline = { optimizer.lr = 'fast' }\n" + base, {"baseline", "optimizer.lr", "'fast'"});
}

TEST(Study, numbers_out_of_range_are_refused_with_the_range) {
  const auto with = [](std::string_view line) { return "seeds = [1]\n[base]\ntask = 'digits'\n" + std::string(line); };
  expect_refused(with("optimizer.lr = nan"), {"optimizer.lr", "'nan' is not a finite number"});
  expect_refused(with("optimizer.lr = -inf"), {"optimizer.lr", "'-inf' is not a finite number"});
  expect_refused(with("optimizer.lr = '1e999'"), {"optimizer.lr", "'1e999'"});
  expect_refused(with("optimizer.lr = -0.1"), {"optimizer.lr: -0.1 is not in 0 "});
  expect_refused(with("steps = 1e300"), {"steps", "'1e+300' is not a whole number"});
  expect_refused(with("steps = 9223372036854775807"), {"steps", "9223372036854775807"});
  expect_refused(with("steps = 0"), {"steps: 0 is not in 1 "});
  expect_refused(with("model.width = 100000"), {"model.width: 100000 is not in 1 "});
  expect_refused(with("evaluations = 2000"), {"evaluations: 2000 is not in 1 "});
  expect_refused(with("steps = 100\noptimizer.warmup = 100"), {"optimizer.warmup: 100 is not in 0 "});
  expect_refused(with("[axes]\nsteps = [100, 20]\nbatch = [8, 16]"), {"optimizer.warmup", "steps = 20", "batch = 8"});
}

TEST(Study, a_million_million_combinations_are_refused_at_once) {
  std::string toml = "seeds = [1]\n[base]\ntask = 'digits'\n[axes]\n";
  for (int axis = 0; axis < 12; ++axis)
    toml += fmt::format("\"recipe.{}.random_bits\" = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n", axis);
  expect_refused(toml, {"1000000 combinations", "recipe.6.random_bits"});
  // a product beyond 64 bits, too
  for (int axis = 12; axis < 40; ++axis)
    toml += fmt::format("\"recipe.{}.random_bits\" = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n", axis);
  expect_refused(toml, {"1000000 combinations"});
}

TEST(Study, files_that_cannot_be_read_are_refused_with_the_reason) {
  const fs::path folder = testing::TempDir();
  EXPECT_EQ(refusal([&] { read_study(folder / "no_such.toml"); }),
            (folder / "no_such.toml").string() + ": cannot be read as a study: No such file or directory");
  EXPECT_NE(refusal([&] { read_study(folder); }).find("cannot be read as a study: Is a directory"), std::string::npos);
  EXPECT_EQ(refusal([&] { read_study("/dev/null"); }), "/dev/null: seeds: missing; a list such as [1, 2, 3]");
}

TEST(Study, every_study_of_the_repository_expands) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(HALFULP_SOURCE_DIR) / "studies")) {
    if (entry.path().extension() != ".toml") continue;
    SCOPED_TRACE(entry.path().string());
    const Study study = read_study(entry.path());
    EXPECT_FALSE(study.title.empty());
    EXPECT_FALSE(study.question.empty());
    const Plan plan = halfulp::expand(study);
    EXPECT_FALSE(plan.runs.empty());
    EXPECT_EQ(int64_t(plan.runs.size()), plan.combinations - plan.excluded) << "some combinations are the same";
    ++count;
  }
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace halfulp
