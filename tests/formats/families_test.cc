// Posits, takums, HiFloat8, logarithmic, table and mid-rise formats against tests/family_oracle.h.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "formats/cast.h"
#include "formats/codec.h"
#include "formats/format.h"
#include "tests/cast_cases.h"
#include "tests/family_oracle.h"

namespace halfulp {
namespace {

using oracle::family_meaning;
using oracle::FamilyMeaning;
using oracle::FamilyOracle;
using oracle::FamilyPlace;

// The catalogue's members of at most 8 bits, and some that are like none of them.
std::vector<Format> small_members() {
  std::vector<Format> result;
  for (const Format& format : formats())
    if (format.family != Family::Float && format.bits() <= 8) result.push_back(format);
  for (const char* text :
       {"posit2",      "posit3es0", "posit4es0",     "posit4es1",          "posit4",        "posit6es1",
        "posit5es4",   "posit7es3", "takum2_linear", "takum3_logarithmic", "takum5_linear", "takum6_linear",
        "lns2f1",      "lns3f0",    "lns1f4",        "lns2f3_value",       "lns4f0_value",  "pow2_5",
        "pow2_4b3",    "pow2_3b-5", "log2_5",        "logsqrt2_5",         "adalog5q16",    "adalog3q74",
        "adalog3q255", "adalog2q1", "adalog5q16lut", "midrise3",           "midrise7"})
    result.push_back(parse_format(text));
  return result;
}

std::string code_of(const Format& format, uint32_t code) {
  return fmt::format("{} {:#x}", std::string_view(format.name), code);
}

void expect_decodes(const Format& format) {
  for (uint32_t code = 0; code < uint32_t{1} << format.bits(); ++code) {
    const double want = family_meaning(format, code).value();
    const double got = decode(format, code);
    ASSERT_EQ(std::bit_cast<uint64_t>(got), std::bit_cast<uint64_t>(want))
        << code_of(format, code) << fmt::format(": got {:a}, want {:a}", got, want);
  }
}

TEST(Families, every_code_decodes_as_its_definition_says) {
  for (const Format& format : small_members()) expect_decodes(format);
  for (const char* text : {"posit16", "posit16es1", "posit13es0", "takum12_linear", "takum16_linear",
                           "takum11_logarithmic", "lns5f6", "lns6f5_value", "midrise16"})
    expect_decodes(parse_format(text));
}

TEST(Families, codes_of_32_bits_decode_as_their_definition_says) {
  for (const char* text : {"posit32", "posit32es4", "posit31es0", "takum32_linear", "takum27_logarithmic"}) {
    const Format format = parse_format(text);
    const uint32_t mask = uint32_t((uint64_t{1} << format.bits()) - 1);
    for (uint32_t i = 0; i < 2000; ++i) {
      const uint32_t code = random_word({.seed = 7, .stream = Stream::Data}, i) & mask;
      const double got = decode(format, code), want = family_meaning(format, code).value();
      ASSERT_EQ(std::bit_cast<uint64_t>(got), std::bit_cast<uint64_t>(want)) << code_of(format, code);
    }
  }
}

TEST(Families, codes_are_unique) {
  for (const Format& format : small_members()) {
    std::set<uint64_t> seen;
    int zeros = 0;
    for (uint32_t code = 0; code < uint32_t{1} << format.bits(); ++code) {
      const double value = decode(format, code);
      zeros += value == 0;
      EXPECT_TRUE(value == 0 || seen.insert(std::bit_cast<uint64_t>(value)).second) << code_of(format, code);
    }
    const int want = format.encoding == Encoding::Descending ? 1 << (format.bits() - 1)
                     : !format.has_zero                      ? 0
                                                             : 1 + format.has_negative_zero();
    EXPECT_EQ(zeros, want) << std::string_view(format.name);
  }
}

TEST(Families, numbers_are_ordered_by_index) {
  for (const Format& format : small_members()) {
    const FamilyOracle oracle(format);
    for (const bool negative : {false, true}) {
      if (negative && !format.is_signed()) continue;
      const std::vector<oracle::FamilyRung>& ladder = oracle.ladder(negative);
      ASSERT_EQ(format.max_index(negative), ladder.size() - 1) << std::string_view(format.name);
      for (uint32_t i = 0; i < ladder.size(); ++i)
        ASSERT_EQ(magnitude(format, i, negative), oracle::nearest_double(ladder[i].magnitude))
            << std::string_view(format.name) << " " << i;
    }
  }
}

// Whether binary64 has the number itself, not one beside it or, from a table, beside its logarithm.
bool is_exact(const Format& format, uint32_t code) {
  return !decode_exactly(format, code).sticky && format.scale.lut_bits == 0;
}

TEST(Families, encode_inverts_decode) {
  for (const Format& format : small_members())
    for (const Projection& projection : projections({1, 32}, {}))
      for (uint32_t code = 0; code < uint32_t{1} << format.bits(); ++code) {
        const FamilyMeaning what = family_meaning(format, code);
        const bool is_spare_zero = format.encoding == Encoding::Descending && code > 1u << (format.bits() - 1);
        const bool is_nearest = projection.rounding <= Rounding::TiesTowardNegative;
        if (what.is_nan || is_spare_zero || (!is_nearest && !is_exact(format, code))) continue;
        ASSERT_EQ(encode(format, projection, Real::of(decode(format, code))), code)
            << name(projection.rounding) << " " << code_of(format, code);
      }
}

void expect_as_oracle(const FamilyOracle& oracle, const std::vector<double>& inputs,
                      const std::vector<Projection>& all) {
  const Format& format = oracle.format();
  int mismatches = 0;
  for (const double x : inputs) {
    const bool is_zero = x == 0 && format.has_zero;
    const FamilyPlace place = is_zero ? FamilyPlace{} : oracle.place(x);
    for (const Projection& projection : all)
      for (const uint32_t random : random_choices(projection)) {
        const uint32_t got = encode(format, projection, Real::of(x), random);
        const uint32_t want = is_zero ? oracle.encode(projection, x) : oracle.encode(projection, place, random);
        if (got == want) continue;
        ADD_FAILURE() << fmt::format("{} {} {:#x}/{} of {:a} ({}): got {:#x} ({}), want {:#x} ({})",
                                     std::string_view(format.name), name(projection.rounding), random,
                                     projection.random_bits, x, x, got, decode(format, got), want,
                                     decode(format, want));
        if (++mismatches == 3) return;
      }
  }
}

TEST(Families, encode_rounds_every_number_and_middle_and_their_neighbours_as_the_oracle) {
  for (const Format& format : small_members()) {
    const FamilyOracle oracle(format);
    expect_as_oracle(oracle, oracle.inputs(), projections({5}, {}));
  }
}

// One of each handful of their numbers, middles and neighbours.
TEST(Families, encode_rounds_long_codes_as_the_oracle) {
  for (const char* text : {"posit11", "posit16", "posit12es1", "takum12_linear", "takum10_logarithmic", "lns4f6"}) {
    const FamilyOracle oracle(parse_format(text));
    const std::vector<double> inputs = oracle.inputs();
    std::vector<double> some;
    for (size_t i = 0; i < inputs.size(); i += inputs.size() / 1000) some.push_back(inputs[i]);
    expect_as_oracle(oracle, some, projections({13}, {}));
  }
}

TEST(Families, encode_rounds_random_numbers_as_the_oracle) {
  for (const Format& format : small_members()) {
    const FamilyOracle oracle(format);
    std::vector<double> inputs;
    for (uint32_t i = 0; i < 60; ++i) {
      const RandomSite site{.seed = 11, .stream = Stream::Data};
      const double x = std::ldexp(1 + random_word(site, 2 * i) * 0x1p-32, int(random_word(site, 2 * i + 1) % 40) - 20);
      inputs.push_back(format.is_signed() && i % 2 == 1 ? -x : x);
    }
    expect_as_oracle(oracle, inputs, projections({1, 32}, {}));
  }
}

// A middle, and what is more than it by less than any double shows: the last bit of 64, or only a sticky bit.
TEST(Families, what_lies_below_binary64_decides_ties) {
  for (const Format& format : small_members()) {
    if (format.domain == Domain::Logarithm || format.family == Family::LogarithmicTakum) continue;
    const FamilyOracle oracle(format);
    for (const double x : oracle.inputs()) {
      const bool is_tie = x != 0 && oracle.place(x).nu == mpq_class(1, 2);
      if (!is_tie) continue;
      Real last_bit = Real::of(x), sticky = Real::of(x);
      last_bit.significand |= 1;
      sticky.sticky = true;
      for (const Projection& projection : projections({1}, {})) {
        if (is_stochastic(projection.rounding)) continue;
        const uint32_t want = oracle.encode(projection, std::nextafter(x, 2 * x));
        ASSERT_EQ(encode(format, projection, last_bit), want) << std::string_view(format.name) << " " << x;
        ASSERT_EQ(encode(format, projection, sticky), want) << std::string_view(format.name) << " " << x;
      }
    }
  }
}

TEST(Families, infinities_nans_and_overflow_follow_the_policies) {
  for (const Format& format : small_members()) {
    const FamilyOracle oracle(format);
    for (const Overflow overflow : {Overflow::Saturate, Overflow::ToInfinity}) {
      const Projection projection{.policies = {.overflow = overflow}};
      for (const double x : {double(INFINITY), double(NAN), 1e300, format.is_signed() ? -double(INFINITY) : 0.0})
        EXPECT_EQ(encode(format, projection, Real::of(x)), oracle.encode(projection, x))
            << std::string_view(format.name) << " " << name(overflow) << " " << x;
    }
  }
}

// The array forms go through the reference.
TEST(Families, arrays_are_cast_like_single_numbers) {
  const std::vector<float> x = random_floats(500, 3);
  for (const Format& format : small_members()) {
    const Caster caster(format, {Rounding::StochasticB, 5, {}});
    EXPECT_EQ(caster.encoder(), nullptr);
    const RandomSite site{.seed = 9};
    std::vector<uint8_t> codes(x.size());
    caster.encode<uint8_t>(x, codes, site);
    std::vector<float> values(x.size());
    if (fits_binary32(format)) caster.round(x, values, site);
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(codes[i], encode(format, caster.projection(), Real::of(x[i]), random_bits(site, uint32_t(i), 5)));
      if (!fits_binary32(format)) continue;
      ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(float(decode(format, codes[i]))));
    }
  }
}

