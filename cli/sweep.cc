#include "sim/sweep.h"

#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <optional>

#include "cli/ranking.h"
#include "cli/verbs.h"
#include "sim/analysis.h"
#include "sim/task.h"

namespace halfulp::cli {
namespace {

std::atomic<bool> interrupted = false;

struct Shard {
  int index = 0, count = 1;
};

Shard parse_shard(std::string_view words) {
  try {
    const size_t slash = words.find('/');
    if (slash == std::string_view::npos) throw std::invalid_argument("no '/'");
    const Shard shard{parse_whole_number<int>(words.substr(0, slash)),
                      parse_whole_number<int>(words.substr(slash + 1))};
    if (shard.index >= 0 && shard.index < shard.count) return shard;
    throw std::invalid_argument(fmt::format("of {} parts there is no part {}", shard.count, shard.index));
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(
        fmt::format("--shard: '{}' is not I/N with I from 0 to N - 1, such as 0/4: {}", words, error.what()));
  }
}

// What a sweep would do, by task and recipe.
void print_plan(TableStyle style, const Plan& plan, const std::vector<const PlannedRun*>& to_do) {
  std::map<std::pair<std::string, std::string>, std::pair<int64_t, int64_t>> counts;
  for (const PlannedRun& run : plan.runs) ++counts[{run.experiment.task, describe(run.experiment.recipe)}].first;
  for (const PlannedRun* run : to_do) ++counts[{run->experiment.task, describe(run->experiment.recipe)}].second;
  Table table(style, {{"task"}, {"recipe"}, {"planned", Align::Right}, {"to_run", Align::Right}});
  for (const auto& [what, count] : counts) table.add({text(what.first), text(what.second), count.first, count.second});
  table.finish();
  fmt::print(stderr, "{} combinations, {} excluded, {} distinct experiments, {} to run\n", plan.combinations,
             plan.excluded, plan.runs.size(), to_do.size());
}

std::string default_store(const std::string& study) {
  return (std::filesystem::path("results") / std::filesystem::path(study).stem()).string() + ".db";
}

}  // namespace

int run_sweep(Arguments& arguments) {
  std::string study_path, store_path, shard_text = "0/1";
  int jobs = 1;
  std::optional<int64_t> limit;
  bool dry_run = false;
  TableStyle style = TableStyle::Aligned;
  arguments.positional("STUDY.toml", study_path, "The study", Need::Required);
  arguments.option("--store FILE", store_path, "Where results are kept (default results/STUDY.db)");
  arguments.option("--jobs N", jobs, "Experiments at a time (default 1)");
  arguments.option("--shard I/N", shard_text, "Run only the I-th of N parts, I from 0");
  arguments.option("--limit N", limit, "Start at most N experiments");
  arguments.flag("--dry-run", dry_run, "Say what would be run, and stop");
  arguments.table_style(style);
  arguments.parse();
  if (jobs < 1 || jobs > 1024) throw std::invalid_argument(fmt::format("--jobs: {} is not in 1 … 1024", jobs));
  if (limit && *limit < 0) throw std::invalid_argument(fmt::format("--limit: {} is negative", *limit));
  const Shard shard = parse_shard(shard_text);

  const Study study = read_study(study_path);
  const Plan plan = expand(study);
  SweepOptions options{.jobs = jobs, .shard = shard.index, .shards = shard.count, .cancelled = &interrupted};
  if (limit) options.limit = *limit;
  const bool is_default = store_path.empty();
  if (is_default) store_path = default_store(study_path);
  if (dry_run) {
    std::optional<ResultStore> store;
    if (std::filesystem::exists(store_path)) store.emplace(store_path, StoreMode::ReadOnly);
    std::vector<const PlannedRun*> to_do = remaining(plan, store ? &*store : nullptr, options);
    if (int64_t(to_do.size()) > options.limit) to_do.resize(size_t(options.limit));
    print_plan(style, plan, to_do);
    return 0;
  }

  // without the data no store is made
  if (!std::filesystem::exists(store_path))
    for (const PlannedRun& run : plan.runs) task_data(run.experiment.task);
  if (is_default) std::filesystem::create_directories("results");
  ResultStore store(store_path);
  std::signal(SIGINT, [](int) { interrupted = true; });
  std::signal(SIGTERM, [](int) { interrupted = true; });
  const SweepSummary summary = sweep(plan, store, options);
  fmt::print(stderr, "{}\n", study.title.empty() ? study_path : study.title);
  fmt::print(stderr, "{} of {} experiments: {} run in {:.0f} s ({} diverged), {} were in {}, {} failed\n",
             summary.kept + summary.run, summary.planned, summary.run, summary.seconds, summary.diverged, summary.kept,
             store_path, summary.failed);
  if (summary.cancelled) fmt::print(stderr, "stopped; the same command goes on from here\n");

  std::vector<RunRecord> records;
  for (const PlannedRun& run : plan.runs)
    for (RunRecord& record : store.find(run.key)) {
      if (record.status == RunStatus::Failed)
        fmt::print(stderr, "failed: {} ({})\n", record.reason, record.key.substr(0, 16));
      records.push_back(std::move(record));
    }
  print_ranking(style, rank(records, records, study.metric, study.baseline), study.metric, INT64_MAX);
  return summary.failed > 0 || summary.cancelled ? 1 : 0;
}

}  // namespace halfulp::cli
