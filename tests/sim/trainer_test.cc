// Optimizers, schedules and clipping against a restatement in double; what a step changes and what it leaves alone.
#include "sim/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/sim/double_reference.h"

namespace halfulp {
namespace {

using reference::Vector;
using reference::widen;

constexpr int kFeatures = 6, kClasses = 5;

Batch batch_of(uint32_t site) {
  Batch batch{.rows = 8};
  batch.inputs = reference::random_numbers(8 * kFeatures, 1.5f, site);
  for (int r = 0; r < batch.rows; ++r) batch.labels.push_back((r * r + int(site)) % kClasses);
  return batch;
}

Experiment experiment(const std::function<void(Experiment&)>& change) {
  Experiment e;
  e.model = {.layers = 2, .width = 9, .activation = Activation::Gelu};
  e.optimizer = {.lr = 0.02, .weight_decay = 0.3, .clip = 0, .schedule = Schedule::Constant};
  e.steps = 10;
  change(e);
  return e;
}

Trainer trainer_of(const Experiment& e) { return Trainer(e, Target::Class, kFeatures, kClasses); }

/// All parameters one after the other.
struct Flat {
  Vector weights, gradients;
  std::vector<bool> decays;

  explicit Flat(const Model& model) {
    for (const Parameter* parameter : model.parameters)
      for (size_t i = 0; i < parameter->value.size(); ++i) {
        weights.push_back(parameter->value[i]);
        gradients.push_back(parameter->gradient[i]);
        decays.push_back(parameter->decays);
      }
  }
};

/// The optimizers from their papers: arXiv 1711.05101 algorithm 2 (AdamW) and SGD with momentum and L2 decay.
class RestatedOptimizer {
 public:
  explicit RestatedOptimizer(const OptimizerSpec& spec) : spec_(spec) {}

  /// What a step adds to each weight.
  Vector change(const Flat& before, Vector gradients, double rate) {
    first_.resize(gradients.size());
    second_.resize(gradients.size());
    ++steps_;
    double norm = 0;
    for (double g : gradients) norm += g * g;
    norm = std::sqrt(norm);
    if (spec_.clip > 0 && norm > spec_.clip)
      for (double& g : gradients) g *= spec_.clip / norm;
    Vector change;
    for (size_t i = 0; i < gradients.size(); ++i) {
      const double decay = before.decays[i] ? spec_.weight_decay * before.weights[i] : 0;
      if (spec_.kind == OptimizerKind::Sgd) {
        first_[i] = spec_.momentum * first_[i] + gradients[i] + decay;
        change.push_back(-rate * first_[i]);
      } else {
        first_[i] = spec_.beta1 * first_[i] + (1 - spec_.beta1) * gradients[i];
        second_[i] = spec_.beta2 * second_[i] + (1 - spec_.beta2) * gradients[i] * gradients[i];
        const double mean = first_[i] / (1 - std::pow(spec_.beta1, steps_));
        const double square = second_[i] / (1 - std::pow(spec_.beta2, steps_));
        change.push_back(-rate * (mean / (std::sqrt(square) + spec_.epsilon) + decay));
      }
    }
    return change;
  }

