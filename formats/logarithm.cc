#include "formats/logarithm.h"

#include <cstdlib>

#include "formats/natural.h"

namespace halfulp {
namespace {

constexpr int kFirstDigits = 192;  // binary digits below the point, to start with

// A real number in units of 2^-digits lies between these.
struct Enclosure {
  Natural low, high;

  bool is_exact() const { return low == high; }
};

// The series below are off by less than this many units: each has at most `digits` terms, none of which drops more than
// a few units, and what goes into them is off by less than 600 · digits units.
Natural slack(int digits) { return Natural(16) * uint64_t(digits) * uint64_t(digits); }

// ln(s) for 1 <= s <= 2, as 2 artanh(w) = 2 (w + w^3/3 + w^5/5 + …) with w = (s - 1) / (s + 1) <= 1/3.
Enclosure ln(const Natural& s, int digits) {
  const Natural one = Natural(1) << digits;
  const Natural w = ((s - one) << digits) / (s + one);
  const Natural square = w * w >> digits;
  Natural sum;
  uint64_t k = 1;
  for (Natural power = w; !power.is_zero(); power = power * square >> digits, k += 2) sum = sum + power / k;
  const Natural low = sum << 1;
  return {low, s == one ? low : low + slack(digits)};
}

Enclosure ln_of_two(int digits) {
  const auto compute = [](int n) { return ln(Natural(2) << n, n); };
  static const Enclosure first = compute(kFirstDigits);
  return digits == kFirstDigits ? first : compute(digits);
}

// e^z for 0 <= z < 1, as 1 + z + z^2/2 + …
Enclosure exp(const Natural& z, int digits) {
  Natural sum, term = Natural(1) << digits;
  for (uint64_t k = 1; !term.is_zero(); ++k) {
    sum = sum + term;
    term = (term * z >> digits) / k;
  }
  return {sum - slack(digits), sum + slack(digits)};
}

struct Division {
  int64_t quotient;
  uint64_t rest;
};

Division floor_division(int64_t x, uint32_t y) {
  const int64_t rest = x % y;
  return {x / y - (rest < 0), uint64_t(rest < 0 ? rest + y : rest)};
}

// 2^(numerator / divisor).
Enclosure exp2(int64_t numerator, uint32_t divisor, int digits) {
  const auto [whole, part] = floor_division(numerator, divisor);
  if (part == 0) {
    const Natural exact = (Natural(1) << digits).scaled(int(whole));
    return {exact, exact};
  }
  const Enclosure power = exp(ln_of_two(digits).low * part / divisor, digits);
  return {power.low.scaled(int(whole)), power.high.scaled(int(whole)) + 1};
}

// Calls enclose(digits) for more and more digits until both ends of what it gives agree in the digits that matter, the
// first `kept` below the point; gives these.
template <class Enclose>
Natural decided_digits(int kept, Enclose enclose) {
  for (int digits = kFirstDigits;; digits *= 2) {
    const Enclosure result = enclose(digits);
    const Natural low = result.low >> (digits - kept);
    if (low == result.high >> (digits - kept)) return low;
  }
}

// The position whose first 64 digits above `offset` are these and which is no number of 64 digits.
Position irrational_position(const Natural& digits, int64_t offset) {
  return {int64_t((digits >> 64).low()) - offset, digits.low(), true};
}

Natural significand_of(const Real& x, int digits) { return Natural(x.significand) << (digits - 63); }

bool is_power_of_two(const Real& x) { return x.significand == uint64_t{1} << 63; }

// An irrational number in [1, 2).
template <class Enclose>
Real irrational(Enclose enclose) {
  return {.kind = Real::Kind::Finite, .sticky = true, .significand = decided_digits(63, enclose).low()};
}

}  // namespace

Position log2_position(const Real& x, uint32_t multiplier, uint32_t divisor) {
  // Everything is counted from 2^-shift, so that it is positive.
  constexpr int64_t kShift = int64_t{1} << 24;
  const uint64_t exponent = uint64_t(x.exponent + kShift * divisor);
  const int64_t offset = kShift * multiplier;
  if (is_power_of_two(x)) {
    const uint64_t product = exponent * multiplier;
    const Natural rest = Natural(product % divisor) << 64;
    const Natural fraction = rest / uint64_t{divisor};
    const bool is_exact = fraction * uint64_t{divisor} == rest;
    return {int64_t(product / divisor) - offset, fraction.low(), x.sticky || !is_exact};
  }
  const auto enclose = [&](int digits) {
    const Enclosure logarithm = ln(significand_of(x, digits), digits);
    const Enclosure two = ln_of_two(digits);
    const Natural low = (logarithm.low << digits) / two.high;
    const Natural high = (logarithm.high << digits) / two.low + 1;
    const Natural whole = Natural(exponent) << digits;
    return Enclosure{(whole + low) * multiplier / uint64_t{divisor},
                     (whole + high) * multiplier / uint64_t{divisor} + 1};
  };
  return irrational_position(decided_digits(64, enclose), offset);
}

Position twice_ln_position(const Real& x) {
  if (is_power_of_two(x) && x.exponent == 0) return {0, 0, x.sticky};
  constexpr uint64_t kOffset = 512;  // more than 2 · 369 ln(2)
  const auto enclose = [&](int digits) {
    const Enclosure logarithm = ln(significand_of(x, digits), digits);
    const Enclosure two = ln_of_two(digits);
    const Natural offset = Natural(kOffset) << digits;
    const bool grows = x.exponent >= 0;
    const uint64_t count = uint64_t(grows ? x.exponent : -x.exponent);
    const auto twice = [&](const Natural& part, const Natural& of_two) {
      return grows ? ((part + of_two * count) << 1) + offset : (part << 1) + offset - (of_two * count << 1);
    };
    return Enclosure{twice(logarithm.low, grows ? two.low : two.high),
                     twice(logarithm.high, grows ? two.high : two.low)};
  };
  return irrational_position(decided_digits(64, enclose), kOffset);
}

Position position_between_powers(const Real& x, bool from_zero, int64_t low, int64_t high, uint32_t divisor) {
  // In units of x's binade.
  const int64_t shift = int64_t{x.exponent} * divisor;
  for (int digits = kFirstDigits;; digits *= 2) {
    const Natural at = significand_of(x, digits);
    const Enclosure a = from_zero ? Enclosure{} : exp2(low - shift, divisor, digits);
    const Enclosure b = exp2(high - shift, divisor, digits);
    if (at < a.high) continue;
    const Enclosure distance{at - a.high, at - a.low};
    const Enclosure gap{b.low - a.high, b.high - a.low};
    const Natural fraction = (distance.low << 64) / gap.high;
    if (fraction != (distance.high << 64) / gap.low) continue;
    const bool is_rational = distance.is_exact() && (gap.is_exact() || distance.low.is_zero());
    const bool has_rest = !is_rational || fraction * gap.low != distance.low << 64;
    return {0, fraction.low(), x.sticky || has_rest};
  }
}

Real power_of_two(int64_t numerator, uint32_t divisor) {
  const Division power = floor_division(numerator, divisor);
  if (power.rest == 0) return Real::dyadic(1, int(power.quotient));
  const auto enclose = [&](int digits) { return exp2(int64_t(power.rest), divisor, digits); };
  return irrational(enclose).scaled(int(power.quotient));
}

Real power_of_sqrt_e(int64_t numerator, int fraction_bits) {
  if (numerator == 0) return Real::dyadic(1, 0);
  // Counted from 2^-shift upwards, as many powers of two as it has room for, and what is left.
  constexpr int64_t kShift = 512;
  int64_t exponent = 0;
  const auto enclose = [&](int digits) {
    const Natural two = ln_of_two(digits).low;
    const Natural start = two * uint64_t(kShift);
    const Natural size = (Natural(uint64_t(std::abs(numerator))) << digits) >> (fraction_bits + 1);
    const Natural power = numerator < 0 ? start - size : start + size;
    const Natural count = power / two;
    exponent = int64_t(count.low()) - kShift;
    return exp(power - count * two, digits);
  };
  const Real rest = irrational(enclose);
  return rest.scaled(int(exponent));
}

}  // namespace halfulp
