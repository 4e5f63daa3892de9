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

uint32_t encode_as(Profile profile, Source source, const char* format, double x) {
  return encode(parse_format(format), {.policies = policies(profile, source)}, Real::of(x));
}

TEST(Profile, ocp_overflows_to_nan_and_makes_nans_canonical) {
  for (const Source source : {Source::Binary32, Source::Binary64}) {
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e4m3fn", 464), 0x7e);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e4m3fn", 465), 0x7f);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e4m3fn", -465), 0xff);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e4m3fn", INFINITY), 0x7f);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e4m3fn", NAN), 0x7f);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e4m3fn", std::copysign(NAN, -1)), 0x7f);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e4m3fn", -0.0), 0x80);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e4m3fn", 0x1.0ffffep+0), 0x38);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e5m2", 61439), 0x7b);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e5m2", 61440), 0x7c);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e5m2", NAN), 0x7e);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e2m1", 1e30), 0x7);
    EXPECT_EQ(encode_as(Profile::Ocp, source, "e3m2", -INFINITY), 0x3f);
  }
}

TEST(Profile, cuda_saturates_and_keeps_double_nans) {
  EXPECT_EQ(encode_as(Profile::Cuda, Source::Binary32, "e4m3fn", 465), 0x7e);
  EXPECT_EQ(encode_as(Profile::Cuda, Source::Binary32, "e4m3fn", -INFINITY), 0xfe);
  const double minus_nan = std::copysign(NAN, -1);
  EXPECT_EQ(encode_as(Profile::Cuda, Source::Binary32, "e4m3fn", minus_nan), 0x7f);
  EXPECT_EQ(encode_as(Profile::Cuda, Source::Binary64, "e4m3fn", minus_nan), 0xff);
  EXPECT_EQ(encode_as(Profile::Cuda, Source::Binary32, "e5m2", minus_nan), 0x7f);
  EXPECT_EQ(encode_as(Profile::Cuda, Source::Binary64, "e5m2", minus_nan), 0xfe);
  EXPECT_EQ(encode_as(Profile::Cuda, Source::Binary64, "e5m2", std::bit_cast<double>(0x7fffffffffffffff)), 0x7f);
  EXPECT_EQ(encode_as(Profile::Cuda, Source::Binary32, "e2m1", minus_nan), 0x7);
  EXPECT_EQ(encode_as(Profile::Cuda, Source::Binary32, "e8m0", -1.5), 0x80);
  EXPECT_EQ(encode_as(Profile::Cuda, Source::Binary32, "e8m0", 0), 0x00);
}

/// One input and what the host functions of CUDA 13.0.88's headers make of it: nearest even, saturating or not, and
/// toward zero; for e8m0 toward zero and up, saturating or not.
struct CudaRow {
  float x;
  uint32_t e4m3_sat, e4m3_nosat, e5m2_sat, e5m2_nosat, e3m2_rn, e3m2_rz, e2m3_rn, e2m3_rz, e2m1_rn, e2m1_rz;
  uint32_t e8m0_rz_sat, e8m0_rz_nosat, e8m0_rp_sat, e8m0_rp_nosat;
};

