// One model in training: loss, gradients, optimizer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/experiment.h"
#include "sim/model.h"
#include "sim/task.h"

namespace halfulp {

/// Mean loss of a batch, and how many of its rows have the right answer on top (classes and tokens).
struct Loss {
  double mean = 0;
  int64_t rows = 0;
  int64_t correct = 0;
};

class Trainer {
 public:
  /// `features` and `outputs` as TaskData tells them.
  Trainer(const Experiment& experiment, Target target, int features, int outputs);

  /// One optimizer step on a batch; `step` counts from 0. The loss is the one before the step. Where the loss or the
  /// gradient is not finite, nothing is changed and false comes back in `finite`.
  Loss step(const Batch& batch, int step, bool count_events, bool& finite);

  /// Loss without a step. `index` of the validation batch, for its random bits.
  Loss evaluate(const Batch& batch, int index);

  /// What the casts did since the start on the steps that were counted, by layer and slot.
  const std::vector<std::array<CastEvents, kSlots>>& events() const { return events_; }
  const Model& model() const { return *model_; }
  /// SHA-256 of all weights.
  std::string weights_digest() const;
  int64_t parameter_count() const;

 private:
  Loss loss(const Tensor& outputs, const Batch& batch, Tensor& d_outputs) const;
  double gradient_norm() const;
  void update(int step, float gradient_scale);

  const Experiment experiment_;
  const Target target_;
  const RecipeCasts casts_;
  std::unique_ptr<Model> model_;
  std::vector<std::vector<float>> first_moment_, second_moment_;  // by parameter
  double beta1_power_ = 1, beta2_power_ = 1;
  std::vector<std::array<CastEvents, kSlots>> events_;
};

}  // namespace halfulp
