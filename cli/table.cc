#include "cli/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/streams.h"

namespace halfulp::cli {
namespace {

constexpr size_t kRowsAtATime = 4096;

std::string json_text(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// With a point or an exponent, so that readers keep it a real number and -0 its sign.
std::string json_number(double x) {
  const std::string text = fmt::format("{}", x);
  if (!std::isfinite(x)) return json_text(text);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

struct AsAligned {
  std::string operator()(std::monostate) const { return "-"; }
  std::string operator()(const std::string& text) const { return text; }
  std::string operator()(bool yes) const { return yes ? "yes" : "no"; }
  std::string operator()(auto number) const { return fmt::format("{}", number); }
};

struct AsJson {
  std::string operator()(std::monostate) const { return "null"; }
  std::string operator()(const std::string& text) const { return json_text(text); }
  std::string operator()(double x) const { return json_number(x); }
  std::string operator()(auto value) const { return fmt::format("{}", value); }
};

struct AsCsv {
  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(const std::string& text) const {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
  }
  std::string operator()(auto value) const { return fmt::format("{}", value); }
};

template <class Spelling>
std::vector<std::string> spell(const std::vector<Cell>& row) {
  std::vector<std::string> cells;
  for (const Cell& cell : row) cells.push_back(std::visit(Spelling(), cell));
  return cells;
}

std::string json_object(const std::vector<Column>& columns, const std::vector<Cell>& row) {
  const std::vector<std::string> values = spell<AsJson>(row);
  std::vector<std::string> members;
  for (size_t i = 0; i < values.size(); ++i)
    members.push_back(fmt::format("{}: {}", json_text(columns[i].name), values[i]));
  return fmt::format("{{{}}}", fmt::join(members, ", "));
}

std::vector<std::string> header(const std::vector<Column>& columns) {
  std::vector<std::string> names;
  for (const Column& column : columns) names.push_back(column.name);
  return names;
}

std::string csv_line(const std::vector<std::string>& cells) { return fmt::format("{}\n", fmt::join(cells, ",")); }

}  // namespace

Table::Table(TableStyle style, std::vector<Column> columns)
    : style_(style), columns_(std::move(columns)), widths_(columns_.size()) {}

void Table::add(std::vector<Cell> row) {
  assert(row.size() == columns_.size());
  rows_.push_back(std::move(row));
  if (rows_.size() == kRowsAtATime) print_rows();
}

void Table::finish() {
  print_rows();
  if (style_ == TableStyle::Json) write_output("\n]\n");
}

void Table::print_rows() {
  std::string text;
  switch (style_) {
    case TableStyle::Aligned: print_aligned(); break;
    case TableStyle::Json:
      if (is_first_) text = "[";
      for (size_t i = 0; i < rows_.size(); ++i)
        text += fmt::format("{}\n {}", is_first_ && i == 0 ? "" : ",", json_object(columns_, rows_[i]));
      break;
    case TableStyle::Csv:
      if (is_first_) text = csv_line(header(columns_));
      for (const std::vector<Cell>& row : rows_) text += csv_line(spell<AsCsv>(row));
      break;
  }
  write_output(text);
  is_first_ = false;
  rows_.clear();
}

// Widths only grow, so that later rows seldom leave the columns of the first.
void Table::print_aligned() {
  std::vector<std::vector<std::string>> lines;
  if (is_first_) lines.push_back(header(columns_));
  for (const std::vector<Cell>& row : rows_) lines.push_back(spell<AsAligned>(row));
  for (const std::vector<std::string>& line : lines)
    for (size_t i = 0; i < line.size(); ++i) widths_[i] = std::max(widths_[i], line[i].size());
  for (const std::vector<std::string>& line : lines) print_line(line);
}

void Table::print_line(const std::vector<std::string>& cells) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const bool right = columns_[i].align == Align::Right;
    if (i > 0) line += "  ";
    line += right ? fmt::format("{:>{}}", cells[i], widths_[i]) : fmt::format("{:<{}}", cells[i], widths_[i]);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  write_output(line + "\n");
}

std::string spelled(const Cell& cell) { return std::visit(AsAligned(), cell); }

void print_record(TableStyle style, const std::vector<Field>& fields) {
  if (style == TableStyle::Aligned) {
    size_t width = 0;
    for (const Field& field : fields) width = std::max(width, field.name.size());
    std::string text;
    for (const Field& field : fields) text += fmt::format("{:<{}}  {}\n", field.name, width, spelled(field.value));
    return write_output(text);
  }
  std::vector<Column> columns;
  std::vector<Cell> row;
  for (const Field& field : fields) {
    columns.push_back({field.name});
    row.push_back(field.value);
  }
  if (style == TableStyle::Json) return write_output(json_object(columns, row) + "\n");
  write_output(csv_line(header(columns)) + csv_line(spell<AsCsv>(row)));
}

}  // namespace halfulp::cli
