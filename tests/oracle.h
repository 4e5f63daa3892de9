// The oracle: casting by looking the answer up.
//
// Written from the definitions alone, and differently from formats/: every code is decoded into a sorted ladder of
// magnitudes, a number is located between two rungs, and distances are compared. All arithmetic is on long doubles
// (64-bit significand) and exact: a rung has at most 24 significant bits, a midpoint 25, an input 53 or, where it is a
// quotient, two times 24.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "formats/format.h"
#include "formats/rounding.h"

namespace halfulp::oracle {

static_assert(std::numeric_limits<long double>::digits >= 64);

/// What a code stands for.
struct Meaning {
  bool is_nan = false;
  bool is_infinite = false;
  bool negative = false;
  long double magnitude = 0;  // of numbers

  double value() const {
    const double unsigned_value = is_nan        ? std::numeric_limits<double>::quiet_NaN()
                                  : is_infinite ? std::numeric_limits<double>::infinity()
                                                : double(magnitude);
    return std::copysign(unsigned_value, negative ? -1.0 : 1.0);
  }
};

inline Meaning meaning(const Format& format, uint32_t code) {
  const int step_exponent = 1 - format.bias - format.mantissa_bits;
  if (format.encoding == Encoding::TwosComplement) {
    const int64_t range = int64_t{1} << format.bits();
    const int64_t integer = code < range / 2 ? int64_t{code} : int64_t{code} - range;
    return {.negative = integer < 0, .magnitude = std::ldexp((long double)std::abs(integer), step_exponent)};
  }

  const uint32_t mantissas = 1u << format.mantissa_bits;
  const uint32_t magnitude_codes = mantissas << format.exponent_bits;
  const bool negative = code >= magnitude_codes;
  const uint32_t magnitude_code = code % magnitude_codes;
  const uint32_t exponent = magnitude_code / mantissas;
  const uint32_t mantissa = magnitude_code % mantissas;

  // codes that are no numbers, from the top downwards
  uint32_t top = magnitude_codes - 1;
  if (format.nan == NanCodes::Ieee && exponent == top / mantissas)
    return {.is_nan = mantissa != 0, .is_infinite = mantissa == 0, .negative = negative};
  if (format.nan == NanCodes::NegativeZero && negative && magnitude_code == 0)
    return {.is_nan = true, .negative = true};
  if (format.nan == NanCodes::Top && magnitude_code == top--) return {.is_nan = true, .negative = negative};
  if (format.nan != NanCodes::Ieee && format.has_infinity && magnitude_code == top)
    return {.is_infinite = true, .negative = negative};

  const bool is_normal = format.exponent_bits > 0 && (exponent > 0 || !format.has_zero);
  if (is_normal) {
    const long double significand = 1 + mantissa / (long double)mantissas;
    return {.negative = negative, .magnitude = std::ldexp(significand, int(exponent) - format.bias)};
  }
  const bool reads_as_zero = format.exponent_bits > 0 && !format.subnormals;
  return {.negative = negative, .magnitude = reads_as_zero ? 0 : std::ldexp((long double)mantissa, step_exponent)};
}

/// A number of a format and the code that means it.
struct Rung {
  long double magnitude;
  uint32_t code;
};

/// floor(x / y), exact for x / y < 2^40 and y of at most 24 significant bits.
inline uint64_t floor_quotient(long double x, long double y) {
  long double result = std::floor(x / y);
  while (result * y > x) --result;
  while ((result + 1) * y <= x) ++result;
  return uint64_t(result);
}

/// Where a number stands between the rungs of a format.
struct Place {
  enum class Kind { Nan, Infinity, Number };

  Kind kind;
  bool negative;
  bool is_zero = false;
  long double magnitude = 0;    // Number: in units of the divisor
  uint64_t payload = 0;         // Nan: the 52 fraction bits of the double
  bool above_all = false;       // Number: at or above the rung that would follow the last one
  const Rung* below = nullptr;  // Number: the largest rung not above it, or the lowest one
  long double distance = 0;     // from `below`; nu = distance / gap
  long double gap = 1;          // from `below` to the next rung
};

class Oracle {
 public:
  explicit Oracle(const Format& format) : format_(format) {
    for (uint32_t code = 0; code < uint64_t{1} << format.bits(); ++code) {
      const Meaning what = meaning(format, code);
      if (what.is_nan || what.is_infinite) continue;
      const bool is_lowest_integer = format.encoding == Encoding::TwosComplement && code == 1u << (format.bits() - 1);
      if (format.narrow && is_lowest_integer) continue;
      ladders_[what.negative].push_back({what.magnitude, code});
    }
    if (format.is_signed() && !format.has_negative_zero()) ladders_[1].push_back({0, 0});
    for (std::vector<Rung>& ladder : ladders_) finish(ladder);
  }

