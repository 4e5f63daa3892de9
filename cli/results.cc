#include <fmt/format.h>

#include <algorithm>

#include "cli/ranking.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "sim/analysis.h"
#include "sim/experiment.h"
#include "sim/study.h"

namespace halfulp::cli {
namespace {

// Whether the experiment has that value under a key, which is a setting, "recipe" or "status".
bool holds(const RunRecord& record, const Setting& condition) {
  if (condition.key == "status") return name(record.status) == condition.value;
  const Experiment experiment = parse_experiment(record.experiment);
  if (condition.key == "recipe") return describe(experiment.recipe) == condition.value;
  std::vector<std::string> keys = {"status", "recipe"};
  for (const Setting& setting : settings(experiment)) {
    if (setting.key == condition.key) return same_value(setting.value, condition.value);
    keys.push_back(setting.key);
  }
  throw UnknownName("setting", condition.key, std::vector<std::string_view>(keys.begin(), keys.end()));
}

}  // namespace

int run_results(Arguments& arguments) {
  std::string store_path, metric = "validation_loss";
  std::vector<std::string> where, baseline;
  int64_t top = INT64_MAX;
  TableStyle style = TableStyle::Aligned;
  arguments.positional("STORE", store_path, "A store that `sweep` made", Need::Required);
  arguments.list("--where KEY=VALUE", where, "Only runs with this setting, recipe or status; all that are given");
  arguments.option("--sort METRIC", metric, "What ranks: validation_loss (default), train_loss, accuracy");
  arguments.option("--top N", top, "At most N arms of each task");
  arguments.list("--baseline KEY=VALUE", baseline,
                 "What arms are compared with: themselves under these settings (default recipe=bf16)");
  arguments.table_style(style);
  arguments.parse();
  const std::vector<std::string_view> metrics = metric_names();
  if (std::ranges::find(metrics, metric) == metrics.end()) throw UnknownName("metric", metric, metrics);
  if (top < 1) throw std::invalid_argument(fmt::format("--top: {} is not a number from 1 on", top));
  if (baseline.empty()) baseline = {"recipe=bf16"};

  const std::vector<RunRecord> all = ResultStore(store_path, StoreMode::ReadOnly).all();
  const std::vector<Setting> conditions = parse_assignments(where, "--where");
  std::vector<RunRecord> records;
  std::ranges::copy_if(all, std::back_inserter(records), [&](const RunRecord& record) {
    return std::ranges::all_of(conditions, [&](const Setting& condition) { return holds(record, condition); });
  });
  if (records.empty() && !all.empty())
    fmt::print(stderr, "none of the {} runs in {} is --where {}\n", all.size(), store_path, fmt::join(where, " and "));
  const std::vector<Arm> arms = rank(records, all, metric, parse_assignments(baseline, "--baseline"));
  print_ranking(style, arms, metric, top);
  return 0;
}

}  // namespace halfulp::cli