const CudaRow kCudaRows[] = {
    {0.0f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x00, 0x00, 0x00, 0x00},
    {-0.0f, 0x80, 0x80, 0x80, 0x80, 0x20, 0x20, 0x20, 0x20, 0x8, 0x8, 0x00, 0x00, 0x00, 0x00},
    {1.0f, 0x38, 0x38, 0x3c, 0x3c, 0x0c, 0x0c, 0x08, 0x08, 0x2, 0x2, 0x7f, 0x7f, 0x7f, 0x7f},
    {0.25f, 0x28, 0x28, 0x34, 0x34, 0x04, 0x04, 0x02, 0x02, 0x0, 0x0, 0x7d, 0x7d, 0x7d, 0x7d},
    {0.25000009f, 0x28, 0x28, 0x34, 0x34, 0x04, 0x04, 0x02, 0x02, 0x1, 0x0, 0x7d, 0x7d, 0x7e, 0x7e},
    {0.75f, 0x34, 0x34, 0x3a, 0x3a, 0x0a, 0x0a, 0x06, 0x06, 0x2, 0x1, 0x7e, 0x7e, 0x7f, 0x7f},
    {1.25f, 0x3a, 0x3a, 0x3d, 0x3d, 0x0d, 0x0d, 0x0a, 0x0a, 0x2, 0x2, 0x7f, 0x7f, 0x80, 0x80},
    {1.75f, 0x3e, 0x3e, 0x3f, 0x3f, 0x0f, 0x0f, 0x0e, 0x0e, 0x4, 0x3, 0x7f, 0x7f, 0x80, 0x80},
    {2.5f, 0x42, 0x42, 0x41, 0x41, 0x11, 0x11, 0x12, 0x12, 0x4, 0x4, 0x80, 0x80, 0x81, 0x81},
    {3.5f, 0x46, 0x46, 0x43, 0x43, 0x13, 0x13, 0x16, 0x16, 0x6, 0x5, 0x80, 0x80, 0x81, 0x81},
    {5.0f, 0x4a, 0x4a, 0x45, 0x45, 0x15, 0x15, 0x1a, 0x1a, 0x6, 0x6, 0x81, 0x81, 0x82, 0x82},
    {6.0f, 0x4c, 0x4c, 0x46, 0x46, 0x16, 0x16, 0x1c, 0x1c, 0x7, 0x7, 0x81, 0x81, 0x82, 0x82},
    {7.0f, 0x4e, 0x4e, 0x47, 0x47, 0x17, 0x17, 0x1e, 0x1e, 0x7, 0x7, 0x81, 0x81, 0x82, 0x82},
    {7.75f, 0x50, 0x50, 0x48, 0x48, 0x18, 0x17, 0x1f, 0x1f, 0x7, 0x7, 0x81, 0x81, 0x82, 0x82},
    {448.0f, 0x7e, 0x7e, 0x5f, 0x5f, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x87, 0x87, 0x88, 0x88},
    {464.0f, 0x7e, 0x7e, 0x5f, 0x5f, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x87, 0x87, 0x88, 0x88},
    {464.1f, 0x7e, 0x7f, 0x5f, 0x5f, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x87, 0x87, 0x88, 0x88},
    {480.0f, 0x7e, 0x7f, 0x60, 0x60, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x87, 0x87, 0x88, 0x88},
    {1e30f, 0x7e, 0x7f, 0x7b, 0x7c, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0xe2, 0xe2, 0xe3, 0xe3},
    {61439.0f, 0x7e, 0x7f, 0x7b, 0x7b, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x8e, 0x8e, 0x8f, 0x8f},
    {61440.0f, 0x7e, 0x7f, 0x7b, 0x7c, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0x8e, 0x8e, 0x8f, 0x8f},
    {INFINITY, 0x7e, 0x7f, 0x7b, 0x7c, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0xfe, 0xff, 0xfe, 0xff},
    {-INFINITY, 0xfe, 0xff, 0xfb, 0xfc, 0x3f, 0x3f, 0x3f, 0x3f, 0xf, 0xf, 0xfe, 0xff, 0xfe, 0xff},
    {0x1p-10f, 0x00, 0x00, 0x14, 0x14, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x75, 0x75, 0x75, 0x75},
    {0x1.000002p-10f, 0x01, 0x01, 0x14, 0x14, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x75, 0x75, 0x76, 0x76},
    {-1e-20f, 0x80, 0x80, 0x80, 0x80, 0x20, 0x20, 0x20, 0x20, 0x8, 0x8, 0x3c, 0x3c, 0x3d, 0x3d},
    {NAN, 0x7f, 0x7f, 0x7f, 0x7f, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0xff, 0xff, 0xff, 0xff},
    {0x1p-127f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x00, 0x00, 0x00, 0x00},
    {0x1.000004p-127f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x00, 0x00, 0x01, 0x01},
    {0x1.000002p-126f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0, 0x0, 0x01, 0x01, 0x02, 0x02},
    {0x1.000002p+127f, 0x7e, 0x7f, 0x7b, 0x7c, 0x1f, 0x1f, 0x1f, 0x1f, 0x7, 0x7, 0xfe, 0xfe, 0xfe, 0xff},
    {-1.5f, 0xbc, 0xbc, 0xbe, 0xbe, 0x2e, 0x2e, 0x2c, 0x2c, 0xb, 0xb, 0x7f, 0x7f, 0x80, 0x80},
};

TEST(Profile, cuda_gives_the_table_of_the_host_headers_from_float_and_double) {
  for (const CudaRow& row : kCudaRows)
    for (const Source source : {Source::Binary32, Source::Binary64}) {
      const bool is_double_nan = std::isnan(row.x) && source == Source::Binary64;
      const auto expect = [&](const char* format, Rounding rounding, bool saturates, uint32_t want) {
        Policies chosen = policies(Profile::Cuda, source);
        if (!saturates) chosen.overflow = Overflow::ToInfinity;
        const uint32_t got = encode(parse_format(format), {.rounding = rounding, .policies = chosen}, Real::of(row.x));
        EXPECT_EQ(got, want) << fmt::format("{} {} of {:a} saturating {}: got {:#x}, want {:#x}", format,
                                            name(rounding), row.x, saturates, got, want);
      };
      using enum Rounding;
      expect("e4m3fn", TiesToEven, true, row.e4m3_sat);
      expect("e4m3fn", TiesToEven, false, row.e4m3_nosat);
      expect("e5m2", TiesToEven, true, is_double_nan ? 0x7e : row.e5m2_sat);
      expect("e5m2", TiesToEven, false, is_double_nan ? 0x7e : row.e5m2_nosat);
      expect("e3m2", TiesToEven, true, row.e3m2_rn);
      expect("e3m2", TowardZero, true, row.e3m2_rz);
      expect("e2m3", TiesToEven, true, row.e2m3_rn);
      expect("e2m3", TowardZero, true, row.e2m3_rz);
      expect("e2m1", TiesToEven, true, row.e2m1_rn);
      expect("e2m1", TowardZero, true, row.e2m1_rz);
      expect("e8m0", TowardZero, true, row.e8m0_rz_sat);
      expect("e8m0", TowardZero, false, row.e8m0_rz_nosat);
      expect("e8m0", TowardPositive, true, row.e8m0_rp_sat);
      expect("e8m0", TowardPositive, false, row.e8m0_rp_nosat);
    }
}

TEST(Profile, cuda_keeps_the_sticky_bit_of_doubles) {
  const Projection up{.rounding = Rounding::TowardPositive, .policies = policies(Profile::Cuda, Source::Binary64)};
  EXPECT_EQ(encode(parse_format("e8m0"), up, Real::of(1 + 0x1p-52)), 0x80);
}

}  // namespace
}  // namespace halfulp