  const Format& format() const { return format_; }

  /// The numbers of one sign from the smallest magnitude upwards, and the one that would follow the largest.
  const std::vector<Rung>& ladder(bool negative) const { return ladders_[negative && format_.is_signed()]; }

  /// The place of x / divisor; divisor 1, or both of at most 24 significant bits with a finite non-zero quotient.
  Place place(double x, double divisor = 1) const {
    const bool negative = std::signbit(x) != std::signbit(divisor);
    if (std::isnan(x))
      return {.kind = Place::Kind::Nan, .negative = negative, .payload = std::bit_cast<uint64_t>(x) << 12 >> 12};
    if (std::isinf(x)) return {.kind = Place::Kind::Infinity, .negative = negative};

    const long double numerator = std::fabs(x);
    const long double denominator = std::fabs(divisor);
    const std::vector<Rung>& rungs = ladder(negative);
    const auto above = std::upper_bound(rungs.begin(), rungs.end(), numerator, [&](long double n, const Rung& rung) {
      return n < rung.magnitude * denominator;
    });
    Place result = {.kind = Place::Kind::Number,
                    .negative = negative,
                    .is_zero = x == 0,
                    .magnitude = numerator / denominator,
                    .below = &rungs.front()};
    if (above == rungs.begin()) return result;
    result.below = &*above - 1;
    result.above_all = above == rungs.end();
    if (result.above_all) return result;
    result.distance = numerator - result.below->magnitude * denominator;
    result.gap = (above->magnitude - result.below->magnitude) * denominator;
    return result;
  }

  /// The code of the number at `place`.
  uint32_t encode(const Projection& projection, const Place& place, uint32_t random = 0) const {
    const Policies& policies = projection.policies;
    if (place.kind == Place::Kind::Nan) return nan_code(policies.nan, place.negative, place.payload);
    if (policies.overflow == Overflow::Wrap && is_integer()) return wrapped(projection, place, random);
    const bool saturates = policies.overflow != Overflow::ToInfinity;

    bool negative = place.negative;
    if (negative && !format_.is_signed()) {
      negative = false;
      if (!place.is_zero) switch (policies.negative) {
          case NegativePolicy::Absolute: break;
          case NegativePolicy::ToNan: return nan_code(policies.nan, false, 0);
          case NegativePolicy::ToZero: return zero_code(policies, false);
          case NegativePolicy::BelowRange: {
            const bool is_number = place.kind == Place::Kind::Number;
            const bool is_directed =
                projection.rounding == Rounding::TowardZero || projection.rounding == Rounding::TowardPositive;
            const bool gives_zero = is_number && !place.above_all && place.below->magnitude == 0 &&
                                    !rounds_up(projection, true, place, random);
            return saturates || (is_number && is_directed) || gives_zero ? zero_code(policies, false)
                                                                         : nan_code(policies.nan, false, 0);
          }
        }
    }

    if (place.kind == Place::Kind::Infinity)
      return policies.overflow == Overflow::Saturate || policies.overflow == Overflow::Wrap
                 ? largest(negative)
                 : beyond(policies, negative);
    if (place.is_zero) return zero_code(policies, negative);
    if (policies.missing_zero == MissingZero::NanBelow && !format_.has_zero &&
        is_below_all(projection, negative, place, random))
      return nan_code(policies.nan, false, 0);

    const Rung* last = &ladder(negative).back() - 1;
    const Rung* chosen = place.below + (!place.above_all && rounds_up(projection, negative, place, random));
    const bool is_tested_early = policies.overflow_test == OverflowTest::BeforeRounding;
    const bool overflows =
        is_tested_early ? place.below > last || (place.below == last && place.distance > 0) : chosen > last;
    if (overflows) {
      const bool stays = saturates || stays_finite(projection.rounding, negative, last->code % 2 == 1);
      return stays ? last->code : beyond(policies, negative);
    }
    return chosen->magnitude == 0 ? zero_code(policies, negative) : chosen->code;
  }

  uint32_t encode(const Projection& projection, double x, uint32_t random = 0) const {
    return encode(projection, place(x), random);
  }

  /// The code of the largest finite number of a sign.
  uint32_t largest(bool negative) const { return (ladder(negative).end() - 2)->code; }

 private:
  /// Sorts a ladder, keeps the lowest code of each magnitude and adds the rung that would follow.
  void finish(std::vector<Rung>& ladder) const {
    if (ladder.empty()) return;
    std::sort(ladder.begin(), ladder.end(), [](const Rung& a, const Rung& b) {
      return a.magnitude != b.magnitude ? a.magnitude < b.magnitude : a.code < b.code;
    });
    const auto same = [](const Rung& a, const Rung& b) { return a.magnitude == b.magnitude; };
    ladder.erase(std::unique(ladder.begin(), ladder.end(), same), ladder.end());
    const long double last = ladder.back().magnitude;
    const int exponent = last == 0 ? 1 - format_.bias : std::max(std::ilogb(last), 1 - format_.bias);
    ladder.push_back({last + std::ldexp(1.0L, exponent - format_.mantissa_bits), 0});
  }

