// Scale rules and policies of blocks, row by row as implementations are documented to behave, and the parts of the
// definition that are binary32 or binary64 arithmetic against straight-line programs.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "formats/block.h"
#include "formats/philox.h"
#include "tests/block_oracle.h"

namespace halfulp {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

BlockCodes codes_of(const std::string& text, const std::vector<float>& x, int rows = 1, const GivenScales& given = {}) {
  const BlockFormat format = make_block_format(text);
  return BlockQuantizer(format, Rounding::TiesToEven).quantize_reference(x, rows, int(x.size()) / rows, {}, given);
}

std::vector<float> values_of(const std::string& text, std::vector<float> x) {
  const float scale = BlockQuantizer(make_block_format(text), Rounding::TiesToEven).quantize(x, x, 1, int(x.size()));
  for (float& v : x) v *= scale;
  return x;
}

std::vector<float> spread(size_t count, uint32_t step = 0) {
  std::vector<float> x;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t word = random_word({.seed = 9, .step = step}, i);
    x.push_back(std::ldexp(float(int32_t(word)), int(word % 7) - 34));
  }
  return x;
}

TEST(ScaleRules, of_a_lone_amax) {
  struct Row {
    const char* text;
    float amax;
    uint32_t scale;
    float value;
  };
  const Row rows[] = {
      // Triton's rounding down is not OCP's floor
      {"mxfp4:rule=triton_down", 3.25f, 126, 3},
      {"mxfp4:rule=triton_down", 3.5f, 126, 3},
      {"mxfp4:rule=triton_down", 4, 126, 3},
      {"mxfp4:rule=triton_down", 5, 126, 3},
      {"mxfp4:rule=triton_down", 6, 127, 6},
      {"mxfp4:rule=triton_down", 7, 127, 6},
      {"mxfp8_e4m3:rule=triton_down", 256, 126, 224},
      {"mxfp8_e4m3:rule=triton_down", 448, 127, 448},
      {"mxfp8_e4m3:rule=triton_down", 496, 127, 448},
      {"mxfp4:rule=triton_up", 6, 127, 6},
      {"mxfp4:rule=triton_up", 6.0000005f, 128, 6},
      {"mxfp4:rule=triton_up", 0, 0, 0},
      {"mxfp4:rule=round_down", 4, 126, 3},
      {"mxfp4:rule=round_down", 6, 127, 6},
      // 3 · 2^k is a tie among powers of two
      {"int2_narrow/e8m0/1x1:rule=nearest", 3, 129, 4},
      {"int2_narrow/e8m0/1x1:rule=nearest_code", 3, 128, 2},
      {"int2_narrow/e8m0/1x1:rule=nearest_code", 6, 130, 8},
      {"int2_narrow/e8m0/1x1:rule=nearest", 2.9999998f, 128, 2},
      {"int2_narrow/e8m0/1x1:rule=near_log", 2.828427f, 128, 2},
      {"int2_narrow/e8m0/1x1:rule=near_log", 2.8284273f, 129, 4},
      {"int2_narrow/e8m0/1x1:rule=rceil", 1.25f, 128, 2},
      // scales with a mantissa round the same way
      {"int2_narrow/ue4m3/1x1:rule=rceil", 1.0625f, 0x39, 1.125f},
      {"int2_narrow/ue4m3/1x1:rule=round_down", 1.0625f, 0x38, 1},
      {"int2_narrow/ue4m3/1x1:rule=nearest", 1.0625f, 0x38, 1},
      {"fbgemm_mx4", 5, 0x38, 4},
      {"nvfp4:headroom=3/2,outer=none", 4, 0x38, 4},
      {"mxfp4:rule=rceil,headroom=17/16", 6, 128, 6},
      {"mxfp4:rule=floor,clamp=0.5", 0.25f, 124, 0.25f},
      // numbers beyond the scales
      {"e2m1/ue4m3/1x1", 1e6f, 0x7e, 2688},
      {"mxfp4:rule=floor", 0x1p-140f, 0, 0},
      {"e2m1/ue4m3/1x1:rule=rceil", 1e-6f, 0x01, 0},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(codes_of(row.text, {row.amax}).scales, std::vector<uint32_t>{row.scale}) << row.text << " " << row.amax;
    EXPECT_EQ(values_of(row.text, {row.amax})[0], row.value) << row.text << " " << row.amax;
  }
}

