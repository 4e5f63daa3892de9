#include "formats/real.h"

#include <gmp.h>
#include <gtest/gtest.h>
#include <mpfr.h>

#include <bit>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "formats/logarithm.h"
#include "formats/natural.h"
#include "tests/cast_cases.h"

namespace halfulp {
namespace {

constexpr RandomSite kSite{.seed = 21, .stream = Stream::Data};

uint64_t random_number(uint32_t i) { return uint64_t{random_word(kSite, 2 * i)} << 32 | random_word(kSite, 2 * i + 1); }

/// An MPFR number of some bits.
class Mpfr {
 public:
  explicit Mpfr(int bits) { mpfr_init2(value_, bits); }
  ~Mpfr() { mpfr_clear(value_); }
  Mpfr(const Mpfr&) = delete;
  Mpfr& operator=(const Mpfr&) = delete;

  operator mpfr_ptr() { return value_; }

 private:
  mpfr_t value_;
};

// With 60 bits below the significand, of which a sticky number has the last.
void set(mpfr_ptr y, const Real& x) {
  mpfr_set_ui(y, x.significand, MPFR_RNDN);
  mpfr_mul_2ui(y, y, 60, MPFR_RNDN);
  mpfr_add_ui(y, y, x.sticky, MPFR_RNDN);
  mpfr_mul_2si(y, y, x.exponent - 63 - 60, MPFR_RNDN);
  mpfr_setsign(y, y, x.negative, MPFR_RNDN);
}

void expect_nearest(const Real& x) {
  Mpfr exact(128);
  set(exact, x);
  const double got = x.nearest(), want = mpfr_get_d(exact, MPFR_RNDN);
  ASSERT_EQ(std::bit_cast<uint64_t>(got), std::bit_cast<uint64_t>(want))
      << fmt::format("{:x} {} {}: got {:a}, want {:a}", x.significand, x.sticky, x.exponent, got, want);
  const bool is_same = mpfr_cmp_d(exact, want) == 0;
  ASSERT_EQ(x.is_binary64(), is_same) << fmt::format("{:x} {} {}", x.significand, x.sticky, x.exponent);
}

TEST(Real, nearest_binary64_number_is_mpfrs) {
  constexpr uint64_t kTop = uint64_t{1} << 63;
  std::vector<uint64_t> significands = {kTop, kTop + 1, ~uint64_t{0}, ~uint64_t{0} << 11, ~uint64_t{0} << 10};
  for (int bit = 0; bit < 63; ++bit)
    for (const uint64_t more : {uint64_t{0}, uint64_t{1}, ~uint64_t{0} >> 1}) {
      significands.push_back(kTop | uint64_t{1} << bit);
      significands.push_back(kTop | ((uint64_t{3} << bit) + more));
      significands.push_back(kTop | ((uint64_t{1} << bit) - 1 + more));
    }
  for (uint32_t i = 0; i < 200; ++i) significands.push_back(kTop | random_number(i));
  for (const uint64_t significand : significands)
    for (const int exponent :
         {-20000, -1140, -1076, -1075, -1074, -1073, -1060, -1023, -1022, -1021, 0, 1022, 1023, 1024, 20000})
      for (const bool sticky : {false, true})
        for (const bool negative : {false, true})
          expect_nearest({Real::Kind::Finite, negative, sticky, exponent, significand});
}

TEST(Real, dyadic_numbers_are_what_they_say) {
  EXPECT_EQ(Real::dyadic(0, 5).kind, Real::Kind::Zero);
  for (const uint64_t whole : {1ull, 3ull, 12345ull, 1ull << 52, (1ull << 53) - 1})
    for (const int power : {-1074, -3, 0, 7, 900}) {
      EXPECT_EQ(Real::dyadic(whole, power).nearest(), std::ldexp(double(whole), power));
      EXPECT_EQ(Real::dyadic(whole, power).with_sign(true).nearest(), -std::ldexp(double(whole), power));
    }
}

// ---- natural numbers

Natural random_natural(uint32_t seed, int limbs) {
  Natural result;
  for (int i = 0; i < limbs; ++i) {
    const uint64_t limb = random_number(seed * 8 + uint32_t(i));
    const bool is_extreme = random_word(kSite, seed + 77) % 4 == 0;
    result = (result << 64) + Natural(is_extreme ? limb % 2 - 1 : limb);
  }
  return result;
}

class Gmp {
 public:
  explicit Gmp(const Natural& x) {
    mpz_init(value_);
    for (int shift = (x.bit_length() + 63) / 64 * 64 - 64; shift >= 0; shift -= 64) {
      mpz_mul_2exp(value_, value_, 64);
      mpz_add_ui(value_, value_, (x >> shift).low());
    }
  }
  ~Gmp() { mpz_clear(value_); }
  Gmp(const Gmp&) = delete;
  Gmp& operator=(const Gmp&) = delete;