TEST(Families, those_that_fit_binary32_have_only_its_numbers) {
  std::map<std::string, bool> fits;
  for (const Format& format : small_members()) {
    bool all = true;
    for (uint32_t code = 0; code < uint32_t{1} << format.bits(); ++code) {
      const Real value = decode_exactly(format, code);
      const double x = value.nearest();
      all &= !value.sticky && (std::isnan(x) || double(float(x)) == x);
    }
    fits[std::string(std::string_view(format.name))] = all;
    EXPECT_LE(fits_binary32(format), all) << std::string_view(format.name);
    const bool is_logarithmic = format.family == Family::LogarithmicTakum || format.family == Family::Logarithmic;
    EXPECT_TRUE(is_logarithmic || fits_binary32(format) == all) << std::string_view(format.name);
  }
  EXPECT_TRUE(fits["posit8"] && fits["hifloat8"] && fits["nf4"] && fits["pow2_4"] && fits["log2_4"]);
  EXPECT_FALSE(fits["takum8_linear"] || fits["takum8_logarithmic"] || fits["lns4f3"]);
  EXPECT_TRUE(fits_binary32(parse_format("posit16")) && fits_binary32(parse_format("pow2_4")));
  EXPECT_FALSE(fits_binary32(parse_format("posit32")));
}