  bool is_integer() const { return format_.exponent_bits == 0 && format_.encoding != Encoding::SignMagnitude; }

  static bool stays_finite(Rounding rounding, bool negative, bool last_is_odd) {
    if (rounding == Rounding::TowardPositive) return negative;
    if (rounding == Rounding::TowardNegative) return !negative;
    if (rounding == Rounding::ToOdd) return last_is_odd;
    if (rounding == Rounding::ToEven) return !last_is_odd;
    return rounding == Rounding::TowardZero;
  }

  /// A whole number of steps modulo 2^bits; what is far from the range is brought there by exact remainders first.
  uint32_t wrapped(const Projection& projection, const Place& place, uint32_t random) const {
    if (place.kind == Place::Kind::Infinity || place.is_zero) return 0;
    const long double step = std::ldexp(1.0L, 1 - format_.bias - format_.mantissa_bits);
    const long double modulus = std::ldexp(step, format_.bits());
    const long double rest = std::fmod(place.magnitude, modulus);
    const uint64_t whole = floor_quotient(rest, step);
    const Rung even = {0, 0}, odd = {0, 1};
    const Place inside = {.kind = Place::Kind::Number,
                          .negative = place.negative,
                          .below = whole % 2 == 0 ? &even : &odd,
                          .distance = rest - (long double)whole * step,
                          .gap = step};
    const uint64_t rounded = whole + rounds_up(projection, place.negative, inside, random);
    return uint32_t((place.negative ? (uint64_t{1} << format_.bits()) - rounded : rounded) %
                    (uint64_t{1} << format_.bits()));
  }

  /// Whether a magnitude below the first rung rounds to less than it on a ladder that goes on downwards. That ladder
  /// is this one's copy some binades lower, and codes there count on backwards.
  bool is_below_all(const Projection& projection, bool negative, const Place& place, uint32_t random) const {
    const std::vector<Rung>& rungs = ladder(false);
    const long double first = rungs.front().magnitude;
    if (place.magnitude >= first) return false;
    const int binades = std::ilogb(first) - std::ilogb(place.magnitude);
    const long double raised = std::ldexp(place.magnitude, binades);
    size_t at = 0;
    while (rungs[at + 1].magnitude <= raised) ++at;
    const uint32_t per_binade = 1u << format_.mantissa_bits;
    const Rung counted = {0, uint32_t(at) + per_binade * uint32_t(binades)};
    const Place inside = {.kind = Place::Kind::Number,
                          .negative = negative,
                          .below = &counted,
                          .distance = raised - rungs[at].magnitude,
                          .gap = rungs[at + 1].magnitude - rungs[at].magnitude};
    const long double result = rungs[at + rounds_up(projection, negative, inside, random)].magnitude;
    return std::ldexp(result, -binades) < first;
  }

  uint32_t zero_code(const Policies& policies, bool negative) const {
    if (!format_.has_zero && policies.missing_zero != MissingZero::Smallest) return nan_code(policies.nan, false, 0);
    return ladder(negative && policies.zero == ZeroPolicy::KeepSign).front().code;
  }

  bool rounds_up(const Projection& projection, bool negative, const Place& place, uint32_t random) const {
    const bool is_odd = place.below->code % 2 == 1;
    const long double twice = 2 * place.distance;
    const bool is_inexact = place.distance > 0;
    const int n = projection.random_bits;
    const uint64_t r = random;
    switch (projection.rounding) {
      case Rounding::TiesToEven: return twice > place.gap || (twice == place.gap && is_odd);
      case Rounding::TiesToAway: return twice >= place.gap;
      case Rounding::TiesToZero: return twice > place.gap;
      case Rounding::TiesToOdd: return twice > place.gap || (twice == place.gap && !is_odd);
      case Rounding::TiesTowardPositive: return negative ? twice > place.gap : twice >= place.gap;
      case Rounding::TiesTowardNegative: return negative ? twice >= place.gap : twice > place.gap;
      case Rounding::TowardZero: return false;
      case Rounding::TowardPositive: return is_inexact && !negative;
      case Rounding::TowardNegative: return is_inexact && negative;
      case Rounding::AwayFromZero: return is_inexact;
      case Rounding::ToOdd: return is_inexact && !is_odd;
      case Rounding::ToEven: return is_inexact && is_odd;
      case Rounding::StochasticEqual: return is_inexact && std::ldexp((long double)r, 1 - n) >= 1;
      case Rounding::StochasticA:
        return floor_quotient(std::ldexp(place.distance, n), place.gap) + r >= uint64_t{1} << n;
      case Rounding::StochasticB:
        return floor_quotient(std::ldexp(place.distance, n + 1), place.gap) + 2 * r + 1 >= uint64_t{2} << n;
      case Rounding::StochasticC: {
        const long double scaled = std::ldexp(place.distance, n);
        const uint64_t whole = floor_quotient(scaled, place.gap);
        const long double twice_rest = 2 * (scaled - (long double)whole * place.gap);
        const bool next = twice_rest > place.gap || (twice_rest == place.gap && whole % 2 == 1);
        return whole + next + r >= uint64_t{1} << n;
      }
    }
    return false;
  }

