// The exact products, quotients and sums behind block formats against GMP.
#include "formats/exact.h"

#include <gmpxx.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace halfulp {
namespace {

using Rational = mpq_class;

Rational scaled(const Rational& x, int power) {
  Rational result = x;
  if (power >= 0) mpq_mul_2exp(result.get_mpq_t(), x.get_mpq_t(), mp_bitcnt_t(power));
  if (power < 0) mpq_div_2exp(result.get_mpq_t(), x.get_mpq_t(), mp_bitcnt_t(-power));
  return result;
}

/// A whole number of at most `bits` bits, often with few ones, times a power of two.
double number(std::mt19937_64& generator, int bits) {
  uint64_t whole = generator() >> (64 - bits);
  if (generator() % 2) whole = (uint64_t{1} << generator() % uint64_t(bits)) + generator() % 3;
  whole = std::min(std::max(whole, uint64_t{1}), (uint64_t{1} << bits) - 1);
  return std::ldexp(double(whole), int(generator() % 200) - 120);
}

TEST(Product, quotient_is_64_bits_and_what_lies_below) {
  std::mt19937_64 generator(1);
  for (int i = 0; i < 200000; ++i) {
    const double a = number(generator, 24), b = number(generator, 53), c = number(generator, 40);
    const double d = number(generator, 24), e = number(generator, 40);
    const Real got = Product::quotient(Product(a) * b * c, Product(d) * e, i % 2);
    const Rational want = Rational(a) * Rational(b) * Rational(c) / (Rational(d) * Rational(e));
    const Rational steps = scaled(want, 63 - got.exponent);  // of the last bit
    const mpz_class whole(steps.get_num() / steps.get_den());
    ASSERT_EQ(got.kind, Real::Kind::Finite);
    ASSERT_EQ(got.negative, i % 2 == 1);
    ASSERT_GE(got.significand, uint64_t{1} << 63);
    ASSERT_TRUE(mpz_class(static_cast<unsigned long>(got.significand)) == whole) << i;
    ASSERT_EQ(got.sticky, steps != whole) << i;
  }
  EXPECT_EQ(Product::quotient(Product(0), Product(3), false).kind, Real::Kind::Zero);
}

TEST(Product, quotient_of_65_bits_keeps_the_last_one_as_sticky) {
  // (2^32 + 1)^2 / 1 = 2^64 + 2^33 + 1
  const double factor = 0x1p32 + 1;
  const Real got = Product::quotient(Product(factor) * factor, Product(1), false);
  EXPECT_EQ(got.exponent, 64);
  EXPECT_EQ(got.significand, (uint64_t{1} << 63) + (uint64_t{1} << 32));
  EXPECT_TRUE(got.sticky);
}

TEST(Difference, is_exact_and_ordered_by_magnitude) {
  std::mt19937_64 generator(2);
  Difference last(1, 0);
  Rational last_exact = 1;
  for (int i = 0; i < 100000; ++i) {
    const double a = number(generator, 53), b = i % 3 == 0 ? std::nextafter(a, 0.0) : number(generator, 53);
    const Difference got(a, i % 2 ? b : -b);
    const Rational exact = Rational(a) - Rational(i % 2 ? b : -b);
    ASSERT_TRUE(Rational(got.high) + Rational(got.low) == exact);
    ASSERT_EQ(got.is_smaller_than(last), abs(exact) < abs(last_exact));
    last = got;
    last_exact = exact;
  }
}

TEST(ExactSum, is_ordered_as_sums_of_rationals_are) {
  std::mt19937_64 generator(3);
  for (int i = 0; i < 3000; ++i) {
    ExactSum sums[2];
    Rational exact[2];
    std::vector<Difference> terms;
    for (int n = 0; n < 20; ++n) terms.emplace_back(number(generator, 53), number(generator, 53));
    for (int s = 0; s < 2; ++s) {
      for (const Difference& d : terms) {
        sums[s].add_square(d);
        const Rational x = Rational(d.high) + Rational(d.low);
        exact[s] += x * x;
      }
      std::reverse(terms.begin(), terms.end());  // equal sums, but for what follows
    }
    const double least = std::ldexp(i % 3 - 1, -400);
    sums[1].add(least);
    exact[1] += Rational(least);
    ASSERT_EQ(sums[0] < sums[1], exact[0] < exact[1]) << i;
    ASSERT_EQ(sums[1] < sums[0], exact[1] < exact[0]) << i;
    sums[0].add_product(-3, std::ldexp(1.0, int(generator() % 100)));
    ASSERT_TRUE(sums[0] < sums[1]);
  }
}

}  // namespace
}  // namespace halfulp
