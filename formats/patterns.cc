#include <fmt/format.h>

#include <array>
#include <charconv>
#include <stdexcept>

#include "formats/format.h"

namespace halfulp::detail {
namespace {

// Reads an unsigned decimal number off the front of `text`.
std::optional<int> take_number(std::string_view& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || text.empty() || text[0] == '-') return std::nullopt;
  text.remove_prefix(size_t(end - text.data()));
  return value;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Reads <before><number><between><number>, for as many numbers as there are words.
template <size_t n>
std::optional<std::array<int, n>> take_numbers(std::string_view& text, const std::string_view (&words)[n]) {
  std::array<int, n> numbers = {};
  for (size_t i = 0; i < n; ++i) {
    if (!take(text, words[i])) return std::nullopt;
    const std::optional<int> number = take_number(text);
    if (!number) return std::nullopt;
    numbers[i] = *number;
  }
  return numbers;
}

void require(bool condition, std::string_view text, std::string_view allowed) {
  if (!condition) throw std::invalid_argument(fmt::format("format '{}': {}", text, allowed));
}

// b<bias>, where the text has it.
struct GivenBias {
  bool is_well_formed = true;
  std::optional<int> bias;
};

GivenBias take_bias(std::string_view& rest, std::string_view text) {
  if (!take(rest, "b")) return {};
  const bool negative = take(rest, "-");
  const std::optional<int> number = take_number(rest);
  if (!number) return {.is_well_formed = false};
  require(*number <= 900, text, "the bias lies in -900 … 900");
  return {.bias = negative ? -*number : *number};
}

Format twos_complement(std::string_view name, int bits, int fraction_bits, bool narrow, std::string_view source) {
  return {.name = name,
          .encoding = Encoding::TwosComplement,
          .exponent_bits = 0,
          .mantissa_bits = bits - 1,
          .bias = 2 - bits + fraction_bits,
          .nan = NanCodes::None,
          .has_infinity = false,
          .narrow = narrow,
          .source = source};
}

Format unsigned_fixed_point(std::string_view name, int bits, int fraction_bits, std::string_view source) {
  return {.name = name,
          .encoding = Encoding::Unsigned,
          .exponent_bits = 0,
          .mantissa_bits = bits,
          .bias = 1 - bits + fraction_bits,
          .nan = NanCodes::None,
          .has_infinity = false,
          .source = source};
}

Format tapered(std::string_view name, Family family, int width, int exponent_bits, std::string_view source,
               Evidence evidence) {
  return {.name = name,
          .encoding = Encoding::TwosComplement,
          .exponent_bits = exponent_bits,
          .mantissa_bits = 0,
          .bias = 0,
          .nan = NanCodes::NegativeZero,
          .has_infinity = false,
          .source = source,
          .evidence = evidence,
          .family = family,
          .domain = Domain::Code,
          .width = width};
}

Format logarithmic(std::string_view name, Encoding encoding, NanCodes nan, int width, const LogarithmicScale& scale,
                   std::string_view source, Evidence evidence) {
  return {.name = name,
          .encoding = encoding,
          .exponent_bits = 0,
          .mantissa_bits = 0,
          .bias = 0,
          .nan = nan,
          .has_infinity = false,
          .source = source,
          .evidence = evidence,
          .family = Family::Logarithmic,
          .domain = Domain::Logarithm,
          .width = width,
          .scale = scale};
}

// What follows E, M and the bias of a float.
struct Specials {
  std::string_view name;
  NanCodes nan;
  bool has_infinity;
};

constexpr Specials kSpecials[] = {{"ieee", NanCodes::Ieee, true},
                                  {"fnuz", NanCodes::NegativeZero, false},
                                  {"fn", NanCodes::Top, false},
                                  {"finite", NanCodes::None, false}};

const Specials* find_specials(std::string_view name) {
  for (const Specials& specials : kSpecials)
    if (specials.name == name) return &specials;
  return nullptr;
}

}  // namespace

std::optional<Format> parse_float(std::string_view text) {
  std::string_view rest = text;
  const bool is_unsigned = take(rest, "u");
  const auto widths = take_numbers(rest, {"e", "m"});
  if (!widths) return std::nullopt;
  const auto [e, m] = *widths;
  require(e + m >= 1, text, "needs an exponent or mantissa bit");
  require(e <= 11 && m <= 23 && e + m <= 31, text, "at most 11 exponent, 23 mantissa and 31 bits of both together");
  const GivenBias given = take_bias(rest, text);
  const bool flushes = rest.ends_with("flush");
  if (flushes) rest.remove_suffix(std::string_view("flush").size());
  const bool is_small = e + m + !is_unsigned <= 6;
  if (rest.empty()) rest = is_unsigned ? "fn" : is_small ? "finite" : "ieee";
  const Specials* specials = find_specials(rest);
  if (!given.is_well_formed || specials == nullptr) return std::nullopt;

  require(specials->nan != NanCodes::Ieee || (e >= 2 && m >= 1), text,
          "ieee needs at least two exponent bits and a mantissa bit");
  require(specials->nan != NanCodes::NegativeZero || !is_unsigned, text, "fnuz needs a sign");
  require(!flushes || (e >= 1 && m >= 1), text, "flush needs an exponent and a mantissa bit");
  const int usual_bias = e == 0 ? 1 - m : (1 << (e - 1)) - 1 + (specials->nan == NanCodes::NegativeZero);
  const Format format{.name = text,
                      .encoding = is_unsigned ? Encoding::Unsigned : Encoding::SignMagnitude,
                      .exponent_bits = e,
                      .mantissa_bits = m,
                      .bias = given.bias.value_or(usual_bias),
                      .nan = specials->nan,
                      .has_infinity = specials->has_infinity,
                      .subnormals = !flushes,
                      .source = "e<E>m<M> from text",
                      .evidence = Evidence::Convention};
  require(format.max_index() >= 1, text, "needs a finite number besides zero");
  require(max_exponent(format) <= 1000 && format.min_quantum_exponent() >= -1000, text,
          "every number lies within 2^-1000 … 2^1001");
  return format;
}

std::optional<Format> parse_p3109(std::string_view text) {
  std::string_view rest = text;
  const auto sizes = take_numbers(rest, {"binary", "p"});
  if (!sizes || rest.size() != 2) return std::nullopt;
  const auto [k, p] = *sizes;
  const bool is_signed = rest[0] == 's', is_extended = rest[1] == 'e';
  if ((!is_signed && rest[0] != 'u') || (!is_extended && rest[1] != 'f')) return std::nullopt;
  require(k >= 3 && k <= 16, text, "P3109 formats have 3 to 16 bits here");
  require(p >= 1 && p <= k - is_signed, text,
          fmt::format("the precision of {} formats of {} bits lies in 1 … {}", is_signed ? "signed" : "unsigned", k,
                      k - is_signed));
  const int e = k - p + !is_signed;
  return Format{.name = text,
                .encoding = is_signed ? Encoding::SignMagnitude : Encoding::Unsigned,
                .exponent_bits = e,
                .mantissa_bits = p - 1,
                .bias = 1 << (e - 1),
                .nan = is_signed ? NanCodes::NegativeZero : NanCodes::Top,
                .has_infinity = is_extended,
                .source = "IEEE P3109 interim report v4.0"};
}

std::optional<Format> parse_integer(std::string_view text) {
  std::string_view rest = text;
  const bool is_unsigned = take(rest, "u");
  const auto bits = take_numbers(rest, {"int"});
  if (!bits) return std::nullopt;
  const auto [n] = *bits;
  const bool narrow = take(rest, "_narrow");
  if (!rest.empty() || (is_unsigned && narrow)) return std::nullopt;
  require(n >= 2 - is_unsigned && n <= 16, text,
          is_unsigned ? "unsigned integers have 1 to 16 bits" : "signed integers have 2 to 16 bits");
  if (is_unsigned) return unsigned_fixed_point(text, n, 0, "unsigned integer");
  return twos_complement(text, n, 0, narrow, narrow ? "two's complement, symmetric" : "two's complement");
}

std::optional<Format> parse_fixed_point(std::string_view text) {
  std::string_view rest = text;
  const bool is_signed = text.starts_with("s");
  const auto widths = take_numbers(rest, {is_signed ? "s" : "u", "f"});
  if (!widths || !rest.empty()) return std::nullopt;
  const auto [whole, fraction] = *widths;
  require(!is_signed || whole >= 1, text, "a signed number needs one bit before the point, its sign");
  const bool fits = whole <= 24 && fraction <= 24 && whole + fraction >= 2 && whole + fraction <= 24;
  require(fits, text, "2 to 24 bits before and after the point together");
  constexpr std::string_view kSource = "fixed point";
  return is_signed ? twos_complement(text, whole + fraction, fraction, false, kSource)
                   : unsigned_fixed_point(text, whole + fraction, fraction, kSource);
}

std::optional<Format> parse_mid_rise(std::string_view text) {
  std::string_view rest = text;
  const auto bits = take_numbers(rest, {"midrise"});
  if (!bits || !rest.empty()) return std::nullopt;
  const auto [n] = *bits;
  require(n >= 1 && n <= 16, text, "mid-rise formats have 1 to 16 bits");
  return Format{.name = text,
                .encoding = Encoding::Ascending,
                .exponent_bits = 0,
                .mantissa_bits = 0,
                .bias = 0,
                .nan = NanCodes::None,
                .has_infinity = false,
                .has_zero = false,
                .source = "QuEST grid: ties_to_odd is RNE(x+1/2)-1/2",
                .evidence = Evidence::Specified,
                .family = Family::MidRise,
                .width = n};
}

std::optional<Format> parse_posit(std::string_view text) {
  std::string_view rest = text;
  const auto bits = take_numbers(rest, {"posit"});
  if (!bits) return std::nullopt;
  const auto [n] = *bits;
  std::optional<int> es = 2;
  if (take(rest, "es")) es = take_number(rest);
  if (!es || !rest.empty()) return std::nullopt;
  require(n >= 2 && n <= 32, text, "posits have 2 to 32 bits");
  require(*es <= 4, text, "posits have es 0 to 4");
  const std::string_view source = *es == 2 ? "Posit Standard 2022" : "posit with another es than the standard's";
  return tapered(text, Family::Posit, n, *es, source, Evidence::Verified);
}

std::optional<Format> parse_takum(std::string_view text) {
  std::string_view rest = text;
  const auto bits = take_numbers(rest, {"takum"});
  const bool is_linear = rest == "_linear";
  if (!bits || (!is_linear && rest != "_logarithmic")) return std::nullopt;
  const auto [n] = *bits;
  require(n >= 2 && n <= 32, text, "takums have 2 to 32 bits");
  const Family family = is_linear ? Family::LinearTakum : Family::LogarithmicTakum;
  return tapered(text, family, n, 0, "universal and libtakum", Evidence::Specified);
}

std::optional<Format> parse_lns(std::string_view text) {
  std::string_view rest = text;
  const auto widths = take_numbers(rest, {"lns", "f"});
  if (!widths) return std::nullopt;
  const auto [whole, fraction] = *widths;
  const bool rounds_values = take(rest, "_value");
  if (!rest.empty()) return std::nullopt;
  require(whole >= 1 && whole <= 15 && fraction <= 15 && whole + fraction >= 2 && whole + fraction <= 15, text,
          "the logarithm has at least its sign before the point, and 2 to 15 bits");
  const int bits = whole + fraction;
  const LogarithmicScale scale{.lowest = 1 - (1 << (bits - 1)), .denominator = uint32_t{1} << fraction};
  Format format = logarithmic(text, Encoding::SignLogarithm, NanCodes::NegativeZero, 1 + bits, scale,
                              "LNS: lowest logarithm 0, with sign NaN", Evidence::Convention);
  if (rounds_values) format.domain = Domain::Value;
  return format;
}

std::optional<Format> parse_powers_of_two(std::string_view text) {
  std::string_view rest = text;
  const auto bits = take_numbers(rest, {"pow2_"});
  if (!bits) return std::nullopt;
  const auto [n] = *bits;
  const GivenBias given = take_bias(rest, text);
  const bool rounds_values = take(rest, "_value");
  if (!given.is_well_formed || !rest.empty()) return std::nullopt;
  require(n >= 3 && n <= 8, text, "powers of two have 3 to 8 bits");
  const int bias = given.bias.value_or((1 << (n - 1)) - 1);
  const std::string_view source = "0, +-2^k; the largest 1 (APoT's PoT)";
  if (!rounds_values)
    return logarithmic(text, Encoding::SignMagnitude, NanCodes::None, n, {.lowest = 1 - bias}, source,
                       Evidence::Convention);
  return Format{.name = text,
                .encoding = Encoding::SignMagnitude,
                .exponent_bits = n - 1,
                .mantissa_bits = 0,
                .bias = bias,
                .nan = NanCodes::None,
                .has_infinity = false,
                .source = source,
                .evidence = Evidence::Convention};
}

std::optional<Format> parse_descending_logarithm(std::string_view text) {
  std::string_view rest = text;
  const bool is_adalog = take(rest, "adalog");
  const bool is_sqrt2 = !is_adalog && take(rest, "logsqrt2_");
  if (!is_adalog && !is_sqrt2 && !take(rest, "log2_")) return std::nullopt;
  const std::optional<int> bits = take_number(rest);
  std::optional<int> q = 1;
  if (is_adalog && (!take(rest, "q") || !(q = take_number(rest)))) return std::nullopt;
  const bool has_lut = is_adalog && take(rest, "lut");
  if (!bits || !rest.empty()) return std::nullopt;
  require(*bits >= 2 && *bits <= 8, text, "2 to 8 bits");
  require(*q >= 1 && *q <= 255, text, "q lies in 1 … 255");
  const LogarithmicScale scale{.lowest = 1 - (1 << *bits),
                               .numerator = uint32_t(*q),
                               .denominator = is_adalog  ? 37u
                                              : is_sqrt2 ? 2u
                                                         : 1u,
                               .lut_bits = has_lut ? *bits : 0};
  return logarithmic(text, Encoding::Descending, NanCodes::None, *bits + 1, scale,
                     is_adalog ? "AdaLog" : "AdaLog, RepQ-ViT", Evidence::Specified);
}

}  // namespace halfulp::detail
