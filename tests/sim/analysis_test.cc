#include "sim/analysis.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "sim/experiment.h"

namespace halfulp {
namespace {

const std::vector<Setting> kBf16 = {{"recipe", "bf16"}};

/// A run of the digits task, unless the settings say otherwise.
RunRecord record(std::vector<Setting> settings, uint64_t seed, double validation_loss) {
  settings.insert(settings.begin(), {"task", "digits"});
  settings.push_back({"seed", fmt::format("{}", seed)});
  const Experiment experiment = make_experiment(settings);
  RunRecord run{.key = experiment_key(experiment), .experiment = canonical_text(experiment)};
  run.metrics = {{"validation_loss", validation_loss}, {"accuracy", 1 - validation_loss}};
  run.curve = "[]";
  run.counters = "{}";
  run.numerics = "v1";
  run.seconds = double(seed);
  return run;
}

RunRecord diverged(RunRecord run) {
  run.status = RunStatus::Diverged;
  run.diverged_step = 3;
  run.metrics = {{"train_loss", 1e9}};
  return run;
}

RunRecord failed(RunRecord run) {
  run.status = RunStatus::Failed;
  run.metrics.clear();
  return run;
}

std::vector<Arm> rank(const std::vector<RunRecord>& records, std::string_view metric = "validation_loss",
                      const std::vector<Setting>& baseline = kBf16) {
  return halfulp::rank(records, records, metric, baseline);
}

const Arm& arm_of(const std::vector<Arm>& arms, std::string_view recipe) {
  for (const Arm& arm : arms)
    if (arm.recipe == recipe) return arm;
  throw std::out_of_range(std::string(recipe));
}

std::vector<std::string> recipes_of(const std::vector<Arm>& arms) {
  std::vector<std::string> names;
  for (const Arm& arm : arms) names.push_back(arm.recipe);
  return names;
}

// Student's t at 97.5 %, from printed tables
constexpr double kT1 = 12.706204736, kT2 = 4.302652730, kT3 = 3.182446305;

TEST(Ranking, differences_are_percents_of_paired_logs_with_their_t_interval) {
  const double base[] = {0.50, 0.80, 0.40, 0.61}, mxfp4[] = {0.55, 0.84, 0.46, 0.62};
  std::vector<RunRecord> records;
  for (int i = 0; i < 4; ++i) {
    records.push_back(record({{"recipe", "bf16"}}, 4 - i, base[i]));
    records.push_back(record({{"recipe", "mxfp4-ocp"}}, 4 - i, mxfp4[i]));
  }
  const std::vector<Arm> arms = rank(records);
  ASSERT_EQ(recipes_of(arms), (std::vector<std::string>{"bf16", "mxfp4-ocp"}));

  double d[4], mean = 0, squares = 0;
  for (int i = 0; i < 4; ++i) mean += (d[i] = std::log(mxfp4[i] / base[i])) / 4;
  for (double each : d) squares += (each - mean) * (each - mean);
  const double half_width = kT3 * std::sqrt(squares / 3) / 2;  // n - 1 = 3, square root of n = 2
  ASSERT_TRUE(arms[1].change_percent);
  EXPECT_NEAR(arms[1].change_percent->mean, 100 * (std::exp(mean) - 1), 1e-9);
  EXPECT_NEAR(arms[1].change_percent->low, 100 * (std::exp(mean - half_width) - 1), 1e-7);
  EXPECT_NEAR(arms[1].change_percent->high, 100 * (std::exp(mean + half_width) - 1), 1e-7);
  EXPECT_EQ(arms[1].change_percent->count, 4);
  EXPECT_NEAR(arms[1].change_percent->mean, 7.791724438, 1e-8);  // the fourth root of the product of the ratios
  EXPECT_TRUE(arms[0].is_baseline);
  EXPECT_FALSE(arms[0].change_percent);
  EXPECT_FALSE(arms[1].is_baseline);

  // the arms' own intervals are not paired
  EXPECT_NEAR(arms[0].metric.mean, 0.5775, 1e-12);
  const double deviation = std::sqrt((0.0775 * 0.0775 + 0.2225 * 0.2225 + 0.1775 * 0.1775 + 0.0325 * 0.0325) / 3);
  EXPECT_NEAR(arms[0].metric.high - arms[0].metric.mean, kT3 * deviation / 2, 1e-8);
  EXPECT_EQ(arms[0].metric.count, 4);
  EXPECT_EQ(arms[0].seconds, 2.5);
}

TEST(Ranking, a_wanted_confidence_sets_the_width_of_all_intervals) {
  std::vector<RunRecord> records;
  for (int seed : {1, 2}) {
    records.push_back(record({{"recipe", "bf16"}}, seed, 0.5));
    records.push_back(record({{"recipe", "fp32"}}, seed, seed == 1 ? 0.5 : 0.5 * std::exp(0.02)));
  }
  const auto high_at = [&](double confidence) {
    const Arm arm = arm_of(halfulp::rank(records, records, "validation_loss", kBf16, confidence), "fp32");
    return std::log1p(arm.change_percent->high / 100);
  };
  EXPECT_NEAR(high_at(0.95), 0.01 + 0.01 * kT1, 1e-9);
  EXPECT_NEAR(high_at(0.5), 0.01 + 0.01, 1e-12);  // with one degree of freedom the quartile is 1
}

TEST(Ranking, accuracy_ranks_the_highest_first_and_compares_by_points) {
  const std::vector<RunRecord> records = {
      record({{"recipe", "bf16"}}, 1, 0.10),     record({{"recipe", "bf16"}}, 2, 0.20),
      record({{"recipe", "bf16"}}, 3, 0.30),     record({{"recipe", "mxfp8"}}, 1, 0.12),
      record({{"recipe", "mxfp8"}}, 2, 0.21),    record({{"recipe", "mxfp8"}}, 3, 0.36),
      record({{"recipe", "mxfp4-ocp"}}, 1, 0.50)};
  const std::vector<Arm> arms = rank(records, "accuracy");
  EXPECT_EQ(recipes_of(arms), (std::vector<std::string>{"bf16", "mxfp8", "mxfp4-ocp"}));
  EXPECT_NEAR(arms[0].metric.mean, 0.8, 1e-12);
  // points: -2, -1, -6; their deviation is the square root of 7
  EXPECT_NEAR(arms[1].change_percent->mean, -3, 1e-9);
  EXPECT_NEAR(arms[1].change_percent->low, -3 - kT2 * std::sqrt(7.0 / 3), 1e-7);
  EXPECT_NEAR(arms[1].change_percent->high, -3 + kT2 * std::sqrt(7.0 / 3), 1e-7);
}

TEST(Ranking, one_seed_leaves_the_interval_open) {
  const std::vector<Arm> arms = rank({record({{"recipe", "bf16"}}, 1, 0.5), record({{"recipe", "mxfp8"}}, 1, 0.6)});
  EXPECT_NEAR(arms[1].change_percent->mean, 20, 1e-9);
  EXPECT_EQ(arms[1].change_percent->high, std::numeric_limits<double>::infinity());
}

TEST(Ranking, pairs_share_their_seed) {
  const std::vector<Arm> arms = rank({record({{"recipe", "bf16"}}, 1, 0.5), record({{"recipe", "bf16"}}, 2, 5),
                                      record({{"recipe", "bf16"}}, 3, 0.2), record({{"recipe", "mxfp8"}}, 1, 0.6),
                                      record({{"recipe", "mxfp8"}}, 3, 0.24), record({{"recipe", "mxfp8"}}, 4, 99)});
  EXPECT_NEAR(arm_of(arms, "mxfp8").change_percent->mean, 20, 1e-9);
  EXPECT_EQ(arm_of(arms, "mxfp8").change_percent->count, 2);
  EXPECT_EQ(arm_of(arms, "mxfp8").metric.count, 3);
}

TEST(Ranking, a_baseline_has_all_other_settings_of_the_arm) {
  std::vector<RunRecord> records;
  const auto add = [&](const char* recipe, const char* lr, double loss) {
    records.push_back(record({{"recipe", recipe}, {"optimizer.lr", lr}}, 1, loss));
  };
  add("bf16", "0.001", 0.5);
  add("bf16", "0.01", 0.8);
  add("mxfp8", "0.001", 0.6);
  add("mxfp8", "0.01", 1.2);
  add("mxfp8", "0.1", 1.3);
  for (const Arm& arm : rank(records)) {
    if (arm.recipe == "bf16") continue;
    const std::string lr = arm.settings.at(0).value;
    EXPECT_EQ(arm.change_percent.has_value(), lr != "0.1") << "nothing to compare with at 0.1";
    if (arm.change_percent) {
      EXPECT_NEAR(arm.change_percent->mean, lr == "0.001" ? 20 : 50, 1e-9);
    }
  }
  // a baseline of another setting: every recipe against itself
  for (const Arm& arm : rank(records, "validation_loss", {{"optimizer.lr", "1e-3"}})) {
    const std::string lr = arm.settings.at(0).value;
    EXPECT_EQ(arm.is_baseline, lr == "0.001");
    if (lr == "0.01") {
      EXPECT_NEAR(arm.change_percent->mean, arm.recipe == "bf16" ? 60 : 100, 1e-9);
    }
  }
}

TEST(Ranking, a_baseline_of_two_settings_is_one_arm) {
  const std::vector<RunRecord> records = {record({{"recipe", "bf16"}, {"optimizer.lr", "0.001"}}, 1, 0.5),
                                          record({{"recipe", "mxfp8"}, {"optimizer.lr", "0.01"}}, 1, 1.0)};
  // the order of the settings does not matter: a recipe comes before its parts
  for (const std::vector<Setting>& baseline :
       {std::vector<Setting>{{"recipe", "bf16"}, {"optimizer.lr", "0.001"}},
        std::vector<Setting>{{"recipe.fprop.x.format", "bfloat16"}, {"optimizer.lr", "0.001"}, {"recipe", "bf16"}}}) {
    const std::vector<Arm> arms = rank(records, "validation_loss", baseline);
    EXPECT_TRUE(arms[0].is_baseline);
    EXPECT_NEAR(arms[1].change_percent->mean, 100, 1e-9);
  }
}

TEST(Ranking, references_count_also_where_they_are_not_shown) {
  const std::vector<RunRecord> all = {record({{"recipe", "bf16"}}, 1, 0.5), record({{"recipe", "mxfp8"}}, 1, 0.6)};
  const std::vector<Arm> arms = halfulp::rank(std::span(all).last(1), all, "validation_loss", kBf16);
  ASSERT_EQ(arms.size(), 1u);
  EXPECT_NEAR(arms[0].change_percent->mean, 20, 1e-9);
}

TEST(Ranking, without_a_baseline_nothing_is_compared) {
  const std::vector<RunRecord> records = {record({{"recipe", "mxfp4-ocp"}}, 1, 0.5),
                                          record({{"recipe", "mxfp8"}}, 1, 0.6)};
  for (const auto& baseline : {std::vector<Setting>{}, kBf16})
    for (const Arm& arm : rank(records, "validation_loss", baseline)) {
      EXPECT_FALSE(arm.change_percent);
      EXPECT_FALSE(arm.is_baseline);
    }
}

TEST(Ranking, an_unknown_baseline_is_refused_with_the_nearest_names) {
  const std::vector<RunRecord> records = {record({{"recipe", "bf16"}}, 1, 0.5)};
  EXPECT_THROW(rank(records, "validation_loss", {{"recipe", "bf61"}}), UnknownName);
  EXPECT_THROW(rank(records, "validation_loss", {{"receipt", "bf16"}}), UnknownName);
}

TEST(Ranking, diverged_and_failed_runs_are_counted_but_do_not_enter_means) {
  const std::vector<RunRecord> records = {
      record({{"recipe", "bf16"}}, 1, 0.5),        record({{"recipe", "bf16"}}, 2, 0.5),
      record({{"recipe", "mxfp8"}}, 1, 0.6),       diverged(record({{"recipe", "mxfp8"}}, 2, 0)),
      failed(record({{"recipe", "mxfp8"}}, 3, 0)), diverged(record({{"recipe", "mxfp8"}}, 4, 0))};
  const Arm arm = arm_of(rank(records), "mxfp8");
  EXPECT_EQ(arm.runs, 4);
  EXPECT_EQ(arm.finished, 1);
  EXPECT_EQ(arm.diverged, 2);
  EXPECT_EQ(arm.failed, 1);
  EXPECT_EQ(arm.metric.mean, 0.6);
  EXPECT_NEAR(arm.change_percent->mean, 20, 1e-9);
  EXPECT_EQ(arm.change_percent->count, 1);
}

TEST(Ranking, arms_without_a_finished_run_come_last_whatever_the_metric) {
  for (const char* metric : {"validation_loss", "train_loss", "accuracy"}) {
    std::vector<RunRecord> records = {
        diverged(record({{"recipe", "fp32"}}, 1, 0)), record({{"recipe", "mxfp8"}}, 1, 0.6),
        failed(record({{"recipe", "mxint8"}}, 1, 0)), record({{"recipe", "bf16"}}, 1, 0.5)};
    for (RunRecord& run : records)
      if (run.status == RunStatus::Finished) run.metrics["train_loss"] = run.metrics["validation_loss"];
    const std::vector<Arm> arms = rank(records, metric);
    ASSERT_EQ(arms.size(), 4u);
    EXPECT_EQ(arms[0].recipe, "bf16");
    EXPECT_EQ(arms[1].recipe, "mxfp8");
    EXPECT_EQ(arms[2].finished + arms[3].finished, 0);
    EXPECT_TRUE(std::isnan(arms[3].metric.mean));
  }
}

TEST(Ranking, a_diverged_baseline_is_still_the_baseline) {
  const std::vector<Arm> arms =
      rank({diverged(record({{"recipe", "bf16"}}, 1, 0)), record({{"recipe", "mxfp8"}}, 1, 0.6)});
  EXPECT_TRUE(arm_of(arms, "bf16").is_baseline);
  EXPECT_FALSE(arm_of(arms, "mxfp8").change_percent);
}

TEST(Ranking, a_metric_that_is_not_a_number_ranks_last) {
  std::vector<RunRecord> records;
  for (int i = 0; i < 12; ++i)
    records.push_back(record({{"recipe", "bf16"}, {"optimizer.lr", fmt::format("{}", 1 + i)}}, 1,
                             i % 3 == 0 ? std::numeric_limits<double>::quiet_NaN() : 20.0 - i));
  const std::vector<Arm> arms = rank(records);
  for (size_t i = 0; i + 1 < 8; ++i) EXPECT_LT(arms[i].metric.mean, arms[i + 1].metric.mean);
  for (size_t i = 8; i < 12; ++i) EXPECT_TRUE(std::isnan(arms[i].metric.mean));
}

TEST(Ranking, tasks_come_in_the_order_of_the_catalogue_and_only_what_varies_within_a_task_is_a_setting) {
  const std::vector<RunRecord> records = {
      record({{"task", "char_lm"}, {"recipe", "bf16"}}, 1, 0.1),
      record({{"task", "vision"}, {"recipe", "bf16"}, {"optimizer.lr", "0.01"}, {"batch", "64"}}, 1, 0.4),
      record({{"task", "vision"}, {"recipe", "bf16"}, {"optimizer.lr", "0.02"}, {"batch", "64"}}, 2, 0.3),
      record({{"task", "vision"}, {"recipe", "mxfp8"}, {"optimizer.lr", "0.02"}, {"batch", "64"}}, 2, 0.35),
      record({{"task", "regression"}, {"recipe", "bf16"}, {"batch", "32"}}, 1, 0.9)};
  const std::vector<Arm> arms = rank(records);
  ASSERT_EQ(arms.size(), 5u);
  EXPECT_EQ(arms[0].task, "regression");
  EXPECT_TRUE(arms[0].settings.empty());
  EXPECT_EQ(arms[1].task, "vision");
  EXPECT_EQ(arms[1].settings, (std::vector<Setting>{{"optimizer.lr", "0.02"}}));
  EXPECT_EQ(arms[2].recipe, "mxfp8");
  EXPECT_EQ(arms[3].settings, (std::vector<Setting>{{"optimizer.lr", "0.01"}}));
  EXPECT_EQ(arms[4].task, "char_lm");
  EXPECT_TRUE(arms[4].settings.empty());
}

TEST(Ranking, results_of_another_arithmetic_are_another_arm) {
  std::vector<RunRecord> records;
  for (const char* recipe : {"bf16", "mxfp8"})
    for (const char* numerics : {"v1", "v2"}) {
      RunRecord run = record({{"recipe", recipe}}, 1, recipe == std::string("bf16") ? 0.5 : 0.6);
      run.numerics = numerics;
      if (run.numerics == "v2") run.metrics["validation_loss"] *= run.metrics["validation_loss"];
      records.push_back(run);
    }
  const std::vector<Arm> arms = rank(records);
  ASSERT_EQ(arms.size(), 4u);
  for (const Arm& arm : arms) {
    EXPECT_EQ(arm.runs, 1);
    ASSERT_EQ(arm.settings.size(), 1u);
    EXPECT_EQ(arm.settings[0].key, "numerics");
    if (arm.recipe == "mxfp8") {
      EXPECT_NEAR(arm.change_percent->mean, arm.settings[0].value == "v1" ? 20 : 44, 1e-9);
    }
  }
}

TEST(Ranking, event_rates_are_shares_of_all_elements_and_the_worst_slot_is_named) {
  RunRecord a = record({{"recipe", "bf16"}}, 1, 0.5), b = record({{"recipe", "bf16"}}, 2, 0.5);
  const auto slot = [](int elements, int saturated, int flushed, int subnormal, int nonfinite, double signal,
                       double error) {
    return fmt::format(
        R"({{"elements":{},"saturated":{},"flushed":{},"subnormal":{},"nonfinite":{},"signal_squares":{},"error_squares":{}}})",
        elements, saturated, flushed, subnormal, nonfinite, signal, error);
  };
  a.counters =
      fmt::format(R"({{"events":{{"in":{{"fprop.x":{},"wgrad.g":{}}},"out":{{"fprop.x":{}}}}},"parameters":7}})",
                  slot(100, 1, 2, 3, 4, 1000, 1), slot(100, 0, 0, 0, 0, 50, 0), slot(50, 9, 0, 0, 0, 400, 2));
  b.counters = fmt::format(R"({{"events":{{"in":{{"fprop.x":{},"wgrad.g":{}}},"out":{{"fprop.x":{}}}}}}})",
                           slot(100, 3, 0, 0, 0, 500, 14), slot(100, 0, 0, 7, 0, 50, 0), slot(50, 0, 0, 0, 0, 400, 2));
  const EventRates events = rank({a, b}).at(0).events;
  EXPECT_DOUBLE_EQ(events.saturated, 13.0 / 500);
  EXPECT_DOUBLE_EQ(events.flushed, 2.0 / 500);
  EXPECT_DOUBLE_EQ(events.subnormal, 10.0 / 500);
  EXPECT_DOUBLE_EQ(events.nonfinite, 4.0 / 500);
  EXPECT_DOUBLE_EQ(events.worst_sqnr_db, 20);  // 1500 / 15; the slot of out has 800 / 4
  EXPECT_EQ(events.worst_slot, "in fprop.x");
}

TEST(Ranking, without_errors_or_counters_there_is_no_worst_slot) {
  const Arm arm = rank({record({{"recipe", "fp32"}}, 1, 0.5)}).at(0);
  EXPECT_EQ(arm.events.saturated, 0);
  EXPECT_EQ(arm.events.worst_sqnr_db, std::numeric_limits<double>::infinity());
  EXPECT_EQ(arm.events.worst_slot, "");
}

TEST(Ranking, nothing_ranks_as_nothing) { EXPECT_TRUE(rank({}).empty()); }

}  // namespace
}  // namespace halfulp
