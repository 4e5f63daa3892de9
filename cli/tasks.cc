#include "sim/task.h"

#include <chrono>

#include "cli/verbs.h"
#include "sim/dataset.h"
#include "sim/experiment.h"
#include "sim/trainer.h"

namespace halfulp::cli {
namespace {

struct Cost {
  int64_t parameters;
  double seconds_per_run;
};

// A few steps of the task as it stands by default, in float32, extrapolated to all of them.
Cost measure(const Experiment& experiment, Target target) {
  constexpr int kSteps = 20;
  const std::shared_ptr<const TaskData> data = task_data(experiment.task);
  Trainer trainer(experiment, target, data->features(), data->outputs());
  const auto start = std::chrono::steady_clock::now();
  for (int step = 0; step < kSteps; ++step) {
    const RandomSite site{.seed = experiment.seed, .stream = Stream::Data, .step = uint32_t(step)};
    bool finite = true;
    trainer.step(data->training_batch(experiment.batch, experiment.model.context, site), step, false, finite);
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return {trainer.parameter_count(), taken.count() / kSteps * experiment.steps};
}

}  // namespace

int run_tasks(Arguments& arguments) {
  TableStyle style = TableStyle::Aligned;
  bool measures = false;
  arguments.flag("--measure", measures, "Count parameters and time a run in float32 on this machine; needs the data");
  arguments.table_style(style);
  arguments.parse();
  std::vector<Column> columns = {{"name"}, {"model"}, {"steps", Align::Right}, {"batch", Align::Right}};
  if (measures) columns.insert(columns.end(), {{"parameters", Align::Right}, {"seconds_per_run", Align::Right}});
  columns.insert(columns.end(), {{"dataset"}, {"fetched"}, {"packages"}, {"licence"}, {"description"}});
  Table table(style, columns);
  for (const TaskRow& row : tasks()) {
    const Experiment defaults = make_experiment(std::vector<Setting>{{"task", std::string(row.name)}});
    const DatasetInfo& data = find_dataset(row.dataset);
    std::vector<Cell> cells = {
        text(row.name), fmt::format("{} {}x{}", name(defaults.model.kind), defaults.model.layers, defaults.model.width),
        int64_t{defaults.steps}, int64_t{defaults.batch}};
    if (measures) {
      const Cost cost = measure(defaults, row.target);
      cells.insert(cells.end(), {cost.parameters, fmt::format("{:.1f}", cost.seconds_per_run)});
    }
    cells.insert(cells.end(), {text(row.dataset), is_fetched(row.dataset),
                               fmt::format("{}", fmt::join(data.packages, " ")), data.licence, text(row.description)});
    table.add(std::move(cells));
  }
  table.finish();
  return 0;
}

}  // namespace halfulp::cli
