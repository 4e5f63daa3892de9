// Running one experiment.
#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "sim/experiment.h"
#include "sim/result_store.h"

namespace halfulp {

struct CurvePoint {
  int step;                // optimizer steps taken
  double train_loss;       // running mean over about the last 20 steps
  double validation_loss;  // of the whole validation part that evaluations look at
};

struct RunControl {
  std::function<void(const CurvePoint&)> on_evaluation;  // may be empty
  const std::atomic<bool>* cancelled = nullptr;          // looked at before every step
};

/// The run's record; nothing when it was cancelled. A divergence is a result: a loss or gradient that is not finite, a
/// running mean above three times the first loss, or one that has stayed above one and a half times its own minimum
/// for three evaluations in a row. Exceptions are those of task_data.
///
/// Metrics: validation_loss, train_loss, initial_loss, and accuracy on the validation part for classes and tokens; a
/// diverged run has no validation_loss. Counters: JSON {layer: {slot: {elements, saturated, …, sqnr_db}}} summed over
/// about ten steps spread over the run, and the digest of the final weights.
std::optional<RunRecord> run_experiment(const Experiment& experiment, const RunControl& control = {});

}  // namespace halfulp
