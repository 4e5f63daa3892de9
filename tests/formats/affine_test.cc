// Integer quantisers against their formulas, once in rational arithmetic (GMP) and once written out in binary32 as the
// frameworks do.
#include "formats/affine.h"

#include <fmt/format.h>
#include <gmp.h>
#include <gtest/gtest.h>
#include <mpfr.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/oracle.h"

namespace halfulp {
namespace {

using Floats = std::vector<float>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kSmallest = std::numeric_limits<float>::denorm_min();

/// An exact fraction.
class Rational {
 public:
  Rational(double x = 0) {
    mpq_init(q_);
    mpq_set_d(q_, x);
  }
  Rational(const Rational& other) {
    mpq_init(q_);
    mpq_set(q_, other.q_);
  }
  Rational& operator=(const Rational& other) {
    mpq_set(q_, other.q_);
    return *this;
  }
  ~Rational() { mpq_clear(q_); }

  friend Rational operator+(const Rational& a, const Rational& b) { return apply(mpq_add, a, b); }
  friend Rational operator-(const Rational& a, const Rational& b) { return apply(mpq_sub, a, b); }
  friend Rational operator*(const Rational& a, const Rational& b) { return apply(mpq_mul, a, b); }
  friend Rational operator/(const Rational& a, const Rational& b) { return apply(mpq_div, a, b); }
  friend bool operator<(const Rational& a, const Rational& b) { return mpq_cmp(a.q_, b.q_) < 0; }
  friend bool operator==(const Rational& a, const Rational& b) { return mpq_equal(a.q_, b.q_) != 0; }

  int sign() const { return mpq_sgn(q_); }
  Rational abs() const { return sign() < 0 ? Rational(0) - *this : *this; }
  Rational floor() const {
    Rational result;
    mpz_fdiv_q(mpq_numref(result.q_), mpq_numref(q_), mpq_denref(q_));
    return result;
  }
  double to_double() const { return mpq_get_d(q_); }

  /// The nearest binary32 number, ties to even.
  float to_float() const {
    const mpfr_exp_t emin = mpfr_get_emin(), emax = mpfr_get_emax();
    mpfr_set_emin(-148);
    mpfr_set_emax(128);
    mpfr_t rounded;
    mpfr_init2(rounded, 24);
    const int ternary = mpfr_set_q(rounded, q_, MPFR_RNDN);
    mpfr_subnormalize(rounded, ternary, MPFR_RNDN);
    const float result = mpfr_get_flt(rounded, MPFR_RNDN);
    mpfr_clear(rounded);
    mpfr_set_emin(emin);
    mpfr_set_emax(emax);
    return result;
  }

