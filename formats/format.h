// Scalar number formats as data.
//
// A Format is a value: a handful of orthogonal facts from which every code's exact value follows. The catalogue holds
// the published ones; `parse_format` reads any other e<E>m<M>. Definitions: OCP OFP8 rev 1.0, OCP MX v1.0, IEEE
// 754-2019, and the sources named in each row.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "formats/names.h"

namespace halfulp {

/// How sign and magnitude make up a code.
enum class Encoding { SignMagnitude, Unsigned, TwosComplement };

/// Which codes are NaN.
enum class NanCodes {
  None,          // every code is a number (or infinity)
  Ieee,          // top exponent with a non-zero mantissa; mantissa zero there is infinity
  Top,           // the code with all magnitude bits set, of either sign
  NegativeZero,  // only the code of sign bit and zero magnitude; so there is no negative zero
};

/// A format's name, held by value so that a Format needs no storage elsewhere.
struct FormatName {
  char text[32] = {};

  constexpr FormatName(const char* name) : FormatName(std::string_view(name)) {}
  constexpr FormatName(std::string_view name) { name.copy(text, sizeof text - 1); }
  constexpr operator std::string_view() const { return text; }
};

/// A scalar format. A number's magnitude is m/2^M · 2^(1-bias) where the exponent field e is 0 (subnormal), else
/// (1 + m/2^M) · 2^(e-bias). With exponent_bits 0 there are only subnormals: uniform steps of 2^(1-bias-M).
struct Format {
  FormatName name;
  Encoding encoding;
  int exponent_bits;  // E: field width
  int mantissa_bits;  // M: stored significand bits; the implicit bit is not counted
  int bias;           // free: not always 2^(E-1) - 1
  NanCodes nan;
  bool has_infinity;        // Ieee: top exponent, mantissa 0; else the highest magnitude below the NaN
  bool subnormals = true;   // false with a zero: exponent field 0 reads as zero; without: as a normal
  bool has_zero = true;     // E8M0 has none
  bool narrow = false;      // two's complement only: rounding never gives the code -2^(bits-1)
  std::string_view source;  // where this definition stands

  constexpr bool is_signed() const { return encoding != Encoding::Unsigned; }
  constexpr int magnitude_bits() const { return exponent_bits + mantissa_bits; }
  constexpr int bits() const { return magnitude_bits() + is_signed(); }
  constexpr int precision() const { return mantissa_bits + 1; }
  constexpr bool has_nan() const { return nan != NanCodes::None; }
  constexpr bool has_negative_zero() const {
    return encoding == Encoding::SignMagnitude && nan != NanCodes::NegativeZero;
  }
  /// log2 of the smallest normal magnitude.
  constexpr int min_exponent() const { return has_zero ? 1 - bias : -bias; }
  /// log2 of the step between the smallest numbers.
  constexpr int min_quantum_exponent() const { return min_exponent() - mantissa_bits; }

  /// Numbers of one sign are counted 0, 1, 2, … from the smallest; this is the count of the largest finite one.
  constexpr uint32_t max_index(bool negative = false) const {
    const uint32_t all = (uint32_t{1} << magnitude_bits()) - 1;
    if (encoding == Encoding::TwosComplement) return all + (negative && !narrow);
    if (nan == NanCodes::Ieee) return (((uint32_t{1} << exponent_bits) - 1) << mantissa_bits) - 1;
    return all - (nan == NanCodes::Top) - has_infinity;
  }
};

/// Exact magnitude of number `index` (0 … max_index, and max_index + 1 for the number that would follow).
double magnitude(const Format& format, uint32_t index);

double max_finite(const Format& format);    // largest finite number
double min_normal(const Format& format);    // smallest positive normal; of an integer format, its step
double min_positive(const Format& format);  // smallest positive number
int max_exponent(const Format& format);     // floor(log2(max_finite)): the e_max of MX scale rules
bool fits_binary32(const Format& format);   // whether every finite number is a binary32 number

/// What a code stands for.
enum class CodeClass { Zero, Subnormal, Normal, Infinity, Nan };

CodeClass classify(const Format& format, uint32_t code);

/// Exact value of a code; codes are taken modulo 2^bits. Every NaN code gives the quiet NaN of its sign.
double decode(const Format& format, uint32_t code);

/// The published formats, in the order in which lists show them.
std::span<const Format> formats();

/// A catalogue row by name, or any `[u]e<E>m<M>[b<bias>][ieee|fn|fnuz|finite]`: bias 2^(E-1)-1 (fnuz: one more) unless
/// given; without a suffix formats of more than 6 bits are ieee, smaller ones finite, unsigned ones fn.
/// Throws std::invalid_argument (UnknownName where the text is no such pattern).
Format parse_format(std::string_view text);

template <>
struct EnumNames<Encoding> {
  static constexpr std::string_view kind = "encoding";
  static constexpr NamedValue<Encoding> values[] = {{Encoding::SignMagnitude, "sign_magnitude"},
                                                    {Encoding::Unsigned, "unsigned"},
                                                    {Encoding::TwosComplement, "twos_complement"}};
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