// ---- what is published about them

double cast(const char* format, double x, Rounding rounding = Rounding::TiesToEven) {
  return decode(parse_format(format), encode(parse_format(format), {rounding, 0, {}}, Real::of(x)));
}

TEST(Posit, extremes_are_the_published_ones) {
  struct Row {
    const char* name;
    int exponent;
  };
  for (const Row& row : {Row{"posit8es0", 6},
                         {"posit8es1", 12},
                         {"posit8", 24},
                         {"posit16es1", 28},
                         {"posit16", 56},
                         {"posit32", 120},
                         {"posit4es0", 2},
                         {"posit4es1", 4},
                         {"posit4", 8},
                         {"posit6es1", 8}}) {
    EXPECT_EQ(max_finite(parse_format(row.name)), std::ldexp(1.0, row.exponent)) << row.name;
    EXPECT_EQ(min_positive(parse_format(row.name)), std::ldexp(1.0, -row.exponent)) << row.name;
  }
}

TEST(Posit, rounds_the_code_and_never_to_zero_or_nar) {
  EXPECT_EQ(cast("posit8", 4194304), 0x1p20);
  EXPECT_EQ(cast("posit8", 4.3e6), 0x1p24);
  const Format posit8 = parse_format("posit8");
  for (const Projection& projection : projections({8}, {})) {
    EXPECT_EQ(encode(posit8, projection, Real::of(1e-30)), 0x01) << name(projection.rounding);
    EXPECT_EQ(encode(posit8, projection, Real::of(-1e-30)), 0xff) << name(projection.rounding);
    EXPECT_EQ(encode(posit8, projection, Real::of(1e30)), 0x7f) << name(projection.rounding);
    EXPECT_EQ(encode(posit8, projection, Real::of(-1e30)), 0x81) << name(projection.rounding);
    for (const double x : {double(NAN), double(INFINITY), -double(INFINITY)})
      EXPECT_EQ(encode(posit8, projection, Real::of(x)), 0x80) << name(projection.rounding);
  }
}