// byte = exponent field of binary32(amax / max), plus one where anything is below: all by integers.
TEST(ScaleRules, triton_works_on_the_bits_of_a_binary32_quotient) {
  for (const char* element : {"e2m1", "e4m3fn", "e5m2", "e2m3", "e3m2"})
    for (uint32_t i = 0; i < 20000; ++i) {
      const float amax = std::bit_cast<float>(random_word({.seed = 3}, i) & 0x7fffffff);
      if (!std::isfinite(amax)) continue;
      const float quotient = amax / float(max_finite(parse_format(element)));
      const uint32_t bits = std::bit_cast<uint32_t>(quotient);
      const uint32_t field = bits / (1u << 23), rest = bits % (1u << 23);
      const std::string base = fmt::format("{}/e8m0/1x1:rule=", element);
      ASSERT_EQ(codes_of(base + "triton_down", {amax}).scales[0], field) << element << " " << amax;
      ASSERT_EQ(codes_of(base + "triton_up", {amax}).scales[0], field + (rest != 0)) << element << " " << amax;
    }
}

// torchao, TransformerEngine and PTX round amax / max or amax · (1 / max) up in binary32: byte for byte the exact rule
// as long as the quotient is normal.
TEST(ScaleRules, rceil_is_what_binary32_division_gives) {
  for (const char* element : {"e2m1", "e4m3fn", "e5m2", "e2m3", "e3m2"}) {
    const float max = float(max_finite(parse_format(element)));
    const auto up = [](float quotient) {
      const uint32_t bits = std::bit_cast<uint32_t>(quotient);
      const uint32_t field = bits >> 23;
      return field + ((bits & 0x7fffff) != 0 && field < 254);
    };
    for (uint32_t i = 0; i < 30000; ++i) {
      const uint32_t word = random_word({.seed = 6}, i);
      float amax = std::bit_cast<float>(word & 0x7fffffff);
      if (i % 3 == 0)  // beside max · 2^k
        amax =
            std::bit_cast<float>(std::bit_cast<uint32_t>(std::ldexp(max, int(word % 200) - 100)) + word / 256 % 3 - 1);
      if (!std::isfinite(amax) || amax < max * 0x1p-126f) continue;
      const uint32_t byte = codes_of(fmt::format("{}/e8m0/1x1:rule=rceil", element), {amax}).scales[0];
      ASSERT_EQ(up(amax / max), byte) << element << " " << amax;
      ASSERT_EQ(up(amax * (1 / max)), byte) << element << " " << amax;
    }
  }
}

TEST(ScaleRules, stochastic_scales_are_unbiased_and_keyed_by_their_block) {
  // 1.09375 lies 3/4 of the way from 1 to 1.125
  const std::vector<float> x(4096, 1.09375f);
  const BlockFormat format = make_block_format("int2_narrow/ue4m3/1x1:rule=stochastic");
  const BlockQuantizer quantizer(format, Rounding::TiesToEven);
  const BlockCodes one = quantizer.quantize_reference(x, 1, 4096, {.seed = 1});
  int ups = 0;
  for (uint32_t code : one.scales) {
    ASSERT_TRUE(code == 0x38 || code == 0x39);
    ups += code == 0x39;
  }
  EXPECT_NEAR(ups, 3072, 5 * std::sqrt(4096 * 0.75 * 0.25));
  EXPECT_EQ(one.scales, quantizer.quantize_reference(x, 1, 4096, {.seed = 1}).scales);
  EXPECT_NE(one.scales, quantizer.quantize_reference(x, 1, 4096, {.seed = 2}).scales);
}

TEST(ScaleRules, rms_is_binary64_in_row_order) {
  for (uint32_t step = 0; step < 200; ++step) {
    const std::vector<float> x = spread(3 * 8, step);
    double sum = 0;
    for (float v : x) sum += double(v) * double(v);
    const double scale = 0.75 * std::sqrt(sum / 24);
    const auto code = [&](const char* rule) {
      return codes_of(fmt::format("e2m1/e8m0/3x8:statistic=rms*3/4,rule={}", rule), x, 3).scales.at(0);
    };
    EXPECT_EQ(code("round_down"), uint32_t(std::floor(std::log2(scale))) + 127);
    EXPECT_EQ(code("rceil"), uint32_t(std::ceil(std::log2(scale))) + 127);
    EXPECT_EQ(code("near_log"), uint32_t(std::lround(std::log2(scale))) + 127);
  }
}