  uint32_t sign_code(bool negative) const {
    return negative && format_.encoding == Encoding::SignMagnitude ? 1u << (format_.bits() - 1) : 0;
  }

  uint32_t nan_code(NanPolicy policy, bool negative, uint64_t payload) const {
    const uint32_t all_ones = (1u << (format_.exponent_bits + format_.mantissa_bits)) - 1;
    const uint32_t mantissa_ones = (1u << format_.mantissa_bits) - 1;
    if (policy == NanPolicy::Zero) return 0;
    if (policy == NanPolicy::SignedZero) return sign_code(negative);
    if (policy == NanPolicy::CrossedZero) return sign_code(!negative);
    if (policy == NanPolicy::LargestKeepSign) return largest(negative);
    if (policy == NanPolicy::Largest || format_.nan == NanCodes::None) return largest(false);
    if (format_.nan == NanCodes::NegativeZero) return 1u << (format_.bits() - 1);

    const bool is_positive = policy == NanPolicy::Canonical || policy == NanPolicy::AllOnes;
    const bool is_full =
        format_.nan == NanCodes::Top || policy == NanPolicy::AllOnes || policy == NanPolicy::AllOnesKeepSign;
    uint32_t code = sign_code(negative && !is_positive) + (is_full ? all_ones : all_ones - mantissa_ones / 2);
    if (policy == NanPolicy::Payload) code |= uint32_t(payload >> (52 - format_.mantissa_bits)) & mantissa_ones;
    return code;
  }

  /// Infinity; where there is none NaN of that sign or the largest number.
  uint32_t beyond(const Policies& policies, bool negative) const {
    const uint32_t all_ones = (1u << (format_.exponent_bits + format_.mantissa_bits)) - 1;
    if (format_.nan == NanCodes::Ieee) return sign_code(negative) + all_ones - ((1u << format_.mantissa_bits) - 1);
    if (format_.has_infinity) return sign_code(negative) + all_ones - (format_.nan == NanCodes::Top);
    if (policies.missing_infinity == MissingInfinity::Largest || format_.nan == NanCodes::None)
      return largest(negative);
    return nan_code(NanPolicy::KeepSign, negative, 0);
  }

  Format format_;
  std::vector<Rung> ladders_[2];  // of positive and of negative numbers
};

/// One line that says all about a cast: how, of what, what came and what should have come, and its neighbours.
inline std::string describe(const Oracle& oracle, const Projection& projection, double x, uint32_t random, uint32_t got,
                            uint32_t want) {
  const Format& format = oracle.format();
  const Policies& policies = projection.policies;
  const auto code_text = [&](uint32_t code) { return fmt::format("{:#x} ({})", code, meaning(format, code).value()); };
  const std::string random_text =
      is_stochastic(projection.rounding) ? fmt::format(" with {:#x} of {} bits", random, projection.random_bits) : "";
  std::string text = fmt::format(
      "{} {}{}, overflow {}, tested {}, nan {}, zero {}, negative {}, missing infinity {}, "
      "missing zero {}: {:a} ({}): got {}, want {}",
      std::string_view(format.name), name(projection.rounding), random_text, name(policies.overflow),
      name(policies.overflow_test), name(policies.nan), name(policies.zero), name(policies.negative),
      name(policies.missing_infinity), name(policies.missing_zero), x, x, code_text(got), code_text(want));
  const Place place = oracle.place(x);
  if (place.kind == Place::Kind::Nan) text += fmt::format("; bits {:#x}", std::bit_cast<uint64_t>(x));
  if (place.kind != Place::Kind::Number) return text;
  if (place.above_all) return text + "; beyond the largest number " + code_text(oracle.largest(place.negative));
  const bool has_next = place.below + 1 != &oracle.ladder(place.negative).back();
  text += "; between " + code_text(place.below->code);
  text += has_next ? " and " + code_text(place.below[1].code) : std::string(" and overflow");
  return text;
}

}  // namespace halfulp::oracle