TEST(Takum, has_the_published_codes) {
  const Format linear = parse_format("takum8_linear");
  EXPECT_EQ(decode(linear, 0x01), 0x1p-239);
  EXPECT_EQ(decode(linear, 0x7f), 0x1p239);
  EXPECT_EQ(decode(linear, 0x40), 1);
  EXPECT_EQ(decode(linear, 0xc0), -1);
  EXPECT_EQ(classify(linear, 0x80), CodeClass::Nan);
  const Format logarithmic = parse_format("takum8_logarithmic");
  EXPECT_EQ(decode(logarithmic, 0x40), 1);
  EXPECT_EQ(decode(logarithmic, 0x4c), 0x1.5bf0a8b145769p+1);  // c = 1, m = 1: sqrt(e)^2
}

TEST(Hifloat8, has_the_published_codes) {
  const Format format = parse_format("hifloat8");
  int positive = 0, subnormal = 0;
  for (uint32_t code = 0; code < 256; ++code) {
    const double value = decode(format, code);
    positive += value > 0 && std::isfinite(value);
    subnormal += classify(format, code) == CodeClass::Subnormal;
  }
  EXPECT_EQ(positive, 126);
  EXPECT_EQ(subnormal, 14);
  EXPECT_EQ(decode(format, 0x6e), 0x1p15);
  EXPECT_EQ(max_finite(format), 0x1p15);
  EXPECT_EQ(min_positive(format), 0x1p-22);
  EXPECT_EQ(min_normal(format), 0x1p-15);
  EXPECT_EQ(classify(format, 0x00), CodeClass::Zero);
  EXPECT_EQ(classify(format, 0x80), CodeClass::Nan);
  EXPECT_EQ(classify(format, 0x6f), CodeClass::Infinity);
  EXPECT_EQ(classify(format, 0xef), CodeClass::Infinity);
  EXPECT_EQ(encode(format, {}, Real::of(-0.0)), 0x00);
}

TEST(Hifloat8, has_three_two_and_one_bit_of_precision) {
  for (int exponent = -15; exponent <= 14; ++exponent) {
    const int bits = std::abs(exponent) <= 3 ? 3 : std::abs(exponent) <= 7 ? 2 : 1;
    const double binade = std::ldexp(1.0, exponent);
    EXPECT_EQ(cast("hifloat8", std::nextafter(binade, HUGE_VAL), Rounding::AwayFromZero),
              binade * (1 + std::ldexp(1.0, -bits)))
        << exponent;
  }
}

