// How a real number becomes a code: the choices a Format leaves open.
//
// A cast rounds first, as if exponents were unbounded above, and then applies the policies to what overflowed
// (IEEE 754-2019 section 4.3 and 7.4; IEEE P3109 interim report v4.0, "Projection").
#pragma once

#include <cstdint>

#include "formats/format.h"
#include "formats/names.h"

namespace halfulp {

/// Which neighbour of a number between two codes is taken; nu is its distance from the smaller magnitude, in steps.
/// Names with positive or negative act on the signed value, all others on the magnitude. A code is even when its
/// lowest bit is 0, also where a format has no mantissa bits.
enum class Rounding {
  TiesToEven,          // nearest; nu = 1/2 to the even code
  TiesToAway,          // nearest; nu = 1/2 to the larger magnitude
  TiesToZero,          // nearest; nu = 1/2 to the smaller magnitude
  TiesToOdd,           // nearest; nu = 1/2 to the odd code
  TiesTowardPositive,  // nearest; nu = 1/2 to the larger value: floor(x + 1/2), "half up"
  TiesTowardNegative,  // nearest; nu = 1/2 to the smaller value: ceil(x - 1/2), "half down"
  TowardZero,
  TowardPositive,
  TowardNegative,
  AwayFromZero,
  ToOdd,   // inexact results take the odd code
  ToEven,  // inexact results take the even code
  // With N random bits R in [0, 2^N), after IEEE P3109. Mean bias of nu: A -2^-(N+1), B and C 0 in the limit.
  StochasticA,      // up when floor(nu 2^N) + R >= 2^N
  StochasticB,      // up when floor(nu 2^(N+1)) + 2R + 1 >= 2^(N+1)
  StochasticC,      // up when round_ties_to_even(nu 2^N) + R >= 2^N
  StochasticEqual,  // inexact results go up when R >= 2^(N-1), whatever nu: CPFloat's RND_SE
};

constexpr bool is_stochastic(Rounding rounding) { return rounding >= Rounding::StochasticA; }

/// Whether a number and its negative may round to different magnitudes.
constexpr bool depends_on_sign(Rounding rounding) {
  return rounding == Rounding::TiesTowardPositive || rounding == Rounding::TiesTowardNegative ||
         rounding == Rounding::TowardPositive || rounding == Rounding::TowardNegative;
}

inline constexpr int kMaxRandomBits = 32;

/// What becomes of a rounded magnitude above the largest finite one.
enum class Overflow {
  Saturate,        // the largest finite number of that sign; so do infinities
  SaturateFinite,  // the same, but infinities go to infinity, else NaN, where the format has one
  ToInfinity,      // infinity, else NaN, else the largest finite number; toward_zero, and toward_positive and
                   // toward_negative on their far side, stay finite (IEEE 754-2019 section 7.4)
};

/// Which code a NaN becomes. A format without NaN gives its largest positive number.
enum class NanPolicy {
  Canonical,  // the quiet code: positive, highest mantissa bit
  KeepSign,   // the quiet code with the NaN's sign
  AllOnes,    // positive, all magnitude bits set
  Payload,    // the NaN's sign and its highest payload bits, made quiet
};

/// What becomes of zeros and of negative results that round to zero.
enum class ZeroPolicy { KeepSign, Positive };

/// What becomes of negative numbers where codes have no sign.
enum class NegativePolicy { ToNan, Absolute, ToZero };

/// The policies of a cast, each a choice of its own. A format without zero gives its smallest number for one.
struct Policies {
  Overflow overflow = Overflow::ToInfinity;
  NanPolicy nan = NanPolicy::Canonical;
  ZeroPolicy zero = ZeroPolicy::KeepSign;
  NegativePolicy negative = NegativePolicy::ToNan;

  bool operator==(const Policies&) const = default;
};

/// A named bundle of policies that reproduces one definition or implementation.
enum class Profile {
  Ocp,   // OFP8 rev 1.0 without saturation, MX v1.0 for the formats without NaN; canonical NaNs
  Cuda,  // CUDA 13 host headers and PTX cvt.satfinite
};

/// What the number that is cast was stored in; CUDA treats NaNs from float and from double differently.
enum class Source { Binary32, Binary64 };

Policies policies(Profile profile, Source source);

/// A whole cast but for the random bits themselves.
struct Projection {
  Rounding rounding = Rounding::TiesToEven;
  int random_bits = 0;  // N of the stochastic modes, 1 … kMaxRandomBits; otherwise unused
  Policies policies;
};

template <>
struct EnumNames<Rounding> {
  static constexpr std::string_view kind = "rounding";
  static constexpr NamedValue<Rounding> values[] = {{Rounding::TiesToEven, "ties_to_even"},
                                                    {Rounding::TiesToAway, "ties_to_away"},
                                                    {Rounding::TiesToZero, "ties_to_zero"},
                                                    {Rounding::TiesToOdd, "ties_to_odd"},
                                                    {Rounding::TiesTowardPositive, "ties_toward_positive"},
                                                    {Rounding::TiesTowardNegative, "ties_toward_negative"},
                                                    {Rounding::TowardZero, "toward_zero"},
                                                    {Rounding::TowardPositive, "toward_positive"},
                                                    {Rounding::TowardNegative, "toward_negative"},
                                                    {Rounding::AwayFromZero, "away_from_zero"},
                                                    {Rounding::ToOdd, "to_odd"},
                                                    {Rounding::ToEven, "to_even"},
                                                    {Rounding::StochasticA, "stochastic_a"},
                                                    {Rounding::StochasticB, "stochastic_b"},
                                                    {Rounding::StochasticC, "stochastic_c"},
                                                    {Rounding::StochasticEqual, "stochastic_equal"}};
};
template <>
struct EnumNames<Overflow> {
  static constexpr std::string_view kind = "overflow policy";
  static constexpr NamedValue<Overflow> values[] = {{Overflow::Saturate, "saturate"},
                                                    {Overflow::SaturateFinite, "saturate_finite"},
                                                    {Overflow::ToInfinity, "to_infinity"}};
};
template <>
struct EnumNames<NanPolicy> {
  static constexpr std::string_view kind = "NaN policy";
  static constexpr NamedValue<NanPolicy> values[] = {{NanPolicy::Canonical, "canonical"},
                                                     {NanPolicy::KeepSign, "keep_sign"},
                                                     {NanPolicy::AllOnes, "all_ones"},
                                                     {NanPolicy::Payload, "payload"}};
};
template <>
struct EnumNames<ZeroPolicy> {
  static constexpr std::string_view kind = "zero policy";
  static constexpr NamedValue<ZeroPolicy> values[] = {{ZeroPolicy::KeepSign, "keep_sign"},
                                                      {ZeroPolicy::Positive, "positive"}};
};
template <>
struct EnumNames<NegativePolicy> {
  static constexpr std::string_view kind = "policy for negative numbers";
  static constexpr NamedValue<NegativePolicy> values[] = {
      {NegativePolicy::ToNan, "to_nan"}, {NegativePolicy::Absolute, "absolute"}, {NegativePolicy::ToZero, "to_zero"}};
};
template <>
struct EnumNames<Profile> {
  static constexpr std::string_view kind = "profile";
  static constexpr NamedValue<Profile> values[] = {{Profile::Ocp, "ocp"}, {Profile::Cuda, "cuda"}};
};
template <>
struct EnumNames<Source> {
  static constexpr std::string_view kind = "source";
  static constexpr NamedValue<Source> values[] = {{Source::Binary32, "f32"}, {Source::Binary64, "f64"}};
};

}  // namespace halfulp
