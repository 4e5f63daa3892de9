// Running what a plan holds and a store lacks, experiments side by side.
#pragma once

#include <atomic>
#include <cstdint>

#include "sim/result_store.h"
#include "sim/study.h"

namespace halfulp {

struct SweepOptions {
  int jobs = 1;               // experiments at a time, one thread each
  int shard = 0;              // this process runs the experiments whose key falls to `shard` …
  int shards = 1;             // … of so many
  int64_t limit = INT64_MAX;  // runs to start at most
  bool shows_progress = true;
  const std::atomic<bool>* cancelled = nullptr;
};

struct SweepSummary {
  int64_t planned = 0;   // of this shard
  int64_t kept = 0;      // were in the store already
  int64_t run = 0;       // finished now, diverged ones too
  int64_t diverged = 0;  // of those
  int64_t failed = 0;    // ended by an exception
  double seconds = 0;
  bool cancelled = false;
};

/// The runs of the plan that belong to the shard and are still to be done, in the plan's order: those that are not in
/// the store, where there is one, or failed.
std::vector<const PlannedRun*> remaining(const Plan& plan, const ResultStore* store, const SweepOptions& options);

/// Every run is stored as soon as it ends. An exception in a run fails that run only; one of the store ends the sweep.
SweepSummary sweep(const Plan& plan, ResultStore& store, const SweepOptions& options);

}  // namespace halfulp