// A bitsandbytes kernel takes the upper number where x exceeds the middle of two.
double upper_if_above_middle(std::span<const float> numbers, double x) {
  size_t i = 0;
  while (i + 1 < numbers.size() && x > (double(numbers[i]) + double(numbers[i + 1])) / 2) ++i;
  return double(numbers[i]);
}

std::vector<double> around_middles(std::span<const float> numbers) {
  std::vector<double> result;
  for (size_t i = 0; i + 1 < numbers.size(); ++i) {
    push_neighbourhood(result, double(numbers[i]));
    push_neighbourhood(result, (double(numbers[i]) + double(numbers[i + 1])) / 2);
  }
  return result;
}

TEST(NormalFloat4, ties_toward_negative_are_the_lower_value_of_bitsandbytes) {
  for (const double x : around_middles(oracle::kNf4))
    EXPECT_EQ(cast("nf4", x, Rounding::TiesTowardNegative), upper_if_above_middle(oracle::kNf4, x)) << x;
}

TEST(BitsandbytesFp4, ties_to_zero_are_the_smaller_magnitude_of_bitsandbytes) {
  std::vector<float> magnitudes(std::begin(oracle::kBnbFp4), std::end(oracle::kBnbFp4));
  std::ranges::sort(magnitudes);
  for (const double x : around_middles(magnitudes)) {
    EXPECT_EQ(cast("bnb_fp4", x, Rounding::TiesToZero), upper_if_above_middle(magnitudes, x)) << x;
    EXPECT_EQ(cast("bnb_fp4", -x, Rounding::TiesToZero), -upper_if_above_middle(magnitudes, x)) << x;
  }
  const double twelfths[] = {0, 0.0625, 8, 12, 4, 6, 2, 3};
  for (uint32_t code = 0; code < 8; ++code)
    EXPECT_EQ(decode(parse_format("bnb_fp4"), code), float(twelfths[code] / 12));
}

TEST(Binary, zero_of_either_sign_becomes_one) {
  for (const double zero : {0.0, -0.0})
    for (const Rounding rounding : {Rounding::TiesToEven, Rounding::TiesToAway, Rounding::TiesToZero,
                                    Rounding::TiesTowardPositive, Rounding::TowardZero, Rounding::TowardPositive})
      EXPECT_EQ(cast("binary", zero, rounding), 1) << name(rounding);
  EXPECT_EQ(cast("binary", -1e-9), -1);
  EXPECT_EQ(cast("binary", 7), 1);
}

TEST(Ternary, has_three_values) {
  const Format format = parse_format("ternary");
  for (const double x : {-9.0, -0.6, -0.5, -0.1, 0.0, 0.4, 0.5, 0.51, 2.0})
    EXPECT_EQ(cast("ternary", x), std::nearbyint(std::clamp(x, -1.0, 1.0))) << x;
  EXPECT_EQ(format.bits(), 2);
}

// QuEST rounds x + 1/2 to the nearest even whole number and takes 1/2 off.
TEST(MidRise, ties_to_odd_are_quests) {
  for (const int bits : {2, 3, 4, 8}) {
    const double largest = std::ldexp(1.0, bits - 1) - 0.5;
    for (double x = -largest - 2; x <= largest + 2; x += 1.0 / 16) {
      const double want = std::clamp(std::nearbyint(x + 0.5) - 0.5, -largest, largest);
      EXPECT_EQ(cast(fmt::format("midrise{}", bits).c_str(), x, Rounding::TiesToOdd), want) << bits << " " << x;
    }
  }
}

TEST(MidRise, codes_ascend_from_the_lowest_number) {
  const Format format = parse_format("midrise4");
  for (uint32_t code = 0; code < 16; ++code) EXPECT_EQ(decode(format, code), code - 7.5);
}

