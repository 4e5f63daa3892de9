#include "formats/codec.h"

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

// Whether ToInfinity keeps an overflowed number finite.
bool stays_finite(Rounding rounding, bool negative) {
  return rounding == Rounding::TowardZero || (rounding == Rounding::TowardPositive && negative) ||
         (rounding == Rounding::TowardNegative && !negative);
}

uint32_t largest(const Format& format, bool negative) {
  return with_sign(format, negative, format.max_index(negative));
}

uint32_t zero(const Format& format, const Policies& policies, bool negative) {
  return with_sign(format, negative && policies.zero == ZeroPolicy::KeepSign && format.has_negative_zero(), 0);
}

uint32_t nan(const Format& format, const Policies& policies, bool negative, uint64_t payload) {
  const uint32_t all = (uint32_t{1} << format.magnitude_bits()) - 1;
  const bool keeps_sign = policies.nan == NanPolicy::KeepSign || policies.nan == NanPolicy::Payload;
  switch (format.nan) {
    case NanCodes::None: return largest(format, false);
    case NanCodes::NegativeZero: return format.negative_zero_code();
    case NanCodes::Top: return with_sign(format, negative && keeps_sign, all);
    case NanCodes::Ieee: break;
  }
  const uint32_t infinity = format.max_index() + 1;
  const uint32_t quiet = infinity | uint32_t{1} << (format.mantissa_bits - 1);
  switch (policies.nan) {
    case NanPolicy::Canonical: return quiet;
    case NanPolicy::KeepSign: return with_sign(format, negative, quiet);
    case NanPolicy::AllOnes: return all;
    case NanPolicy::Payload:
      return with_sign(format, negative, quiet | uint32_t(payload >> (64 - format.mantissa_bits)));
  }
  return quiet;
}

// The code of infinity, or what stands for it.
uint32_t infinity(const Format& format, const Policies& policies, bool negative) {
  if (format.has_infinity) return with_sign(format, negative, format.max_index() + 1);
  if (!format.has_nan()) return largest(format, negative);
  // An overflow is not a NaN that was given: where NaNs have a sign, it carries the number's.
  if (format.nan == NanCodes::Top) return with_sign(format, negative, (uint32_t{1} << format.magnitude_bits()) - 1);
  return nan(format, policies, negative, 0);
}

// Indices above the largest are overflow whatever their codes would be.
bool is_even_code(const Format& format, bool negative, int64_t index) {
  if (index < 0) return with_sign(format, !negative, 0) % 2 == 0;
  return index > format.max_index(negative) || with_sign(format, negative, uint32_t(index)) % 2 == 0;
}

uint32_t encode_finite(const Format& format, const Projection& projection, const Real& x, uint32_t random) {
  const Policies& policies = projection.policies;
  const Place at = place(format, x);
  const bool is_even = is_even_code(format, x.negative, at.index);
  const int64_t index = rounds_up(projection, at, is_even, x.negative, random) ? at.next : at.index;

  // What the range does not hold is for the overflow policy.
  if (index < 0) return with_sign(format, !x.negative, 0);
  if (index == 0 && format.has_zero) return zero(format, policies, x.negative);
  if (index <= format.max_index(x.negative)) return with_sign(format, x.negative, uint32_t(index));
  const bool finite = policies.overflow != Overflow::ToInfinity || stays_finite(projection.rounding, x.negative);
  return finite ? largest(format, x.negative) : infinity(format, policies, x.negative);
}

}  // namespace

uint32_t encode(const Format& format, const Projection& projection, const Real& x, uint32_t random) {
  assert(!is_stochastic(projection.rounding) ||
         (projection.random_bits >= 1 && projection.random_bits <= kMaxRandomBits &&
          random < uint64_t{1} << projection.random_bits));
  const Policies& policies = projection.policies;
  if (x.kind == Real::Kind::Nan) return nan(format, policies, x.negative, x.significand);
  Real number = x;
  if (!format.is_signed() && x.negative) {
    switch (policies.negative) {
      case NegativePolicy::Absolute: number.negative = false; break;
      case NegativePolicy::ToZero: number = Real{}; break;
      case NegativePolicy::ToNan:
        if (x.kind != Real::Kind::Zero) return nan(format, policies, false, 0);
        number.negative = false;
        break;
    }
  }
  switch (number.kind) {
    case Real::Kind::Zero:
      if (format.is_signed() && !format.has_zero) return encode_finite(format, projection, Real{}, random);
      return zero(format, policies, number.negative);
    case Real::Kind::Infinity:
      return policies.overflow == Overflow::Saturate ? largest(format, number.negative)
                                                     : infinity(format, policies, number.negative);
    case Real::Kind::Finite: return encode_finite(format, projection, number, random);
    case Real::Kind::Nan: break;
  }
  return nan(format, policies, number.negative, number.significand);
}

}  // namespace halfulp
