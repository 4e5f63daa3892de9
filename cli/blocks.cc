#include "formats/block.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "cli/verbs.h"

namespace halfulp::cli {
namespace {

// In the words of ScaleRule; M: fraction bits, e_max: exponent and max: value of the largest element.
std::string_view meaning(ScaleRule rule) {
  switch (rule) {
    case ScaleRule::Floor: return "2^(floor(log2 amax) - e_max)";
    case ScaleRule::Ceil: return "2^(ceil(log2 amax) - e_max)";
    case ScaleRule::Even: return "2^(floor(log2 a) - e_max), a: amax rounded to the element's fraction bits, ties up";
    case ScaleRule::Rceil: return "the smallest power of two not below amax / max";
    case ScaleRule::Nearest: return "amax / max rounded to the scale format, ties to even";
  }
  return "";
}

std::string shape_text(const BlockRow& row) {
  const auto size = [](int n) { return n == 0 ? std::string("all") : std::to_string(n); };
  return size(row.rows) + "x" + size(row.cols);
}

std::vector<Field> fields(const BlockRow& row) {
  std::vector<std::string_view> rules;
  for (const ScaleRule rule : scale_rules(parse_format(row.scale))) rules.push_back(name(rule));
  return {{"name", text(row.name)},
          {"element", text(row.element)},
          {"scale", text(row.scale)},
          {"shape", shape_text(row)},
          {"tensor_scale", row.has_tensor_scale},
          {"scale_rule", row.rule ? text(name(*row.rule)) : Cell()},
          {"scale_rules", fmt::format("{}", fmt::join(rules, " "))},
          {"source", text(row.source)}};
}

const BlockRow& find_block(std::string_view wanted) {
  if (const BlockRow* row = find_block_row(wanted)) return *row;
  std::vector<std::string_view> known;
  for (const BlockRow& row : block_formats()) known.push_back(row.name);
  throw UnknownName("block format", wanted, known);
}

void print_blocks(TableStyle style) {
  std::vector<Column> columns;
  for (const Field& field : fields(block_formats().front())) columns.push_back({field.name});
  Table table(style, columns);
  for (const BlockRow& row : block_formats()) {
    std::vector<Cell> cells;
    for (const Field& field : fields(row)) cells.push_back(field.value);
    table.add(cells);
  }
  table.finish();
}

void print_block(TableStyle style, const BlockRow& row) {
  std::vector<Field> all = fields(row);
  for (const ScaleRule rule : scale_rules(parse_format(row.scale)))
    all.push_back({fmt::format("rule_{}", name(rule)), text(meaning(rule))});
  print_record(style, all);
}

}  // namespace

int run_blocks(Arguments& arguments) {
  std::string wanted;
  TableStyle style = TableStyle::Aligned;
  arguments.positional("NAME", wanted, "A block format of the list");
  arguments.table_style(style);
  arguments.parse();
  if (wanted.empty())
    print_blocks(style);
  else
    print_block(style, find_block(wanted));
  return 0;
}

}  // namespace halfulp::cli