TEST(ScaleRules, nearby_scales_reach_the_smallest_but_not_zero) {
  // the scale of amax is 2/512; only under 1/512 do the small numbers not vanish
  std::vector<float> x(161, 0.5f / 512);
  x[0] = 9.0f / 512;
  EXPECT_EQ(codes_of("e2m1/ue4m3/1x161", x).scales[0], 2u);
  EXPECT_EQ(codes_of("e2m1/ue4m3/1x161:search=nearby*1", x).scales[0], 1u);
  EXPECT_EQ(codes_of("e2m1/ue4m3/1x161:search=nearby*9", x).scales[0], 1u);
  EXPECT_EQ(codes_of("e2m1/ue4m3/1x1:search=nearby*1", {3e-3f}).scales[0], 1u) << "a scale of zero errs by all of it";
}

TEST(BlockPolicies, of_blocks_of_zeros) {
  struct Row {
    const char* text;
    uint32_t scale;
  };
  const Row rows[] = {{"mxfp4:rule=floor", 0x00},  // torchao, microxcaling, gfloat, ModelOpt
                      {"mxfp4:rule=rceil", 0x00},
                      {"mxfp4:rule=even", 0x00},
                      {"mxfp4:rule=floor,zero=unit_amax", 0x7d},  // Universal: 127 - e_max
                      {"mxfp4:rule=floor,zero=one", 0x7f},
                      {"nvfp4", 0x00},
                      {"nvfp4:zero=min_subnormal", 0x01},
                      {"nvfp4:zero=min_normal", 0x08},
                      {"nvfp4:zero=one", 0x38}};
  for (const Row& row : rows) {
    const std::string text = std::string(row.text) + ",shape=1x2";
    const BlockCodes got =
        codes_of(std::string(row.text).find(':') == std::string::npos ? std::string(row.text) + ":shape=1x2" : text,
                 {0, 0, 1, 2});
    EXPECT_EQ(got.scales[0], row.scale) << row.text;
    EXPECT_EQ(got.codes[0], 0u) << row.text;
  }
}

TEST(BlockPolicies, of_scales_that_underflow) {
  // 2^-12 of the array's amax: 448 / 4096 is below half of the smallest subnormal only at 2^-19
  const float tiny = 0x1p-19f;
  EXPECT_EQ(codes_of("nvfp4:shape=1x1", {tiny, 1}).scales[0], 0u);
  EXPECT_EQ(codes_of("nvfp4:shape=1x1,zero=min_subnormal", {tiny, 1}).scales[0], 1u);
  EXPECT_EQ(codes_of("nvfp4:shape=1x1,zero=min_normal", {tiny, 1}).scales[0], 8u);
  EXPECT_EQ(codes_of("nvfp4:shape=1x1,zero=one", {tiny, 1}).scales[0], 0x38u);
  EXPECT_EQ(codes_of("nvfp4:shape=1x1,zero=min_normal", {0x1p-16f, 1}).scales[0], 8u) << "4 would be subnormal";
  EXPECT_EQ(codes_of("fp4_ue5m3:shape=1x1", {0x1p-28f, 1}).scales[0], 15u << 3) << "1, as arXiv 2609.02846 does";
}

// An FE byte for infinities, FF for NaNs: TransformerEngine and PTX; and what others do.
TEST(BlockPolicies, of_nans_and_infinities) {
  struct Row {
    const char* text;
    float bad;
    uint32_t scale;
    float bad_value, other_value;  // of a block {bad, 1}
  };
  const Row rows[] = {
      {"mxfp4:rule=rceil", kNan, 0xff, kNan, kNan},
      {"mxfp4:rule=rceil", kInfinity, 0xff, kNan, kNan},
      {"mxfp4:rule=rceil,infinity=saturate", kInfinity, 0xfe, kInfinity, 0},
      {"mxfp4:rule=rceil,infinity=saturate", kNan, 0xff, kNan, kNan},
      {"mxfp4:rule=triton_up", kInfinity, 0xff, kNan, kNan},
      {"mxfp4:rule=triton_up", kNan, 0x00, 0, 0},  // the carry wraps
      {"mxfp4:rule=triton_down", kNan, 0xff, kNan, kNan},
      {"mxfp4:rule=floor,nan=element", kNan, 0x7d, 0, 1},                           // Universal
      {"mxfp8_e4m3:rule=floor,nan=element,infinity=element", kNan, 0x77, kNan, 1},  // P3109: by the finite ones
      {"mxfp8_e4m3:rule=floor,nan=element,infinity=element", -kInfinity, 0x77, -1.75f, 1},
  };
  const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  for (const Row& row : rows) {
    const std::string text = std::string(row.text) + ",shape=1x2";
    EXPECT_EQ(codes_of(text, {row.bad, 1}).scales[0], row.scale) << row.text << " " << row.bad;
    const std::vector<float> got = values_of(text, {row.bad, 1});
    EXPECT_TRUE(same(got[0], row.bad_value)) << row.text << " " << row.bad << ": " << got[0];
    EXPECT_TRUE(same(got[1], row.other_value)) << row.text << " " << row.bad << ": " << got[1];
  }
}