// b = 4, q = 17: shift and numerator over 30 of every code, as AdaLog's integer decoding has them.
TEST(AdaLog, table_is_the_published_one) {
  const int shifts[] = {0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6};
  const int numerators[] = {30, 22, 16, 23, 17, 24, 18, 26, 19, 27, 20, 29, 21, 15, 22, 16};
  const Format format = parse_format("adalog4q17lut");
  for (uint32_t code = 0; code < 16; ++code)
    EXPECT_EQ(decode(format, code), std::ldexp(numerators[code] / 30.0, -shifts[code])) << code;
  for (uint32_t code = 16; code < 32; ++code) EXPECT_EQ(decode(format, code), 0) << code;
}

// log-sqrt2: 2^-ceil(k/2), times sqrt(2) where k is odd; beyond the last k zero.
TEST(LogSqrt2, numbers_are_the_published_ones) {
  const Format format = parse_format("logsqrt2_4");
  for (uint32_t k = 0; k < 16; ++k)
    EXPECT_EQ(decode(format, k), std::ldexp(k % 2 == 1 ? std::sqrt(2.0) : 1.0, -int((k + 1) / 2))) << k;
  EXPECT_EQ(encode(format, {}, Real::of(std::exp2(-15.49 / 2))), 15u);
  EXPECT_EQ(encode(format, {}, Real::of(std::exp2(-15.51 / 2))), 16u);
}

TEST(PowersOfTwo, both_domains_have_their_boundary) {
  const double root = std::sqrt(2.0) / 4;  // between 1/4 and 1/2
  EXPECT_EQ(cast("pow2_4", root * (1 - 1e-12)), 0.25);
  EXPECT_EQ(cast("pow2_4", root * (1 + 1e-12)), 0.5);
  EXPECT_EQ(cast("pow2_4_value", 0.375 * (1 - 1e-12)), 0.25);
  EXPECT_EQ(cast("pow2_4_value", 0.375 * (1 + 1e-12)), 0.5);
  EXPECT_EQ(cast("lns3f0_value", 1.5), 1);  // an even code
  EXPECT_EQ(cast("lns3f0_value", 1.5000001), 2);
  EXPECT_EQ(max_finite(parse_format("pow2_4b3")), 16);
}

TEST(P3109, members_are_or_are_not_other_formats) {
  const auto same = [](const char* a, const char* b, double factor) {
    int differ = 0;
    for (uint32_t code = 0; code < uint32_t{1} << parse_format(a).bits(); ++code) {
      const double x = decode(parse_format(a), code), y = decode(parse_format(b), code) * factor;
      differ += !(x == y && std::signbit(x) == std::signbit(y)) && !(std::isnan(x) && std::isnan(y));
    }
    return differ;
  };
  EXPECT_EQ(same("binary8p4sf", "e4m3fnuz", 1), 0);
  EXPECT_EQ(same("binary8p3sf", "e5m2fnuz", 1), 0);
  EXPECT_EQ(same("binary4p2sf", "e2m1", 0.5), 1);  // NaN in place of -0
  EXPECT_EQ(classify(parse_format("binary4p2sf"), 0x8), CodeClass::Nan);
  EXPECT_EQ(classify(parse_format("binary8p1uf"), 0x00), CodeClass::Zero);
  EXPECT_EQ(decode(parse_format("binary8p1uf"), 0x80), 1);
  EXPECT_EQ(decode(parse_format("e8m0"), 0x7f), 1);
  EXPECT_EQ(max_finite(parse_format("binary8p1uf")), 0x1p126);
}

// ---- names

struct Refused {
  const char* text;
  const char* why;
};

