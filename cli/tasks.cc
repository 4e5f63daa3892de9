#include "sim/task.h"

#include "cli/verbs.h"
#include "sim/dataset.h"
#include "sim/experiment.h"

namespace halfulp::cli {

int run_tasks(Arguments& arguments) {
  TableStyle style = TableStyle::Aligned;
  arguments.table_style(style);
  arguments.parse();
  Table table(style, {{"name"},
                      {"model"},
                      {"steps", Align::Right},
                      {"batch", Align::Right},
                      {"dataset"},
                      {"fetched"},
                      {"packages"},
                      {"licence"},
                      {"description"}});
  for (const TaskRow& row : tasks()) {
    const Experiment defaults = make_experiment(std::vector<Setting>{{"task", std::string(row.name)}});
    const DatasetInfo& data = find_dataset(row.dataset);
    table.add({text(row.name),
               fmt::format("{} {}x{}", name(defaults.model.kind), defaults.model.layers, defaults.model.width),
               int64_t{defaults.steps}, int64_t{defaults.batch}, text(row.dataset), is_fetched(row.dataset),
               fmt::format("{}", fmt::join(data.packages, " ")), data.licence, text(row.description)});
  }
  table.finish();
  return 0;
}

}  // namespace halfulp::cli
