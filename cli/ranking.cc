#include "cli/ranking.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace halfulp::cli {
namespace {

Cell number(TableStyle style, double value, int decimals) {
  if (std::isnan(value)) return {};
  if (style == TableStyle::Aligned) return fmt::format("{:.{}f}", value, decimals);
  return value;
}

}  // namespace

void print_ranking(TableStyle style, std::span<const Arm> arms, std::string_view metric, int64_t top) {
  std::vector<std::string> keys;
  for (const Arm& arm : arms)
    for (const Setting& setting : arm.settings)
      if (std::ranges::find(keys, setting.key) == keys.end()) keys.push_back(setting.key);

  std::vector<Column> columns = {{"task"}, {"rank", Align::Right}, {"recipe"}};
  for (const std::string& key : keys) columns.push_back({key, Align::Right});
  for (std::string_view name : {"finished", "diverged", metric.data(), "+-", "change_%", "from_%", "to_%",
                                "saturated_%", "flushed_%", "worst_sqnr_db", "seconds"})
    columns.push_back({std::string(name), Align::Right});
  columns.push_back({"worst_slot"});

  Table table(style, columns);
  int64_t rank = 0;
  std::string_view task;
  for (const Arm& arm : arms) {
    rank = arm.task == task ? rank + 1 : 1;
    task = arm.task;
    if (rank > top) continue;
    std::vector<Cell> row = {text(arm.task), rank, text(arm.recipe)};
    for (const std::string& key : keys) {
      const auto setting = std::ranges::find(arm.settings, key, &Setting::key);
      row.push_back(setting == arm.settings.end() ? Cell() : Cell(setting->value));
    }
    row.push_back(fmt::format("{}/{}", arm.finished, arm.runs));
    row.push_back(int64_t{arm.diverged});
    row.push_back(number(style, arm.metric.mean, 4));
    row.push_back(number(style, arm.metric.high - arm.metric.mean, 4));
    if (arm.is_baseline || !arm.change_percent) {
      row.push_back(arm.is_baseline ? text("baseline") : Cell());
      row.insert(row.end(), 2, Cell());
    } else {
      row.push_back(number(style, arm.change_percent->mean, 2));
      row.push_back(number(style, arm.change_percent->low, 2));
      row.push_back(number(style, arm.change_percent->high, 2));
    }
    row.push_back(number(style, 100 * arm.events.saturated, 2));
    row.push_back(number(style, 100 * arm.events.flushed, 2));
    row.push_back(number(style, arm.events.worst_sqnr_db, 1));
    row.push_back(number(style, arm.seconds, 1));
    row.push_back(text(arm.events.worst_slot));
    table.add(std::move(row));
  }
  table.finish();
}

}  // namespace halfulp::cli