 private:
  const OptimizerSpec spec_;
  Vector first_, second_;
  int steps_ = 0;
};

/// Trains for e.steps and compares every weight's change; the learning rates are given.
void expect_restated(const Experiment& e, const std::vector<double>& rates) {
  Trainer trainer = trainer_of(e);
  RestatedOptimizer restated(e.optimizer);
  for (int step = 0; step < e.steps; ++step) {
    const Flat before(trainer.model());
    bool finite = false;
    trainer.step(batch_of(uint32_t(step)), step, false, finite);
    ASSERT_TRUE(finite);
    const Flat after(trainer.model());
    const Vector want = restated.change(before, after.gradients, rates[size_t(step)]);
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(after.weights[i] - before.weights[i], want[i],
                  0x1p-23 * std::fabs(before.weights[i]) + 1e-5 * std::fabs(want[i]) + 1e-9)
          << "weight " << i << " in step " << step;
  }
}

std::vector<double> constant(const Experiment& e) { return std::vector<double>(size_t(e.steps), e.optimizer.lr); }

TEST(Optimizers, adamw_is_the_published_one) {
  const Experiment e = experiment([](Experiment&) {});
  expect_restated(e, constant(e));
  const Experiment coarse = experiment([](Experiment& x) {
    x.optimizer.beta1 = 0.5;
    x.optimizer.beta2 = 0.7;
    x.optimizer.epsilon = 0.01;
  });
  expect_restated(coarse, constant(coarse));
  const Experiment without_memory = experiment([](Experiment& x) { x.optimizer.beta1 = x.optimizer.beta2 = 0; });
  expect_restated(without_memory, constant(without_memory));
}

TEST(Optimizers, sgd_has_momentum_and_decay_in_the_gradient) {
  for (double momentum : {0.0, 0.9}) {
    const Experiment e = experiment([&](Experiment& x) {
      x.optimizer.kind = OptimizerKind::Sgd;
      x.optimizer.momentum = momentum;
    });
    expect_restated(e, constant(e));
  }
}

TEST(Optimizers, plain_sgd_is_one_subtraction_to_the_last_bit) {
  Trainer trainer = trainer_of(experiment([](Experiment& x) {
    x.optimizer = {.kind = OptimizerKind::Sgd, .lr = 0.25, .momentum = 0, .clip = 0, .schedule = Schedule::Constant};
  }));
  const Flat before(trainer.model());
  bool finite = false;
  trainer.step(batch_of(0), 0, false, finite);
  const Flat after(trainer.model());
  for (size_t i = 0; i < before.weights.size(); ++i)
    EXPECT_EQ(after.weights[i], double(float(before.weights[i]) - 0.25f * float(after.gradients[i])));
}

TEST(Optimizers, only_matrices_decay) {
  for (OptimizerKind kind : {OptimizerKind::AdamW, OptimizerKind::Sgd}) {
    Experiment decayed = experiment([&](Experiment& x) { x.optimizer.kind = kind; });
    Experiment plain = decayed;
    plain.optimizer.weight_decay = 0;
    Trainer a = trainer_of(decayed), b = trainer_of(plain);
    bool finite = false;
    a.step(batch_of(0), 0, false, finite);
    b.step(batch_of(0), 0, false, finite);
    for (size_t p = 0; p < a.model().parameters.size(); ++p) {
      const Parameter &with = *a.model().parameters[p], &without = *b.model().parameters[p];
      EXPECT_EQ(with.value != without.value, with.name.ends_with(".weight")) << with.name;
    }
  }
}

TEST(Optimizers, clipping_scales_the_whole_gradient_to_the_largest_norm) {
  for (OptimizerKind kind : {OptimizerKind::AdamW, OptimizerKind::Sgd}) {
    const Experiment e = experiment([&](Experiment& x) {
      x.optimizer.kind = kind;
      x.optimizer.clip = 0.05;
      x.optimizer.epsilon = 0.01;  // with a tiny one AdamW would not see the scale
    });
    expect_restated(e, constant(e));
    Trainer trainer = trainer_of(e);
    bool finite = false;
    trainer.step(batch_of(0), 0, false, finite);
    double squares = 0;
    for (double g : Flat(trainer.model()).gradients) squares += g * g;
    EXPECT_GT(std::sqrt(squares), 0.1) << "nothing was clipped";
  }
}

TEST(Optimizers, a_clip_above_the_norm_changes_nothing) {
  const auto digest = [](double clip) {
    Trainer trainer = trainer_of(experiment([&](Experiment& x) { x.optimizer.clip = clip; }));
    bool finite = false;
    trainer.step(batch_of(0), 0, false, finite);
    return trainer.weights_digest();
  };
  EXPECT_EQ(digest(1e6), digest(0));
  EXPECT_NE(digest(1e-3), digest(0));
}

TEST(Schedules, warm_up_is_linear_and_then_the_rate_is_constant_or_falls_to_zero) {
  const auto with_schedule = [](Schedule schedule, int warmup) {
    return experiment([&](Experiment& x) {
      x.optimizer.kind = OptimizerKind::Sgd;
      x.optimizer.lr = 0.07;
      x.optimizer.schedule = schedule;
      x.optimizer.warmup = warmup;
    });
  };
  expect_restated(with_schedule(Schedule::Constant, 4),
                  {0.0175, 0.035, 0.0525, 0.07, 0.07, 0.07, 0.07, 0.07, 0.07, 0.07});
  expect_restated(with_schedule(Schedule::Linear, 0),
                  {0.07, 0.063, 0.056, 0.049, 0.042, 0.035, 0.028, 0.021, 0.014, 0.007});
  expect_restated(with_schedule(Schedule::Linear, 3),
                  {0.07 / 3, 0.14 / 3, 0.07, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01});
  expect_restated(with_schedule(Schedule::Linear, 9),
                  {0.07 / 9, 0.14 / 9, 0.21 / 9, 0.28 / 9, 0.35 / 9, 0.42 / 9, 0.49 / 9, 0.56 / 9, 0.07, 0.07});
}

TEST(TrainerSteps, one_that_is_not_finite_changes_nothing) {
  const Experiment e = experiment([](Experiment&) {});
  Trainer disturbed = trainer_of(e), calm = trainer_of(e);
  bool finite = false;
  disturbed.step(batch_of(0), 0, false, finite);
  calm.step(batch_of(0), 0, false, finite);
  EXPECT_TRUE(finite);
  const std::string before = disturbed.weights_digest();
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Batch batch = batch_of(1);
    batch.inputs[3] = bad;
    disturbed.step(batch, 1, false, finite);
    EXPECT_FALSE(finite);
    EXPECT_EQ(disturbed.weights_digest(), before);
  }
  disturbed.step(batch_of(1), 1, false, finite);
  calm.step(batch_of(1), 1, false, finite);
  EXPECT_TRUE(finite);
  EXPECT_EQ(disturbed.weights_digest(), calm.weights_digest());
}

TEST(TrainerSteps, do_not_depend_on_evaluations_or_counting) {
  const Experiment e = experiment([](Experiment& x) { x.recipe = find_recipe("tetrajet"); });
  Trainer watched = trainer_of(e), alone = trainer_of(e);
  bool finite = false;
  for (int step = 0; step < 3; ++step) {
    watched.evaluate(batch_of(50), step);
    watched.step(batch_of(uint32_t(step)), step, true, finite);
    alone.step(batch_of(uint32_t(step)), step, false, finite);
  }
  EXPECT_EQ(watched.weights_digest(), alone.weights_digest());
  EXPECT_GT(watched.events()[0][0].elements, 0);
  EXPECT_EQ(alone.events()[0][0], CastEvents());
}

TEST(TrainerSteps, count_events_of_steps_only) {
  Trainer trainer = trainer_of(experiment([](Experiment& x) { x.recipe = find_recipe("mxfp8"); }));
  bool finite = false;
  trainer.evaluate(batch_of(0), 0);
  trainer.step(batch_of(0), 0, true, finite);
  ASSERT_EQ(trainer.events().size(), 2u);
  const int64_t x = 8 * kFeatures, w = kFeatures * 9, g = 8 * 9;
  const int64_t first_layer[] = {x, w, 0, 0, g, x};  // the input needs no gradient, so there is no dgrad
  for (int slot = 0; slot < kSlots; ++slot)
    EXPECT_EQ(trainer.events()[0][size_t(slot)].elements, first_layer[slot]) << kSlotNames[slot];
  const int64_t second_layer[] = {g, 81, g, 81, g, g};
  for (int slot = 0; slot < kSlots; ++slot)
    EXPECT_EQ(trainer.events()[1][size_t(slot)].elements, second_layer[slot]) << kSlotNames[slot];
}

TEST(TrainerSteps, evaluations_draw_their_own_random_bits) {
  const Experiment e = experiment([](Experiment& x) {
    x.recipe = find_recipe("mxfp8");
    set(x.recipe, {"*.rounding", "stochastic_c"});
    normalize(x.recipe);
  });
  Trainer trainer = trainer_of(e);
  const double first = trainer.evaluate(batch_of(0), 0).mean;
  EXPECT_EQ(trainer.evaluate(batch_of(0), 0).mean, first);
  EXPECT_NE(trainer.evaluate(batch_of(0), 1).mean, first);
  bool finite = false;
  EXPECT_NE(trainer.step(batch_of(0), 0, false, finite).mean, first);
}

TEST(CommonRandomNumbers, recipes_of_one_seed_start_from_the_same_weights_and_loss) {
  const auto first_loss = [](std::string_view recipe, std::string_view keep_forward) {
    Trainer trainer = trainer_of(experiment([&](Experiment& x) {
      x.recipe = find_recipe(recipe);
      if (keep_forward == "plain forward") x.recipe.fprop_x = x.recipe.fprop_w = CastSpec();
    }));
    bool finite = false;
    return trainer.step(batch_of(0), 0, false, finite).mean;
  };
  const double plain = first_loss("fp32", "");
  EXPECT_EQ(first_loss("nvfp4-nvidia", "plain forward"), plain);
  EXPECT_EQ(first_loss("mxfp4-ocp", "plain forward"), plain);
  EXPECT_NE(first_loss("mxfp4-ocp", ""), plain);
}

}  // namespace
}  // namespace halfulp
