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
  SaturateFinite,  // the same, but infinities go to infinity
  ToInfinity,      // infinity; toward_zero, and toward_positive and toward_negative on their far side, stay at the
                   // largest number (IEEE 754-2019 section 7.4); to_odd and to_even take the odd and the even code of
                   // the largest number and the one that would follow (P3109)
  Wrap,            // integers: the low bits of the whole number in two's complement, 0 for infinities; else Saturate
};

/// Which number is compared with the largest.
enum class OverflowTest { AfterRounding, BeforeRounding };

/// What stands for infinity in a format that has none.
enum class MissingInfinity {
  Nan,      // a NaN with the number's sign where the format has one, else the largest number of that sign
  Largest,  // the largest number of that sign
};

/// What stands for zero in a format that has none.
enum class MissingZero {
  Smallest,  // the smallest number
  Nan,
  NanBelow,  // NaN, also for what lies below the smallest number
};

/// Which code a NaN becomes. The first five give the largest positive number in a format without NaN.
enum class NanPolicy {
  Canonical,        // the quiet code: positive, highest mantissa bit
  KeepSign,         // the quiet code with the NaN's sign
  AllOnes,          // positive, all magnitude bits set
  AllOnesKeepSign,  // all magnitude bits set, with the NaN's sign
  Payload,          // the NaN's sign and its highest payload bits, made quiet
  Largest,          // the largest positive number, also where the format has a NaN
  LargestKeepSign,  // the largest number of the NaN's sign
  Zero,             // positive zero
  SignedZero,       // zero magnitude, with the NaN's sign
  CrossedZero,      // zero magnitude, with the other sign
};

/// What becomes of zeros and of negative results that round to zero.
enum class ZeroPolicy { KeepSign, Positive };

/// What becomes of negative numbers where codes have no sign.
enum class NegativePolicy {
  ToNan,
  Absolute,
  ToZero,
  BelowRange,  // zero where it rounds to that; else an overflow at zero, the lower end of the range: saturated it is
               // zero, as it is under toward_zero and toward_positive, and otherwise NaN (P3109)
};

/// The policies of a cast, each a choice of its own.
struct Policies {
  Overflow overflow = Overflow::ToInfinity;
  NanPolicy nan = NanPolicy::Canonical;
  ZeroPolicy zero = ZeroPolicy::KeepSign;
  NegativePolicy negative = NegativePolicy::ToNan;
  MissingInfinity missing_infinity = MissingInfinity::Nan;
  MissingZero missing_zero = MissingZero::Smallest;
  OverflowTest overflow_test = OverflowTest::AfterRounding;

  bool operator==(const Policies&) const = default;
};

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
                                                    {Overflow::ToInfinity, "to_infinity"},
                                                    {Overflow::Wrap, "wrap"}};
};
template <>
struct EnumNames<OverflowTest> {
  static constexpr std::string_view kind = "overflow test";
  static constexpr NamedValue<OverflowTest> values[] = {{OverflowTest::AfterRounding, "after_rounding"},
                                                        {OverflowTest::BeforeRounding, "before_rounding"}};
};
template <>
struct EnumNames<MissingInfinity> {
  static constexpr std::string_view kind = "policy for a missing infinity";
  static constexpr NamedValue<MissingInfinity> values[] = {{MissingInfinity::Nan, "nan"},
                                                           {MissingInfinity::Largest, "largest"}};
};
template <>
struct EnumNames<MissingZero> {
  static constexpr std::string_view kind = "policy for a missing zero";
  static constexpr NamedValue<MissingZero> values[] = {
      {MissingZero::Smallest, "smallest"}, {MissingZero::Nan, "nan"}, {MissingZero::NanBelow, "nan_below"}};
};
template <>
struct EnumNames<NanPolicy> {
  static constexpr std::string_view kind = "NaN policy";
  static constexpr NamedValue<NanPolicy> values[] = {{NanPolicy::Canonical, "canonical"},
                                                     {NanPolicy::KeepSign, "keep_sign"},
                                                     {NanPolicy::AllOnes, "all_ones"},
                                                     {NanPolicy::AllOnesKeepSign, "all_ones_keep_sign"},
                                                     {NanPolicy::Payload, "payload"},
                                                     {NanPolicy::Largest, "largest"},
                                                     {NanPolicy::LargestKeepSign, "largest_keep_sign"},
                                                     {NanPolicy::Zero, "zero"},
                                                     {NanPolicy::SignedZero, "signed_zero"},
                                                     {NanPolicy::CrossedZero, "crossed_zero"}};
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
  static constexpr NamedValue<NegativePolicy> values[] = {{NegativePolicy::ToNan, "to_nan"},
                                                          {NegativePolicy::Absolute, "absolute"},
                                                          {NegativePolicy::ToZero, "to_zero"},
                                                          {NegativePolicy::BelowRange, "below_range"}};
};

}  // namespace halfulp
