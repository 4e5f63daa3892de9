// Scalar number formats as data.
//
// A Format is a value: a handful of orthogonal facts from which every code's exact value follows. The catalogue holds
// the published ones; `parse_format` reads any member of the families in `kFormatPatterns`. Definitions: OCP OFP8 rev
// 1.0, OCP MX v1.0, IEEE 754-2019, IEEE P3109 interim report v4.0, and the sources named in each row.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/evidence.h"
#include "formats/names.h"
#include "formats/real.h"

namespace halfulp {

/// By which rule the numbers of a format follow from its parameters.
enum class Family {
  Float,             // m/2^M · 2^(1-bias) where the exponent field is 0 (subnormal), else (1 + m/2^M) · 2^(e-bias)
  MidRise,           // odd multiples of half a step; there is no zero
  Posit,             // sign, regime, up to es exponent bits, fraction (Posit Standard 2022, there with es = 2)
  LinearTakum,       // sign, direction, 3 bits that say how long the exponent is, exponent c, m: 2^c (1 + m)
  LogarithmicTakum,  // the same fields; sqrt(e)^(c + m)
  Logarithmic,       // zero and powers of two whose exponents are multiples of one step
  Table,             // whatever a list says
};

/// How a number's sign and its index (its place among the numbers of one sign, see Format::max_index) make up a code.
enum class Encoding {
  SignMagnitude,
  Unsigned,
  TwosComplement,
  Ascending,      // codes count from the lowest number upwards
  SignLogarithm,  // a sign above a two's-complement logarithm, whose lowest code means zero
  Descending,     // unsigned; codes count from the largest number down, and all beyond the smallest mean zero
  Listed,         // the table has the codes of both signs
};

/// Which codes are NaN.
enum class NanCodes {
  None,          // every code is a number (or infinity)
  Ieee,          // top exponent with a non-zero mantissa; mantissa zero there is infinity
  Top,           // the code with all magnitude bits set, of either sign
  NegativeZero,  // only the code of sign bit and zero magnitude; so there is no negative zero
};

/// On which scale the distance of a number from its neighbours is measured.
enum class Domain {
  Value,      // linearly
  Logarithm,  // by logarithms: halfway between 1 and 2 lies sqrt(2)
  Code,       // by the bits that would follow the code if it were longer: how posits and takums are defined to round
};

/// A number of a table, in steps of 2^-32, and its code.
struct Level {
  uint64_t steps;
  uint32_t code;
};

/// The numbers of each sign from zero upwards, and last the one that would follow. With sign-magnitude codes, both
/// signs have the same.
struct LevelTable {
  std::span<const Level> levels[2];
  double min_normal;

  static constexpr int kStepExponent = -32;
};

/// A format's name, held by value so that a Format needs no storage elsewhere.
struct FormatName {
  char text[32] = {};

  constexpr FormatName(const char* name) : FormatName(std::string_view(name)) {}
  constexpr FormatName(std::string_view name) { name.copy(text, sizeof text - 1); }
  constexpr operator std::string_view() const { return text; }
};

/// The numbers of a logarithmic format: index i >= 1 is 2^((lowest + i - 1) · numerator / denominator).
struct LogarithmicScale {
  int lowest = 0;
  uint32_t numerator = 1;
  uint32_t denominator = 1;
  int lut_bits = 0;  // not 0: powers between 1/2 and 1 are rounded to multiples of 1/(2^(lut_bits + 1) - 2)
};

/// A scalar format. The fields up to `source` describe the family Float; with exponent_bits 0 it has only subnormals:
/// uniform steps of 2^(1-bias-M). In other families `width` gives the bits of a code.
struct Format {
  FormatName name;
  Encoding encoding;
  int exponent_bits;  // E: field width; of a posit es
  int mantissa_bits;  // M: stored significand bits; the implicit bit is not counted
  int bias;           // free: not always 2^(E-1) - 1; mid-rise: the step is 2^-bias
  NanCodes nan;
  bool has_infinity;        // Ieee: top exponent, mantissa 0; else the highest magnitude below the NaN
  bool subnormals = true;   // false with a zero: exponent field 0 reads as zero; without: as a normal
  bool has_zero = true;     // E8M0 and mid-rise formats have none
  bool narrow = false;      // two's complement only: rounding never gives the code -2^(bits-1)
  std::string_view source;  // where this definition stands
  Evidence evidence = Evidence::Verified;
  Family family = Family::Float;
  Domain domain = Domain::Value;  // in which a cast rounds
  int width = 0;
  LogarithmicScale scale = {};
  const LevelTable* table = nullptr;

