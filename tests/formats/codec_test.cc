#include "formats/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cfenv>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "formats/format.h"
#include "formats/rounding.h"
#include "tests/cast_cases.h"
#include "tests/oracle.h"

namespace halfulp {
namespace {

using oracle::Oracle;
using oracle::Place;

void expect_as_oracle(const Oracle& oracle, const std::vector<double>& inputs, const std::vector<Projection>& all) {
  Mismatches mismatches(oracle);
  const Format& format = oracle.format();
  for (const double x : inputs) {
    const Place place = oracle.place(x);
    const Real real = Real::of(x);
    for (const Projection& projection : all)
      for (const uint32_t random : random_choices(projection))
        mismatches.expect_equal(encode(format, projection, real, random), oracle.encode(projection, place, random),
                                projection, x, random);
  }
}

TEST(Encode, rounds_every_number_and_midpoint_and_their_neighbours_as_the_oracle) {
  for (const Format& format : test_formats(16)) {
    const Oracle oracle(format);
    const bool is_small = format.bits() <= 8;
    const std::vector<Projection> all = is_small ? projections({1, 2, 8, 16, 32}, {}) : projections({1, 13}, {});
    expect_as_oracle(oracle, structured_doubles(oracle), all);
  }
}

TEST(Encode, rounds_tf32_as_the_oracle) {
  const Oracle oracle(parse_format("tf32"));
  expect_as_oracle(oracle, structured_doubles(oracle), projections({11}, {}));
}

TEST(Encode, rounds_eighths_of_every_gap_as_the_oracle) {
  for (const Format& format : test_formats(8)) {
    const Oracle oracle(format);
    expect_as_oracle(oracle, structured_doubles(oracle, 8), projections({1, 2, 3, 4, 24, 31}, {}));
  }
}

TEST(Encode, follows_every_combination_of_policies) {
  for (const Format& format : test_formats(19)) {
    const Oracle oracle(format);
    for (const Policies& policies : policies_for(format))
      expect_as_oracle(oracle, edge_doubles(oracle), projections({1, 16, 32}, policies));
  }
}

// Random bits are tried exhaustively, so that every threshold of the definitions is crossed.
TEST(Encode, rounds_stochastically_up_for_exactly_the_defined_random_bits) {
  for (const char* text : {"e2m1", "e4m3fn", "e5m2", "e8m0", "int4"}) {
    const Oracle oracle(parse_format(text));
    Mismatches mismatches(oracle);
    for (const Rounding rounding : {Rounding::StochasticA, Rounding::StochasticB, Rounding::StochasticC})
      for (int bits = 1; bits <= 6; ++bits) {
        const Projection projection{rounding, bits, {}};
        visit_landmarks(oracle, 32, [&](double x) {
          for (const double y : {std::nextafter(x, 0.0), x, std::nextafter(x, 2 * x)})
            for (uint32_t random = 0; random < 1u << bits; ++random)
              mismatches.expect_equal(encode(oracle.format(), projection, Real::of(y), random),
                                      oracle.encode(projection, y, random), projection, y, random);
        });
      }
  }
}

// The closed forms of spec: of 2^N equally likely values of R, how many round nu = k/16 up.
TEST(Encode, rounds_up_as_often_as_the_closed_forms_say) {
  const Format format = parse_format("e2m1");
  for (int bits = 1; bits <= 8; ++bits)
    for (int k = 0; k < 16; ++k) {
      const double nu = k / 16.0, scaled = std::ldexp(nu, bits);
      const auto count = [&](Rounding rounding) {
        uint32_t ups = 0;
        for (uint32_t random = 0; random < 1u << bits; ++random)
          ups += encode(format, {rounding, bits, {}}, Real::of(4 + 2 * nu), random) - 0x6;
        return ups;
      };
      EXPECT_EQ(count(Rounding::StochasticA), std::floor(scaled)) << bits << " " << nu;
      EXPECT_EQ(count(Rounding::StochasticB), std::floor(scaled + 0.5)) << bits << " " << nu;
      EXPECT_EQ(count(Rounding::StochasticC), std::nearbyint(scaled)) << bits << " " << nu;
    }
}

TEST(Encode, rounds_quotients_once) {
  const std::vector<float> random = random_floats(600, 2);
  for (const Format& format : test_formats(8)) {
    const Oracle oracle(format);
    Mismatches mismatches(oracle);
    const std::vector<Projection> all = projections({1, 8, 32}, {});
    const auto check = [&](double x, double y) {
      const Place place = oracle.place(x, y);
      for (const Projection& projection : all)
        for (const uint32_t r : random_choices(projection)) {
          const uint32_t got = encode(format, projection, Real::quotient(x, y), r);
          const uint32_t want = oracle.encode(projection, place, r);
          if (got != want)
            mismatches.report(fmt::format("{:a} / {:a}: {}", x, y, describe(oracle, projection, x / y, r, got, want)));
        }
    };
    // divisors that put quotients on, just below and just above a landmark
    visit_landmarks(oracle, 2, [&](double landmark) {
      for (const float divisor : {1.0f, 3.0f, -7.0f, 0x1.fffffep+0f, 0x1.000002p-100f, 0x1.234566p+90f}) {
        const float numerator = float(landmark * divisor);
        if (numerator == 0 || !std::isfinite(numerator)) continue;
        for (const float x : {numerator, std::nextafter(numerator, 0.0f), std::nextafter(numerator, 2 * numerator)})
          if (x != 0 && std::isfinite(x)) check(x, divisor);
      }
    });
    for (size_t i = 0; i + 1 < random.size(); ++i)
      if (std::isnormal(random[i]) && std::isnormal(random[i + 1])) check(random[i], random[i + 1]);
  }
}

TEST(Encode, treats_special_quotients_as_ieee_division_does) {
  const double values[] = {0.0, -0.0, 1.0, -1.0, INFINITY, -INFINITY, NAN};
  for (const Format& format : formats_up_to(19))
    for (const double x : values)
      for (const double y : values)
        EXPECT_EQ(encode(format, {}, Real::quotient(x, y)), encode(format, {}, Real::of(x / y))) << x << " / " << y;
}

TEST(Encode, scales_by_powers_of_two_exactly) {
  const Format format = parse_format("e4m3fn");
  const Oracle oracle(format);
  Mismatches mismatches(oracle);
  for (const double x : structured_doubles(oracle))
    for (const int power : {-2000, -300, -1, 0, 1, 300, 2000}) {
      const Real away = Real::of(x).scaled(power);
      mismatches.expect_equal(encode(format, {}, away.scaled(-power)), encode(format, {}, Real::of(x)), {}, x);
      if (std::abs(power) == 1)
        mismatches.expect_equal(encode(format, {}, away), oracle.encode({}, std::ldexp(x, power)), {},
                                std::ldexp(x, power));
    }
}

TEST(Encode, leaves_binary32_numbers_of_binary32_alone) {
  const Format format = parse_format("binary32");
  for (const Projection& projection : projections({1, 32}, {}))
    for (const float x : random_floats(1 << 16, 3)) {
      if (std::isnan(x)) continue;
      ASSERT_EQ(encode(format, projection, Real::of(x)), std::bit_cast<uint32_t>(x)) << x;
    }
}

// The processor converts double to float in the rounding mode in force.
TEST(Encode, rounds_doubles_to_binary32_as_the_processor_does) {
  const Format format = parse_format("binary32");
  std::vector<double> inputs = special_doubles();
  for (const float x : random_floats(1 << 16, 4)) {
    if (!std::isfinite(x)) continue;
    const double next = std::nextafter(x, INFINITY);
    for (const double y : {double(x), (x + next) / 2, next}) push_neighbourhood(inputs, y);
  }
  for (const auto& [rounding, mode] : {std::pair{Rounding::TiesToEven, FE_TONEAREST},
                                       {Rounding::TowardZero, FE_TOWARDZERO},
                                       {Rounding::TowardPositive, FE_UPWARD},
                                       {Rounding::TowardNegative, FE_DOWNWARD}}) {
    std::vector<float> want(inputs.size());
    std::fesetround(mode);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const volatile double x = inputs[i];
      const volatile float y = float(x);
      want[i] = y;
    }
    std::fesetround(FE_TONEAREST);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Projection projection{.rounding = rounding, .policies = {.nan = NanPolicy::Payload}};
      ASSERT_EQ(encode(format, projection, Real::of(inputs[i])), std::bit_cast<uint32_t>(want[i]))
          << name(rounding) << fmt::format(" {:a}", inputs[i]);
    }
  }
}

