// IEEE P3109 formats against the report's definitions (interim report v4.0), written out here once more: decoding in
// whole numbers, rounding in fractions of GMP.
#include <gmpxx.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "formats/codec.h"
#include "formats/format.h"
#include "tests/cast_cases.h"

namespace halfulp {
namespace {

struct P3109 {
  int k, p;
  bool is_signed, is_extended;

  int bias() const { return is_signed ? 1 << (k - p - 1) : 1 << (k - p); }
  uint32_t codes() const { return uint32_t{1} << k; }
  Format format() const {
    return parse_format(fmt::format("binary{}p{}{}{}", k, p, is_signed ? 's' : 'u', is_extended ? 'e' : 'f'));
  }
};

std::vector<P3109> all_of(int least_bits, int most_bits) {
  std::vector<P3109> result;
  for (int k = least_bits; k <= most_bits; ++k)
    for (const bool is_signed : {true, false})
      for (int p = 1; p <= k - is_signed; ++p)
        for (const bool is_extended : {true, false}) result.push_back({k, p, is_signed, is_extended});
  return result;
}

// significand · 2^exponent, the significand odd or zero.
struct Datum {
  enum class Kind { Nan, Infinity, Number };

  Kind kind;
  bool negative = false;
  uint64_t significand = 0;
  int exponent = 0;

