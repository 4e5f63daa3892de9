#include "sim/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "cli/streams.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "sim/study.h"
#include "sim/task.h"

namespace halfulp::cli {
namespace {

std::atomic<bool> interrupted = false;

// Whether an alternative of an axis says nothing else than what was set.
bool agrees(const std::vector<Setting>& alternative, const std::vector<Setting>& sets) {
  return std::ranges::all_of(alternative, [&](const Setting& setting) {
    const auto same_key = std::ranges::find(sets, setting.key, &Setting::key);
    return same_key == sets.end() || same_value(same_key->value, setting.value);
  });
}

// The study's base, of every axis the first alternative that agrees with what was set, the first seed, and the sets.
Experiment chosen_experiment(const Study& study, const std::vector<Setting>& sets) {
  std::vector<Setting> all = study.base;
  for (const Study::Axis& axis : study.axes) {
    const auto found = std::ranges::find_if(axis, [&](const auto& each) { return agrees(each, sets); });
    const std::vector<Setting>& alternative = found == axis.end() ? axis.front() : *found;
    all.insert(all.end(), alternative.begin(), alternative.end());
  }
  all.push_back({"seed", fmt::format("{}", study.seeds.front())});
  all.insert(all.end(), sets.begin(), sets.end());
  return make_experiment(all);
}

// A line of the curve: numbers, and a bar whose full width is the loss of a guess that sees no input.
void print_point(const CurvePoint& point, double blind_loss) {
  constexpr double kWidth = 50;
  const double share = std::clamp(point.validation_loss / blind_loss, 0.0, 1.0);
  write_output(fmt::format("{:>9}  {:>10.5f}  {:>15.5f}  {}\n", point.step, point.train_loss, point.validation_loss,
                           std::string(size_t(share * kWidth), '#')));
}

}  // namespace

int run_run(Arguments& arguments) {
  std::string study_path;
  std::vector<std::string> sets;
  TableStyle style = TableStyle::Aligned;
  arguments.positional("STUDY.toml", study_path, "The study", Need::Required);
  arguments.list("--set KEY=VALUE", sets, "A setting that replaces the study's");
  arguments.table_style(style);
  arguments.parse();

  const Experiment experiment = chosen_experiment(read_study(study_path), parse_assignments(sets, "--set"));
  const bool for_people = style == TableStyle::Aligned;
  const double blind_loss = task_data(experiment.task)->blind_loss();
  std::signal(SIGINT, [](int) { interrupted = true; });
  RunControl control{.on_evaluation = {}, .cancelled = &interrupted};
  if (for_people) {
    write_output(fmt::format("{}, {}, seed {}; a guess without input loses {:.4f}\n{:>9}  {:>10}  {:>15}\n",
                             experiment.task, describe(experiment.recipe), experiment.seed, blind_loss, "step",
                             "train_loss", "validation_loss"));
    control.on_evaluation = [&](const CurvePoint& point) { print_point(point, blind_loss); };
  }
  const std::optional<RunRecord> record = run_experiment(experiment, control);
  if (!record) {
    fmt::print(stderr, "stopped; nothing is kept of a run that has not ended\n");
    return 1;
  }
  std::vector<Field> fields = {{"key", text(record->key)},
                               {"status", text(name(record->status))},
                               {"steps", record->steps},
                               {"reason", record->reason.empty() ? Cell() : Cell(record->reason)}};
  for (const auto& [metric, value] : record->metrics) fields.push_back({metric, value});
  fields.push_back({"seconds", record->seconds});
  if (!for_people) fields.push_back({"curve", record->curve});
  print_record(style, fields);
  return 0;
}

}  // namespace halfulp::cli