// Inputs that truncation to binary16 first would send elsewhere.
TEST(Encode, rounds_once_where_two_roundings_would_differ) {
  const Format e4m3fn = parse_format("e4m3fn");
  const Format binary16 = parse_format("binary16");
  struct Hazard {
    float x;
    double once, twice;
  };
  for (const Hazard& hazard :
       {Hazard{1.0625001f, 1.125, 1.0}, {400.199585f, 416, 384}, {272.156555f, 288, 256}, {136.002075f, 144, 128}}) {
    EXPECT_EQ(decode(e4m3fn, encode(e4m3fn, {}, Real::of(hazard.x))), hazard.once) << hazard.x;
    const double half = decode(binary16, encode(binary16, {Rounding::TowardZero, 0, {}}, Real::of(hazard.x)));
    EXPECT_EQ(decode(e4m3fn, encode(e4m3fn, {}, Real::of(half))), hazard.twice) << hazard.x;
  }
  EXPECT_EQ(encode(e4m3fn, {}, Real::of(0x1.0ffffep+0)), 0x38);
}

// A second rounding does no harm after one to odd with two bits more.
TEST(Encode, rounds_to_odd_safely_before_another_rounding) {
  const Format narrow = parse_format("e4m3fn");
  const Format wide = parse_format("e8m5");
  const Oracle oracle(narrow);
  Mismatches mismatches(oracle);
  const Projection to_odd{Rounding::ToOdd, 0, {}};
  for (const Projection& projection : projections({1}, {}))
    if (!is_stochastic(projection.rounding) && projection.rounding != Rounding::ToOdd)
      for (const double x : structured_doubles(oracle)) {
        if (!std::isfinite(x)) continue;
        const double between = decode(wide, encode(wide, to_odd, Real::of(x)));
        if (std::isfinite(between) && std::fabs(x) > 0x1p-100)
          mismatches.expect_equal(encode(narrow, projection, Real::of(between)), oracle.encode(projection, x),
                                  projection, x);
      }
}

}  // namespace
}  // namespace halfulp