  operator mpz_ptr() { return value_; }

 private:
  mpz_t value_;
};

TEST(Natural, arithmetic_is_gmps) {
  for (uint32_t i = 0; i < 4000; ++i) {
    const Natural a = random_natural(3 * i, int(i % 7)), b = random_natural(3 * i + 1, int(i / 7 % 5)) + 1;
    const int shift = int(random_word(kSite, i) % 200);
    Gmp x(a), y(b), want(Natural(0));
    const auto expect = [&](const Natural& got, const char* what) {
      Gmp result(got);
      ASSERT_EQ(mpz_cmp(result, want), 0) << what << " " << i;
    };
    mpz_add(want, x, y), expect(a + b, "+");
    mpz_mul(want, x, y), expect(a * b, "*");
    mpz_fdiv_q(want, x, y), expect(a / b, "/");
    mpz_mul_2exp(want, x, mp_bitcnt_t(shift)), expect(a << shift, "<<");
    mpz_fdiv_q_2exp(want, x, mp_bitcnt_t(shift)), expect(a >> shift, ">>");
    mpz_fdiv_q_ui(want, x, random_number(i) | 1), expect(a / (random_number(i) | 1), "/ word");
    ASSERT_EQ(a < b, mpz_cmp(x, y) < 0);
    if (a < b) continue;
    mpz_sub(want, x, y), expect(a - b, "-");
  }
}

// ---- logarithms and powers, with 400 bits of MPFR

Real random_real(uint32_t i) {
  const int exponent = int(random_word(kSite, 5000 + i) % 512) - 256;
  const uint64_t bits = random_number(9000 + i);
  const uint64_t significand = i % 3 == 0 ? bits : i % 3 == 1 ? bits >> 50 << 50 : bits >> 63 << 63 | (bits & 3);
  return {.kind = Real::Kind::Finite, .exponent = exponent, .significand = significand | uint64_t{1} << 63};
}

void expect_position(const Position& got, mpfr_ptr want, uint32_t i) {
  Mpfr floor(400), rest(400);
  mpfr_floor(floor, want);
  ASSERT_EQ(got.whole, mpfr_get_si(floor, MPFR_RNDN)) << i;
  mpfr_sub(rest, want, floor, MPFR_RNDN);
  mpfr_mul_2ui(rest, rest, 64, MPFR_RNDN);
  mpfr_floor(floor, rest);
  ASSERT_EQ(got.fraction, mpfr_get_ui(floor, MPFR_RNDN)) << i;
  ASSERT_EQ(got.sticky, mpfr_cmp(floor, rest) != 0) << i;
}

TEST(Logarithm, positions_are_mpfrs) {
  Mpfr x(400), y(400);
  for (uint32_t i = 0; i < 3000; ++i) {
    const Real real = random_real(i);
    const uint32_t multiplier = i % 2 == 0 ? uint32_t{1} << random_word(kSite, i) % 16 : 37;
    const uint32_t divisor = i % 2 == 0 ? 1 : 1 + random_word(kSite, i) % 255;
    set(x, real);
    mpfr_log2(y, x, MPFR_RNDN);
    mpfr_mul_ui(y, y, multiplier, MPFR_RNDN);
    mpfr_div_ui(y, y, divisor, MPFR_RNDN);
    // a power of two's position has a period, which 400 bits cut off
    expect_position(log2_position(real, multiplier, divisor), y, i);
    mpfr_log(y, x, MPFR_RNDN);
    mpfr_mul_2ui(y, y, 1, MPFR_RNDN);
    expect_position(twice_ln_position(real), y, i);
  }
  const Position one = twice_ln_position(Real::of(1));
  EXPECT_TRUE(one.whole == 0 && one.fraction == 0 && !one.sticky);
}

TEST(Logarithm, powers_of_two_have_exact_positions) {
  for (int exponent = -300; exponent <= 300; ++exponent) {
    const Position half = log2_position(Real::dyadic(1, exponent), 37, 74);
    EXPECT_EQ(2 * half.whole + (half.fraction >> 63), exponent);
    EXPECT_EQ(half.fraction << 1, 0u);
    EXPECT_FALSE(half.sticky);
    const Position third = log2_position(Real::dyadic(1, exponent), 1, 3);
    EXPECT_EQ(third.sticky, exponent % 3 != 0);
  }
}

// The closest that a 64-bit number comes to a power: what follows it and what precedes it lie on different sides.
TEST(Logarithm, numbers_beside_an_irrational_power_lie_on_their_side_of_it) {
  for (int64_t numerator = -64; numerator <= 64; ++numerator) {
    if (numerator % 8 == 0) continue;
    const Real below = power_of_two(numerator, 8);
    ASSERT_TRUE(below.sticky);
    Real exact = below;
    exact.sticky = false;
    EXPECT_EQ(log2_position(exact, 8, 1).whole, numerator - 1);
    ++exact.significand;
    EXPECT_EQ(log2_position(exact, 8, 1).whole, numerator);
  }
}

void expect_64_bits(const Real& got, mpfr_ptr want) {
  Mpfr down(64);
  const int inexact = mpfr_set(down, want, MPFR_RNDD);
  ASSERT_EQ(got.exponent, mpfr_get_exp(down) - 1);
  mpfr_mul_2si(down, down, 63 - got.exponent, MPFR_RNDN);
  ASSERT_EQ(got.significand, mpfr_get_ui(down, MPFR_RNDN));
  ASSERT_EQ(got.sticky, inexact != 0);
}

TEST(Logarithm, powers_are_mpfrs) {
  Mpfr y(400);
  for (uint32_t i = 0; i < 3000; ++i) {
    const uint32_t divisor = i % 2 == 0 ? uint32_t{1} << random_word(kSite, i) % 15 : 37;
    const int64_t numerator = int64_t(random_word(kSite, i + 7) % 20000) - 10000;
    mpfr_set_si(y, numerator, MPFR_RNDN);
    mpfr_div_ui(y, y, divisor, MPFR_RNDN);
    mpfr_exp2(y, y, MPFR_RNDN);
    expect_64_bits(power_of_two(numerator, divisor), y);

    const int fraction_bits = int(i % 28);
    const int64_t range = int64_t{255} << fraction_bits;
    const int64_t scaled = int64_t(random_number(i) % uint64_t(2 * range)) - range;
    mpfr_set_si(y, scaled, MPFR_RNDN);
    mpfr_div_2ui(y, y, unsigned(fraction_bits) + 1, MPFR_RNDN);
    mpfr_exp(y, y, MPFR_RNDN);
    expect_64_bits(power_of_sqrt_e(scaled, fraction_bits), y);
  }
}

TEST(Logarithm, places_between_powers_are_mpfrs) {
  Mpfr low(400), high(400), x(400), y(400);
  for (uint32_t i = 0; i < 2000; ++i) {
    const Real real = random_real(i);
    const uint32_t divisor = uint32_t{1} << i % 8;
    const int64_t index = log2_position(real, divisor, 1).whole;
    const bool from_zero = i % 5 == 0;
    set(x, real);
    const auto power = [&](mpfr_ptr z, int64_t numerator) {
      mpfr_set_si(z, numerator, MPFR_RNDN);
      mpfr_div_ui(z, z, divisor, MPFR_RNDN);
      mpfr_exp2(z, z, MPFR_RNDN);
    };
    power(low, index);
    power(high, index + 1);
    if (from_zero) mpfr_set_zero(low, 1);
    mpfr_sub(y, x, low, MPFR_RNDN);
    mpfr_sub(high, high, low, MPFR_RNDN);
    mpfr_div(y, y, high, MPFR_RNDN);
    expect_position(position_between_powers(real, from_zero, index, index + 1, divisor), y, i);
  }
}

}  // namespace
}  // namespace halfulp
