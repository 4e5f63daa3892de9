#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>

#include "cli/verbs.h"
#include "cli/words.h"
#include "formats/codec.h"
#include "formats/profile.h"

namespace halfulp::cli {
namespace {

/// The number in question, and what the rows about it need.
struct Question {
  Format format;
  Source source;
  double x;
  int random_bits;
};

/// One row. Cells without a value are left empty.
struct Answer {
  std::string_view kind, name;
  const Format* format;  // of the code
  std::optional<uint32_t> code;
  Cell probability = {}, rounding = {}, evidence = {}, casts_to = {};
};

const std::vector<Column> kColumns = {{"kind"},
                                      {"name"},
                                      {"code"},
                                      {"value"},
                                      {"decimal", Align::Right},
                                      {"ulps", Align::Right},
                                      {"probability", Align::Right},
                                      {"rounding"},
                                      {"evidence"},
                                      {"casts_to"}};

// The magnitude of the largest number of a format not above |x|.
double magnitude_below(const Format& format, double x) {
  const Projection truncation{.rounding = Rounding::TowardZero,
                              .policies = {.overflow = Overflow::Saturate, .negative = NegativePolicy::Absolute}};
  return std::fabs(decode(format, encode(format, truncation, Real::of(x))));
}

// The distance between the numbers of a format at x; beyond its range that at the largest number.
double ulp(const Format& format, double x) {
  const bool negative = std::signbit(x) && format.is_signed();
  const double below = magnitude_below(format, x);
  uint32_t low = 0, high = format.max_index(negative);
  while (low < high) {
    const uint32_t middle = low + (high - low + 1) / 2;
    magnitude(format, middle) <= below ? low = middle : high = middle - 1;
  }
  return magnitude(format, low + 1) - magnitude(format, low);
}

Cell distance(const Question& question, double value) {
  if (!std::isfinite(question.x) || !std::isfinite(value)) return {};
  return (value - question.x) / ulp(question.format, question.x);
}

void add(Table& table, const Question& question, const Answer& answer) {
  Cell code, value, decimal, ulps;
  if (answer.code) {
    const double number = decode(*answer.format, *answer.code);
    code = code_text(*answer.format, *answer.code);
    value = hexfloat(number);
    decimal = number;
    ulps = distance(question, number);
  }
  table.add({text(answer.kind), text(answer.name), code, value, decimal, ulps, answer.probability, answer.rounding,
             answer.evidence, answer.casts_to});
}

// Where the number stands in the format.
std::string_view class_of(const Question& question) {
  if (std::isnan(question.x)) return "nan";
  if (std::isinf(question.x)) return "infinity";
  if (question.x == 0) return "zero";
  if (question.x < 0 && !question.format.is_signed()) return "below the range";
  const double size = std::fabs(question.x);
  if (size > std::fabs(magnitude(question.format, question.format.max_index(question.x < 0))))
    return "beyond the range";
  if (size < min_positive(question.format)) return "below the smallest number";
  return size < min_normal(question.format) ? "subnormal" : "normal";
}

// The nearest number on one side, where there is one.
std::optional<uint32_t> neighbour(const Question& question, Rounding rounding) {
  const Projection projection{.rounding = rounding,
                              .policies = {.overflow = Overflow::Saturate, .negative = NegativePolicy::ToZero}};
  const uint32_t code = encode(question.format, projection, Real::of(question.x));
  const double value = decode(question.format, code);
  const bool is_there = rounding == Rounding::TowardNegative ? value <= question.x : value >= question.x;
  return is_there ? std::optional(code) : std::nullopt;
}

void add_number(Table& table, const Question& question) {
  table.add({text("number"), text(class_of(question)), {}, hexfloat(question.x), question.x, {}, {}, {}, {}, {}});
  if (!std::isfinite(question.x)) return;
  for (const auto& [name, rounding] :
       {std::pair{"not above", Rounding::TowardNegative}, std::pair{"not below", Rounding::TowardPositive}})
    add(table, question, {"neighbour", name, &question.format, neighbour(question, rounding)});
}

// How often a stochastic rounding goes away from zero, and where it goes more often.
struct Chance {
  double probability;
  uint32_t code;
};

// Over 2^N equally likely random numbers, of which a larger one never rounds less.
Chance chance(const Question& question, Projection projection) {
  projection.random_bits = question.random_bits;
  const uint64_t count = uint64_t{1} << question.random_bits;
  const auto code = [&](uint64_t random) {
    return encode(question.format, projection, Real::of(question.x), uint32_t(random));
  };
  const uint32_t least = code(0);
  uint64_t low = 0, high = count;  // the smallest random number with another code is above low and at most high
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    (code(middle) == least ? low : high) = middle;
  }
  const double probability = double(count - high) / double(count);
  return {probability, probability > 0.5 ? code(count - 1) : least};
}

// Without random bits: as likely as it is near.
Chance exact_chance(const Question& question, Policies policies) {
  const auto code = [&](Rounding rounding) {
    return encode(question.format, {.rounding = rounding, .policies = policies}, Real::of(question.x));
  };
  const double above = std::fabs(question.x) - magnitude_below(question.format, question.x);
  const double distance = above / ulp(question.format, question.x);
  const double probability = std::isfinite(question.x) ? std::clamp(distance, 0.0, 1.0) : 0;
  return {probability, code(probability > 0.5 ? Rounding::AwayFromZero : Rounding::TowardZero)};
}

// Under the policies of ocp.
void add_roundings(Table& table, const Question& question) {
  const Policies ocp = policies(Profile::Ocp, question.source);
  const auto add_row = [&](std::string_view name, uint32_t code, Cell probability) {
    add(table, question, {"rounding", name, &question.format, code, probability});
  };
  for (const auto& [rounding, name] : EnumNames<Rounding>::values) {
    if (is_stochastic(rounding)) continue;
    add_row(name, encode(question.format, {.rounding = rounding, .policies = ocp}, Real::of(question.x)), {});
  }
  const Chance exact = exact_chance(question, ocp);
  add_row("stochastic", exact.code, exact.probability);
  for (const auto& [rounding, name] : EnumNames<Rounding>::values) {
    if (!is_stochastic(rounding)) continue;
    const Chance result = chance(question, {.rounding = rounding, .policies = ocp});
    add_row(name, result.code, result.probability);
  }
}

void add_profiles(Table& table, const Question& question) {
  for (const auto& [profile, profile_name] : EnumNames<Profile>::values) {
    const std::optional<ProfileCast> cast = find_cast(profile, question.format, question.source);
    if (!cast) continue;
    const bool is_other = std::string_view(cast->format.name) != std::string_view(question.format.name);
    add(table, question,
        {"profile",
         profile_name,
         &cast->format,
         cast->encode(Real::of(question.x)),
         {},
         text(name(cast->projection.rounding)),
         text(name(cast->row->evidence)),
         is_other ? text(cast->format.name) : Cell{}});
  }
}

}  // namespace

int run_explain(Arguments& arguments) {
  std::string value;
  std::optional<Format> format;
  Source source = Source::Binary64;
  int random_bits = kMaxRandomBits;
  TableStyle style = TableStyle::Aligned;
  arguments.positional("VALUE", value, "Decimal, hexadecimal (0x1.8p+1), nan or inf", Need::Required);
  arguments.option("--format NAME", format, "Target: see `halfulp formats`", Need::Required);
  arguments.option("--from NAME", source, "What the number is read as, to nearest, before the cast");
  arguments.option("--random-bits N", random_bits, "Of the stochastic roundings, 1 to 32 (default 32)");
  arguments.table_style(style);
  arguments.parse();
  if (random_bits < 1 || random_bits > kMaxRandomBits)
    throw std::invalid_argument(fmt::format("--random-bits: 1 to {}, not {}", kMaxRandomBits, random_bits));

  const Question question{*format, source, parse_number({value, 0, false}, source), random_bits};
  Table table(style, kColumns);
  add_number(table, question);
  add_roundings(table, question);
  add_profiles(table, question);
  table.finish();
  return 0;
}

}  // namespace halfulp::cli