  bool operator==(const Datum&) const = default;
};

Datum odd(bool negative, uint64_t significand, int exponent) {
  if (significand == 0) return {Datum::Kind::Number, negative};
  const int zeros = std::countr_zero(significand);
  return {Datum::Kind::Number, negative, significand >> zeros, exponent + zeros};
}

Datum decode_by_definition(const P3109& f, uint32_t x) {
  const uint32_t half = f.codes() / 2, last = f.codes() - 1;
  if (x == (f.is_signed ? half : last)) return {Datum::Kind::Nan};
  if (f.is_extended && f.is_signed && x == half - 1) return {Datum::Kind::Infinity};
  if (f.is_extended && f.is_signed && x == last) return {Datum::Kind::Infinity, true};
  if (f.is_extended && !f.is_signed && x == last - 1) return {Datum::Kind::Infinity};
  const bool negative = f.is_signed && x > half;
  const uint32_t magnitude = negative ? x - half : x;
  const uint32_t steps = uint32_t{1} << (f.p - 1);
  const uint32_t trailing = magnitude % steps, exponent = magnitude / steps;
  if (exponent == 0) return odd(negative, trailing, 1 - f.p + 1 - f.bias());
  return odd(negative, steps + trailing, 1 - f.p + int(exponent) - f.bias());
}

Datum datum_of(const Real& x) {
  switch (x.kind) {
    case Real::Kind::Nan: return {Datum::Kind::Nan};
    case Real::Kind::Infinity: return {Datum::Kind::Infinity, x.negative};
    case Real::Kind::Zero: return odd(x.negative, 0, 0);
    case Real::Kind::Finite: break;
  }
  return odd(x.negative, x.significand, x.exponent - 63);
}

TEST(P3109, every_value_table_of_3_to_16_bits_is_the_definition) {
  int tables = 0;
  int64_t codes = 0;
  for (const P3109& f : all_of(3, 16)) {
    const Format format = f.format();
    ASSERT_EQ(format.bits(), f.k);
    for (uint32_t x = 0; x < f.codes(); ++x) {
      const Real got = decode_exactly(format, x);
      ASSERT_EQ(datum_of(got), decode_by_definition(f, x)) << std::string_view(format.name) << " " << x;
      ASSERT_FALSE(got.sticky);
    }
    ++tables;
    codes += f.codes();
  }
  EXPECT_EQ(tables, 504);
  EXPECT_EQ(codes, 7'602'160);
}

TEST(P3109, decode_gives_the_nearest_binary64_number_of_what_lies_beyond) {
  const Format wide = parse_format("binary16p1uf");
  EXPECT_EQ(decode(wide, 0xfffe), INFINITY);
  EXPECT_EQ(decode(wide, 0x0001), 0);
  EXPECT_EQ(decode(wide, 0x8000), 1);
  EXPECT_EQ(decode(wide, 0x8000 + 1023), 0x1p1023);
  EXPECT_EQ(decode(wide, 0x8000 + 1024), INFINITY);
  EXPECT_EQ(decode(wide, 0x8000 - 1074), 0x1p-1074);
  EXPECT_EQ(decode(wide, 0x8000 - 1075), 0);
  EXPECT_EQ(decode_exactly(wide, 0xfffe).exponent, 32766);
  EXPECT_EQ(max_finite(wide), INFINITY);
  EXPECT_FALSE(fits_binary32(wide));
}

TEST(P3109, facts_are_the_published_ones) {
  struct Row {
    const char* name;
    double max_finite;
    uint32_t max_code;
    double min_positive;
  };
  for (const Row& row : {Row{"binary8p3se", 49152, 0x7e, 0x1p-17},
                         {"binary8p3sf", 57344, 0x7f, 0x1p-17},
                         {"binary8p4se", 224, 0x7e, 0x1p-10},
                         {"binary8p4sf", 240, 0x7f, 0x1p-10},
                         {"binary8p5se", 15, 0x7e, 0x1p-7},
                         {"binary8p1uf", 0x1p126, 0xfe, 0x1p-127},
                         {"binary8p3ue", 2684354560, 0xfd, 0x1p-33},
                         {"binary8p4ue", 53248, 0xfd, 0x1p-18},
                         {"binary6p3sf", 14, 0x1f, 0x1p-5},
                         {"binary6p4sf", 3.75, 0x1f, 0x1p-4},
                         {"binary4p2sf", 3, 0x7, 0.25},
                         {"binary4p2se", 2, 0x6, 0.25}}) {
    const Format format = parse_format(row.name);
    EXPECT_EQ(max_finite(format), row.max_finite) << row.name;
    EXPECT_EQ(decode(format, row.max_code), row.max_finite) << row.name;
    EXPECT_EQ(min_positive(format), row.min_positive) << row.name;
  }
}

// ---- projections

mpq_class power_of_two(int exponent) {
  mpq_class one = 1, result;
  if (exponent >= 0) mpq_mul_2exp(result.get_mpq_t(), one.get_mpq_t(), mp_bitcnt_t(exponent));
  if (exponent < 0) mpq_div_2exp(result.get_mpq_t(), one.get_mpq_t(), mp_bitcnt_t(-exponent));
  return result;
}

mpz_class floor_of(const mpq_class& x) {
  mpz_class result;
  mpz_fdiv_q(result.get_mpz_t(), x.get_num_mpz_t(), x.get_den_mpz_t());
  return result;
}

mpq_class value_of(const Datum& datum) {
  const mpq_class magnitude = mpq_class(mpz_class(datum.significand)) * power_of_two(datum.exponent);
  return datum.negative ? mpq_class(-magnitude) : magnitude;
}

bool is_even(const mpz_class& x) { return mpz_even_p(x.get_mpz_t()); }

// RoundToPrecision of the report, up to the choice between the two neighbours.
struct Rounder {
  Rounder(const P3109& f, double x) : negative(x < 0) {
    const mpq_class magnitude(std::fabs(x));
    const int exponent = std::max(x == 0 ? std::numeric_limits<int>::min() : std::ilogb(x), 1 - f.bias());
    const int quantum_exponent = exponent - f.p + 1;
    quantum = power_of_two(quantum_exponent);
    const mpq_class steps = magnitude / quantum;
    whole = floor_of(steps);
    nu = steps - whole;
    code_is_even = f.p > 1 ? is_even(whole) : whole == 0 || (quantum_exponent + f.bias()) % 2 == 0;
  }

  bool rounds_away(Rounding rounding, int n, uint32_t random) const {
    const mpq_class half(1, 2);
    const mpz_class ends = mpz_class(1) << unsigned(n), r = random;
    switch (rounding) {
      case Rounding::TowardZero: return false;
      case Rounding::TowardPositive: return nu > 0 && !negative;
      case Rounding::TowardNegative: return nu > 0 && negative;
      case Rounding::TiesToAway: return nu >= half;
      case Rounding::TiesToEven: return nu > half || (nu == half && !code_is_even);
      case Rounding::ToOdd: return nu > 0 && code_is_even;
      case Rounding::StochasticA: return floor_of(nu * ends) + r >= ends;
      case Rounding::StochasticB: return floor_of(nu * 2 * ends) + 2 * r + 1 >= 2 * ends;
      case Rounding::StochasticC: {
        const mpz_class below = floor_of(nu * ends);
        const mpq_class rest = nu * ends - below;
        return below + (rest > half || (rest == half && !is_even(below))) + r >= ends;
      }
      default: break;
    }
    ADD_FAILURE() << "no rounding of P3109: " << name(rounding);
    return false;
  }

  mpq_class rounded(Rounding rounding, int n, uint32_t random) const {
    const mpq_class magnitude = (whole + int(rounds_away(rounding, n, random))) * quantum;
    return negative ? mpq_class(-magnitude) : magnitude;
  }

