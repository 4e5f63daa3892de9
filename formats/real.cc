#include "formats/real.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace halfulp {
namespace {

__extension__ using Uint128 = unsigned __int128;

// How many of the significand's 64 bits binary64 has no room for; where it has none for any of them, more than 64.
int bits_beyond_binary64(const Real& x) {
  constexpr int kDropped = 64 - std::numeric_limits<double>::digits;
  constexpr int kMinExponent = std::numeric_limits<double>::min_exponent - 1;
  return kDropped + std::clamp(kMinExponent - x.exponent, 0, 64);
}

}  // namespace

Real Real::of(double x) {
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  const uint64_t fraction = bits << 12;
  Real real{.negative = std::signbit(x)};
  if (std::isnan(x)) {
    real.kind = Kind::Nan;
    real.significand = fraction;
  } else if (std::isinf(x)) {
    real.kind = Kind::Infinity;
  } else if (x != 0) {
    real.kind = Kind::Finite;
    real.exponent = std::ilogb(x);
    real.significand = uint64_t(std::ldexp(std::fabs(x), 63 - real.exponent));
  }
  return real;
}

Real Real::dyadic(uint64_t whole, int power) {
  if (whole == 0) return {};
  const int shift = std::countl_zero(whole);
  return {.kind = Kind::Finite, .exponent = power + 63 - shift, .significand = whole << shift};
}

Real Real::quotient(double x, double y) {
  const Real a = of(x), b = of(y);
  if (a.kind != Kind::Finite || b.kind != Kind::Finite) return of(x / y);
  // Both significands have their highest bit set, so the quotient lies in (1/2, 2): 64 bits of it need 64 or 63 more.
  const int shift = a.significand >= b.significand ? 63 : 64;
  const Uint128 dividend = Uint128{a.significand} << shift;
  return {.kind = Kind::Finite,
          .negative = a.negative != b.negative,
          .sticky = dividend % b.significand != 0,
          .exponent = a.exponent - b.exponent + 63 - shift,
          .significand = uint64_t(dividend / b.significand)};
}

Real Real::scaled(int power) const {
  Real real = *this;
  real.exponent += power;
  return real;
}

Real Real::with_sign(bool is_negative) const {
  Real real = *this;
  real.negative = is_negative;
  return real;
}

double Real::nearest() const {
  const double sign = negative ? -1.0 : 1.0;
  switch (kind) {
    case Kind::Zero: return sign * 0.0;
    case Kind::Infinity: return sign * std::numeric_limits<double>::infinity();
    case Kind::Nan: return std::copysign(std::numeric_limits<double>::quiet_NaN(), sign);
    case Kind::Finite: break;
  }
  const int dropped = bits_beyond_binary64(*this);
  const Uint128 kept = Uint128{significand} >> dropped;
  const Uint128 rest = Uint128{significand} - (kept << dropped);
  const Uint128 half = Uint128{1} << (dropped - 1);
  const bool up = rest > half || (rest == half && (sticky || (kept & 1) != 0));
  return sign * std::ldexp(double(uint64_t(kept) + up), exponent - 63 + dropped);
}

bool Real::is_binary64() const {
  if (kind != Kind::Finite) return true;
  const int dropped = bits_beyond_binary64(*this);
  const bool fits = dropped < 64 && significand << (64 - dropped) == 0;
  return !sticky && fits && exponent <= std::numeric_limits<double>::max_exponent - 1;
}

}  // namespace halfulp