TEST(BlockRows, old_block_floats_keep_the_leading_bit_in_the_mantissa) {
  const std::vector<float> x = {1.0f, -0.75f, 1.99f, 0.004f};
  EXPECT_EQ(values_of("bfp8", x), (std::vector<float>{1, -0.75f, 127 / 64.0f, 0}));
  EXPECT_EQ(values_of("bfp4", x), (std::vector<float>{1, -0.75f, 1.75f, 0}));
  EXPECT_EQ(values_of("bfp2", x), (std::vector<float>{1, -1, 1, 0}));
  EXPECT_EQ(values_of("msfp12", x), values_of("bfp4", x));
  EXPECT_EQ(values_of("dfp16", {1.0f, -0.75f, 1.99993f, 0x1p-14f}),
            (std::vector<float>{1, -0.75f, 32767 * 0x1p-14f, 0x1p-14f}));
  EXPECT_EQ(codes_of("dfp8", spread(100)).scales.size(), 1u);
}

TEST(BlockRows, mixed_blocks_mark_integers_in_the_scale) {
  // sevenths suit the integer grid of steps of 6/7
  const std::vector<float> sevenths = {6, 5 * 6 / 7.0f, 3 * 6 / 7.0f, 6 / 7.0f};
  const BlockCodes integers = codes_of("if4:outer=none", sevenths);
  EXPECT_EQ(integers.scales, std::vector<uint32_t>{0x80 | 0x38});
  EXPECT_EQ(integers.codes, (std::vector<uint32_t>{7, 5, 3, 1}));
  const BlockCodes floats = codes_of("if4:outer=none", {6, 4, 3, 0.5f});
  EXPECT_EQ(floats.scales, std::vector<uint32_t>{0x38});
  EXPECT_EQ(floats.codes, (std::vector<uint32_t>{7, 6, 5, 1}));
  EXPECT_EQ(codes_of("if4:outer=none", {6, 0, -6}).scales, std::vector<uint32_t>{0x38}) << "equal errors: float";
  for (const char* name : {"if6_e2m3", "if6_e3m2", "if3"}) {
    const BlockFormat format = make_block_format(name);
    EXPECT_DOUBLE_EQ(
        max_finite(format.second->element) * format.second->unit.numerator / format.second->unit.denominator,
        max_finite(format.element))
        << name;
  }
}

TEST(TensorScales, of_rows_and_of_outer_blocks) {
  const std::vector<float> x = spread(4 * 64);
  const auto amax = [&](size_t first, size_t count) {
    float largest = 0;
    for (size_t i = first; i < first + count; ++i) largest = std::max(largest, std::fabs(x[i]));
    return largest;
  };
  const BlockCodes rows = codes_of("nvfp4:outer=row", x, 4);
  ASSERT_EQ(rows.outer_scales.size(), 4u);
  for (size_t r = 0; r < 4; ++r) {
    EXPECT_EQ(rows.outer_scales[r], float(double(amax(64 * r, 64)) / 2688));
    const std::vector<float> row(x.begin() + ptrdiff_t(64 * r), x.begin() + ptrdiff_t(64 * r + 64));
    const BlockCodes alone = codes_of("nvfp4", row);
    EXPECT_TRUE(std::equal(alone.scales.begin(), alone.scales.end(), rows.scales.begin() + ptrdiff_t(4 * r)));
    EXPECT_TRUE(std::equal(alone.codes.begin(), alone.codes.end(), rows.codes.begin() + ptrdiff_t(64 * r)));
  }
  const BlockCodes outer = codes_of("nvfp4:outer=1x32,target=256", x, 4);
  ASSERT_EQ(outer.outer_scales.size(), 8u);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(outer.outer_scales[i], float(double(amax(32 * i, 32)) / (6 * 256)));
  EXPECT_EQ(codes_of("nvfp4:variant=te,outer=row", x, 4).outer_scales.size(), 4u);
}

