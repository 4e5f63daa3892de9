#include "sim/run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "sim/dataset.h"
#include "sim/numerics.h"
#include "sim/task.h"
#include "sim/trainer.h"

namespace halfulp {
namespace {

#define SKIP_UNLESS_FETCHED(name) \
  if (!is_fetched(name)) GTEST_SKIP() << "no data: `tools/fetch_data " << (name) << "` fetches it"

using nlohmann::json;

/// A short run on the digits, with changes.
Experiment short_run(std::vector<Setting> changes = {}) {
  std::vector<Setting> settings = {{"task", "digits"}, {"model.width", "24"},     {"steps", "60"},
                                   {"batch", "32"},    {"optimizer.warmup", "5"}, {"evaluations", "4"}};
  settings.insert(settings.end(), changes.begin(), changes.end());
  return make_experiment(settings);
}

RunRecord record_of(const Experiment& experiment) {
  const std::optional<RunRecord> record = run_experiment(experiment);
  if (!record) throw std::logic_error("nobody cancelled");
  return *record;
}

std::string weights_of(const RunRecord& record) { return json::parse(record.counters).at("weights_sha256"); }

// --- records ---

TEST(Runs, of_the_same_experiment_have_the_same_record) {
  SKIP_UNLESS_FETCHED("digits");
  for (const char* recipe : {"fp32", "nvfp4-nvidia", "tetrajet", "fp4-alltheway"}) {
    const Experiment e = short_run({{"recipe", recipe}});
    const RunRecord a = record_of(e), b = record_of(e);
    EXPECT_EQ(canonical_text(a), canonical_text(b)) << recipe;
    EXPECT_EQ(a.status, RunStatus::Finished) << a.reason;
  }
}

TEST(Runs, of_text_and_of_numbers_have_the_same_record_too) {
  SKIP_UNLESS_FETCHED("kjv");
  SKIP_UNLESS_FETCHED("diamonds");
  const std::vector<Setting> text = {{"task", "char_lm"},   {"recipe", "mxfp4-nvidia"}, {"steps", "6"},
                                     {"batch", "4"},        {"evaluations", "1"},       {"optimizer.warmup", "0"},
                                     {"model.width", "16"}, {"model.context", "16"}};
  const std::vector<Setting> numbers = {{"task", "regression"}, {"recipe", "mxint8"},  {"steps", "30"},
                                        {"evaluations", "2"},   {"model.width", "16"}, {"optimizer.warmup", "0"}};
  for (const auto& settings : {text, numbers}) {
    const Experiment e = make_experiment(settings);
    const RunRecord record = record_of(e);
    EXPECT_EQ(canonical_text(record), canonical_text(record_of(e)));
    EXPECT_EQ(record.status, RunStatus::Finished) << record.reason;
    EXPECT_LT(record.metrics.at("validation_loss"), record.metrics.at("initial_loss"));
    EXPECT_EQ(record.metrics.contains("accuracy"), e.task == "char_lm");
  }
}

TEST(Runs, record_what_the_store_needs) {
  SKIP_UNLESS_FETCHED("digits");
  const Experiment e = short_run({{"recipe", "mxfp8"}});
  const RunRecord record = record_of(e);
  EXPECT_EQ(record.key, experiment_key(e));
  EXPECT_EQ(record.experiment, canonical_text(e));
  EXPECT_EQ(record.numerics, numerics_version());
  EXPECT_EQ(record.steps, 60);
  EXPECT_FALSE(record.diverged_step.has_value());
  EXPECT_EQ(record.reason, "");
  EXPECT_GT(record.seconds, 0);
  EXPECT_EQ(record.finished_at.size(), std::string("2025-01-01T00:00:00Z").size());
  std::set<std::string> names;
  for (const auto& [name, value] : record.metrics) {
    names.insert(name);
    EXPECT_TRUE(std::isfinite(value)) << name;
  }
  EXPECT_EQ(names, (std::set<std::string>{"validation_loss", "train_loss", "initial_loss", "accuracy"}));
  EXPECT_NEAR(record.metrics.at("initial_loss"), std::log(10.0), 0.3);
  EXPECT_LT(record.metrics.at("validation_loss"), record.metrics.at("initial_loss"));
  EXPECT_GT(record.metrics.at("accuracy"), 0.3);
  EXPECT_EQ(weights_of(record).size(), 64u);
}

TEST(Runs, a_small_network_learns_the_digits) {
  SKIP_UNLESS_FETCHED("digits");
  const RunRecord record = record_of(short_run({{"model.width", "64"}, {"steps", "300"}}));
  EXPECT_GT(record.metrics.at("accuracy"), 0.95);
}

TEST(Runs, differ_with_the_seed_and_the_recipe) {
  SKIP_UNLESS_FETCHED("digits");
  std::set<std::string> weights;
  for (const char* seed : {"1", "2", "4294967297"}) weights.insert(weights_of(record_of(short_run({{"seed", seed}}))));
  weights.insert(weights_of(record_of(short_run({{"recipe", "bf16"}}))));
  EXPECT_EQ(weights.size(), 4u);
}

TEST(Runs, are_the_steps_of_a_trainer_on_the_batches_of_the_seed) {
  SKIP_UNLESS_FETCHED("digits");
  const Experiment e = short_run({{"recipe", "nvfp4-nvidia"}, {"recipe.*.rounding", "stochastic_c"}});
  const auto data = task_data("digits");
  Trainer trainer(e, Target::Class, data->features(), data->outputs());
  for (int step = 0; step < e.steps; ++step) {
    const RandomSite site{.seed = e.seed, .stream = Stream::Data, .step = uint32_t(step)};
    bool finite = false;
    trainer.step(data->training_batch(e.batch, 0, site), step, false, finite);
  }
  double loss = 0, correct = 0, rows = 0;
  for (int i = 0; i * e.batch < 359; ++i) {
    const Loss part = trainer.evaluate(data->validation_batch(i, e.batch, 0), i);
    loss += part.mean * double(part.rows);
    correct += double(part.correct);
    rows += double(part.rows);
  }
  EXPECT_EQ(rows, 359);
  const RunRecord record = record_of(e);
  EXPECT_EQ(weights_of(record), trainer.weights_digest());
  EXPECT_EQ(record.metrics.at("validation_loss"), loss / rows);
  EXPECT_EQ(record.metrics.at("accuracy"), correct / rows);
}

// --- the curve ---

TEST(Curves, have_as_many_points_as_evaluations_and_end_with_the_last_step) {
  SKIP_UNLESS_FETCHED("digits");
  for (const char* evaluations : {"1", "4", "7", "60"}) {
    const Experiment e = short_run({{"evaluations", evaluations}});
    std::vector<CurvePoint> seen;
    const RunRecord record = *run_experiment(e, {.on_evaluation = [&](const CurvePoint& p) { seen.push_back(p); }});
    const json curve = json::parse(record.curve);
    ASSERT_EQ(int(curve.size()), e.evaluations);
    ASSERT_EQ(seen.size(), curve.size());
    for (size_t i = 0; i < seen.size(); ++i) {
      EXPECT_EQ(curve[i], json({seen[i].step, seen[i].train_loss, seen[i].validation_loss}));
      // evenly spaced: the i-th of n after at least i/n of the steps, and not a step later than needed
      EXPECT_GE(seen[i].step * e.evaluations, int(i + 1) * e.steps);
      EXPECT_LT((seen[i].step - 1) * e.evaluations, int(i + 1) * e.steps);
    }
    EXPECT_EQ(seen.back().step, e.steps);
    EXPECT_EQ(seen.back().validation_loss, record.metrics.at("validation_loss"));
    EXPECT_EQ(seen.back().train_loss, record.metrics.at("train_loss"));
  }
}

TEST(Curves, evaluating_more_often_does_not_change_the_run) {
  SKIP_UNLESS_FETCHED("digits");
  const auto record = [](const char* evaluations) {
    return record_of(short_run({{"recipe", "nvfp4-nvidia"}, {"evaluations", evaluations}}));
  };
  const RunRecord rarely = record("1"), often = record("30");
  EXPECT_EQ(weights_of(rarely), weights_of(often));
  EXPECT_EQ(rarely.metrics, often.metrics);
}

// --- counters ---

TEST(Counters, hold_every_layer_and_slot_that_was_cast) {
  SKIP_UNLESS_FETCHED("digits");
  const json events = json::parse(record_of(short_run({{"recipe", "mxfp4-ocp"}})).counters).at("events");
  ASSERT_EQ(events.size(), 2u);
  for (const char* layer : {"hidden0", "hidden1"})
    for (std::string_view slot : kSlotNames) {
      const json& counted = events.at(layer).at(std::string(slot));
      const bool is_cast = !(layer == std::string("hidden0") && slot.starts_with("dgrad"));
      EXPECT_EQ(counted.at("elements").get<int64_t>() > 0, is_cast) << layer << " " << slot;
      if (!is_cast) continue;
      EXPECT_GT(counted.at("signal_squares").get<double>(), 0);
      EXPECT_GT(counted.at("error_squares").get<double>(), 0);
      EXPECT_LT(counted.at("error_squares").get<double>(), 0.1 * counted.at("signal_squares").get<double>());
      EXPECT_EQ(counted.at("nonfinite"), 0);
    }
  // ten steps out of sixty, 32 rows of 64 pixels each
  EXPECT_EQ(events.at("hidden0").at("fprop.x").at("elements"), 10 * 32 * 64);
}

TEST(Counters, a_recipe_without_casts_counts_nothing) {
  SKIP_UNLESS_FETCHED("digits");
  const json events = json::parse(record_of(short_run()).counters).at("events");
  for (const json& layer : events)
    for (const json& slot : layer) EXPECT_EQ(slot.at("elements"), 0);
}

// --- common random numbers ---

TEST(CommonRandomNumbers, the_first_batch_and_weights_are_those_of_the_seed_whatever_the_recipe) {
  SKIP_UNLESS_FETCHED("digits");
  const auto initial_loss = [](std::vector<Setting> changes) {
    return record_of(short_run(std::move(changes))).metrics.at("initial_loss");
  };
  const double plain = initial_loss({});
  EXPECT_EQ(initial_loss({{"recipe", "nvfp4-nvidia"}, {"recipe.fprop.*.format", "binary32"}}), plain);
  EXPECT_EQ(initial_loss({{"optimizer.kind", "sgd"}, {"optimizer.lr", "0.01"}}), plain);
  EXPECT_NE(initial_loss({{"recipe", "nvfp4-nvidia"}}), plain);
  EXPECT_NE(initial_loss({{"seed", "2"}}), plain);
}

// --- cancelling ---

TEST(Cancelling, leaves_no_record) {
  SKIP_UNLESS_FETCHED("digits");
  std::atomic<bool> cancelled = true;
  EXPECT_FALSE(run_experiment(short_run(), {.cancelled = &cancelled}).has_value());

  cancelled = false;
  int evaluations = 0;
  const auto stop = [&](const CurvePoint&) { cancelled = ++evaluations == 2; };
  EXPECT_FALSE(run_experiment(short_run(), {.on_evaluation = stop, .cancelled = &cancelled}).has_value());
  EXPECT_EQ(evaluations, 2);

  cancelled = false;
  EXPECT_TRUE(run_experiment(short_run(), {.cancelled = &cancelled}).has_value());
}

// --- divergence ---

void expect_diverged(const RunRecord& record, std::string_view reason) {
  EXPECT_EQ(record.status, RunStatus::Diverged);
  EXPECT_NE(record.reason.find(reason), std::string::npos) << record.reason;
  ASSERT_TRUE(record.diverged_step.has_value());
  EXPECT_EQ(*record.diverged_step, record.steps);
  EXPECT_FALSE(record.metrics.contains("validation_loss"));
  EXPECT_FALSE(record.metrics.contains("accuracy"));
  for (const auto& [name, value] : record.metrics) EXPECT_TRUE(std::isfinite(value)) << name;
}

TEST(Divergence, a_loss_or_gradient_that_is_not_finite_ends_the_run) {
  SKIP_UNLESS_FETCHED("digits");
  const Experiment e = short_run({{"optimizer.kind", "sgd"},
                                  {"optimizer.lr", "1e6"},
                                  {"optimizer.clip", "0"},
                                  {"optimizer.warmup", "0"},
                                  {"optimizer.weight_decay", "1e6"},
                                  {"model.layers", "4"}});
  const RunRecord record = record_of(e);
  expect_diverged(record, "not finite");
  EXPECT_GE(record.steps, 1);
  EXPECT_LE(record.steps, 10);
  EXPECT_EQ(canonical_text(record), canonical_text(record_of(e)));
}

TEST(Divergence, in_the_first_step_leaves_no_losses) {
  SKIP_UNLESS_FETCHED("digits");
  // white pixels are 1.8; the largest number of this format is 0.75, and what is larger becomes infinite
  const RunRecord record = record_of(short_run({{"recipe.fprop.x.format", "e2m1b3ieee"}}));
  expect_diverged(record, "not finite");
  EXPECT_EQ(record.steps, 0);
  EXPECT_EQ(record.metrics, (std::map<std::string, double>{}));
}

TEST(Divergence, a_loss_far_above_the_first_one_ends_the_run) {
  SKIP_UNLESS_FETCHED("digits");
  const Experiment e = short_run({{"optimizer.lr", "10"}, {"optimizer.clip", "0"}, {"evaluations", "60"}});
  const RunRecord record = record_of(e);
  expect_diverged(record, "above 3 times the first loss");
  EXPECT_LT(record.steps, e.steps);
  const double limit = 3 * record.metrics.at("initial_loss");
  EXPECT_GT(record.metrics.at("train_loss"), limit);
  // it ended at the first step above the limit
  for (const json& point : json::parse(record.curve)) EXPECT_LE(point[1].get<double>(), limit);
}

TEST(Divergence, a_loss_that_rises_and_stays_up_for_three_evaluations_ends_the_run) {
  SKIP_UNLESS_FETCHED("digits");
  // the rate grows until training falls apart; an evaluation at every step shows the running mean of each
  const Experiment e = short_run({{"optimizer.kind", "sgd"},
                                  {"optimizer.lr", "0.5"},
                                  {"optimizer.clip", "0"},
                                  {"optimizer.warmup", "399"},
                                  {"steps", "400"},
                                  {"evaluations", "400"}});
  const RunRecord record = record_of(e);
  expect_diverged(record, "above 1.5 times its minimum");
  const json curve = json::parse(record.curve);
  EXPECT_EQ(int64_t(curve.size()), record.steps);
  double lowest = 1e9;
  int above = 0;
  for (size_t i = 0; i < curve.size(); ++i) {
    EXPECT_LT(above, 3) << "the run went on after step " << curve[i - 1][0];
    const double mean = curve[i][1];
    lowest = std::min(lowest, mean);
    above = mean > 1.5 * lowest ? above + 1 : 0;
  }
  EXPECT_EQ(above, 3);
}

// --- threads ---

TEST(Threads, runs_side_by_side_have_the_records_they_have_alone) {
  SKIP_UNLESS_FETCHED("digits");
  std::vector<Experiment> experiments;
  for (const char* recipe : {"nvfp4-nvidia", "fp32", "tetrajet", "mxfp4-nvidia"})
    for (const char* seed : {"1", "2"}) experiments.push_back(short_run({{"recipe", recipe}, {"seed", seed}}));
  std::vector<std::string> alone, together(experiments.size());
  for (const Experiment& e : experiments) alone.push_back(canonical_text(record_of(e)));
  {
    std::vector<std::jthread> threads;
    for (size_t first : {0, 1})
      threads.emplace_back([&, first] {
        for (size_t i = first; i < experiments.size(); i += 2) together[i] = canonical_text(record_of(experiments[i]));
      });
  }
  EXPECT_EQ(together, alone);
}

}  // namespace
}  // namespace halfulp
