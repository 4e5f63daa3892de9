// The replay of cvt.rs against the carry that the PTX ISA describes, worked out on binary32 bits, and against the
// definitions of the roundings; TransformerEngine's routine against exact sums and a look-up.
#include "formats/cvt_rs.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "formats/philox.h"
#include "tests/oracle.h"

namespace halfulp {
namespace {

using oracle::Oracle;

/// The random bits of each operand, cut out of rbits as the text says.
const std::map<std::string, std::vector<uint32_t> (*)(uint32_t)> kRandomOfOperands = {
    {"f16x2",
     [](uint32_t r) {
       return std::vector{r >> 16 & 0x1fff, r & 0x1fff};
     }},
    {"bf16x2",
     [](uint32_t r) {
       return std::vector{r >> 16, r & 0xffff};
     }},
    {"e4m3x4",
     [](uint32_t r) {
       return std::vector{r >> 16, r >> 16, r & 0xffff, r & 0xffff};
     }},
    {"e5m2x4",
     [](uint32_t r) {
       return std::vector{r >> 16, r >> 16, r & 0xffff, r & 0xffff};
     }},
    {"e3m2x4",
     [](uint32_t r) {
       return std::vector{r >> 16, r >> 16, r & 0xffff, r & 0xffff};
     }},
    {"e2m3x4",
     [](uint32_t r) {
       return std::vector{r >> 16, r >> 16, r & 0xffff, r & 0xffff};
     }},
    {"e2m1x4",
     [](uint32_t r) {
       return std::vector{r >> 24, r >> 8 & 0xff, r >> 16 & 0xff, r & 0xff};
     }},
};

/// A number's bits among the numbers of a form's element.
std::vector<uint32_t> elements(const CvtRsForm& form, uint32_t result) {
  std::vector<uint32_t> codes;
  for (int i = 0; i < form.operands; ++i)
    codes.push_back(result >> form.result_bits * (form.operands - 1 - i) & ((1u << form.result_bits) - 1));
  return codes;
}

uint32_t word(uint32_t site, uint32_t i) { return random_word({.seed = 31, .site = site}, i); }

/// Random floats from below the format's smallest number to above its largest.
float number_for(const Format& format, uint32_t i) {
  const int low = min_normal(format) > 0 ? std::ilogb(min_normal(format)) - format.mantissa_bits - 4 : -126;
  const int span = max_exponent(format) + 2 - low;
  const float significand = std::bit_cast<float>(0x3f800000 | (word(1, i) >> 9));
  const int exponent = low + int(word(2, i) % uint32_t(span));
  return std::ldexp(word(3, i) % 2 ? -significand : significand, exponent);
}

TEST(CvtRs, every_form_is_tested_here_and_unverified) {
  EXPECT_EQ(cvt_rs_forms().size(), kRandomOfOperands.size());
  for (const CvtRsForm& form : cvt_rs_forms()) {
    EXPECT_TRUE(kRandomOfOperands.contains(std::string(form.name))) << form.name;
    EXPECT_EQ(form.evidence, Evidence::Unverified) << form.name;
    EXPECT_FALSE(form.open.empty()) << form.name;
  }
}

// The operand's R shows itself: 1 + k/2^N of a step rounds up from k = 2^N - R on.
TEST(CvtRs, operands_take_the_bits_the_text_gives_them) {
  for (const CvtRsForm& form : cvt_rs_forms()) {
    const CvtRs convert(form);
    const Format format = parse_format(form.format);
    const std::vector<float> ones(size_t(form.operands), 1.0f);
    const uint32_t one = elements(form, convert(ones, 0)).front();
    for (uint32_t trial = 0; trial < 40; ++trial) {
      const uint32_t rbits = trial < 32 ? 1u << trial : word(4, trial);
      std::vector<uint32_t> found;
      for (int operand = 0; operand < form.operands; ++operand) {
        uint32_t down = 0, up = 1u << form.random_bits;  // k that rounds down; k that would round up
        while (up - down > 1) {
          const uint32_t k = (down + up) / 2;
          std::vector<float> operands = ones;
          operands[size_t(operand)] = 1 + std::ldexp(float(k), -form.random_bits - format.mantissa_bits);
          const uint32_t code = elements(form, convert(operands, rbits))[size_t(operand)];
          ASSERT_TRUE(code == one || code == one + 1);
          (code == one ? down : up) = k;
        }
        found.push_back((1u << form.random_bits) - up);
      }
      EXPECT_EQ(found, kRandomOfOperands.at(std::string(form.name))(rbits)) << form.name << " " << std::hex << rbits;
    }
  }
}

// The text's own words: the random bits are added to the discarded bits, and the carry rounds away from zero.
TEST(CvtRs, results_are_what_the_carry_of_discarded_bits_gives) {
  for (const CvtRsForm& form : cvt_rs_forms()) {
    const Format format = parse_format(form.format);
    const uint32_t discarded = 23 - uint32_t(format.mantissa_bits), n = uint32_t(form.random_bits);
    for (const RandomAlignment alignment : {RandomAlignment::Highest, RandomAlignment::Lowest}) {
      const CvtRs convert(form, true, alignment);
      for (uint32_t i = 0; i < 20000; ++i) {
        const float x = number_for(format, i);
        const uint32_t rbits = word(5, i), bits = std::bit_cast<uint32_t>(x);
        if (std::fabs(x) < min_normal(format) || std::fabs(x) >= max_finite(format)) continue;
        for (int operand = 0; operand < form.operands; ++operand) {
          const uint64_t random = kRandomOfOperands.at(std::string(form.name))(rbits)[size_t(operand)];
          const uint64_t rest = bits & ((1u << discarded) - 1);
          const bool carry = alignment == RandomAlignment::Highest ? ((rest >> (discarded - n)) + random) >> n != 0
                                                                   : (rest + random) >> discarded != 0;
          const uint32_t rounded = ((bits >> discarded) + carry) << discarded;
          ASSERT_EQ(decode(format, convert.code(x, operand, rbits)), std::bit_cast<float>(rounded))
              << form.name << " " << name(alignment) << std::hexfloat << " " << x << " " << rbits;
        }
      }
    }
  }
}

TEST(CvtRs, results_are_stochastic_a_also_for_subnormals_and_beyond_the_largest_number) {
  for (const CvtRsForm& form : cvt_rs_forms()) {
    const Oracle truth(parse_format(form.format));
    for (const bool satfinite : {true, false}) {
      if (!satfinite && form.always_saturates) continue;
      const CvtRs convert(form, satfinite);
      const Projection projection{
          .rounding = Rounding::StochasticA,
          .random_bits = form.random_bits,
          .policies = {.overflow = satfinite ? Overflow::Saturate : Overflow::ToInfinity, .nan = NanPolicy::AllOnes}};
      for (uint32_t i = 0; i < 20000; ++i) {
        const float x = number_for(truth.format(), i);
        const uint32_t rbits = word(6, i);
        const std::vector<uint32_t> random = kRandomOfOperands.at(std::string(form.name))(rbits);
        for (int operand = 0; operand < form.operands; ++operand) {
          const uint32_t want = truth.encode(projection, double{x}, random[size_t(operand)]);
          const uint32_t got = convert.code(x, operand, rbits);
          ASSERT_EQ(got, want) << oracle::describe(truth, projection, double{x}, random[size_t(operand)], got, want);
        }
      }
    }
  }
}

// The distance of a subnormal result from the lower number, in units of the lowest bit of the binary32 number.
TEST(CvtRs, lowest_alignment_of_subnormals_counts_in_units_of_the_source) {
  const CvtRsForm& form = find_cvt_rs_form("e4m3x4");
  const CvtRs convert(form, true, RandomAlignment::Lowest);
  for (uint32_t i = 0; i < 20000; ++i) {
    const int exponent = -7 - int(i % 20);  // below e4m3fn's smallest normal 2^-6; its step is 2^-9
    const uint32_t significand = 0x800000 | word(7, i) >> 9, rbits = word(8, i);
    const int discarded = -9 - (exponent - 23);
    const uint64_t step = uint64_t{1} << discarded;
    const uint64_t index = significand / step + (significand % step + (rbits >> 16) >= step);
    ASSERT_EQ(convert.code(std::ldexp(float(significand), exponent - 23), 1, rbits), index)
        << exponent << " " << significand << " " << rbits;
  }
}

TEST(CvtRs, lowest_alignment_far_below_the_format_never_carries) {
  const CvtRsForm wide{"e4m3x1", "e4m3fn", 1, 8, 32, {0}, false, "", Evidence::Unverified, ""};
  const CvtRs convert(wide, true, RandomAlignment::Lowest);
  // 44 bits are discarded of 2^-30, 33 of 2^-19 and 32 of 2^-18
  for (const int exponent : {-30, -19}) EXPECT_EQ(convert.code(std::ldexp(1.0f, exponent), 0, 0xffffffff), 0u);
  EXPECT_EQ(convert.code(0x1p-18f, 0, 0xffffffff), 1u);
  EXPECT_EQ(convert.code(0x1p-18f, 0, 0xff7fffff), 0u);
  EXPECT_EQ(convert.code(0x1p-18f, 0, 0xff800000), 1u);
}

TEST(CvtRs, share_of_results_rounded_up_is_nu_cut_to_the_random_bits) {
  for (const char* name : {"e2m1x4", "e4m3x4"}) {
    const CvtRsForm& form = find_cvt_rs_form(name);
    const CvtRs convert(form);
    const Format format = parse_format(form.format);
    const uint32_t all = 1u << form.random_bits;
    for (const float nu : {0.0f, 0.25f, 0.3f, 0.5f, 0.75f, 0x0.ffffp0f, 0x0.fffp-9f}) {
      const float x = 1 + std::ldexp(nu, -format.mantissa_bits);
      const double exact_nu = std::ldexp(double(x) - 1, format.mantissa_bits);
      uint32_t ups = 0;
      for (uint32_t r = 0; r < all; ++r) ups += decode(format, convert.code(x, 3, r)) > 1;
      EXPECT_EQ(ups, uint32_t(std::floor(exact_nu * all))) << name << " " << nu;
    }
  }
}

// TransformerEngine's loose-precision path asks for nearest, ties away, this way.
TEST(CvtRs, rbits_80008000_round_half_away) {
  for (const char* name : {"e4m3x4", "e5m2x4", "e3m2x4", "e2m3x4"}) {
    const CvtRs convert(find_cvt_rs_form(name));
    const Oracle truth(parse_format(convert.form().format));
    const Projection away{.rounding = Rounding::TiesToAway, .policies = {.overflow = Overflow::Saturate}};
    const auto check = [&](float x) {
      for (int operand = 0; operand < 4; ++operand)
        ASSERT_EQ(convert.code(x, operand, 0x80008000), truth.encode(away, double{x})) << name << " " << x;
    };
    for (const oracle::Rung& rung : truth.ladder(false)) {
      const oracle::Place place = truth.place(double(rung.magnitude));
      const float middle = float(rung.magnitude + place.gap / 2);
      for (const float x : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)}) {
        check(x);
        check(-x);
      }
    }
    for (uint32_t i = 0; i < 20000; ++i) check(number_for(truth.format(), i));
  }
}

