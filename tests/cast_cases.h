// What casts are tried on: the projections, and the numbers where a cast changes its mind.
#pragma once

#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "formats/format.h"
#include "formats/philox.h"
#include "formats/profile.h"
#include "formats/rounding.h"
#include "tests/oracle.h"

namespace halfulp {

/// The catalogue's floats and integers of at most `bits` bits: what tests/oracle.h knows.
inline std::vector<Format> formats_up_to(int bits) {
  std::vector<Format> result;
  for (const Format& format : formats())
    if (format.bits() <= bits && format.family == Family::Float) result.push_back(format);
  return result;
}

/// These, and formats that no catalogue row is like: other widths and biases, unsigned ones with infinity or without
/// NaN, a lone exponent or mantissa bit, fixed point, IEEE P3109's, and ones whose exponent field 0 reads as zero.
inline std::vector<Format> test_formats(int bits) {
  std::vector<Format> result = formats_up_to(bits);
  for (const char* text : {"e5m3",  "e4m4",        "e2m5fn",    "e3m3fnuz",    "e1m3",        "e1m1fn",     "e2m1ieee",
                           "e5m0",  "e6m0fn",      "e4m3b0fn",  "e4m3b20",     "e8m1",        "e6m9",       "e8m3fnuz",
                           "ue6m2", "ue4m4",       "ue5m2ieee", "ue2m1finite", "ue1m3",       "ue7m3",      "u2f6",
                           "s4f2",  "e4m3fnflush", "e8m7flush", "uint1",       "binary5p1se", "binary5p1ue"})
    if (const Format format = parse_format(text); format.bits() <= bits) result.push_back(format);
  return result;
}

/// Every rounding with the given policies; the stochastic ones with each number of random bits.
template <size_t n>
std::vector<Projection> projections(const int (&random_bits)[n], const Policies& policies) {
  std::vector<Projection> result;
  for (const auto& [rounding, _] : EnumNames<Rounding>::values) {
    if (!is_stochastic(rounding)) result.push_back({rounding, 0, policies});
    if (is_stochastic(rounding))
      for (const int bits : random_bits) result.push_back({rounding, bits, policies});
  }
  return result;
}

/// Every combination of policies that can matter to a format, but for NaN's: those take turns, each with every
/// overflow policy.
inline std::vector<Policies> policies_for(const Format& format) {
  const auto keep = [](auto policy, auto first, bool matters) { return matters || policy == first; };
  const bool is_integer = format.exponent_bits == 0 && format.encoding != Encoding::SignMagnitude;
  const bool may_lack_infinity = format.has_nan() && !format.has_infinity;
  constexpr size_t kNans = std::size(EnumNames<NanPolicy>::values);
  std::vector<Policies> result;
  size_t turn = 0;
  const auto add = [&](Policies policies) {
    policies.nan = EnumNames<NanPolicy>::values[turn++ % kNans].value;
    result.push_back(policies);
  };
  for (const auto& [overflow, o] : EnumNames<Overflow>::values) {
    if (overflow == Overflow::Wrap && !is_integer) continue;
    for (const auto& [zero, z] : EnumNames<ZeroPolicy>::values)
      for (const auto& [negative, g] : EnumNames<NegativePolicy>::values)
        for (const auto& [infinity, i] : EnumNames<MissingInfinity>::values)
          for (const auto& [missing_zero, m] : EnumNames<MissingZero>::values)
            for (const auto& [test, t] : EnumNames<OverflowTest>::values)
              if (keep(negative, NegativePolicy::ToNan, !format.is_signed()) &&
                  keep(zero, ZeroPolicy::KeepSign, format.is_signed()) &&
                  keep(infinity, MissingInfinity::Nan, may_lack_infinity && overflow != Overflow::Saturate) &&
                  keep(missing_zero, MissingZero::Smallest, !format.has_zero) &&
                  keep(test, OverflowTest::AfterRounding, overflow == Overflow::ToInfinity))
                add({overflow, NanPolicy::Canonical, zero, negative, infinity, missing_zero, test});
    for (size_t i = 0; i < kNans; ++i) add({.overflow = overflow});
  }
  return result;
}

/// Random bits worth trying where a projection asks for them: the extremes, the middle and one pattern.
inline std::vector<uint32_t> random_choices(const Projection& projection) {
  if (!is_stochastic(projection.rounding)) return {0};
  const uint32_t last = ~uint32_t{0} >> (32 - projection.random_bits);
  return {0, last / 2, last / 2 + 1, last & 0x5a6b79c3, last};
}

/// x with its neighbours among the numbers of type Real.
template <class Real>
void push_neighbourhood(std::vector<Real>& list, Real x) {
  constexpr Real infinity = std::numeric_limits<Real>::infinity();
  for (const Real y : {x, std::nextafter(x, infinity), std::nextafter(x, -infinity)}) list.push_back(y);
}

/// Numbers no format is indifferent to: zeros, subnormal and huge ones, infinities, NaNs with signs and payloads.
inline std::vector<float> special_floats() {
  std::vector<float> result;
  for (const uint32_t magnitude :
       {0u,          1u,          2u,          0x00400000u, 0x00400001u, 0x007fffffu, 0x00800000u,
        0x00800001u, 0x3f800000u, 0x3fc00000u, 0x7effffffu, 0x7f000000u, 0x7f000001u, 0x7f3fffffu,
        0x7f400000u, 0x7f7fffffu, 0x7f800000u, 0x7f800001u, 0x7faaaaaau, 0x7fbfffffu, 0x7fc00000u,
        0x7fc00001u, 0x7fd55555u, 0x7fe00000u, 0x7fffffffu})
    for (const uint32_t sign : {0u, 0x80000000u}) result.push_back(std::bit_cast<float>(magnitude | sign));
  return result;
}

inline std::vector<double> special_doubles() {
  std::vector<double> result;
  for (const float x : special_floats()) result.push_back(x);
  for (const uint64_t magnitude :
       {1ull, 0x000fffffffffffffull, 0x0010000000000000ull, 0x3ff0000000000001ull, 0x47efffffe0000001ull,
        0x47f0000000000000ull, 0x7fefffffffffffffull, 0x7ff0000000000001ull, 0x7ff4000000000001ull,
        0x7ff8000000000001ull, 0x7ffc000000000000ull, 0x7fffffffffffffffull})
    for (const uint64_t sign : {0ull, 0x8000000000000000ull}) result.push_back(std::bit_cast<double>(magnitude | sign));
  return result;
}

/// Calls visit(magnitude, sign) for the numbers of a format, the one that would follow the largest, and the `fractions`
/// of each gap. All are numbers of binary32 where the format leaves it one more bit than fractions need.
template <class Visit>
void visit_landmarks(const oracle::Oracle& oracle, int fractions, const Visit& visit) {
  for (const bool negative : {false, true}) {
    const std::vector<oracle::Rung>& ladder = oracle.ladder(negative);
    const double sign = negative ? -1 : 1;
    for (size_t i = 0; i + 1 < ladder.size(); ++i)
      for (int k = 0; k < fractions; ++k)
        visit(sign * double(ladder[i].magnitude + (ladder[i + 1].magnitude - ladder[i].magnitude) * k / fractions));
    visit(sign * double(ladder.back().magnitude));
    visit(sign * double(ladder.front().magnitude / 2));
  }
}

/// Every number and midpoint (for fractions 2; eighths for 8) of a format with its neighbours in double and in float.
inline std::vector<double> structured_doubles(const oracle::Oracle& oracle, int fractions = 2) {
  std::vector<double> result = special_doubles();
  visit_landmarks(oracle, fractions, [&](double x) {
    push_neighbourhood(result, x);
    result.push_back(std::nextafter(float(x), INFINITY));
    result.push_back(std::nextafter(float(x), -INFINITY));
  });
  return result;
}

inline std::vector<float> structured_floats(const oracle::Oracle& oracle, int fractions = 2) {
  std::vector<float> result = special_floats();
  visit_landmarks(oracle, fractions, [&](double x) { push_neighbourhood(result, float(x)); });
  return result;
}

/// Numbers where policies decide: the specials, zeros and what rounds to them, and all about the largest number.
inline std::vector<double> edge_doubles(const oracle::Oracle& oracle) {
  std::vector<double> result = special_doubles();
  for (const bool negative : {false, true}) {
    const std::vector<oracle::Rung>& ladder = oracle.ladder(negative);
    const double sign = negative ? -1 : 1;
    const double last = double((ladder.end() - 2)->magnitude), next = double(ladder.back().magnitude);
    for (const double x : {double(ladder.front().magnitude), double(ladder[1].magnitude) / 2,
                           double(ladder[1].magnitude), last, (last + next) / 2, next, next * 4})
      push_neighbourhood(result, sign * x);
  }
  return result;
}

/// `count` floats of uniformly random bits.
inline std::vector<float> random_floats(size_t count, uint64_t seed) {
  std::vector<float> result(count);
  for (size_t i = 0; i < count; ++i)
    result[i] = std::bit_cast<float>(random_word({.seed = seed, .stream = Stream::Data}, uint32_t(i)));
  return result;
}

/// Reports casts that went wrong, and gives up after a handful.
class Mismatches {
 public:
  explicit Mismatches(const oracle::Oracle& oracle) : oracle_(oracle) {}

  void expect_equal(uint32_t got, uint32_t want, const Projection& projection, double x, uint32_t random = 0) {
    if (got != want) [[unlikely]]
      report(describe(oracle_, projection, x, random, got, want));
  }

  void report(const std::string& text) {
    ADD_FAILURE() << text;
    if (++count_ == 5) throw std::runtime_error("five mismatches are enough");
  }

 private:
  const oracle::Oracle& oracle_;
  int count_ = 0;
};

}  // namespace halfulp
