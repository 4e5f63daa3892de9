// Units that nobody has built: a known one with some of its fields changed.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <stdexcept>

#include "formats/matrix_unit.h"

namespace halfulp {
namespace {

using enum DotOperation;

// Sums of this many terms, of 48 bits more than the largest fraction, fit the reference's 128 bits.
constexpr int kMostProducts = 65536, kMostFraction = 60, kMostZeroExponent = 500;

constexpr std::string_view kWholeUpToMost = "1 … 65536", kFractions = "1 … 60", kExponents = "-500 … 500",
                           kBooleans = "true, false", kHalfResults = "binary16",
                           kResults = "binary32, e8m13, tf32, bfloat16; binary16 of a binary16 accumulator";

bool is_any(DotOperation operation, std::initializer_list<DotOperation> some) {
  return std::ranges::count(some, operation) > 0;
}

bool cuts_terms(const MatrixUnit& unit) { return is_any(unit.operation, {TruncatedFused, GroupScaledFused, ViaHalf}); }
bool floors_sums(const MatrixUnit& unit) { return is_any(unit.operation, {TruncateThenFloor, SplitThenFloor}); }
bool is_paired(const MatrixUnit& unit) { return is_any(unit.operation, {UnfusedPairs, FusedPairs}); }
bool is_integer(const MatrixUnit& unit) { return unit.operation == Integer; }
bool has_fraction(const MatrixUnit& unit) { return cuts_terms(unit) || floors_sums(unit); }
bool has_block(const MatrixUnit& unit) {
  return has_fraction(unit) || is_any(unit.operation, {ExactFused, FlushedPairs});
}
bool rounds_sums(const MatrixUnit& unit) {
  return has_fraction(unit) || is_paired(unit) || unit.operation == ExactFused;
}
bool may_flush(const MatrixUnit& unit) {
  return unit.a != "binary64" && !is_any(unit.operation, {ViaHalf, Integer, XorPopcount, AndPopcount});
}
bool has_products(const MatrixUnit&) { return true; }

int whole_number(std::string_view text, int least, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    throw std::invalid_argument(fmt::format("'{}' is not a whole number in {} … {}", text, least, most));
  return value;
}

bool boolean(std::string_view text) {
  if (text != "true" && text != "false") throw std::invalid_argument(fmt::format("'{}' is not true or false", text));
  return text == "true";
}

Rounding rounding_of(std::string_view text) {
  const auto rounding = parse<Rounding>(text);
  if (is_stochastic(rounding)) throw std::invalid_argument(fmt::format("{}: no unit has random bits", text));
  return rounding;
}

std::string_view result_of(const MatrixUnit& unit, std::string_view text) {
  static constexpr std::array<std::string_view, 4> kWide = {"binary32", "e8m13", "tf32", "bfloat16"};
  static constexpr std::array<std::string_view, 1> kHalf = {kHalfResults};
  const std::span<const std::string_view> known =
      unit.accumulator == kHalfResults ? std::span<const std::string_view>(kHalf) : kWide;
  const auto result = std::ranges::find(known, text);
  if (result == known.end()) throw UnknownName(fmt::format("result for {}", unit.accumulator), text, known);
  return *result;
}

// What a field is, the units it means something to, and how its text is taken.
struct FieldRule {
  MatrixUnitField field;
  bool (*applies)(const MatrixUnit&);
  void (*set)(MatrixUnit&, std::string_view);
};

template <int MatrixUnit::*kField, int kLeast, int kMost>
void set_number(MatrixUnit& unit, std::string_view text) {
  unit.*kField = whole_number(text, kLeast, kMost);
}

template <bool MatrixUnit::*kField>
void set_boolean(MatrixUnit& unit, std::string_view text) {
  unit.*kField = boolean(text);
}

constexpr FieldRule kRules[] = {
    {{"k", kWholeUpToMost, "products of one instruction"}, has_products, set_number<&MatrixUnit::k, 1, kMostProducts>},
    {{"block", kWholeUpToMost, "products that are added together"},
     has_block,
     set_number<&MatrixUnit::block, 1, kMostProducts>},
    {{"fraction", kFractions, "bits that terms keep below the largest exponent"},
     has_fraction,
     set_number<&MatrixUnit::fraction, 1, kMostFraction>},
    {{"zero_exponent", kExponents, "an exponent that the largest does not fall below"},
     cuts_terms,
     set_number<&MatrixUnit::zero_exponent, -kMostZeroExponent, kMostZeroExponent>},
    {{"sum_fraction", kFractions, "bits that a floored sum keeps"},
     floors_sums,
     set_number<&MatrixUnit::sum_fraction, 1, kMostFraction>},
    {{"result", kResults, "what a block's sum is rounded to"},
     cuts_terms,
     [](MatrixUnit& unit, std::string_view text) { unit.result = result_of(unit, text); }},
    {{"rounding", "a rounding without random bits", "of that"},
     rounds_sums,
     [](MatrixUnit& unit, std::string_view text) { unit.rounding = rounding_of(text); }},
    {{"zero", "positive, keep_underflow, ieee", "which sign a zero result has"},
     cuts_terms,
     [](MatrixUnit& unit, std::string_view text) { unit.zero = parse<ZeroSign>(text); }},
    {{"flushes_operands", kBooleans, "subnormal a and b are zeros"},
     may_flush,
     set_boolean<&MatrixUnit::flushes_operands>},
    {{"flushes_accumulator", kBooleans, "a subnormal c is"}, may_flush, set_boolean<&MatrixUnit::flushes_accumulator>},
    {{"saturates", kBooleans, "whole numbers are clamped"}, is_integer, set_boolean<&MatrixUnit::saturates>},
};

const FieldRule& find_rule(std::string_view name) {
  std::vector<std::string_view> names;
  for (const FieldRule& rule : kRules) {
    if (rule.field.name == name) return rule;
    names.push_back(rule.field.name);
  }
  throw UnknownName("field of a matrix unit", name, names);
}

void set_field(MatrixUnit& unit, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) throw std::invalid_argument(fmt::format("'{}' is not FIELD=VALUE", assignment));
  const FieldRule& rule = find_rule(assignment.substr(0, equals));
  if (!rule.applies(unit))
    throw std::invalid_argument(fmt::format("{}: units of {} have none", rule.field.name, name(unit.operation)));
  try {
    rule.set(unit, assignment.substr(equals + 1));
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("{}: {}", rule.field.name, error.what()));
  }
}

