#include "formats/format.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

namespace halfulp {
namespace {

constexpr Format ieee(const char* name, int e, int m, std::string_view source) {
  return {.name = name,
          .encoding = Encoding::SignMagnitude,
          .exponent_bits = e,
          .mantissa_bits = m,
          .bias = (1 << (e - 1)) - 1,
          .nan = NanCodes::Ieee,
          .has_infinity = true,
          .source = source};
}

constexpr Format fnuz(const char* name, int e, int m, int bias, std::string_view source) {
  return {.name = name,
          .encoding = Encoding::SignMagnitude,
          .exponent_bits = e,
          .mantissa_bits = m,
          .bias = bias,
          .nan = NanCodes::NegativeZero,
          .has_infinity = false,
          .source = source};
}

constexpr Format finite(const char* name, int e, int m, int bias, std::string_view source) {
  return {.name = name,
          .encoding = Encoding::SignMagnitude,
          .exponent_bits = e,
          .mantissa_bits = m,
          .bias = bias,
          .nan = NanCodes::None,
          .has_infinity = false,
          .source = source};
}

constexpr Format unsigned_top_nan(const char* name, int e, int m, std::string_view source) {
  return {.name = name,
          .encoding = Encoding::Unsigned,
          .exponent_bits = e,
          .mantissa_bits = m,
          .bias = (1 << (e - 1)) - 1,
          .nan = NanCodes::Top,
          .has_infinity = false,
          .source = source};
}

// Two's complement with `fraction_bits` of its bits below the binary point.
constexpr Format integer(const char* name, int bits, int fraction_bits, bool narrow, std::string_view source) {
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

constexpr std::string_view kOfp8 = "OCP OFP8 rev 1.0";
constexpr std::string_view kMx = "OCP MX v1.0";
constexpr std::string_view kIeee754 = "IEEE 754-2019";
constexpr std::string_view kMlDtypes = "ml_dtypes";
constexpr std::string_view kFnuz = "arXiv 2206.02915";
constexpr std::string_view kInteger = "two's complement";
constexpr std::string_view kIntegerNarrow = "two's complement, symmetric";

constexpr std::array kFormats = {
    Format{.name = "e4m3fn",
           .encoding = Encoding::SignMagnitude,
           .exponent_bits = 4,
           .mantissa_bits = 3,
           .bias = 7,
           .nan = NanCodes::Top,
           .has_infinity = false,
           .source = kOfp8},
    ieee("e5m2", 5, 2, kOfp8),
    ieee("e4m3", 4, 3, kMlDtypes),
    ieee("e3m4", 3, 4, kMlDtypes),
    fnuz("e4m3fnuz", 4, 3, 8, kFnuz),
    fnuz("e5m2fnuz", 5, 2, 16, kFnuz),
    fnuz("e4m3b11fnuz", 4, 3, 11, kMlDtypes),
    finite("e3m2", 3, 2, 3, kMx),
    finite("e2m3", 2, 3, 1, kMx),
    finite("e2m1", 2, 1, 1, kMx),
    finite("e3m0", 3, 0, 3, "convention: bias 2^(E-1)-1"),
    finite("e1m2", 1, 2, 1, "Ascend MX: e_max 0, so bias 1"),
    finite("e1m2b0", 1, 2, 0, "convention: bias 2^(E-1)-1"),
    finite("e2m0", 2, 0, 1, "fouroversix fp3"),
    finite("e0m3", 0, 3, -2, "CUDA Math API 13.1 __nv_fp4_e0m3"),
    Format{.name = "e8m0",
           .encoding = Encoding::Unsigned,
           .exponent_bits = 8,
           .mantissa_bits = 0,
           .bias = 127,
           .nan = NanCodes::Top,
           .has_infinity = false,
           .subnormals = false,
           .has_zero = false,
           .source = kMx},
    unsigned_top_nan("ue4m3", 4, 3, "PTX ISA 9.1, 5.2.3"),
    unsigned_top_nan("ue5m3", 5, 3, "PTX ISA 9.4, 5.2.3"),
    ieee("binary16", 5, 10, kIeee754),
    ieee("bfloat16", 8, 7, "Google Brain; Arm ARM"),
    ieee("tf32", 8, 10, "NVIDIA A100 whitepaper"),
    ieee("binary32", 8, 23, kIeee754),
    integer("int2", 2, 0, false, kInteger),
    integer("int3", 3, 0, false, kInteger),
    integer("int4", 4, 0, false, kInteger),
    integer("int5", 5, 0, false, kInteger),
    integer("int6", 6, 0, false, kInteger),
    integer("int7", 7, 0, false, kInteger),
    integer("int8", 8, 0, false, kInteger),
    integer("int9", 9, 0, false, kInteger),
    integer("int10", 10, 0, false, kInteger),
    integer("int11", 11, 0, false, kInteger),
    integer("int12", 12, 0, false, kInteger),
    integer("int13", 13, 0, false, kInteger),
    integer("int14", 14, 0, false, kInteger),
    integer("int15", 15, 0, false, kInteger),
    integer("int16", 16, 0, false, kInteger),
    integer("int2_narrow", 2, 0, true, kIntegerNarrow),
    integer("int3_narrow", 3, 0, true, kIntegerNarrow),
    integer("int4_narrow", 4, 0, true, kIntegerNarrow),
    integer("int5_narrow", 5, 0, true, kIntegerNarrow),
    integer("int6_narrow", 6, 0, true, kIntegerNarrow),
    integer("int7_narrow", 7, 0, true, kIntegerNarrow),
    integer("int8_narrow", 8, 0, true, kIntegerNarrow),
    integer("int9_narrow", 9, 0, true, kIntegerNarrow),
    integer("int10_narrow", 10, 0, true, kIntegerNarrow),
    integer("int11_narrow", 11, 0, true, kIntegerNarrow),
    integer("int12_narrow", 12, 0, true, kIntegerNarrow),
    integer("int13_narrow", 13, 0, true, kIntegerNarrow),
    integer("int14_narrow", 14, 0, true, kIntegerNarrow),
    integer("int15_narrow", 15, 0, true, kIntegerNarrow),
    integer("int16_narrow", 16, 0, true, kIntegerNarrow),
    integer("s2f6", 8, 6, false, "OCP MX v1.0 INT8; PTX ISA 9.1, 5.2.4"),
};
static_assert(kFormats[0].max_index() == 0b1111'110);                // 448
static_assert(ieee("e5m2", 5, 2, kOfp8).max_index() == 0b11110'11);  // 57344

// Splits a two's-complement or sign-magnitude code into sign and index.
struct SignedIndex {
  bool negative;
  uint32_t index;
};

SignedIndex split(const Format& format, uint32_t code) {
  code &= uint32_t((uint64_t{1} << format.bits()) - 1);
  if (!format.is_signed()) return {false, code};
  const bool negative = code >> (format.bits() - 1);
  if (format.encoding == Encoding::TwosComplement)
    return {negative, negative ? uint32_t((uint64_t{1} << format.bits()) - code) : code};
  return {negative, code & ((uint32_t{1} << format.magnitude_bits()) - 1)};
}

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

void require(bool condition, std::string_view text, std::string_view allowed) {
  if (!condition) throw std::invalid_argument(fmt::format("format '{}': {}", text, allowed));
}

std::optional<Format> parse_pattern(const std::string_view text) {
  std::string_view rest = text;
  const bool is_unsigned = take(rest, "u");
  if (!take(rest, "e")) return std::nullopt;
  const std::optional<int> e = take_number(rest);
  if (!e || !take(rest, "m")) return std::nullopt;
  const std::optional<int> m = take_number(rest);
  if (!m) return std::nullopt;

  require(*e + *m >= 1, text, "needs an exponent or mantissa bit");
  require(*e <= 11 && *m <= 23 && *e + *m <= 31, text, "at most 11 exponent, 23 mantissa and 31 bits of both together");
  int bias = *e == 0 ? 1 - *m : (1 << (*e - 1)) - 1;  // without an exponent: whole numbers
  std::optional<int> given_bias;
  if (take(rest, "b")) {
    const bool negative = take(rest, "-");
    given_bias = take_number(rest);
    if (!given_bias) return std::nullopt;
    if (negative) given_bias = -*given_bias;
    require(*given_bias >= -900 && *given_bias <= 900, text, "the bias lies in -900 … 900");
    bias = *given_bias;
  }

  const int bits = *e + *m + !is_unsigned;
  std::string_view specials = rest;
  if (specials.empty()) specials = is_unsigned ? "fn" : bits > 6 ? "ieee" : "finite";
  Format format{.name = text,
                .encoding = is_unsigned ? Encoding::Unsigned : Encoding::SignMagnitude,
                .exponent_bits = *e,
                .mantissa_bits = *m,
                .bias = bias,
                .nan = NanCodes::None,
                .has_infinity = false,
                .source = "e<E>m<M> from text"};
  if (specials == "ieee") {
    require(*e >= 2 && *m >= 1, text, "ieee needs at least two exponent bits and a mantissa bit");
    format.nan = NanCodes::Ieee;
    format.has_infinity = true;
  } else if (specials == "fn") {
    format.nan = NanCodes::Top;
  } else if (specials == "fnuz") {
    require(!is_unsigned, text, "fnuz needs a sign");
    format.nan = NanCodes::NegativeZero;
    if (!given_bias) ++format.bias;
  } else if (specials != "finite") {
    return std::nullopt;
  }
  require(format.max_index() >= 1, text, "needs a finite number besides zero");
  require(max_exponent(format) <= 1000 && format.min_quantum_exponent() >= -1000, text,
          "every number lies within 2^-1000 … 2^1001");
  return format;
}

}  // namespace

double magnitude(const Format& format, uint32_t index) {
  const int m = format.mantissa_bits;
  const uint32_t implicit = uint32_t{1} << m;
  // An integer format's exponent never leaves that of its subnormals.
  const uint32_t field = format.exponent_bits == 0 ? 0 : index >> m;
  if (!format.has_zero) return std::ldexp(implicit + (index & (implicit - 1)), format.min_exponent() - m + int(field));
  if (field == 0) {
    const bool flushed = !format.subnormals && format.exponent_bits > 0;
    return flushed ? 0.0 : std::ldexp(index, format.min_quantum_exponent());
  }
  return std::ldexp(implicit + (index & (implicit - 1)), format.min_quantum_exponent() + int(field) - 1);
}

double max_finite(const Format& format) { return magnitude(format, format.max_index()); }

double min_normal(const Format& format) {
  return format.exponent_bits == 0 ? min_positive(format) : std::ldexp(1.0, format.min_exponent());
}

double min_positive(const Format& format) {
  if (!format.has_zero) return magnitude(format, 0);
  return format.subnormals || format.exponent_bits == 0 ? magnitude(format, 1) : min_normal(format);
}

int max_exponent(const Format& format) { return std::ilogb(max_finite(format)); }

bool fits_binary32(const Format& format) {
  return format.mantissa_bits <= 23 && max_exponent(format) <= 127 && format.min_quantum_exponent() >= -149;
}

CodeClass classify(const Format& format, uint32_t code) {
  const auto [negative, index] = split(format, code);
  if (format.nan == NanCodes::NegativeZero && negative && index == 0) return CodeClass::Nan;
  if (format.encoding != Encoding::TwosComplement && index > format.max_index())
    return format.has_infinity && index == format.max_index() + 1 ? CodeClass::Infinity : CodeClass::Nan;
  if (magnitude(format, index) == 0) return CodeClass::Zero;
  const bool subnormal = format.has_zero && format.exponent_bits > 0 && index >> format.mantissa_bits == 0;
  return subnormal ? CodeClass::Subnormal : CodeClass::Normal;
}

double decode(const Format& format, uint32_t code) {
  const auto [negative, index] = split(format, code);
  const double sign = negative ? -1.0 : 1.0;
  switch (classify(format, code)) {
    case CodeClass::Nan: return std::copysign(std::numeric_limits<double>::quiet_NaN(), sign);
    case CodeClass::Infinity: return sign * std::numeric_limits<double>::infinity();
    default: return sign * magnitude(format, index);
  }
}

std::span<const Format> formats() { return kFormats; }

Format parse_format(std::string_view text) {
  if (text == "ue8m0") text = "e8m0";  // PTX's name for it
  for (const Format& format : kFormats)
    if (text == std::string_view(format.name)) return format;
  if (text.size() < sizeof(FormatName::text))
    if (const std::optional<Format> format = parse_pattern(text)) return *format;
  std::vector<std::string_view> known;
  for (const Format& format : kFormats) known.push_back(format.name);
  throw UnknownName("format", text, known);
}

}  // namespace halfulp
