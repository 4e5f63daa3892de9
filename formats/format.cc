#include "formats/format.h"

#include <algorithm>
#include <cmath>

#include "formats/codes.h"
#include "formats/logarithm.h"
#include "formats/tapered.h"

namespace halfulp {
namespace {

__extension__ using Uint128 = unsigned __int128;

Real float_number(const Format& format, uint32_t index) {
  const int m = format.mantissa_bits;
  const uint32_t implicit = uint32_t{1} << m;
  // An integer format's exponent never leaves that of its subnormals.
  const uint32_t field = format.exponent_bits == 0 ? 0 : index >> m;
  const uint32_t significand = implicit + (index & (implicit - 1));
  if (!format.has_zero) return Real::dyadic(significand, format.min_quantum_exponent() + int(field));
  if (field > 0) return Real::dyadic(significand, format.min_quantum_exponent() + int(field) - 1);
  const bool flushed = !format.subnormals && format.exponent_bits > 0;
  return flushed ? Real{} : Real::dyadic(index, format.min_quantum_exponent());
}

Real logarithmic_number(const LogarithmicScale& scale, uint32_t index) {
  if (index == 0) return {};
  const int64_t power = (int64_t{scale.lowest} + index - 1) * scale.numerator;
  if (scale.lut_bits == 0) return power_of_two(power, scale.denominator);
  // A shift by whole powers, and from a table 2^-part as a numerator over 2^(b+1) - 2. Only 2^0 is rational.
  const int64_t part = -power % scale.denominator;
  const int64_t shift = -power / scale.denominator;
  const uint64_t denominator = (uint64_t{2} << scale.lut_bits) - 2;
  const Real power_of_part = power_of_two(-part, scale.denominator);
  const int dropped = 63 - power_of_part.exponent;
  const Uint128 product = Uint128{power_of_part.significand} * denominator;
  const uint64_t numerator = uint64_t((product + (Uint128{1} << (dropped - 1))) >> dropped);
  return Real::quotient(double(numerator), double(denominator)).scaled(int(-shift));
}

bool is_subnormal(const Format& format, const SignedIndex& at) {
  switch (format.family) {
    case Family::Float: return format.has_zero && format.exponent_bits > 0 && at.index >> format.mantissa_bits == 0;
    case Family::Table: return magnitude(format, at.index, at.negative) < format.table->min_normal;
    default: return false;
  }
}

// Whether binary32 reaches all numbers of a format that has up to `fraction_bits` bits behind the leading one.
bool lies_within_binary32(const Format& format, int fraction_bits) {
  const int bits = std::max(fraction_bits, 0);
  return bits <= 23 && number(format, 1).exponent >= -149 + bits && max_exponent(format) <= 127;
}

}  // namespace

Real number(const Format& format, uint32_t index, bool negative) {
  switch (format.family) {
    case Family::Float: return float_number(format, index).with_sign(negative);
    case Family::MidRise: return Real::dyadic(2 * uint64_t{index} + 1, -format.bias - 1).with_sign(negative);
    case Family::Posit:
    case Family::LinearTakum:
    case Family::LogarithmicTakum: return index == 0 ? Real{} : tapered_number(format, index).with_sign(negative);
    case Family::Logarithmic: return logarithmic_number(format.scale, index).with_sign(negative);
    case Family::Table: break;
  }
  const std::span<const Level> levels = format.table->levels[format.encoding == Encoding::Listed && negative];
  return Real::dyadic(levels[index].steps, LevelTable::kStepExponent).with_sign(negative);
}

double magnitude(const Format& format, uint32_t index, bool negative) {
  return number(format, index, negative).with_sign(false).nearest();
}

double max_finite(const Format& format) { return magnitude(format, format.max_index()); }

double min_normal(const Format& format) {
  if (format.family == Family::Table) return format.table->min_normal;
  const bool has_exponents = format.family == Family::Float && format.exponent_bits > 0;
  return has_exponents ? std::ldexp(1.0, format.min_exponent()) : min_positive(format);
}

double min_positive(const Format& format) {
  if (!format.has_zero) return magnitude(format, 0);
  const bool flushed = !format.subnormals && format.exponent_bits > 0;
  return flushed ? min_normal(format) : magnitude(format, 1);
}

int max_exponent(const Format& format) { return number(format, format.max_index()).exponent; }

bool fits_binary32(const Format& format) {
  switch (format.family) {
    case Family::Float:
      return format.mantissa_bits <= 23 && max_exponent(format) <= 127 && format.min_quantum_exponent() >= -149;
    case Family::Posit: return lies_within_binary32(format, format.width - 3 - format.exponent_bits);
    case Family::LinearTakum: return lies_within_binary32(format, format.width - 5);
    case Family::LogarithmicTakum: return false;
    case Family::Logarithmic:
      return format.scale.denominator == 1 && format.scale.lut_bits == 0 && lies_within_binary32(format, 0);
    case Family::MidRise:
    case Family::Table: break;
  }
  return true;
}

CodeClass classify(const Format& format, uint32_t code) {
  const uint32_t mask = uint32_t((uint64_t{1} << format.bits()) - 1);
  if (format.nan == NanCodes::NegativeZero && (code & mask) == format.negative_zero_code()) return CodeClass::Nan;
  const SignedIndex at = signed_index(format, code);
  if (format.encoding != Encoding::TwosComplement && at.index > format.max_index(at.negative))
    return format.has_infinity && at.index == format.max_index() + 1 ? CodeClass::Infinity : CodeClass::Nan;
  if (number(format, at.index, at.negative).kind == Real::Kind::Zero) return CodeClass::Zero;
  return is_subnormal(format, at) ? CodeClass::Subnormal : CodeClass::Normal;
}

Real decode_exactly(const Format& format, uint32_t code) {
  const auto [negative, index] = signed_index(format, code);
  switch (classify(format, code)) {
    case CodeClass::Nan: return {.kind = Real::Kind::Nan, .negative = negative};
    case CodeClass::Infinity: return {.kind = Real::Kind::Infinity, .negative = negative};
    default: return number(format, index, negative);
  }
}

double decode(const Format& format, uint32_t code) { return decode_exactly(format, code).nearest(); }

}  // namespace halfulp
