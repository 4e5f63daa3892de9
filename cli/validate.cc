#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/capture.h"
#include "cli/unit_codes.h"
#include "cli/verbs.h"
#include "cli/words.h"

namespace halfulp::cli {
namespace {

// One output with all that it was computed from.
std::string mismatch_text(const Capture& capture, const Replay& replay) {
  const size_t index = *replay.first_mismatch, in_tile = index % (capture.m * capture.n);
  const DotInputs in = capture.inputs(index);
  const MatrixUnit& unit = *capture.unit;
  return fmt::format("tile {}, row {}, column {}: captured {}, computed {}; a {}; b {}; c {}",
                     index / (capture.m * capture.n), in_tile / capture.n, in_tile % capture.n,
                     code_text(unit.accumulator, capture.d[index]), code_text(unit.accumulator, replay.computed),
                     code_texts(unit.a, in.a), code_texts(unit.b, in.b), code_text(unit.accumulator, in.c));
}

bool takes_operands_of(const MatrixUnit& unit, const MatrixUnit& other) {
  return unit.k == other.k && unit.a == other.a && unit.b == other.b && unit.accumulator == other.accumulator &&
         unit.scale.empty() && other.scale.empty();
}

// Adds a row for each output of a file; returns whether all of them match.
bool validate_file(Table& table, const std::string& path, const std::optional<MatrixUnit>& given) {
  bool all_match = true, any = false;
  for (const Capture& capture : read_captures(path)) {
    const MatrixUnit& unit = given ? *given : *capture.unit;
    if (!takes_operands_of(unit, *capture.unit)) continue;
    any = true;
    const Replay result = replay(capture, unit);
    all_match &= !result.first_mismatch;
    table.add({path, printable(capture.name), unit.name, int64_t(result.matched), int64_t(capture.d.size()),
               result.first_mismatch ? Cell(mismatch_text(capture, result)) : Cell()});
  }
  if (!any)
    throw std::invalid_argument(
        fmt::format("--unit: {} has no outputs of the k and the formats of {}", path, given ? given->name : ""));
  return all_match;
}

}  // namespace

int run_validate(Arguments& arguments) {
  std::vector<std::string> files;
  std::optional<std::string> unit;
  TableStyle style = TableStyle::Aligned;
  arguments.list("FILE", files,
                 "Captured outputs: packs (MMAG; named GPU_FORMAT.bin) and captures of cuda/ (HALFULPM)");
  arguments.option(
      "--unit NAME", unit,
      "Compare with this unit, see `halfulp units`, perhaps with changes: NAME:FIELD=VALUE,...; outputs of "
      "another k or of other formats are left out");
  arguments.table_style(style);
  arguments.parse();
  if (files.empty()) throw std::invalid_argument("FILE is missing: captured outputs, at least one file");
  if (std::ranges::count(files, "") > 0) throw std::invalid_argument("FILE: an empty word; a value belongs there");

  std::optional<MatrixUnit> given;
  if (unit) given = parse_matrix_unit(*unit);
  Table table(style,
              {{"file"}, {"output"}, {"unit"}, {"matched", Align::Right}, {"total", Align::Right}, {"first_mismatch"}});
  bool all_match = true;
  for (const std::string& file : files) all_match &= validate_file(table, file, given);
  table.finish();
  return all_match ? 0 : 1;
}

}  // namespace halfulp::cli