TEST(ParseFormat, says_what_is_allowed_where_parameters_make_no_format) {
  for (const Refused& row : {
           Refused{"posit1", "posits have 2 to 32 bits"},
           {"posit33", "posits have 2 to 32 bits"},
           {"posit8es9", "posits have es 0 to 4"},
           {"takum1_linear", "takums have 2 to 32 bits"},
           {"takum33_logarithmic", "takums have 2 to 32 bits"},
           {"binary8p9se", "the precision of signed formats of 8 bits lies in 1 … 7"},
           {"binary8p8sf", "the precision of signed formats of 8 bits lies in 1 … 7"},
           {"binary8p9ue", "the precision of unsigned formats of 8 bits lies in 1 … 8"},
           {"binary8p0se", "the precision of signed formats of 8 bits lies in 1 … 7"},
           {"binary2p1se", "P3109 formats have 3 to 16 bits"},
           {"binary17p1ue", "P3109 formats have 3 to 16 bits"},
           {"int1", "signed integers have 2 to 16 bits"},
           {"int17", "signed integers have 2 to 16 bits"},
           {"int1_narrow", "signed integers have 2 to 16 bits"},
           {"uint0", "unsigned integers have 1 to 16 bits"},
           {"uint17", "unsigned integers have 1 to 16 bits"},
           {"midrise0", "mid-rise formats have 1 to 16 bits"},
           {"midrise17", "mid-rise formats have 1 to 16 bits"},
           {"s0f4", "needs one bit before the point"},
           {"s1f0", "2 to 24 bits"},
           {"u1f0", "2 to 24 bits"},
           {"u20f5", "2 to 24 bits"},
           {"u25f2147483647", "2 to 24 bits"},
           {"lns0f0", "at least its sign before the point"},
           {"lns0f4", "at least its sign before the point"},
           {"lns1f0", "2 to 15 bits"},
           {"lns8f8", "2 to 15 bits"},
           {"pow2_2", "powers of two have 3 to 8 bits"},
           {"pow2_9_value", "powers of two have 3 to 8 bits"},
           {"pow2_4b901", "the bias lies in -900 … 900"},
           {"log2_1", "2 to 8 bits"},
           {"logsqrt2_9", "2 to 8 bits"},
           {"adalog4q0", "q lies in 1 … 255"},
           {"adalog4q256", "q lies in 1 … 255"},
           {"adalog9q17", "2 to 8 bits"},
           {"e0m0", "needs an exponent or mantissa bit"},
           {"e4m3b-901", "the bias lies in -900 … 900"},
           {"e12m1", "at most 11 exponent"},
           {"e4m0flush", "flush needs an exponent and a mantissa bit"},
           {"e0m3flush", "flush needs an exponent and a mantissa bit"},
           {"ue4m3fnuz", "fnuz needs a sign"},
           {"e1m2ieee", "ieee needs at least two exponent bits"},
       }) {
    try {
      parse_format(row.text);
      ADD_FAILURE() << row.text << " was read";
    } catch (const UnknownName&) {
      ADD_FAILURE() << row.text << " was not understood";
    } catch (const std::invalid_argument& error) {
      const std::string_view message = error.what();
      EXPECT_TRUE(message.starts_with(fmt::format("format '{}': ", row.text))) << message;
      EXPECT_NE(message.find(row.why), std::string::npos) << message;
    }
  }
}

TEST(ParseFormat, knows_no_names_that_only_look_like_members) {
  for (const char* text :
       {"posit",          "posit8es",       "posit8es1x",  "posit-8",      "takum8",   "takum8linear",
        "takum8_linear_", "binary8p4",      "binary8p4es", "binary8p4sex", "binary8",  "int",
        "int8narrow",     "uint8_narrow",   "midrise",     "midrise4x",    "s2f",      "sf6",
        "u2f6x",          "lns4",           "lns4f3value", "lnsf3",        "pow2_",    "pow2_4_",
        "pow2_4b",        "pow2_4_log",     "log2_",       "log2_4lut",    "log2_4q3", "adalog4",
        "adalog4q",       "adalog4q17lutx", "hifloat16",   "nf3",          "Posit8",   "e4m3flushfn",
        "e4m3flushflush"})
    EXPECT_THROW(parse_format(text), UnknownName) << text;
}

TEST(ParseFormat, reads_flushing_floats) {
  const Format format = parse_format("e4m3fnflush");
  EXPECT_FALSE(format.subnormals);
  EXPECT_EQ(format.nan, NanCodes::Top);
  EXPECT_EQ(decode(format, 0x07), 0);
  EXPECT_EQ(decode(format, 0x08), 0x1p-6);
  EXPECT_EQ(parse_format("e3m2flush").nan, NanCodes::None);
  EXPECT_EQ(parse_format("e5m2b3ieeeflush").bias, 3);
}

}  // namespace
}  // namespace halfulp