  constexpr bool is_signed() const { return encoding != Encoding::Unsigned && encoding != Encoding::Descending; }
  constexpr int magnitude_bits() const {
    return family == Family::Float ? exponent_bits + mantissa_bits : width - is_signed();
  }
  constexpr int bits() const { return magnitude_bits() + is_signed(); }
  constexpr int precision() const { return mantissa_bits + 1; }
  constexpr bool has_nan() const { return nan != NanCodes::None; }
  constexpr bool has_negative_zero() const {
    return encoding == Encoding::SignMagnitude && has_zero && nan != NanCodes::NegativeZero;
  }
  /// The code of NaN where that is NanCodes::NegativeZero.
  constexpr uint32_t negative_zero_code() const {
    return encoding == Encoding::SignLogarithm ? 0b11u << (bits() - 2) : 1u << (bits() - 1);
  }
  /// log2 of the smallest normal magnitude.
  constexpr int min_exponent() const { return has_zero ? 1 - bias : -bias; }
  /// log2 of the step between the smallest numbers.
  constexpr int min_quantum_exponent() const { return min_exponent() - mantissa_bits; }

  /// Numbers of one sign are counted 0, 1, 2, … from the smallest; this is the count of the largest finite one.
  constexpr uint32_t max_index(bool negative = false) const {
    const uint32_t all = (uint32_t{1} << magnitude_bits()) - 1;
    if (encoding == Encoding::Listed) return uint32_t(table->levels[negative].size()) - 2;
    if (encoding == Encoding::Descending) return uint32_t{1} << (magnitude_bits() - 1);
    if (encoding == Encoding::TwosComplement && nan == NanCodes::None) return all + (negative && !narrow);
    if (nan == NanCodes::Ieee) return (((uint32_t{1} << exponent_bits) - 1) << mantissa_bits) - 1;
    return all - (nan == NanCodes::Top) - has_infinity;
  }
};

/// Number `index` (0 … max_index) of a sign: exact, but of an irrational number, or one that is no multiple of a power
/// of two, the first 64 bits. For families Float and Table also max_index + 1, the number that would follow.
Real number(const Format& format, uint32_t index, bool negative = false);

/// The same as the nearest binary64 number: 0 and infinity where the format's range is wider.
double magnitude(const Format& format, uint32_t index, bool negative = false);

double max_finite(const Format& format);    // largest finite number
double min_normal(const Format& format);    // smallest positive normal; where all are alike, the smallest positive
double min_positive(const Format& format);  // smallest positive number
int max_exponent(const Format& format);     // floor(log2(max_finite)): the e_max of MX scale rules
bool fits_binary32(const Format& format);   // whether every finite number is a binary32 number

/// What a code stands for.
enum class CodeClass { Zero, Subnormal, Normal, Infinity, Nan };

CodeClass classify(const Format& format, uint32_t code);

/// The value of a code, as in `number`; codes are taken modulo 2^bits. Every NaN code gives the NaN of its sign.
Real decode_exactly(const Format& format, uint32_t code);

/// The same as the nearest binary64 number.
double decode(const Format& format, uint32_t code);

/// The published formats, in the order in which lists show them.
std::span<const Format> formats();

/// One way to write formats that are no catalogue rows.
struct FormatPattern {
  std::string_view text;     // <X> stands for a number, [X] may be left out, X|Y is either
  std::string_view meaning;  // and what the numbers may be
  /// nullopt: the text has another form. Throws std::invalid_argument where its parameters make no format.
  std::optional<Format> (*parse)(std::string_view text);
};

namespace detail {
std::optional<Format> parse_float(std::string_view text);
std::optional<Format> parse_p3109(std::string_view text);
std::optional<Format> parse_integer(std::string_view text);
std::optional<Format> parse_fixed_point(std::string_view text);
std::optional<Format> parse_mid_rise(std::string_view text);
std::optional<Format> parse_posit(std::string_view text);
std::optional<Format> parse_takum(std::string_view text);
std::optional<Format> parse_lns(std::string_view text);
std::optional<Format> parse_powers_of_two(std::string_view text);
std::optional<Format> parse_descending_logarithm(std::string_view text);
}  // namespace detail

inline constexpr FormatPattern kFormatPatterns[] = {
    {"[u]e<E>m<M>[b<bias>][ieee|fn|fnuz|finite][flush]",
     "float of E <= 11 and M <= 23 bits, bias 2^(E-1)-1 (fnuz: one more) unless given; without a suffix formats of "
     "more "
     "than 6 bits are ieee, smaller ones finite, unsigned ones fn; flush: exponent field 0 reads as zero",
     detail::parse_float},
    {"binary<K>p<P>{s|u}{e|f}",
     "IEEE P3109 of K = 3 to 16 bits and precision P < K (unsigned P <= K); extended with infinity or finite",
     detail::parse_p3109},
    {"int<n>[_narrow] uint<n>", "integer of n = 2 (uint: 1) to 16 bits; narrow: without -2^(n-1)",
     detail::parse_integer},
    {"{s|u}<I>f<F>", "fixed point, I bits (with the sign) before and F after the point, 2 to 24 together",
     detail::parse_fixed_point},
    {"midrise<n>", "the 2^n odd multiples of 1/2 nearest zero, in ascending order; n = 1 to 16",
     detail::parse_mid_rise},
    {"posit<n>[es<es>]", "posit of n = 2 to 32 bits, es 0 to 4, 2 unless given", detail::parse_posit},
    {"takum<n>_{linear|logarithmic}", "takum of n = 2 to 32 bits", detail::parse_takum},
    {"lns<I>f<F>[_value]",
     "sign and log2 in two's complement, I bits (with its sign) before and F after the point, 2 to 15 together; rounds "
     "logarithms, _value: values",
     detail::parse_lns},
    {"pow2_<n>[b<bias>][_value]",
     "zero and +-2^(k-bias), k from 1 to 2^(n-1)-1, n = 3 to 8; the largest is 1 unless bias is given; rounds "
     "logarithms, _value: values",
     detail::parse_powers_of_two},
    {"log2_<b> logsqrt2_<b> adalog<b>q<q>[lut]",
     "zero and 2^-(k s) for k from 0 to 2^b-1, b = 2 to 8, with a step s of 1, 1/2 or q/37, q = 1 to 255; lut: powers "
     "between 1/2 and 1 are read off a table of multiples of 1/(2^(b+1)-2)",
     detail::parse_descending_logarithm},
};

/// A catalogue row by name, or a format of one of `kFormatPatterns`.
/// Throws std::invalid_argument (UnknownName where the text has no such form).
Format parse_format(std::string_view text);

/// The texts of kFormatPatterns, for help and error messages.
std::string format_patterns();

template <>
struct EnumNames<Encoding> {
  static constexpr std::string_view kind = "encoding";
  static constexpr NamedValue<Encoding> values[] = {{Encoding::SignMagnitude, "sign_magnitude"},
                                                    {Encoding::Unsigned, "unsigned"},
                                                    {Encoding::TwosComplement, "twos_complement"},
                                                    {Encoding::Ascending, "ascending"},
                                                    {Encoding::SignLogarithm, "sign_logarithm"},
                                                    {Encoding::Descending, "descending"},
                                                    {Encoding::Listed, "listed"}};
};
template <>
struct EnumNames<Family> {
  static constexpr std::string_view kind = "family of formats";
  static constexpr NamedValue<Family> values[] = {{Family::Float, "float"},
                                                  {Family::MidRise, "mid_rise"},
                                                  {Family::Posit, "posit"},
                                                  {Family::LinearTakum, "linear_takum"},
                                                  {Family::LogarithmicTakum, "logarithmic_takum"},
                                                  {Family::Logarithmic, "logarithmic"},
                                                  {Family::Table, "table"}};
};
template <>
struct EnumNames<Domain> {
  static constexpr std::string_view kind = "rounding domain";
  static constexpr NamedValue<Domain> values[] = {
      {Domain::Value, "value"}, {Domain::Logarithm, "logarithm"}, {Domain::Code, "code"}};
};
template <>
struct EnumNames<NanCodes> {
  static constexpr std::string_view kind = "NaN encoding";
  static constexpr NamedValue<NanCodes> values[] = {{NanCodes::None, "none"},
                                                    {NanCodes::Ieee, "ieee"},
                                                    {NanCodes::Top, "top"},
                                                    {NanCodes::NegativeZero, "negative_zero"}};
};
template <>
struct EnumNames<CodeClass> {
  static constexpr std::string_view kind = "class of codes";
  static constexpr NamedValue<CodeClass> values[] = {{CodeClass::Zero, "zero"},
                                                     {CodeClass::Subnormal, "subnormal"},
                                                     {CodeClass::Normal, "normal"},
                                                     {CodeClass::Infinity, "infinity"},
                                                     {CodeClass::Nan, "nan"}};
};

}  // namespace halfulp
