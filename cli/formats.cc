#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <vector>

#include "cli/facts.h"
#include "cli/verbs.h"
#include "cli/words.h"

namespace halfulp::cli {
namespace {

// What is told about a format; the list shows only the short facts.
struct Fact {
  Column column;
  bool in_list;
  Cell (*of)(const Format&);
};

// Binary64 holds most numbers; one beyond its range is spelt out.
Cell number_cell(const Real& x) {
  const bool beyond = !x.is_binary64() && !x.sticky;
  return beyond ? text(hexfloat(x)) : Cell(x.nearest());
}

Cell smallest_positive(const Format& f) {
  const bool is_flushed = !f.subnormals && f.has_zero;
  return is_flushed ? Cell(min_positive(f)) : number_cell(number(f, f.has_zero ? 1 : 0));
}

// A fact that only some families have.
Cell of_family(bool has, int value) { return has ? Cell(int64_t{value}) : Cell(); }

bool is_float(const Format& f) { return f.family == Family::Float; }

const std::vector<Fact>& facts() {
  using F = const Format&;
  static const std::vector<Fact> all = {
      {{"name"}, true, [](F f) { return text(f.name); }},
      {{"bits", Align::Right}, true, [](F f) { return Cell(int64_t{f.bits()}); }},
      {{"family"}, false, [](F f) { return text(name(f.family)); }},
      {{"encoding"}, false, [](F f) { return text(name(f.encoding)); }},
      {{"exponent_bits", Align::Right},
       true,
       [](F f) { return of_family(is_float(f) || f.family == Family::Posit, f.exponent_bits); }},
      {{"mantissa_bits", Align::Right}, true, [](F f) { return of_family(is_float(f), f.mantissa_bits); }},
      {{"bias", Align::Right}, true, [](F f) { return of_family(is_float(f), f.bias); }},
      {{"max_finite", Align::Right}, true, [](F f) { return number_cell(number(f, f.max_index())); }},
      {{"min_normal", Align::Right}, false, [](F f) { return Cell(min_normal(f)); }},
      {{"min_positive", Align::Right}, true, smallest_positive},
      {{"nan"}, true, [](F f) { return text(name(f.nan)); }},
      {{"infinity"}, true, [](F f) { return Cell(f.has_infinity); }},
      {{"zero"}, false, [](F f) { return Cell(f.has_zero); }},
      {{"negative_zero"}, false, [](F f) { return Cell(f.has_negative_zero()); }},
      {{"subnormals"}, false, [](F f) { return Cell(f.has_zero && f.subnormals); }},
      {{"narrow"}, false, [](F f) { return Cell(f.narrow); }},
      {{"max_exponent", Align::Right}, false, [](F f) { return Cell(int64_t{max_exponent(f)}); }},
      {{"min_exponent", Align::Right}, false, [](F f) { return of_family(is_float(f), f.min_exponent()); }},
      {{"rounding_domain"}, false, [](F f) { return text(name(f.domain)); }},
      {{"fits_binary32"}, false, [](F f) { return Cell(fits_binary32(f)); }},
      {{"evidence"}, true, [](F f) { return text(name(f.evidence)); }},
      {{"source"}, true, [](F f) { return text(f.source); }},
  };
  return all;
}

void print_catalogue(TableStyle style) {
  std::vector<Column> columns;
  for (const Fact& fact : facts())
    if (fact.in_list) columns.push_back(fact.column);
  Table table(style, columns);
  for (const Format& format : formats()) {
    std::vector<Cell> row;
    for (const Fact& fact : facts())
      if (fact.in_list) row.push_back(fact.of(format));
    table.add(row);
  }
  table.finish();
}

void print_patterns(TableStyle style) {
  Table table(style, {{"pattern"}, {"meaning"}});
  for (const FormatPattern& pattern : kFormatPatterns) table.add({text(pattern.text), text(pattern.meaning)});
  table.finish();
}

// `count` bits of a code from bit `low` up, in binary; nothing where the format has no such field.
Cell bit_field(uint32_t code, int low, int count) {
  if (count == 0) return {};
  return fmt::format("{:0{}b}", uint64_t{code} >> low & ((uint64_t{1} << count) - 1), count);
}

bool has_sign_bit(const Format& f) {
  return f.is_signed() && f.encoding != Encoding::Ascending && f.encoding != Encoding::Listed;
}

void print_codes(TableStyle style, const Format& f) {
  Table table(style, {{"code"}, {"sign"}, {"exponent"}, {"mantissa"}, {"value"}, {"decimal", Align::Right}, {"class"}});
  const uint64_t count = uint64_t{1} << f.bits();
  for (uint64_t i = 0; i < count; ++i) {
    const uint32_t code = uint32_t(i);
    const Real value = decode_exactly(f, code);
    const Cell exponent = is_float(f) ? bit_field(code, f.mantissa_bits, f.exponent_bits) : Cell();
    table.add({code_text(f, code), bit_field(code, f.magnitude_bits(), has_sign_bit(f)), exponent,
               bit_field(code, 0, f.mantissa_bits), hexfloat(value), number_cell(value),
               text(name(classify(f, code)))});
  }
  table.finish();
}

}  // namespace

std::vector<Field> format_facts(const Format& format) {
  std::vector<Field> fields;
  for (const Fact& fact : facts()) fields.push_back({fact.column.name, fact.of(format)});
  return fields;
}

int run_formats(Arguments& arguments) {
  std::optional<Format> format;
  bool codes = false, patterns = false;
  TableStyle style = TableStyle::Aligned;
  arguments.positional("NAME", format, "A format: one of the list, or any " + format_patterns());
  arguments.flag("--codes", codes,
                 "Show every code of NAME: hexadecimal, fields, value (where irrational the nearest binary64), class");
  arguments.flag("--patterns", patterns, "Show the ways to write formats that are not on the list, and what they mean");
  arguments.table_style(style);
  arguments.parse();

  if (patterns) {
    if (format || codes) throw std::invalid_argument("--patterns: shows all of them; without NAME and --codes");
    print_patterns(style);
  } else if (!format) {
    if (codes) throw std::invalid_argument("--codes: of which format? Give its NAME");
    print_catalogue(style);
  } else if (codes) {
    print_codes(style, *format);
  } else {
    print_record(style, format_facts(*format));
  }
  return 0;
}

}  // namespace halfulp::cli
