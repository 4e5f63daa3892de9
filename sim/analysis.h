// From runs to answers: arms, their ranking, and paired differences to a baseline.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/result_store.h"
#include "sim/settings.h"
#include "sim/statistics.h"

namespace halfulp {

/// What the casts of a set of runs did, over all layers, slots and counted steps.
struct EventRates {
  double saturated = 0, flushed = 0, subnormal = 0, nonfinite = 0;  // shares of all elements
  double worst_sqnr_db = 0;  // lowest signal-to-quantisation-noise ratio of a slot of a layer; infinite: no error
  std::string worst_slot;    // where that was: layer and slot
};

/// Runs of one arithmetic that differ in the seed only.
struct Arm {
  std::string task;
  std::string recipe;             // describe()
  std::vector<Setting> settings;  // those that vary among the arms of its task, "numerics" too, recipe apart
  int runs = 0, finished = 0, diverged = 0, failed = 0;
  Interval metric;  // over the finished runs
  /// 100 · (exp(d) - 1) for d the mean of log(metric) - log(baseline's metric) over shared seeds, and its interval; for
  /// accuracy 100 times the mean difference. Empty without a baseline of the same seeds, and for the baseline itself.
  std::optional<Interval> change_percent;
  bool is_baseline = false;
  EventRates events;
  double seconds = 0;  // mean of a run
};

/// Arms of `records` by task (in the order of tasks()), then from best to worst; arms without a finished run last. A
/// run's baseline is the run of the same experiment under the settings `baseline`, same seed, among `references`.
/// `confidence` of all intervals.
std::vector<Arm> rank(std::span<const RunRecord> records, std::span<const RunRecord> references,
                      std::string_view metric, std::span<const Setting> baseline, double confidence = 0.95);

}  // namespace halfulp