TEST(CvtRs, results_are_packed_from_the_highest_bits_down) {
  const auto convert = [](std::string_view name, std::vector<float> operands) {
    return CvtRs(find_cvt_rs_form(name))(operands, 0);
  };
  EXPECT_EQ(convert("f16x2", {1, -2}), 0x3c00c000u);
  EXPECT_EQ(convert("bf16x2", {1, -2}), 0x3f80c000u);
  EXPECT_EQ(convert("e4m3x4", {1, 2, -1, 448}), 0x3840b87eu);
  EXPECT_EQ(convert("e5m2x4", {1, 2, -1, 57344}), 0x3c40bc7bu);
  EXPECT_EQ(convert("e3m2x4", {1, -28, 0, 4}), 0x0c3f0014u);
  EXPECT_EQ(convert("e2m3x4", {1, -7.5, 0, 0.125}), 0x083f0001u);
  EXPECT_EQ(convert("e2m1x4", {1, -6, 0.5, 3}), 0x2f15u);
}

TEST(CvtRs, special_numbers_follow_satfinite) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const CvtRs e4m3(find_cvt_rs_form("e4m3x4"));
  EXPECT_EQ(e4m3(std::vector{inf, -inf, nan, 1e30f}, 0xffffffff), 0x7efe7f7eu);
  EXPECT_EQ(CvtRs(find_cvt_rs_form("e2m1x4"))(std::vector{inf, -inf, nan, -0.0f}, 0xffffffff), 0x7f78u);
  EXPECT_EQ(CvtRs(find_cvt_rs_form("f16x2"))(std::vector{inf, nan}, 0), 0x7bff7fffu);
  const CvtRs f16(find_cvt_rs_form("f16x2"), false);
  EXPECT_EQ(f16(std::vector{inf, nan}, 0), 0x7c007fffu);
  EXPECT_EQ(f16(std::vector{65535.0f, 65535.0f}, 0x1fff0000), 0x7c007bffu) << "rounded up, and not";
  EXPECT_EQ(f16(std::vector{65504.0f, -65504.0f}, 0x1fff1fff), 0x7bfffbffu);
}

