#include "formats/codec.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "formats/codes.h"
#include "formats/place.h"

namespace halfulp {
namespace {

constexpr uint64_t kHalf = uint64_t{1} << 63;

bool inexact(const Place& x) { return x.fraction != 0 || x.sticky; }
bool above_half(const Place& x) { return x.fraction > kHalf || (x.fraction == kHalf && x.sticky); }
bool tie(const Place& x) { return x.fraction == kHalf && !x.sticky; }

// floor(nu · 2^bits), bits <= 33.
uint64_t leading_bits(const Place& x, int bits) { return x.fraction >> (64 - bits); }

// Between the smallest numbers of both signs none is nearer to zero: there TiesToZero and TowardZero keep the sign.
bool rounds_up(const Projection& projection, const Place& x, bool code_is_even, bool negative, uint32_t random) {
  const int n = projection.random_bits;
  switch (projection.rounding) {
    case Rounding::TiesToEven: return above_half(x) || (tie(x) && !code_is_even);
    case Rounding::TiesToAway: return above_half(x) || tie(x);
    case Rounding::TiesToZero: return above_half(x) || (tie(x) && x.is_between_signs());
    case Rounding::TiesToOdd: return above_half(x) || (tie(x) && code_is_even);
    case Rounding::TiesTowardPositive: return above_half(x) || (tie(x) && !negative);
    case Rounding::TiesTowardNegative: return above_half(x) || (tie(x) && negative);
    case Rounding::TowardZero: return x.is_between_signs();
    case Rounding::TowardPositive: return inexact(x) && !negative;
    case Rounding::TowardNegative: return inexact(x) && negative;
    case Rounding::AwayFromZero: return inexact(x);
    case Rounding::ToOdd: return inexact(x) && code_is_even;
    case Rounding::ToEven: return inexact(x) && !code_is_even;
    case Rounding::StochasticEqual: return inexact(x) && random >> (n - 1) != 0;
    case Rounding::StochasticA: return leading_bits(x, n) + random >= uint64_t{1} << n;
    case Rounding::StochasticB: return leading_bits(x, n + 1) + 2 * uint64_t{random} + 1 >= uint64_t{2} << n;
    case Rounding::StochasticC: {
      const uint64_t kept = leading_bits(x, n);
      const Place rest{0, 1, x.fraction << n, x.sticky};
      const uint64_t nearest = kept + (above_half(rest) || (tie(rest) && kept % 2 == 1));
      return nearest + random >= uint64_t{1} << n;
    }
  }
  return false;
}

uint32_t largest(const Format& format, bool negative) {
  return with_sign(format, negative, format.max_index(negative));
}

// Whether an overflow of ToInfinity stays at the largest number.
bool stays_finite(const Format& format, Rounding rounding, bool negative) {
  const bool largest_is_odd = largest(format, negative) % 2 == 1;
  switch (rounding) {
    case Rounding::TowardZero: return true;
    case Rounding::TowardPositive: return negative;
    case Rounding::TowardNegative: return !negative;
    case Rounding::ToOdd: return largest_is_odd;
    case Rounding::ToEven: return !largest_is_odd;
    default: return false;
  }
}

bool saturates(const Policies& policies) { return policies.overflow != Overflow::ToInfinity; }

bool is_integer(const Format& format) {
  return format.family == Family::Float && format.exponent_bits == 0 && format.encoding != Encoding::SignMagnitude;
}

uint32_t all_ones(const Format& format, bool negative) {
  return with_sign(format, negative, (uint32_t{1} << format.magnitude_bits()) - 1);
}

// The quiet NaN of a format that has one.
uint32_t quiet_nan(const Format& format, bool negative) {
  if (format.nan == NanCodes::NegativeZero) return format.negative_zero_code();
  if (format.nan == NanCodes::Top) return all_ones(format, negative);
  return with_sign(format, negative, (format.max_index() + 1) | uint32_t{1} << (format.mantissa_bits - 1));
}

uint32_t nan(const Format& format, const Policies& policies, bool negative, uint64_t payload) {
  switch (policies.nan) {
    case NanPolicy::Largest: return largest(format, false);
    case NanPolicy::LargestKeepSign: return largest(format, negative);
    case NanPolicy::Zero: return 0;
    case NanPolicy::SignedZero: return with_sign(format, negative, 0);
    case NanPolicy::CrossedZero: return with_sign(format, !negative, 0);
    default: break;
  }
  if (!format.has_nan()) return largest(format, false);
  if (format.nan == NanCodes::NegativeZero) return quiet_nan(format, negative);
  switch (policies.nan) {
    case NanPolicy::AllOnes: return all_ones(format, false);
    case NanPolicy::AllOnesKeepSign: return all_ones(format, negative);
    case NanPolicy::KeepSign: return quiet_nan(format, negative);
    case NanPolicy::Payload: {
      const uint32_t highest = format.nan == NanCodes::Ieee ? uint32_t(payload >> (64 - format.mantissa_bits)) : 0;
      return quiet_nan(format, negative) | highest;
    }
    default: return quiet_nan(format, false);
  }
}

uint32_t zero(const Format& format, const Policies& policies, bool negative) {
  if (!format.has_zero && policies.missing_zero != MissingZero::Smallest) return nan(format, policies, false, 0);
  return with_sign(format, negative && policies.zero == ZeroPolicy::KeepSign && format.has_negative_zero(), 0);
}

// The code of infinity, or what stands for it. An overflow is no NaN that was given: where NaNs have a sign, it
// carries the number's.
uint32_t infinity(const Format& format, const Policies& policies, bool negative) {
  if (format.has_infinity) return with_sign(format, negative, format.max_index() + 1);
  const bool has_stand_in = format.has_nan() && policies.missing_infinity == MissingInfinity::Nan;
  return has_stand_in ? quiet_nan(format, negative) : largest(format, negative);
}

// Indices above the largest are overflow whatever their codes would be.
bool is_even_code(const Format& format, bool negative, int64_t index) {
  if (index < 0) return with_sign(format, !negative, 0) % 2 == 0;
  return index > format.max_index(negative) || with_sign(format, negative, uint32_t(index)) % 2 == 0;
}

int64_t round_up_or_down(const Format& format, const Projection& projection, const Place& at, bool negative,
                         uint32_t random) {
  const bool is_even = is_even_code(format, negative, at.index);
  return rounds_up(projection, at, is_even, negative, random) ? at.next : at.index;
}

// Whether, with exponents unbounded below, x rounds to less than the smallest number of a format without zero.
bool rounds_below_smallest(const Format& format, const Projection& projection, const Real& x, uint32_t random) {
  const int binades = format.min_exponent() - x.exponent;
  if (format.has_zero || binades <= 0) return false;
  const uint64_t per_binade = uint64_t{1} << format.mantissa_bits;
  const Place at = place(format, x.scaled(binades));
  const bool is_even = (uint64_t(at.index) + per_binade * uint64_t(binades)) % 2 == 0;
  const auto index = uint64_t(rounds_up(projection, at, is_even, x.negative, random) ? at.next : at.index);
  return binades > 1 || index < per_binade;
}

// An integer format holds the whole number modulo 2^bits. What its bits cannot count is dropped before rounding.
uint32_t wrap(const Format& format, const Projection& projection, Real x, uint32_t random) {
  const int excess = x.exponent - (format.min_quantum_exponent() + format.bits() - 1);  // bits above the code's
  const uint64_t rest = excess <= 0 ? x.significand : excess < 64 ? x.significand << excess : 0;
  if (rest == 0) return 0;
  const int leading_zeros = std::countl_zero(rest);
  x.significand = rest << leading_zeros;
  x.exponent -= std::max(excess, 0) + leading_zeros;
  const Place at = place(format, x);
  const auto index = uint64_t(rounds_up(projection, at, at.index % 2 == 0, x.negative, random) ? at.next : at.index);
  return uint32_t(x.negative ? 0 - index : index) & uint32_t((uint64_t{1} << format.bits()) - 1);
}

// Whether a number at `at` that rounds to `index` is beyond the largest.
bool overflows(const Format& format, const Policies& policies, const Place& at, int64_t index, bool negative) {
  const bool is_tested_early = policies.overflow_test == OverflowTest::BeforeRounding;
  const int64_t tested = !is_tested_early ? index : inexact(at) ? at.next : at.index;
  return tested > format.max_index(negative);
}

uint32_t encode_finite(const Format& format, const Projection& projection, const Real& x, uint32_t random) {
  const Policies& policies = projection.policies;
  if (policies.missing_zero == MissingZero::NanBelow && rounds_below_smallest(format, projection, x, random))
    return nan(format, policies, false, 0);
  const Place at = place(format, x);
  const int64_t index = round_up_or_down(format, projection, at, x.negative, random);
  if (index < 0) return with_sign(format, !x.negative, 0);

  // What the range does not hold is for the overflow policy.
  if (overflows(format, policies, at, index, x.negative)) {
    const bool finite = saturates(policies) || stays_finite(format, projection.rounding, x.negative);
    return finite ? largest(format, x.negative) : infinity(format, policies, x.negative);
  }
  if (index == 0 && format.has_zero) return zero(format, policies, x.negative);
  return with_sign(format, x.negative, uint32_t(index));
}

// NegativePolicy::BelowRange.
uint32_t encode_below_range(const Format& format, const Projection& projection, const Real& x, uint32_t random) {
  const Policies& policies = projection.policies;
  const bool is_finite = x.kind == Real::Kind::Finite;
  const bool rounds_to_zero =
      is_finite && format.has_zero && round_up_or_down(format, projection, place(format, x), true, random) == 0;
  const bool stays =
      is_finite && (projection.rounding == Rounding::TowardZero || projection.rounding == Rounding::TowardPositive);
  if (saturates(policies) || rounds_to_zero || stays) return zero(format, policies, false);
  return nan(format, policies, false, 0);
}

}  // namespace

bool overflows_to_infinity(const Format& format, const Projection& projection, const Real& x, uint32_t random) {
  const bool is_finite = saturates(projection.policies) || stays_finite(format, projection.rounding, x.negative);
  const Place at = place(format, x);
  const int64_t index = round_up_or_down(format, projection, at, x.negative, random);
  return !is_finite && overflows(format, projection.policies, at, index, x.negative);
}

uint32_t encode(const Format& format, const Projection& projection, const Real& x, uint32_t random) {
  assert(!is_stochastic(projection.rounding) ||
         (projection.random_bits >= 1 && projection.random_bits <= kMaxRandomBits &&
          random < uint64_t{1} << projection.random_bits));
  const Policies& policies = projection.policies;
  if (x.kind == Real::Kind::Nan) return nan(format, policies, x.negative, x.significand);
  if (policies.overflow == Overflow::Wrap && is_integer(format))
    return x.kind == Real::Kind::Finite ? wrap(format, projection, x, random) : 0;
  Real number = x;
  if (!format.is_signed() && x.negative) {
    number.negative = false;
    if (x.kind != Real::Kind::Zero) {
      switch (policies.negative) {
        case NegativePolicy::Absolute: break;
        case NegativePolicy::ToZero: number.kind = Real::Kind::Zero; break;
        case NegativePolicy::ToNan: return nan(format, policies, false, 0);
        case NegativePolicy::BelowRange: return encode_below_range(format, projection, x, random);
      }
    }
  }
  switch (number.kind) {
    case Real::Kind::Zero:
      if (format.is_signed() && !format.has_zero) return encode_finite(format, projection, Real{}, random);
      return zero(format, policies, number.negative);
    case Real::Kind::Infinity:
      return policies.overflow == Overflow::ToInfinity || policies.overflow == Overflow::SaturateFinite
                 ? infinity(format, policies, number.negative)
                 : largest(format, number.negative);
    case Real::Kind::Finite: return encode_finite(format, projection, number, random);
    case Real::Kind::Nan: break;
  }
  return nan(format, policies, number.negative, number.significand);
}

}  // namespace halfulp
