#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <vector>

#include "cli/verbs.h"
#include "formats/matrix_unit.h"

namespace halfulp::cli {
namespace {

Cell words(std::string_view all) { return all.empty() ? Cell() : text(all); }
Cell count(int number) { return number == 0 ? Cell() : Cell(int64_t{number}); }

// Blocks and fractions are there where an operation has use for them; 0 is none.
std::vector<Field> short_fields(const MatrixUnit& unit) {
  return {{"name", unit.name},
          {"architecture", text(unit.architecture)},
          {"instruction", unit.instruction},
          {"a", text(unit.a)},
          {"b", text(unit.b)},
          {"accumulator", text(unit.accumulator)},
          {"k", int64_t{unit.k}},
          {"block", count(unit.block)},
          {"fraction", count(unit.fraction)},
          {"zero_exponent", count(unit.zero_exponent)},
          {"result", words(unit.result)},
          {"operation", text(name(unit.operation))},
          {"evidence", text(name(unit.evidence))},
          {"fixtures", words(fmt::format("{}", fmt::join(unit.fixtures, ", ")))},
          {"source", words(unit.source)}};
}

std::vector<Field> all_fields(const MatrixUnit& unit) {
  std::vector<Field> all = short_fields(unit);
  const std::vector<Field> more = {{"rounding", text(name(unit.rounding))},
                                   {"sum_fraction", count(unit.sum_fraction)},
                                   {"scale", words(unit.scale)},
                                   {"scale_block", count(unit.scale_block)},
                                   {"group", count(unit.group)},
                                   {"flushes_operands", unit.flushes_operands},
                                   {"flushes_accumulator", unit.flushes_accumulator},
                                   {"flushes_results", unit.flushes_results},
                                   {"saturates", unit.saturates},
                                   {"zero", text(name(unit.zero))}};
  all.insert(all.end() - 3, more.begin(), more.end());
  return all;
}

bool is_number(std::string_view name) {
  return name == "k" || name == "block" || name == "fraction" || name == "zero_exponent";
}

void print_units(TableStyle style) {
  std::vector<Column> columns;
  for (const Field& field : short_fields(matrix_units().front()))
    columns.push_back({field.name, is_number(field.name) ? Align::Right : Align::Left});
  Table table(style, columns);
  for (const MatrixUnit& unit : matrix_units()) {
    std::vector<Cell> cells;
    for (const Field& field : short_fields(unit)) cells.push_back(field.value);
    table.add(cells);
  }
  table.finish();
}

void print_changes(TableStyle style) {
  Table table(style, {{"field"}, {"values"}, {"meaning"}});
  for (const MatrixUnitField& field : matrix_unit_fields())
    table.add({text(field.name), text(field.values), text(field.meaning)});
  table.finish();
}

}  // namespace

int run_units(Arguments& arguments) {
  std::optional<std::string> wanted;
  bool fields = false;
  TableStyle style = TableStyle::Aligned;
  arguments.positional("NAME", wanted, "A matrix unit: one of the list, or one with changes, NAME:FIELD=VALUE,...");
  arguments.flag("--fields", fields, "List the fields that may be changed, and their values");
  arguments.table_style(style);
  arguments.parse();
  if (fields && wanted) throw std::invalid_argument("--fields: shows all of them; without NAME");
  if (fields)
    print_changes(style);
  else if (wanted)
    print_record(style, all_fields(parse_matrix_unit(*wanted)));
  else
    print_units(style);
  return 0;
}

}  // namespace halfulp::cli