std::string message(auto call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(CvtRs, what_does_not_exist_is_refused) {
  EXPECT_EQ(message([] { CvtRs(find_cvt_rs_form("e4m3x4"), false); }), "cvt.rs to e4m3x4: only with .satfinite");
  EXPECT_TRUE(message([] { find_cvt_rs_form("e4m3x2"); }).starts_with("no form of cvt.rs named 'e4m3x2'; nearest: "));
  CvtRsForm mine = find_cvt_rs_form("e2m1x4");
  mine.lowest_random[3] = 25;
  EXPECT_EQ(message([&] { CvtRs{mine}; }),
            "cvt.rs to e2m1x4: 4 operands of 8 random and 4 result bits; 1 to 4 that fit a 32-bit register are wanted, "
            "with room for the codes of e2m1");
  mine.lowest_random = {0, 8, 16, 24};
  EXPECT_EQ(CvtRs(mine)(std::vector{0.25f, 0.25f, 0.25f, 0.25f}, 0x00ff00ff), 0x1010u) << "another map is only data";
}

constexpr std::array kE2m1 = {0.0L, 0.5L, 1.0L, 1.5L, 2.0L, 3.0L, 4.0L, 6.0L};

/// Code of the largest e2m1 magnitude not above t.
uint32_t floor_code(long double t) {
  uint32_t code = 0;
  while (code + 1 < kE2m1.size() && kE2m1[code + 1] <= t) ++code;
  return code;
}

TEST(TeStochastic, equals_the_exact_sum_rounded_once_to_binary32) {
  for (uint32_t i = 0; i < 20000; ++i) {
    const float x = std::ldexp(float(word(9, i) >> 8), -40 + int(i % 21));  // 2^-40 … 16
    const long double step = x >= 4 ? 2 : x >= 2 ? 1 : 0.5L;
    const uint8_t byte = uint8_t(word(10, i));
    const float sum = float((long double)x + byte * step / 256);  // at most 24 + 40 bits before it is rounded
    ASSERT_EQ(te_stochastic_e2m1(x, byte), floor_code(sum)) << std::hexfloat << x << " " << int(byte);
    ASSERT_EQ(te_stochastic_e2m1(-x, byte), floor_code(sum) + 8) << std::hexfloat << x << " " << int(byte);
  }
}

TEST(TeStochastic, differs_from_stochastic_a_where_the_sum_rounds_up_to_a_number) {
  const float x = 0x1p-9f - 0x1p-33f;
  const Oracle e2m1(parse_format("e2m1"));
  const Projection exact{
      .rounding = Rounding::StochasticA, .random_bits = 8, .policies = {.overflow = Overflow::Saturate}};
  EXPECT_EQ(te_stochastic_e2m1(x, 255), 1u) << "0.5";
  EXPECT_EQ(e2m1.encode(exact, double{x}, 255), 0u);
  // numbers of up to 12 fraction bits have exact sums
  for (int k = -7 * 4096; k <= 7 * 4096; ++k)
    for (const uint32_t byte : {0u, 1u, 127u, 128u, 254u, 255u, word(11, uint32_t(k)) % 256}) {
      const float y = std::ldexp(float(k), -12);
      ASSERT_EQ(te_stochastic_e2m1(y, uint8_t(byte)), e2m1.encode(exact, double{y}, byte)) << y << " " << byte;
    }
}

TEST(TeStochastic, edges) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(te_stochastic_e2m1(nan, 0), 7u);
  EXPECT_EQ(te_stochastic_e2m1(-nan, 255), 7u);
  EXPECT_EQ(te_stochastic_e2m1(inf, 0), 7u);
  EXPECT_EQ(te_stochastic_e2m1(-inf, 9), 15u);
  EXPECT_EQ(te_stochastic_e2m1(-0.0f, 255), 8u);
  EXPECT_EQ(te_stochastic_e2m1(-1e-30f, 0), 8u);
  EXPECT_EQ(te_stochastic_e2m1(6.5f, 255), 7u);
  EXPECT_EQ(te_stochastic_e2m1(1.75f, 128), 4u) << "the sum leaves the binade";
}

TEST(TeStochastic, bytes_go_to_elements_in_order_unlike_cvt_rs) {
  const std::array x = {0.25f, 0.25f, 0.25f, 0.25f};
  const CvtRs convert(find_cvt_rs_form("e2m1x4"));
  for (uint32_t byte = 0; byte < 4; ++byte) EXPECT_EQ(te_stochastic_e2m1x4(x, 0xffu << 8 * byte), 1u << 4 * byte);
  // the instruction as the library calls it: the last element first
  EXPECT_EQ(convert(std::vector(x.rbegin(), x.rend()), 0xffu << 8), 0x0100u);
}

}  // namespace
}  // namespace halfulp