  bool negative;
  mpq_class quantum, nu;
  mpz_class whole;
  bool code_is_even;
};

std::vector<Projection> p3109_projections() {
  std::vector<Projection> result;
  const Policies saturate{.overflow = Overflow::Saturate};  // SatFinite
  for (const Rounding rounding : {Rounding::TowardZero, Rounding::TowardPositive, Rounding::TowardNegative,
                                  Rounding::TiesToAway, Rounding::TiesToEven, Rounding::ToOdd})
    result.push_back({rounding, 0, saturate});
  for (const Rounding rounding : {Rounding::StochasticA, Rounding::StochasticB, Rounding::StochasticC})
    for (const int bits : {1, 7}) result.push_back({rounding, bits, saturate});
  return result;
}

// Exact values of a table, its code by value, and its ends.
class Table {
 public:
  explicit Table(const P3109& f) {
    for (uint32_t x = 0; x < f.codes(); ++x) {
      const Datum datum = decode_by_definition(f, x);
      if (datum.kind == Datum::Kind::Number) values_.push_back({value_of(datum), x});
    }
    std::sort(values_.begin(), values_.end(), [](const Entry& a, const Entry& b) { return a.value < b.value; });
  }

  uint32_t code(const mpq_class& value) const {
    const mpq_class clamped = std::clamp(value, values_.front().value, values_.back().value);
    const auto at = std::lower_bound(values_.begin(), values_.end(), clamped,
                                     [](const Entry& entry, const mpq_class& x) { return entry.value < x; });
    EXPECT_TRUE(at->value == clamped);
    return at->code;
  }

  // Every number and middle of two, with neighbours; not below zero where there is no sign.
  std::vector<double> inputs(bool is_signed) const {
    std::vector<double> result = {0x1p-1074, 1e300};
    const double past = values_.back().value.get_d() * 1.25;
    for (const double x : {past, -past}) push_neighbourhood(result, x);
    for (size_t i = 0; i < values_.size(); ++i) {
      push_neighbourhood(result, values_[i].value.get_d());
      if (i == 0) continue;
      const mpq_class middle = (values_[i - 1].value + values_[i].value) / 2;
      push_neighbourhood(result, middle.get_d());
    }
    if (!is_signed) std::erase_if(result, [](double x) { return x < 0; });
    return result;
  }

 private:
  struct Entry {
    mpq_class value;
    uint32_t code;
  };
  std::vector<Entry> values_;
};

void expect_projected(const P3109& f, const Table& table, const std::vector<double>& inputs) {
  const Format format = f.format();
  const std::vector<Projection> all = p3109_projections();
  for (const double x : inputs) {
    const Rounder rounder(f, x);
    for (const Projection& projection : all)
      for (const uint32_t random : random_choices(projection)) {
        const uint32_t want = table.code(rounder.rounded(projection.rounding, projection.random_bits, random));
        const uint32_t got = encode(format, projection, Real::of(x), random);
        ASSERT_EQ(got, want) << fmt::format("{} {} {}/{} of {:a}", std::string_view(format.name),
                                            name(projection.rounding), random, projection.random_bits, x);
      }
  }
}

TEST(P3109, every_number_and_middle_and_their_neighbours_are_projected_by_definition) {
  for (const P3109& f : all_of(3, 8)) {
    const Table table(f);
    expect_projected(f, table, table.inputs(f.is_signed));
  }
}

TEST(P3109, long_formats_project_by_definition) {
  for (const P3109& f : {P3109{12, 1, true, true},
                         {12, 1, false, false},
                         {16, 1, true, false},
                         {16, 5, false, true},
                         {16, 15, true, true},
                         {11, 11, false, true}}) {
    const Table table(f);
    std::vector<double> inputs;
    for (uint32_t i = 0; i < 300; ++i) {
      const RandomSite site{.seed = 5, .stream = Stream::Data};
      const int spread = int(random_word(site, 3 * i + 2) % 400) - 200;
      const double x = std::ldexp(1 + random_word(site, 3 * i) * 0x1p-32, i % 2 == 0 ? spread : spread % 4);
      inputs.push_back(f.is_signed && random_word(site, 3 * i + 1) % 2 == 1 ? -x : x);
      inputs.push_back(std::ldexp(i % 4 < 2 ? 1.5 : 1.0, spread));
    }
    expect_projected(f, table, inputs);
  }
}

}  // namespace
}  // namespace halfulp
