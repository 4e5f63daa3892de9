#include <fmt/format.h>

#include <set>

#include "cli/new_file.h"
#include "cli/verbs.h"
#include "sim/experiment.h"
#include "sim/result_store.h"

namespace halfulp::cli {
namespace {

std::string csv_field(std::string_view words) {
  if (words.find_first_of(",\"\n\r") == std::string_view::npos) return std::string(words);
  std::string quoted = "\"";
  for (char c : words) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

// One header, then one row per run in key order.
std::string flat_table(const std::vector<RunRecord>& records) {
  std::set<std::string> metrics;
  for (const RunRecord& record : records)
    for (const auto& [metric, value] : record.metrics) metrics.insert(metric);
  std::string csv = "key,status,steps,diverged_step,reason,recipe";
  for (const Setting& setting : settings(Experiment{})) csv += ',' + setting.key;
  for (const std::string& metric : metrics) csv += ',' + metric;
  csv += ",numerics,seconds,finished_at\n";
  for (const RunRecord& record : records) {
    const Experiment experiment = parse_experiment(record.experiment);
    csv += fmt::format("{},{},{},{},{},{}", record.key, name(record.status), record.steps,
                       record.diverged_step ? fmt::format("{}", *record.diverged_step) : "", csv_field(record.reason),
                       csv_field(describe(experiment.recipe)));
    for (const Setting& setting : settings(experiment)) csv += ',' + csv_field(setting.value);
    for (const std::string& metric : metrics) {
      const auto found = record.metrics.find(metric);
      csv += found == record.metrics.end() ? "," : fmt::format(",{}", found->second);
    }
    csv += fmt::format(",{},{},{}\n", record.numerics, record.seconds, record.finished_at);
  }
  return csv;
}

}  // namespace

int run_export(Arguments& arguments) {
  std::string store_path, csv_path;
  arguments.positional("STORE", store_path, "A store that `sweep` made", Need::Required);
  arguments.positional("OUT.csv", csv_path, "The table to write", Need::Required);
  arguments.parse();
  const std::string csv = flat_table(ResultStore(store_path, StoreMode::ReadOnly).all());
  NewFile file(csv_path);
  file.write(std::as_bytes(std::span(csv)));
  file.close();
  file.commit();
  return 0;
}

}  // namespace halfulp::cli