 private:
  static Rational apply(void (*operation)(mpq_ptr, mpq_srcptr, mpq_srcptr), const Rational& a, const Rational& b) {
    Rational result;
    operation(result.q_, a.q_, b.q_);
    return result;
  }
  mpq_t q_;
};

Rational power_of_two(int n) { return std::ldexp(1.0, n); }

/// The whole number that `rounding` makes of t.
double round_to_whole(Rounding rounding, int random_bits, uint32_t random, const Rational& t) {
  const Rational magnitude = t.abs(), whole = magnitude.floor(), nu = magnitude - whole, one_half = 0.5;
  const bool odd = std::fmod(whole.to_double(), 2) == 1, negative = t.sign() < 0;
  const bool above = one_half<nu, tie = nu == one_half, inexact = nu.sign()> 0;
  const Rational scaled = nu * power_of_two(random_bits);
  const auto reaches = [&](const Rational& sum) { return !(sum < power_of_two(random_bits)); };
  bool up = false;
  switch (rounding) {
    case Rounding::TiesToEven: up = above || (tie && odd); break;
    case Rounding::TiesToAway: up = above || tie; break;
    case Rounding::TiesToZero: up = above; break;
    case Rounding::TiesToOdd: up = above || (tie && !odd); break;
    case Rounding::TiesTowardPositive: up = above || (tie && !negative); break;
    case Rounding::TiesTowardNegative: up = above || (tie && negative); break;
    case Rounding::TowardZero: break;
    case Rounding::TowardPositive: up = inexact && !negative; break;
    case Rounding::TowardNegative: up = inexact && negative; break;
    case Rounding::AwayFromZero: up = inexact; break;
    case Rounding::ToOdd: up = inexact && !odd; break;
    case Rounding::ToEven: up = inexact && odd; break;
    case Rounding::StochasticA: up = reaches(scaled.floor() + double(random)); break;
    case Rounding::StochasticB: up = reaches((scaled + one_half).floor() + double(random)); break;
    case Rounding::StochasticC:
      up = reaches(round_to_whole(Rounding::TiesToEven, 0, 0, scaled) + Rational(double(random)));
      break;
    case Rounding::StochasticEqual: up = inexact && std::ldexp(double(random), 1 - random_bits) >= 1; break;
  }
  const double result = whole.to_double() + up;
  return negative ? -result : result;
}

/// A group quantised.
struct Result {
  float scale = 0;
  double zero = 0;
  std::vector<int32_t> codes;
  Floats values;
};

/// Lowest and highest code.
std::pair<int32_t, int32_t> code_range(std::string_view scheme, int n) {
  const int32_t half = 1 << (n - 1);
  if (scheme == "sym_qmax" || scheme == "sym_avg") return {-half, half - 1};
  if (scheme == "sym_qmax_narrow") return {1 - half, half - 1};
  return {0, 2 * half - 1};
}

uint32_t random_of(const AffineFormat& format, const RandomSite& site, size_t i) {
  return is_stochastic(format.rounding) ? random_bits(site, uint32_t(i), format.random_bits) : 0;
}

/// The formulas, exactly.
Result exact_result(const AffineFormat& format, const Floats& x, const RandomSite& site) {
  const std::string_view scheme = format.scheme.name;
  const int n = format.bits;
  const double all = std::ldexp(1.0, n) - 1, half = std::ldexp(1.0, n - 1);
  double min = 0, max = 0;
  for (const float value : x) {
    min = std::min(min, double(value));
    max = std::max(max, double(value));
  }
  const Rational amax = std::max(-min, max);
  Result result;
  if (scheme == "sym_full" || scheme == "sym_avg" || scheme == "centred")
    result.scale = (Rational(2) * amax / all).to_float();
  else if (scheme == "asymmetric")
    result.scale = ((Rational(max) - min) / all).to_float();
  else
    result.scale = (amax / (half - 1)).to_float();

  const Rational scale = double(result.scale);
  if (scheme == "sym_full") result.zero = half;
  if (scheme == "centred") result.zero = half - 0.5;
  if (scheme == "asymmetric" && result.scale != 0)
    result.zero = std::min(round_to_whole(Rounding::TiesToEven, 0, 0, Rational(-min) / scale), all);

  const double fraction = result.zero - std::floor(result.zero);
  const auto [lowest, highest] = code_range(scheme, n);
  for (size_t i = 0; i < x.size(); ++i) {
    double code = std::floor(result.zero);
    if (result.scale != 0) {
      const bool before = format.zero_order == ZeroOrder::BeforeRounding;
      const Rational sum = Rational(double(x[i])) / scale + (before ? result.zero : fraction);
      code = round_to_whole(format.rounding, format.random_bits, random_of(format, site, i), sum);
      if (!before) code += std::floor(result.zero);
    }
    result.codes.push_back(int32_t(std::clamp(code, double(lowest), double(highest))));
    result.values.push_back((scale * (result.codes.back() - result.zero)).to_float());
  }
  return result;
}

float round_float(Rounding rounding, float t) {
  switch (rounding) {
    case Rounding::TiesToEven: return std::nearbyint(t);
    case Rounding::TiesToAway: return std::round(t);
    case Rounding::TowardZero: return std::trunc(t);
    case Rounding::TowardPositive: return std::ceil(t);
    case Rounding::TowardNegative: return std::floor(t);
    default: return kNan;
  }
}

/// The formulas as code with floats has them, operation for operation.
Result float_result(const AffineFormat& format, const Floats& x) {
  const std::string_view scheme = format.scheme.name;
  const int n = format.bits;
  const float maxq = float((1 << n) - 1);
  float xmin = 0, xmax = 0;
  for (const float value : x) {
    xmin = std::fmin(xmin, value);
    xmax = std::fmax(xmax, value);
  }
  const float absmax = std::fmax(-xmin, xmax);
  const bool before = format.zero_order == ZeroOrder::BeforeRounding;
  Result result;
  float zero = 0;
  if (scheme == "sym_full") {
    result.scale = (absmax - -absmax) / maxq;
    zero = (maxq + 1) / 2;
  } else if (scheme == "asymmetric") {
    result.scale = (xmax - xmin) / maxq;
    zero = std::nearbyint(-xmin / result.scale);
  } else if (scheme == "sym_avg") {
    result.scale = absmax * 2 / maxq;
  } else if (scheme == "centred") {
    result.scale = absmax * 2 / maxq;
  } else {
    result.scale = absmax / float((1 << (n - 1)) - 1);
  }
  const auto [lowest, highest] = code_range(scheme, n);
  for (const float value : x) {
    const float t = value / result.scale;
    if (scheme == "centred") {
      const float offset = float((1 << (n - 1)) - 1);
      const float k =
          before ? round_float(format.rounding, t + (offset + 0.5f)) - offset : round_float(format.rounding, t + 0.5f);
      const float q = std::fmin(std::fmax(k + offset, 0.0f), maxq);
      result.codes.push_back(int32_t(q));
      result.values.push_back((q - offset) * result.scale - result.scale / 2);
    } else {
      const float q = before ? round_float(format.rounding, t + zero) : round_float(format.rounding, t) + zero;
      const float clamped = std::fmin(std::fmax(q, float(lowest)), float(highest));
      result.codes.push_back(int32_t(clamped));
      result.values.push_back(result.scale * (clamped - zero));
    }
  }
  result.zero = scheme == "centred" ? double(maxq) / 2 : double(zero);
  return result;
}

uint32_t word(uint32_t site, size_t i) { return random_word({.seed = 77, .site = site}, uint32_t(i)); }

/// Groups of several kinds: wide and narrow distributions, one-sided ones, and multiples of half a step.
std::vector<Floats> groups(int n) {
  std::vector<Floats> all;
  const float full = float((1 << n) - 1);
  for (uint32_t kind = 0; kind < 8; ++kind) {
    Floats x;
    const size_t count = 1 + word(20 + kind, 0) % 40;
    for (size_t i = 0; i < count; ++i) {
      const uint32_t bits = word(kind, i + uint32_t(n) * 64);
      const float u = float(int32_t(bits)) * 0x1p-31f;
      switch (kind) {
        case 0: x.push_back(u); break;
        case 1: x.push_back(std::ldexp(u, int(bits % 23) - 11)); break;
        case 2: x.push_back(std::fabs(u) + 0.25f); break;
        case 3: x.push_back(-std::fabs(u) * 1e-3f); break;
        case 4: x.push_back(std::ldexp(u, -130)); break;
        default: x.push_back((float(bits % uint32_t(2 * full + 1)) - full) / 2); break;  // in steps of 1/2
      }
    }
    if (kind == 5) x.insert(x.end(), {full / 2, -full / 2});          // a scale of 1 for spans of the full range
    if (kind == 6) x = {-5.0f * full / 15, 10.0f * full / 15, x[0]};  // the same, and a zero a third of the way up
    if (kind == 7) {
      for (float& value : x) value = std::fmod(value, float((1 << (n - 1)) - 1));
      x.push_back(float((1 << (n - 1)) - 1));  // a scale of 1 from the positive range
    }
    all.push_back(x);
  }
  return all;
}

template <class Visitor>
void for_each_format(Visitor visit) {
  for (const AffineScheme& scheme : affine_schemes())
    for (const int bits : {2, 3, 4, 5, 8, 11, 16})
      for (const ZeroOrder order : {ZeroOrder::AfterRounding, ZeroOrder::BeforeRounding})
        visit(AffineFormat{.scheme = scheme, .bits = bits, .zero_order = order});
}

std::string describe(const AffineFormat& format, float x) {
  return fmt::format("{} of {} bits, zero {}, {}, {}: {:a}", format.scheme.name, format.bits, name(format.zero_order),
                     name(format.arithmetic), name(format.rounding), x);
}

void expect_result(const AffineFormat& format, const Floats& x, const Result& want, const RandomSite& site = {}) {
  const AffineQuantizer quantizer(format);
  const AffineGrid grid = quantizer.grid(x);
  ASSERT_EQ(grid.scale, want.scale) << describe(format, x[0]);
  ASSERT_EQ(double(grid.zero), want.zero) << describe(format, x[0]);
  std::vector<int32_t> codes(x.size());
  quantizer.encode(grid, x, codes, site);
  Floats values(x.size());
  quantizer.decode(grid, codes, values);
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(codes[i], want.codes[i]) << describe(format, x[i]) << " with scale " << grid.scale;
    ASSERT_EQ(values[i], want.values[i]) << describe(format, x[i]) << " with scale " << grid.scale;
  }
}

TEST(Affine, exact_arithmetic_is_the_formula_rounded_once) {
  for_each_format([](AffineFormat format) {
    format.arithmetic = AffineArithmetic::Exact;
    for (const NamedValue<Rounding>& rounding : EnumNames<Rounding>::values)
      for (const int random_bits : {1, 8, 32}) {
        if (!is_stochastic(rounding.value) && random_bits != 1) continue;
        format.rounding = rounding.value;
        format.random_bits = is_stochastic(rounding.value) ? random_bits : 0;
        for (const Floats& x : groups(format.bits)) {
          const RandomSite site{.seed = 3};
          expect_result(format, x, exact_result(format, x, site), site);
        }
      }
  });
}

TEST(Affine, binary32_arithmetic_is_the_formula_in_floats) {
  for_each_format([](AffineFormat format) {
    for (const Rounding rounding : {Rounding::TiesToEven, Rounding::TiesToAway, Rounding::TowardZero,
                                    Rounding::TowardPositive, Rounding::TowardNegative}) {
      format.rounding = rounding;
      for (const Floats& x : groups(format.bits)) expect_result(format, x, float_result(format, x));
    }
  });
}

TEST(Affine, binary32_arithmetic_rounds_sums_like_exact_arithmetic_where_they_are_exact) {
  // with a scale of 1 and numbers of few bits, quotients and sums are exact
  for_each_format([](AffineFormat format) {
    for (const Rounding rounding : {Rounding::StochasticA, Rounding::StochasticB, Rounding::StochasticC,
                                    Rounding::TiesToOdd, Rounding::ToOdd, Rounding::AwayFromZero}) {
      format.rounding = rounding;
      format.random_bits = is_stochastic(rounding) ? 4 : 0;
      Floats x(1500);  // more than fit one piece of the loop
      for (size_t i = 0; i < x.size(); ++i) x[i] = float(int32_t(word(60, i)) % (8 << format.bits)) / 64;
      const AffineGrid grid{.scale = 1, .zero = AffineQuantizer(format).grid(Floats{-1, 2}).zero};
      std::vector<int32_t> rounded(x.size()), exact(x.size());
      AffineQuantizer(format).encode(grid, x, rounded, {.seed = 4}, 9);
      format.arithmetic = AffineArithmetic::Exact;
      AffineQuantizer(format).encode(grid, x, exact, {.seed = 4}, 9);
      format.arithmetic = AffineArithmetic::Binary32;
      EXPECT_EQ(rounded, exact) << describe(format, 0);
    }
  });
}

TEST(Affine, exact_sums_with_the_zero_lose_nothing) {
  // far below one unit of the sum, a number still decides where a directed rounding goes and on which side of a tie it
  // is
  for_each_format([](AffineFormat format) {
    format.arithmetic = AffineArithmetic::Exact;
    for (const Rounding rounding : {Rounding::TiesToEven, Rounding::TowardZero, Rounding::AwayFromZero,
                                    Rounding::TowardPositive, Rounding::StochasticC}) {
      format.rounding = rounding;
      format.random_bits = is_stochastic(rounding) ? 32 : 0;
      const AffineQuantizer quantizer(format);
      for (const float scale : {1.0f, 3.0f, 0x1.000002p-3f}) {
        const AffineGrid grid{.scale = scale, .zero = quantizer.grid(Floats{-1, 2}).zero};
        Floats x = {-0.0f};
        for (int k = 0; k < 149; k += 1 + k / 16)
          for (const float sign : {1.0f, -1.0f}) {
            x.push_back(sign * std::ldexp(scale, -k));
            x.push_back(sign * (scale / 2 + std::ldexp(scale, -k)));
            x.push_back(sign * std::ldexp(1.0f, -k));
          }
        std::vector<int32_t> codes(x.size());
        quantizer.encode(grid, x, codes);
        const double fraction = grid.zero - std::floor(grid.zero);
        const bool before = format.zero_order == ZeroOrder::BeforeRounding;
        for (size_t i = 0; i < x.size(); ++i) {
          const Rational sum = Rational(double(x[i])) / double(scale) + (before ? double(grid.zero) : fraction);
          const double whole = round_to_whole(rounding, format.random_bits, random_of(format, {}, i), sum);
          const double code = whole + (before ? 0 : std::floor(grid.zero));
          ASSERT_EQ(codes[i], std::clamp(code, double(quantizer.min_code()), double(quantizer.max_code())))
              << describe(format, x[i]) << " with scale " << scale;
        }
      }
    }
  });
}

AffineFormat make(std::string_view scheme, int bits, AffineArithmetic arithmetic = AffineArithmetic::Binary32) {
  return {.scheme = find_affine_scheme(scheme), .bits = bits, .arithmetic = arithmetic};
}

Floats fake_quantized(const AffineFormat& format, const Floats& x) {
  const AffineQuantizer quantizer(format);
  Floats values(x.size());
  quantizer.dequantize(quantizer.quantize(x, 1, int(x.size())), 1, int(x.size()), values);
  return values;
}

TEST(Affine, conventions_by_hand) {
  // 4 bits, amax 7.5 or 7: a scale of 1
  EXPECT_EQ(fake_quantized(make("sym_full", 4), {-7.5, 7.5, 0.5, 1.5, -0.75}), (Floats{-8, 7, 0, 2, -1}));
  EXPECT_EQ(fake_quantized(make("sym_avg", 4), {-7.5, 7.5, 0.5, 1.5, -0.75}), (Floats{-8, 7, 0, 2, -1}));
  EXPECT_EQ(fake_quantized(make("sym_qmax", 4), {-7, 7, 0.5, 1.5, -0.75}), (Floats{-7, 7, 0, 2, -1}));
  EXPECT_EQ(fake_quantized(make("centred", 4), {-7.5, 7.5, 0.25, 0, -0.75, 2.75}),
            (Floats{-7.5, 7.5, 0.5, -0.5, -0.5, 2.5}));
  EXPECT_EQ(fake_quantized(make("asymmetric", 4), {-5, 10, 0.5, 1.5}), (Floats{-5, 10, 0, 2}));
  AffineFormat before = make("asymmetric", 4);
  before.zero_order = ZeroOrder::BeforeRounding;  // 0.5 + 5 and 1.5 + 5 go to 6, the even code: 1
  EXPECT_EQ(fake_quantized(before, {-5, 10, 0.5, 1.5}), (Floats{-5, 10, 1, 1}));
  EXPECT_EQ(AffineQuantizer(make("asymmetric", 4)).grid(Floats{3, 15}), (AffineGrid{1, 0})) << "ranges contain 0";
}

TEST(Affine, the_extra_negative_code_is_only_there_where_it_is_not_narrow) {
  const AffineGrid unit{1, 0};
  for (const auto& [scheme, lowest] : {std::pair{"sym_qmax", -128}, std::pair{"sym_qmax_narrow", -127}}) {
    const AffineQuantizer quantizer(make(scheme, 8));
    std::vector<int32_t> codes(4);
    quantizer.encode(unit, Floats{-1000, 1000, -kInfinity, kInfinity}, codes);
    EXPECT_EQ(codes, (std::vector<int32_t>{lowest, 127, lowest, 127})) << scheme;
    EXPECT_EQ(quantizer.min_code(), lowest);
    EXPECT_EQ(quantizer.max_code(), 127);
  }
}

TEST(Affine, sym_avg_is_sym_full_with_signed_codes) {
  for (const int bits : {2, 4, 8, 16})
    for (const Floats& x : groups(bits)) {
      const AffineCodes full = AffineQuantizer(make("sym_full", bits)).quantize(x, 1, int(x.size()));
      const AffineCodes average = AffineQuantizer(make("sym_avg", bits)).quantize(x, 1, int(x.size()));
      for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(full.codes[i], average.codes[i] + (1 << (bits - 1)));
      EXPECT_EQ(full.grids[0].scale, average.grids[0].scale);
    }
}

// max - min is 2^-20 less than 65535 times the middle of two binary32 numbers, which takes 61 bits to see.
const Floats kNearMiddle = {0x1p40f + 0x1p32f - 0x1p24f - 0x1p17f, -(1 - 0x1p-20f)};

TEST(Affine, extremes_of_binary32) {
  for_each_format([](AffineFormat format) {
    for (const Floats& x :
         {Floats{kLargest, -kLargest, 1}, Floats{kSmallest, -kSmallest, 0}, Floats{kSmallest},
          Floats{0x1p-126f, -0x1p-149f}, Floats{kLargest, kSmallest}, Floats{-22 * kSmallest}, kNearMiddle}) {
      format.arithmetic = AffineArithmetic::Exact;
      expect_result(format, x, exact_result(format, x, {}));
    }
  });
  // twice the largest number is none: in binary32 there is no such scale, exactly there is
  EXPECT_TRUE(std::isnan(AffineQuantizer(make("sym_full", 8)).grid(Floats{kLargest}).scale));
  EXPECT_FALSE(std::isnan(AffineQuantizer(make("sym_full", 8, AffineArithmetic::Exact)).grid(Floats{kLargest}).scale));
}

TEST(Affine, groups_of_zeros_and_groups_that_are_not_finite) {
  for_each_format([](AffineFormat format) {
    for (const AffineArithmetic arithmetic : {AffineArithmetic::Binary32, AffineArithmetic::Exact}) {
      format.arithmetic = arithmetic;
      const AffineQuantizer quantizer(format);
      for (const Floats& x : {Floats{0, -0.0f, 0}, Floats{1, kNan, 2}, Floats{-kInfinity, 0, 1}}) {
        const bool is_zero = x[0] == 0;
        const AffineCodes got = quantizer.quantize(x, 1, 3);
        EXPECT_TRUE(is_zero ? got.grids[0].scale == 0 : std::isnan(got.grids[0].scale));
        const int32_t zero = int32_t(std::floor(got.grids[0].zero));
        EXPECT_EQ(got.codes, (std::vector<int32_t>{zero, zero, zero})) << describe(format, x[1]);
        Floats values(3, 9);
        quantizer.dequantize(got, 1, 3, values);
        for (const float value : values)
          EXPECT_TRUE(is_zero ? value == 0 && !std::signbit(value) : std::isnan(value)) << describe(format, x[1]);
      }
      std::vector<int32_t> code(1);
      quantizer.encode({1, 3}, Floats{kNan}, code);
      EXPECT_EQ(code[0], quantizer.max_code()) << "a NaN on a given grid";
    }
  });
}

TEST(Affine, granularity_decides_who_shares) {
  const Floats x = {1, -2, 3, 4, -5, 6, 7, 8, -9, 10};  // 2 x 5
  const auto amax_of = [&](Granularity granularity, int group) {
    AffineFormat format = make("sym_qmax_narrow", 2);  // the scale is amax
    format.granularity = granularity;
    format.group = group;
    Floats scales;
    const AffineQuantizer quantizer(format);
    const AffineCodes codes = quantizer.quantize(x, 2, 5);
    for (const AffineGrid& grid : codes.grids) scales.push_back(grid.scale);
    Floats values(x.size());
    quantizer.dequantize(codes, 2, 5, values);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_TRUE(values[i] == 0 || std::fabs(values[i]) >= std::fabs(x[i]));
    return scales;
  };
  EXPECT_EQ(amax_of(Granularity::Tensor, 0), (Floats{10}));
  EXPECT_EQ(amax_of(Granularity::Row, 0), (Floats{5, 10}));
  EXPECT_EQ(amax_of(Granularity::Group, 2), (Floats{2, 4, 5, 7, 9, 10}));
  EXPECT_EQ(amax_of(Granularity::Group, 5), (Floats{5, 10}));
  EXPECT_EQ(amax_of(Granularity::Group, 9), (Floats{5, 10}));
}

TEST(Affine, random_bits_are_those_of_the_place_in_the_array) {
  AffineFormat format = make("sym_qmax", 8);
  format.rounding = Rounding::StochasticA;
  format.random_bits = 8;
  format.granularity = Granularity::Group;
  format.group = 7;
  Floats x(3 * 20);
  for (size_t i = 0; i < x.size(); ++i) x[i] = float(int32_t(word(70, i))) * 0x1p-31f;
  const AffineQuantizer quantizer(format);
  const RandomSite site{.seed = 8, .step = 2};
  const AffineCodes all = quantizer.quantize(x, 3, 20, site);
  const Floats group(x.begin() + 27, x.begin() + 34);  // the second of the second row
  std::vector<int32_t> codes(7);
  quantizer.encode(quantizer.grid(group), group, codes, site, 27);
  EXPECT_EQ(codes, std::vector<int32_t>(all.codes.begin() + 27, all.codes.begin() + 34));
  EXPECT_NE(all.codes, quantizer.quantize(x, 3, 20, {.seed = 9, .step = 2}).codes);
}

std::string message(auto call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(Affine, what_makes_no_sense_is_refused) {
  EXPECT_EQ(message([] { AffineQuantizer(make("sym_full", 1)); }),
            "integer quantiser sym_full: 1 bits; 2 to 16 are wanted");
  EXPECT_EQ(message([] { AffineQuantizer(make("centred", 17)); }),
            "integer quantiser centred: 17 bits; 2 to 16 are wanted");
  AffineFormat format = make("sym_qmax", 8);
  format.granularity = Granularity::Group;
  EXPECT_EQ(
      message([&] { AffineQuantizer{format}; }),
      "integer quantiser sym_qmax: groups of 0 numbers with granularity group; granularity group takes at least 1, "
      "others take 0");
  format.granularity = Granularity::Row;
  format.group = 4;
  EXPECT_NE(message([&] { AffineQuantizer{format}; }), "no error");
  format.group = -1;
  EXPECT_NE(message([&] { AffineQuantizer{format}; }), "no error");
  format.group = 0;
  format.rounding = Rounding::StochasticA;
  EXPECT_EQ(message([&] { AffineQuantizer{format}; }), "random bits: stochastic_a takes 1 … 32 of them, not 0");
  const AffineQuantizer quantizer(make("sym_qmax", 8));
  EXPECT_EQ(message([&] { quantizer.quantize(Floats(5), 2, 3); }), "integer quantiser: 5 numbers for 2 rows of 3");
  EXPECT_EQ(message([&] { quantizer.quantize(Floats(6), -2, -3); }), "integer quantiser: 6 numbers for -2 rows of -3");
  EXPECT_TRUE(message([] { find_affine_scheme("sym"); }).starts_with("no integer quantiser named 'sym'; nearest: "));
}

// The numbers of a real-bias format: code k of 2^E 2^M of one sign, in units of max.
Rational real_bias_number(int e, int m, uint32_t k, float max) {
  const double mantissas = std::ldexp(1.0, m);
  const auto unscaled = [&](uint32_t code) {
    const uint32_t field = code >> m, mantissa = code & ((1u << m) - 1);
    return field == 0 ? Rational(mantissa / mantissas * 2)
                      : Rational(1 + mantissa / mantissas) * power_of_two(int(field));
  };
  return unscaled(k) * double(max) / unscaled((1u << (e + m)) - 1);
}

TEST(RealBias, codes_are_the_nearest_numbers) {
  for (const auto& [e, m] : {std::pair{1, 2}, std::pair{2, 1}, std::pair{3, 2}, std::pair{4, 3}, std::pair{5, 2}})
    for (const float max : {1.0f, 3.7f, 0x1.921fb6p-40f, 5e30f}) {
      const RealBiasFormat format(e, m, max);
      const uint32_t count = 1u << (e + m);
      std::vector<Rational> numbers;
      for (uint32_t k = 0; k < count; ++k) {
        numbers.push_back(real_bias_number(e, m, k, max));
        EXPECT_EQ(format.decode(k), numbers[k].to_float());
        EXPECT_EQ(format.decode(count + k), -numbers[k].to_float());
      }
      for (uint32_t i = 0; i < 2000; ++i) {
        const float x = max * std::ldexp(float(word(80, i) >> 8), -24 - int(i % 12)) * 1.25f;
        uint32_t want = 0;
        while (want + 1 < count) {
          const Rational middle = (numbers[want] + numbers[want + 1]) / 2, exact = double(x);
          if (exact < middle || (exact == middle && want % 2 == 0)) break;
          ++want;
        }
        ASSERT_EQ(format.encode(x), want) << e << " " << m << " " << max << " " << x;
        ASSERT_EQ(format.encode(-x), count + want);
      }
    }
}

TEST(RealBias, a_whole_bias_gives_the_ordinary_format) {
  for (const auto& [e, m] : {std::pair{3, 2}, std::pair{4, 3}, std::pair{5, 2}, std::pair{2, 3}}) {
    const int bias = 1 << (e - 1);
    const RealBiasFormat format(e, m, float(std::ldexp(2 - std::ldexp(1.0, -m), (1 << e) - 1 - bias)));
    const Format ordinary = parse_format(fmt::format("e{}m{}b{}finite", e, m, bias));
    const oracle::Oracle truth(ordinary);
    for (uint32_t code = 0; code < 1u << ordinary.bits(); ++code)
      EXPECT_EQ(format.decode(code), oracle::meaning(ordinary, code).value());
    for (uint32_t i = 0; i < 5000; ++i) {
      const float x = std::ldexp(float(int32_t(word(90, i))), int(word(91, i) % 40) - 50);
      for (const Rounding rounding : {Rounding::TiesToEven, Rounding::TiesToAway, Rounding::TowardNegative})
        ASSERT_EQ(format.encode(x, rounding),
                  truth.encode({.rounding = rounding, .policies = {.overflow = Overflow::Saturate}}, double{x}));
    }
  }
}

TEST(RealBias, one_exponent_bit_is_the_integer_with_two_bits_more) {
  for (int y = 1; y <= 10; ++y)
    for (const float max : {1.0f, 0.3f, 11.7f, 1e-20f}) {
      const RealBiasFormat format(1, y, max);
      const AffineQuantizer integer(make("sym_qmax_narrow", y + 2, AffineArithmetic::Exact));
      for (uint32_t k = 0; k < 2u << y; ++k) {
        const Rational exact = Rational(double(max)) * double(k) / double((2u << y) - 1);
        EXPECT_EQ(format.decode(k), exact.to_float());
      }
      // codes agree where the integer's scale is exact
      const float steps = float((2 << y) - 1);
      const RealBiasFormat unit(1, y, steps);
      Floats x = {steps};
      for (uint32_t i = 0; i < 500; ++i) x.push_back(float(int32_t(word(95, i))) * 0x1p-30f * steps);
      for (int k = -2 * int(steps); k <= 2 * int(steps); ++k) x.push_back(float(k) / 2);
      std::vector<int32_t> codes(x.size());
      integer.encode({1, 0}, x, codes);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(unit.decode(unit.encode(x[i])), float(codes[i])) << y << " " << x[i];
    }
}

TEST(RealBias, edges) {
  const RealBiasFormat format(4, 3, 3.3f), without_sign(4, 4, 3.3f, false);
  EXPECT_EQ(format.decode(format.encode(kInfinity)), 3.3f);
  EXPECT_EQ(format.decode(format.encode(-1e30f)), -3.3f);
  EXPECT_EQ(format.decode(format.encode(kNan)), 3.3f);
  EXPECT_EQ(format.encode(-0.0f), 0x80u);
  EXPECT_EQ(without_sign.encode(-1), 0u);
  EXPECT_EQ(without_sign.decode(without_sign.encode(9)), 3.3f);
  EXPECT_EQ(RealBiasFormat(8, 15, kLargest).decode(RealBiasFormat(8, 15, kLargest).encode(kLargest)), kLargest);
  for (const auto& bad : {std::pair{0, 3}, std::pair{9, 3}, std::pair{4, 0}, std::pair{4, 16}})
    EXPECT_TRUE(message([&] { RealBiasFormat(bad.first, bad.second, 1); }).starts_with("format with a real bias: "));
  for (const float bad : {0.0f, -1.0f, kInfinity, kNan})
    EXPECT_TRUE(message([&] { RealBiasFormat(4, 3, bad); }).starts_with("format with a real bias: "));
}

}  // namespace
}  // namespace halfulp