TEST(TensorScales, targets) {
  for (const auto& [text, target] :
       {std::pair{"448", 448.0f}, {"447.99", 447.99f}, {"256", 256.0f}, {"255.99", 255.99f}}) {
    const BlockCodes got = codes_of(fmt::format("nvfp4:shape=1x1,target={}", text), {-12, 3});
    EXPECT_EQ(got.tensor_scale, float(12 / (6 * double(target)))) << text;
    EXPECT_EQ(decode(parse_format("ue4m3"), got.scales[0]), target < 300 ? 256 : 448) << text;
  }
  // arXiv 2609.02846: a stale amax g leaves blocks up to 61440 g / 448 = 137 g unsaturated
  const auto scale = [&](float amax) {
    const BlockCodes got = codes_of("fp4_ue5m3:shape=1x1", {amax}, 1, {.amax = 1.0f});
    return decode(parse_format("ue5m3"), got.scales[0]);
  };
  EXPECT_EQ(scale(1), 448);
  EXPECT_EQ(scale(128), 57344);
}

TEST(GivenScales, replace_the_rule_and_the_array_s_amax) {
  const std::vector<float> x = {1, 2, 3, -4};
  const std::vector<uint32_t> given = {126, 128};
  const BlockCodes got = codes_of("mxfp4:rule=floor,shape=1x2", x, 1, {.codes = given});
  EXPECT_EQ(got.scales, given);
  EXPECT_EQ(got.codes, (std::vector<uint32_t>{4, 6, 3, 8 | 4}));
  const BlockCodes stale = codes_of("nvfp4:variant=cublas", x, 1, {.amax = 8.0f});
  EXPECT_EQ(stale.tensor_scale, 1 / (2688 / 8.0f));
}

// c = <x,x> / <x,q> over the group, and each scale times c rounded stochastically with the bits of its block.
TEST(Eden, corrects_scales_as_a_straight_line_program_does) {
  constexpr int kRows = 3, kCols = 160, kGroup = 64;
  const std::string options = "target=255.99,headroom=1581/1600";
  const Format e4m3 = parse_format("ue4m3"), e2m1 = parse_format("e2m1");
  for (uint32_t step = 0; step < 20; ++step) {
    const std::vector<float> x = spread(kRows * kCols, step);
    const RandomSite site = {.seed = 4, .step = step};
    RandomSite scales_site = site;
    scales_site.stream = Stream::Scales;
    const auto run = [&](const std::string& text) {
      return BlockQuantizer(make_block_format(text), Rounding::TiesToEven).quantize_reference(x, kRows, kCols, site);
    };
    const BlockCodes plain = run("nvfp4:" + options), got = run("nvfp4:" + options + ",eden=64");
    EXPECT_EQ(got.codes, plain.codes);
    for (int row = 0; row < kRows; ++row)
      for (int first = 0; first < kCols; first += kGroup) {
        const int last = std::min(first + kGroup, kCols);
        double xx = 0, xq = 0;
        for (int col = first; col < last; ++col) {
          const size_t i = size_t(row * kCols + col), b = size_t(row * (kCols / 16) + col / 16);
          xx += double(x[i]) * double(x[i]);
          xq += double(x[i]) *
                (decode(e2m1, plain.codes[i]) * decode(e4m3, plain.scales[b]) * double(plain.tensor_scale));
        }
        for (int col = first; col < last; col += 16) {
          const uint32_t b = uint32_t(row * (kCols / 16) + col / 16);
          const block_oracle::Rational wanted(decode(e4m3, plain.scales[b]) * (xx / xq));
          const block_oracle::Draw draw{Rounding::StochasticC, 32, random_bits(scales_site, b, 32)};
          ASSERT_EQ(got.scales[b], block_oracle::round_to_index(e4m3, false, wanted, draw)) << row << " " << col;
        }
      }
  }
}

}  // namespace
}  // namespace halfulp
