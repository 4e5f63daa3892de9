#include "formats/block_scale.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "formats/codec.h"
#include "formats/exact.h"
#include "formats/rounding.h"

namespace halfulp {
namespace {

constexpr uint64_t kOne = uint64_t{1} << 63;  // the significand of a power of two

uint32_t encode_scale(const BlockFormat& format, Rounding rounding, const Real& x, uint32_t random = 0) {
  const Projection projection{.rounding = rounding,
                              .random_bits = kMaxRandomBits,
                              .policies = {.overflow = Overflow::Saturate, .negative = NegativePolicy::Absolute}};
  return encode(format.scale, projection, x, random);
}

uint32_t encode_power(const BlockFormat& format, int exponent) {
  return encode_scale(format, Rounding::TiesToEven, Real::of(1.0).scaled(exponent));
}

// Mantissa bits of the largest number's significand.
int fraction_bits(const Format& element) { return element.mantissa_bits - (element.exponent_bits == 0); }

bool rounds_up_by_even(const Real& a, const Format& element) {
  return a.significand >= 0 - (kOne >> (fraction_bits(element) + 1));
}

bool is_above_sqrt2(const Real& x) {
  constexpr uint64_t kSqrt2 = 0xb504f333f9de6485;  // 2^63.5 rounded up
  return x.significand >= kSqrt2;
}

uint32_t triton_code(const BlockFormat& format, float amax) {
  const uint32_t bits = std::bit_cast<uint32_t>(amax / float(max_finite(format.element)));
  return (bits + (format.rule == ScaleRule::TritonUp ? 0x7fffff : 0)) >> 23 & 0xff;
}

uint32_t follow_rule(const BlockFormat& format, const Real& a, const Real& quotient, float amax, uint32_t random) {
  const int floor = a.exponent - max_exponent(format.element);
  const bool is_power = quotient.significand == kOne && !quotient.sticky;
  switch (format.rule) {
    case ScaleRule::Floor: return encode_power(format, floor);
    case ScaleRule::Ceil: return encode_power(format, floor + (a.significand != kOne || a.sticky));
    case ScaleRule::Even: return encode_power(format, floor + rounds_up_by_even(a, format.element));
    case ScaleRule::Rceil: return encode_scale(format, Rounding::AwayFromZero, quotient);
    case ScaleRule::RoundDown: return encode_scale(format, Rounding::TowardZero, quotient);
    case ScaleRule::Nearest: {
      const bool goes_up = format.scale.mantissa_bits == 0;
      return encode_scale(format, goes_up ? Rounding::TiesToAway : Rounding::TiesToEven, quotient);
    }
    case ScaleRule::NearestCode: return encode_scale(format, Rounding::TiesToEven, quotient);
    case ScaleRule::NearLog: return encode_power(format, quotient.exponent + (!is_power && is_above_sqrt2(quotient)));
    case ScaleRule::Stochastic: return encode_scale(format, Rounding::StochasticC, quotient, random);
    case ScaleRule::TritonUp:
    case ScaleRule::TritonDown: return triton_code(format, amax);
  }
  return 0;
}

}  // namespace

uint32_t nan_scale(const BlockFormat& format) {
  if (format.rule == ScaleRule::TritonUp) return triton_code(format, std::numeric_limits<float>::quiet_NaN());
  return encode_scale(format, Rounding::TiesToEven, Real::of(std::numeric_limits<double>::quiet_NaN()));
}

uint32_t largest_scale(const BlockFormat& format) {
  return encode_scale(format, Rounding::TiesToEven, Real::of(max_finite(format.scale)));
}

uint32_t with_zero_policy(const BlockFormat& format, uint32_t code) {
  if (!format.scale.has_zero) return code;
  const uint32_t one = encode_power(format, 0);
  const uint32_t smallest_normal = uint32_t{1} << format.scale.mantissa_bits;
  switch (format.zero) {
    case ZeroScale::MinSubnormal: return std::max(code, uint32_t{1});
    case ZeroScale::MinNormal: return std::max(code, smallest_normal);
    case ZeroScale::One: return code == 0 ? one : code;
    case ZeroScale::Zero:
    case ZeroScale::UnitAmax: break;
  }
  return code;
}

uint32_t scale_code(const BlockFormat& format, const ArrayUnit& unit, double statistic, const Ratio& more,
                    uint32_t random) {
  double amax = std::max(statistic, double(format.smallest_amax));
  if (amax == 0 && format.zero == ZeroScale::One) return encode_power(format, 0);
  if (amax == 0 && format.zero == ZeroScale::UnitAmax) amax = 1;
  if (amax == 0) return with_zero_policy(format, encode_scale(format, Rounding::TiesToEven, Real::of(0.0)));
  const Product above = Product(amax) * unit.numerator * format.headroom.numerator * more.numerator;
  const Product below = Product(unit.denominator) * format.headroom.denominator * more.denominator;
  const Real a = Product::quotient(above, below, false);
  const Real quotient = Product::quotient(above, below * max_finite(format.element), false);
  return with_zero_policy(format, follow_rule(format, a, quotient, float(amax), random));
}

}  // namespace halfulp
