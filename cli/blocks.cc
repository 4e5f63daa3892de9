#include "formats/block.h"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/verbs.h"

namespace halfulp::cli {
namespace {

template <class Values>
std::string joined(const Values& values) {
  std::vector<std::string_view> spelled;
  for (const auto& value : values) spelled.push_back(name(value));
  return fmt::format("{}", fmt::join(spelled, " "));
}

std::vector<Field> fields(const BlockRow& row) {
  const std::vector<ScaleRule> rules = scale_rules(row);
  const BlockFormat format = make_block_format(row.name, rules.front());
  return {{"name", text(row.name)},
          {"element", text(row.element)},
          {"scale", text(row.scale)},
          {"shape", shape_text(format)},
          {"tensor_scale", format.has_tensor_scale},
          {"scale_rule", rules.size() == 1 ? text(name(rules.front())) : Cell()},
          {"scale_rules", joined(scale_rules(format.scale))},
          {"options", text(row.options)},
          {"source", text(row.source)},
          {"evidence", text(name(row.evidence))}};
}

std::vector<Field> fields(const BlockOption& option) {
  return {{"option", text(option.name)}, {"values", text(option.values)}, {"meaning", text(option.meaning)}};
}

std::vector<Field> fields(ScaleRule rule) { return {{"rule", text(name(rule))}, {"scale", text(meaning(rule))}}; }

std::vector<Field> fields(const BlockVariant& variant) {
  return {{"variant", text(name(variant.variant))},
          {"tensor_scale", text(variant.tensor)},
          {"scale", text(variant.scale)},
          {"lowest_scale", text(variant.lowest)},
          {"element", text(variant.element)},
          {"source", text(variant.source)},
          {"evidence", text(name(variant.evidence))}};
}

template <class Rows>
void print_rows(TableStyle style, const Rows& rows) {
  std::vector<Column> columns;
  for (const Field& field : fields(*rows.begin())) columns.push_back({field.name});
  Table table(style, columns);
  for (const auto& row : rows) {
    std::vector<Cell> cells;
    for (const Field& field : fields(row)) cells.push_back(field.value);
    table.add(cells);
  }
  table.finish();
}

// Any block format, its options as they are and what its rules do.
void print_block(TableStyle style, const std::string& wanted) {
  std::vector<Field> all;
  if (const BlockRow* row = find_block_row(wanted)) all = fields(*row);
  // a format that still lacks its rule is shown with the first it may follow
  const BlockFormat format = [&] {
    try {
      return make_block_format(wanted);
    } catch (const UnknownName&) {
      throw;
    } catch (const std::invalid_argument&) {
      return make_block_format(wanted, ScaleRule::Floor);
    }
  }();
  if (all.empty())
    all = {{"name", block_text(format)},
           {"element", text(format.element.name)},
           {"scale", text(format.scale.name)},
           {"shape", shape_text(format)},
           {"tensor_scale", format.has_tensor_scale},
           {"scale_rules", joined(scale_rules(format.scale))},
           {"source", text(format.source)},
           {"evidence", text(name(format.evidence))}};
  for (const BlockOption& option : block_options())
    if (option.name != "rule" && option.name != "shape")
      all.push_back({fmt::format("option_{}", option.name), option.get(format)});
  for (const ScaleRule rule : scale_rules(format.scale))
    all.push_back({fmt::format("rule_{}", name(rule)), text(meaning(rule))});
  print_record(style, all);
}

std::vector<ScaleRule> every_rule() { return scale_rules(parse_format("e8m0")); }

}  // namespace

int run_blocks(Arguments& arguments) {
  std::optional<std::string> wanted;
  TableStyle style = TableStyle::Aligned;
  bool options = false, rules = false, variants = false;
  arguments.positional("NAME", wanted,
                       "A block format: a row of the list or ELEMENT/SCALE/SHAPE, with :OPTION=VALUE,...");
  arguments.flag("--options", options, "List the options of block formats");
  arguments.flag("--rules", rules, "List the scale rules");
  arguments.flag("--variants", variants, "List the variants: whose arithmetic is computed, step by step");
  arguments.table_style(style);
  arguments.parse();
  if (options + rules + variants + wanted.has_value() > 1)
    throw std::invalid_argument("NAME, --options, --rules, --variants: only one of them");
  if (options)
    print_rows(style, block_options());
  else if (rules)
    print_rows(style, every_rule());
  else if (variants)
    print_rows(style, block_variants());
  else if (wanted)
    print_block(style, *wanted);
  else
    print_rows(style, block_formats());
  return 0;
}

}  // namespace halfulp::cli
