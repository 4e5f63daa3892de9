#include "sim/sweep.h"

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <mutex>
#include <set>

#include "sim/numerics.h"
#include "sim/progress.h"
#include "sim/run.h"
#include "sim/task.h"

namespace halfulp {
namespace {

bool in_shard(const std::string& key, const SweepOptions& options) {
  return std::stoull(key.substr(0, 12), nullptr, 16) % uint64_t(options.shards) == uint64_t(options.shard);
}

// The run's record, a failure's too; nothing when cancelled.
std::optional<RunRecord> attempt(const PlannedRun& run, const std::atomic<bool>& stop) {
  try {
    return run_experiment(run.experiment, {.on_evaluation = {}, .cancelled = &stop});
  } catch (const std::exception& error) {
    return RunRecord{.key = run.key,
                     .experiment = canonical_text(run.experiment),
                     .status = RunStatus::Failed,
                     .reason = error.what(),
                     .curve = "[]",
                     .counters = "{}",
                     .numerics = numerics_version()};
  }
}

}  // namespace

std::vector<const PlannedRun*> remaining(const Plan& plan, const ResultStore* store, const SweepOptions& options) {
  std::set<std::string> done;
  if (store != nullptr)
    for (const RunRecord& record : store->all())
      if (record.status != RunStatus::Failed) done.insert(record.key);
  std::vector<const PlannedRun*> runs;
  for (const PlannedRun& run : plan.runs)
    if (in_shard(run.key, options) && !done.contains(run.key)) runs.push_back(&run);
  return runs;
}

SweepSummary sweep(const Plan& plan, ResultStore& store, const SweepOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<const PlannedRun*> runs = remaining(plan, &store, options);
  SweepSummary summary;
  for (const PlannedRun& run : plan.runs) summary.planned += in_shard(run.key, options);
  summary.kept = summary.planned - int64_t(runs.size());
  if (int64_t(runs.size()) > options.limit) runs.resize(size_t(options.limit));
  // missing data is an error of the whole sweep, before anything is run
  for (const PlannedRun* run : runs) task_data(run->experiment.task);

  std::optional<Progress> progress;
  if (options.shows_progress)
    progress.emplace(Progress::Runs{
        .total = summary.kept + int64_t(runs.size()), .done = summary.kept, .parallelism = options.jobs});
  std::atomic<bool> stop = false;
  std::exception_ptr error;
  std::mutex mutex;
#pragma omp parallel for schedule(dynamic, 1) num_threads(options.jobs)
  for (size_t i = 0; i < runs.size(); ++i) {
    if (options.cancelled != nullptr && *options.cancelled) stop = true;
    if (stop) continue;
    const std::atomic<bool>& cancelled = options.cancelled != nullptr ? *options.cancelled : stop;
    const std::optional<RunRecord> record = attempt(*runs[i], cancelled);
    if (!record) continue;
    const std::lock_guard lock(mutex);
    try {
      store.insert(*record);
    } catch (...) {
      if (!error) error = std::current_exception();
      stop = true;
      continue;
    }
    const bool failed = record->status == RunStatus::Failed, diverged = record->status == RunStatus::Diverged;
    summary.failed += failed;
    summary.run += !failed;
    summary.diverged += diverged;
    if (progress)
      progress->finished(fmt::format("{} {} seed {}", runs[i]->experiment.task, describe(runs[i]->experiment.recipe),
                                     runs[i]->experiment.seed),
                         record->seconds, diverged);
  }
  progress.reset();
  if (error) std::rethrow_exception(error);
  summary.cancelled = options.cancelled != nullptr && *options.cancelled;
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return summary;
}

}  // namespace halfulp
