#include "sim/analysis.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "sim/experiment.h"
#include "sim/task.h"

namespace halfulp {
namespace {

struct Run {
  const RunRecord* record;
  Experiment experiment;
};

// Results of different arithmetic are neither averaged nor compared.
std::string text_with_numerics(const RunRecord& record, const Experiment& experiment) {
  return record.numerics + '\n' + canonical_text(experiment);
}

// Equal for the runs of one arm.
std::string arm_text(const Run& run) {
  Experiment experiment = run.experiment;
  experiment.seed = 0;
  return text_with_numerics(*run.record, experiment);
}

// What tells arms apart: their settings outside the recipe, and the version of the arithmetic.
std::vector<Setting> arm_settings(const Run& run) {
  std::vector<Setting> all;
  for (Setting& setting : settings(run.experiment))
    if (!setting.key.starts_with("recipe.") && setting.key != "seed") all.push_back(std::move(setting));
  all.push_back({"numerics", run.record->numerics});
  return all;
}

// The keys of arm_settings that take several values within one task.
std::map<std::string, std::set<std::string>> varying_keys(const std::map<std::string, std::vector<Run>>& arms) {
  std::map<std::string, std::map<std::string, std::string>> first;  // by task and key
  std::map<std::string, std::set<std::string>> varying;             // by task
  for (const auto& [text, runs] : arms) {
    const std::string& task = runs.front().experiment.task;
    for (const Setting& setting : arm_settings(runs.front())) {
      const auto [known, added] = first[task].emplace(setting.key, setting.value);
      if (!added && known->second != setting.value) varying[task].insert(setting.key);
    }
  }
  return varying;
}

EventRates event_rates(const std::vector<Run>& runs) {
  double elements = 0;
  EventRates rates{.worst_sqnr_db = std::numeric_limits<double>::infinity()};
  std::map<std::string, std::pair<double, double>> squares;  // signal and error, by layer and slot
  for (const Run& run : runs) {
    const nlohmann::json counters = nlohmann::json::parse(run.record->counters);
    if (!counters.contains("events")) continue;
    for (const auto& [layer, slots] : counters["events"].items())
      for (const auto& [slot, events] : slots.items()) {
        elements += events["elements"].get<double>();
        rates.saturated += events["saturated"].get<double>();
        rates.flushed += events["flushed"].get<double>();
        rates.subnormal += events["subnormal"].get<double>();
        rates.nonfinite += events["nonfinite"].get<double>();
        auto& [signal, error] = squares[layer + ' ' + slot];
        signal += events["signal_squares"].get<double>();
        error += events["error_squares"].get<double>();
      }
  }
  for (double* share : {&rates.saturated, &rates.flushed, &rates.subnormal, &rates.nonfinite})
    *share = elements > 0 ? *share / elements : 0;
  for (const auto& [where, sums] : squares) {
    if (sums.second == 0) continue;
    const double sqnr = 10 * std::log10(sums.first / sums.second);
    if (sqnr >= rates.worst_sqnr_db) continue;
    rates.worst_sqnr_db = sqnr;
    rates.worst_slot = where;
  }
  return rates;
}

// The metric of a finished run; nothing for others.
std::optional<double> metric_of(const RunRecord& record, std::string_view metric) {
  const auto found = record.metrics.find(std::string(metric));
  if (record.status != RunStatus::Finished || found == record.metrics.end()) return std::nullopt;
  return found->second;
}

Interval to_percent(Interval difference, bool is_log) {
  const auto percent = [&](double d) { return 100 * (is_log ? std::expm1(d) : d); };
  return {percent(difference.mean), percent(difference.low), percent(difference.high), difference.count};
}

}  // namespace

std::vector<Arm> rank(std::span<const RunRecord> records, std::span<const RunRecord> references,
                      std::string_view metric, std::span<const Setting> baseline, double confidence) {
  std::map<std::string, std::vector<Run>> arms;
  std::map<std::string, double> metric_by_run;  // by text_with_numerics
  for (const RunRecord& record : records) {
    Run run{&record, parse_experiment(record.experiment)};
    arms[arm_text(run)].push_back(std::move(run));
  }
  for (const RunRecord& record : references)
    if (const auto value = metric_of(record, metric))
      metric_by_run[text_with_numerics(record, parse_experiment(record.experiment))] = *value;
  const std::map<std::string, std::set<std::string>> varying = varying_keys(arms);

  const bool is_log = metric != "accuracy";
  std::vector<Arm> ranking;
  for (const auto& [text, runs] : arms) {
    const Experiment& experiment = runs.front().experiment;
    Arm arm{.task = experiment.task, .recipe = describe(experiment.recipe), .settings = {}, .runs = int(runs.size())};
    if (const auto keys = varying.find(arm.task); keys != varying.end())
      for (const Setting& setting : arm_settings(runs.front()))
        if (keys->second.contains(setting.key)) arm.settings.push_back(setting);
    std::vector<double> values, own, base;
    for (const Run& run : runs) {
      arm.finished += run.record->status == RunStatus::Finished;
      arm.diverged += run.record->status == RunStatus::Diverged;
      arm.failed += run.record->status == RunStatus::Failed;
      arm.seconds += run.record->seconds / double(runs.size());
      const Experiment reference = with_settings(run.experiment, baseline);
      arm.is_baseline = !baseline.empty() && reference == run.experiment;
      const std::optional<double> value = metric_of(*run.record, metric);
      if (!value) continue;
      values.push_back(*value);
      const auto found = metric_by_run.find(text_with_numerics(*run.record, reference));
      if (baseline.empty() || arm.is_baseline || found == metric_by_run.end()) continue;
      own.push_back(is_log ? std::log(*value) : *value);
      base.push_back(is_log ? std::log(found->second) : found->second);
    }
    arm.metric = mean_interval(values, confidence);
    if (!own.empty()) arm.change_percent = to_percent(paired_difference(own, base, confidence), is_log);
    arm.events = event_rates(runs);
    ranking.push_back(std::move(arm));
  }

  const auto task_order = [](const Arm& arm) {
    return std::ranges::find(tasks(), std::string_view(arm.task), &TaskRow::name) - tasks().begin();
  };
  const auto badness = [&](const Arm& arm) {
    if (std::isnan(arm.metric.mean)) return std::numeric_limits<double>::infinity();
    return is_log ? arm.metric.mean : -arm.metric.mean;
  };
  std::ranges::stable_sort(ranking, [&](const Arm& a, const Arm& b) {
    return std::pair(task_order(a), badness(a)) < std::pair(task_order(b), badness(b));
  });
  return ranking;
}

}  // namespace halfulp