// Products come in groups of this many.
int product_step(const MatrixUnit& unit) {
  if (unit.operation == ViaHalf) return 4;
  if (unit.operation == FlushedPairs) return unit.block;
  if (is_paired(unit) || is_any(unit.operation, {OddFirstChain, TwoChains})) return 2;
  return std::max({1, unit.group, unit.scale_block});
}

void check_fit(const MatrixUnit& unit) {
  const int step = product_step(unit);
  if (unit.k % step != 0)
    throw std::invalid_argument(fmt::format("k: {} is not a multiple of {}, as products are paired", unit.k, step));
  if (unit.group > 0 && unit.block % unit.group != 0)
    throw std::invalid_argument(fmt::format("block: {} is not a multiple of the group, {}", unit.block, unit.group));
  if (unit.operation == FlushedPairs && !std::has_single_bit(unsigned(unit.block)))
    throw std::invalid_argument(fmt::format("block: {} is not a power of two; pairs are added", unit.block));
}

}  // namespace

std::span<const MatrixUnitField> matrix_unit_fields() {
  static const std::vector<MatrixUnitField> fields = [] {
    std::vector<MatrixUnitField> all;
    for (const FieldRule& rule : kRules) all.push_back(rule.field);
    return all;
  }();
  return fields;
}

MatrixUnit parse_matrix_unit(std::string_view text) {
  const size_t colon = text.find(':');
  MatrixUnit unit = find_matrix_unit(text.substr(0, colon));
  if (colon == std::string_view::npos) return unit;
  try {
    for (std::string_view rest = text.substr(colon + 1);;) {
      const size_t comma = rest.find(',');
      set_field(unit, rest.substr(0, comma));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
    check_fit(unit);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("matrix unit '{}': {}", text, error.what()));
  }
  unit.name = text;
  unit.evidence = Evidence::Convention;
  unit.source = "a unit that nobody has built";
  unit.fixtures.clear();
  return unit;
}

}  // namespace halfulp
