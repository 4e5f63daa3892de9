// The fast ways of block quantisers: packed codes, transforms on the way, threads. Each is held to the reference on
// every instruction set.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "formats/block.h"
#include "formats/hadamard.h"
#include "formats/isa.h"
#include "tests/control_register.h"

namespace halfulp {
namespace {

constexpr RandomSite kSite = {.seed = 0xfedcba9876543210, .stream = Stream::Rounding, .step = 3, .site = 7};

struct Data {
  int rows, cols;
  std::vector<float> x;
};

enum class Kind { Ordinary, Whole, Wild, Extraordinary };

/// Gaussian numbers. Whole: small whole numbers, which often lie on numbers and midpoints. Wild: runs of 16 among them
/// that are small or zero. Extraordinary: and runs of any magnitude and few of NaNs or infinities.
Data numbers(Kind kind, int rows, int cols, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  Data data{rows, cols, {}};
  for (size_t i = 0; i < size_t(rows) * size_t(cols); ++i) {
    float x = normal(generator);
    if (kind == Kind::Whole) x = std::round(4 * x) / 8;
    if (kind == Kind::Wild || kind == Kind::Extraordinary) {
      const size_t run = i / 16;
      const bool is_rare = kind == Kind::Extraordinary && run / 7 % 5 == 0 && generator() % 9 == 0;
      switch (run % 7) {
        case 1: x = generator() % 2 == 0 ? 0.0f : -0.0f; break;
        case 2: x = std::ldexp(x, kind == Kind::Extraordinary ? int(run % 290) - 165 : -int(run % 26)); break;
        case 3:
          if (is_rare)
            x = generator() % 2 == 0 ? std::numeric_limits<float>::quiet_NaN()
                                     : -std::numeric_limits<float>::infinity();
          break;
        case 4: x = generator() % 4 == 0 ? x : 0.0f; break;
        default: break;
      }
    }
    data.x.push_back(x);
  }
  return data;
}

bool same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

BlockFormat format(const char* element, const char* scale, int cols, ScaleRule rule, bool tensor_scale) {
  return {element, parse_format(element), parse_format(scale), 1, cols, rule, tensor_scale, "test"};
}

std::vector<BlockFormat> block_formats_of_all_kinds() {
  std::vector<BlockFormat> all;
  for (int cols : {16, 32, 48, 64, 128})
    for (const char* element : {"e2m1", "e4m3fn", "e5m2", "e3m2", "int8", "int4_narrow", "e4m3fnuz"})
      all.push_back(format(element, "e8m0", cols, cols == 32 ? ScaleRule::Floor : ScaleRule::Rceil, false));
  for (int cols : {16, 32, 80})
    for (const char* element : {"e2m1", "int4", "e3m2"})
      for (bool tensor_scale : {true, false})
        all.push_back(format(element, "ue4m3", cols, ScaleRule::Nearest, tensor_scale));
  for (int rows : {2, 16, 0})
    for (int cols : {16, 32, 48}) {
      all.push_back(format("e2m1", "e8m0", cols, ScaleRule::Floor, false));
      all.push_back(format("e2m1", "ue4m3", cols, ScaleRule::Nearest, true));
      all.push_back(format("e4m3fn", "e8m0", cols, ScaleRule::Rceil, false));
      for (size_t i = all.size() - 3; i < all.size(); ++i) all[i].rows = rows;
    }
  all.push_back(format("e2m1", "ue5m3", 16, ScaleRule::Nearest, true));
  all.push_back(format("e2m1", "e4m3fn", 16, ScaleRule::Nearest, true));
  all.push_back(format("e2m1", "ue4m3", 5, ScaleRule::Nearest, true));
  return all;
}

struct Mode {
  Rounding rounding;
  int random_bits;
};
std::vector<Mode> modes() {
  std::vector<Mode> all;
  for (const auto& [rounding, text] : EnumNames<Rounding>::values)
    for (int bits : {4, 8, 13, 24, 32})
      if (is_stochastic(rounding) || bits == 4) all.push_back({rounding, is_stochastic(rounding) ? bits : 0});
  return all;
}

/// What the reference makes of data, as memory holds it and as values.
struct Wanted {
  std::vector<uint8_t> codes, scales;
  std::vector<float> values;
  float tensor_scale;
};
Wanted wanted(const BlockQuantizer& quantizer, const Data& data) {
  const BlockFormat& its = quantizer.format();
  const BlockCodes all = quantizer.quantize_reference(data.x, data.rows, data.cols, kSite);
  const int per_byte = its.element.bits() == 4 ? 2 : 1;
  const size_t row_bytes = size_t(data.cols + per_byte - 1) / size_t(per_byte);
  const size_t row_scales = size_t(data.cols + its.cols - 1) / size_t(its.cols);
  Wanted result{std::vector<uint8_t>(row_bytes * size_t(data.rows)), {}, {}, all.tensor_scale};
  for (uint32_t scale : all.scales) result.scales.push_back(uint8_t(scale));
  for (size_t i = 0; i < data.x.size(); ++i) {
    const size_t row = i / size_t(data.cols), col = i % size_t(data.cols);
    uint8_t& byte = result.codes[row * row_bytes + col / size_t(per_byte)];
    byte = uint8_t(byte | all.codes[i] << (col % size_t(per_byte) * 4));
    const size_t block_row = its.rows == 0 ? 0 : row / size_t(its.rows);
    const uint32_t scale = all.scales[block_row * row_scales + col / size_t(its.cols)];
    result.values.push_back(float(decode(its.element, all.codes[i]) * decode(its.scale, scale)));
  }
  return result;
}

/// The first difference between `got` and `want`; empty where there is none.
template <class T>
std::string difference(std::string_view what, const std::vector<T>& got, const std::vector<T>& want) {
  if (got.size() != want.size()) return fmt::format("{}: {} of them, want {}", what, got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    if (got[i] != want[i]) return fmt::format("{} {}: {:#x}, want {:#x}", what, i, got[i], want[i]);
  return "";
}
std::string difference(std::string_view what, const std::vector<float>& got, const std::vector<float>& want) {
  for (size_t i = 0; i < got.size(); ++i)
    if (!same(got[i], want[i])) return fmt::format("{} {}: {:a}, want {:a}", what, i, got[i], want[i]);
  return "";
}

std::string first_of(std::initializer_list<std::string> all) {
  for (const std::string& each : all)
    if (!each.empty()) return each;
  return "";
}

/// Compares all fast ways from `data`, first transformed where there is a transform, with the reference.
std::string difference_of_ways(const BlockQuantizer& quantizer, const Data& data, const Hadamard* transform,
                               int threads) {
  Data transformed = data;
  if (transform != nullptr) transform->apply(data.x, transformed.x);
  const Wanted want = wanted(quantizer, transformed);
  const int rows = data.rows, cols = data.cols;
  std::vector<uint8_t> codes(quantizer.packed_codes(rows, cols), 0xcc),
      scales(quantizer.packed_scales(rows, cols), 0xcc);
  std::vector<float> values(data.x.size()), in_place = data.x, unpacked(data.x.size());
  const float first = quantizer.quantize_packed(data.x, codes, scales, rows, cols, kSite, transform, threads);
  const float second = quantizer.quantize(data.x, values, rows, cols, kSite, nullptr, transform, threads);
  const float third = quantizer.quantize(in_place, in_place, rows, cols, kSite, nullptr, transform, threads);
  quantizer.unpack(codes, scales, unpacked, rows, cols);
  for (float scale : {first, second, third})
    if (!same(scale, want.tensor_scale)) return fmt::format("tensor scale {:a}, want {:a}", scale, want.tensor_scale);
  return first_of({difference("scale", scales, want.scales), difference("code", codes, want.codes),
                   difference("value", values, want.values), difference("value in place", in_place, want.values),
                   difference("unpacked", unpacked, want.values)});
}

std::string where(const BlockQuantizer& quantizer, const Mode& mode, const Data& data, Kind kind,
                  const Hadamard* transform) {
  const BlockFormat& its = quantizer.format();
  return fmt::format("{}/{} blocks of {}x{}, {}, {} with {} random bits, {}x{}, kind {}, transform {}: ",
                     std::string_view(its.element.name), std::string_view(its.scale.name), its.rows, its.cols,
                     name(its.rule), name(mode.rounding), mode.random_bits, data.rows, data.cols, int(kind),
                     transform == nullptr ? 0 : transform->size());
}

[[noreturn]] void compare_ways_under(const char* isa) {
  setenv("HALFULP_ISA", isa, 1);
  if (std::string_view(name(active_isa())) != isa) std::exit(2);
  const std::vector<float> signs = {1, -1, -1, 1, 1, 1, -1, 1, -1, -1, 1, -1, 1, 1, -1, 1};
  const Hadamard transforms[] = {Hadamard(16, signs), Hadamard(32), Hadamard(4)};
  struct Shape {
    int rows, cols;
  };
  const std::vector<BlockFormat> formats = block_formats_of_all_kinds();
  unsigned seed = 1;
  for (const Mode& mode : modes())
    for (const Shape& shape : {Shape{3, 192}, {1, 1}, {2, 37}, {7, 96}, {0, 16}, {5, 0}, {1, 2400}})
      for (Kind kind : {Kind::Ordinary, Kind::Whole, Kind::Wild, Kind::Extraordinary}) {
        // each mode, shape and kind meets some of the formats
        ++seed;
        for (size_t f = seed % 5; f < formats.size(); f += 5) {
          const BlockQuantizer quantizer(formats[f], mode.rounding, mode.random_bits);
          const Data data = numbers(kind, shape.rows, shape.cols, seed);
          const Hadamard* transform = f % 3 == 0 && shape.cols % 32 == 0 ? &transforms[seed % 3] : nullptr;
          const std::string found = difference_of_ways(quantizer, data, transform, 1);
          if (found.empty()) continue;
          std::cerr << isa << ": " << where(quantizer, mode, data, kind, transform) << found << "\n";
          std::exit(1);
        }
      }
  std::exit(0);
}

class BlockWaysDeathTest : public testing::TestWithParam<const char*> {};

TEST_P(BlockWaysDeathTest, packed_and_transformed_equal_the_reference) {
  const std::string_view isa = GetParam();
  if (isa == "avx2" && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) GTEST_SKIP() << "no AVX2";
  if (isa == "avx512" && !(__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")))
    GTEST_SKIP() << "no AVX-512";
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(compare_ways_under(GetParam()), testing::ExitedWithCode(0), "");
}
INSTANTIATE_TEST_SUITE_P(Isa, BlockWaysDeathTest, testing::Values("portable", "avx2", "avx512"),
                         [](const auto& isa) { return std::string(isa.param); });

TEST(BlockWays, do_not_depend_on_the_number_of_threads) {
  const Hadamard transform(16);
  for (const auto& [rows, cols] : {std::pair{5, 20000}, {999, 112}, {400, 101}})
    for (const BlockFormat& its :
         {format("e2m1", "e8m0", 32, ScaleRule::Floor, false), format("e2m1", "ue4m3", 16, ScaleRule::Nearest, true),
          make_block_format("nvfp4:shape=16x16")}) {
      const BlockQuantizer quantizer(its, Rounding::StochasticA, 8);
      const Data data = numbers(Kind::Ordinary, rows, cols, 3);
      const Hadamard* const first = cols % 16 == 0 ? &transform : nullptr;
      std::vector<float> want(data.x.size()), got(data.x.size());
      std::vector<uint8_t> codes(quantizer.packed_codes(rows, cols)), scales(quantizer.packed_scales(rows, cols)),
          other_codes(codes.size()), other_scales(scales.size());
      quantizer.quantize(data.x, want, rows, cols, kSite, nullptr, first, 1);
      quantizer.quantize_packed(data.x, codes, scales, rows, cols, kSite, first, 1);
      for (int threads : {0, 2, 3, 5}) {
        quantizer.quantize(data.x, got, rows, cols, kSite, nullptr, first, threads);
        EXPECT_EQ(difference("value", got, want), "") << threads << " threads";
        quantizer.quantize_packed(data.x, other_codes, other_scales, rows, cols, kSite, first, threads);
        EXPECT_EQ(codes, other_codes) << threads;
        EXPECT_EQ(scales, other_scales) << threads;
      }
    }
}

TEST(BlockWays, do_not_depend_on_the_callers_control_register_and_leave_it_alone) {
  const Hadamard transform(16);
  std::vector<BlockFormat> formats = block_formats_of_all_kinds();
  for (const char* name : {"nvfp4:variant=te", "nvfp4_4over6", "e2m1/e8m0/16x16:rule=floor", "msfp12", "if4", "dfp8"})
    formats.push_back(make_block_format(name, {}));
  for (const BlockFormat& its : formats)
    for (Kind kind : {Kind::Wild, Kind::Extraordinary}) {
      const BlockQuantizer quantizer(its, Rounding::TiesToEven);
      const Data data = numbers(kind, 6, 96, 4);
      std::vector<float> want(data.x.size());
      const float want_scale = quantizer.quantize(data.x, want, data.rows, data.cols, kSite, nullptr, &transform);
      for (const uint32_t control : {kMasks | kFlushToZero | kSubnormalsAreZero, kMasks | kDown, kUnmaskedAll}) {
        std::vector<float> values(data.x.size());
        uint32_t after;
        float scale;
        {
          const ControlRegister callers(control);
          scale = quantizer.quantize(data.x, values, data.rows, data.cols, kSite, nullptr, &transform);
          after = _mm_getcsr();
        }
        EXPECT_EQ(after, control) << std::string_view(its.name);
        EXPECT_TRUE(same(scale, want_scale)) << std::string_view(its.name) << " under " << control;
        EXPECT_EQ(difference("value", values, want), "") << std::string_view(its.name) << " under " << control;
      }
    }
}

TEST(BlockWays, a_long_array_of_odd_blocks_is_quantised_to_its_end) {
  for (const BlockFormat& its :
       {format("e2m1", "e8m0", 32, ScaleRule::Floor, false), format("e2m1", "ue4m3", 16, ScaleRule::Nearest, false)}) {
    const BlockQuantizer quantizer(its, Rounding::TiesToEven);
    EXPECT_EQ(difference_of_ways(quantizer, numbers(Kind::Extraordinary, 1, 70016, 11), nullptr, 1), "");
  }
}

TEST(BlockWays, quotients_beside_midpoints_are_rounded_as_the_exact_ones) {
  // x = scale · midpoint · amax / 2688 and the floats beside it, for amax with many bits.
  std::mt19937_64 generator(5);
  const BlockQuantizer quantizer(format("e2m1", "ue4m3", 16, ScaleRule::Nearest, true), Rounding::TiesToEven);
  for (int round = 0; round < 200; ++round) {
    Data data{4, 16, std::vector<float>(64, 0.0f)};
    const float amax = std::bit_cast<float>(uint32_t(0x3f800000 + generator() % 0x01000000));
    data.x[0] = amax;
    for (size_t row = 1; row < 4; ++row) {
      const double scale = decode(parse_format("ue4m3"), uint32_t(0x40 + generator() % 0x30));
      const double unit = scale * double(amax) / 2688;
      data.x[row * 16] = float(6 * unit);
      for (size_t i = 1; i < 16; ++i) {
        const double midpoints[] = {0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 1, 2, 3, 4};
        const float x = float(unit * midpoints[generator() % std::size(midpoints)]);
        data.x[row * 16 + i] = std::bit_cast<float>(uint32_t(std::bit_cast<uint32_t>(x) + generator() % 3 - 1));
      }
    }
    ASSERT_EQ(difference_of_ways(quantizer, data, nullptr, 1), "") << round;
  }
}

// Products of such numbers with a reciprocal vanish; what they are rounded to need not.
TEST(BlockWays, numbers_far_below_their_block_are_rounded_as_any_others) {
  for (bool tensor_scale : {true, false})
    for (const Mode& mode : modes()) {
      const BlockQuantizer quantizer(format("e2m1", "ue4m3", 16, ScaleRule::Nearest, tensor_scale), mode.rounding,
                                     mode.random_bits);
      Data data{1, 64, {}};
      for (int i = 0; i < 64; ++i) {
        const float x = i % 16 == 0 ? 300 : i % 16 == 1 ? 0 : std::ldexp(1.0f, -149 + (i % 16 - 2) * 9);
        data.x.push_back(i % 3 == 0 ? -x : x);
      }
      ASSERT_EQ(difference_of_ways(quantizer, data, nullptr, 1), "") << name(mode.rounding);
    }
}

TEST(BlockWays, what_does_not_fit_a_byte_is_refused) {
  for (const auto& its : {format("binary16", "e8m0", 32, ScaleRule::Floor, false),
                          format("e2m1", "binary16", 32, ScaleRule::Nearest, false)}) {
    const BlockQuantizer quantizer(its, Rounding::TiesToEven);
    std::vector<float> x(32), values(32);
    std::vector<uint8_t> codes(32), scales(1);
    EXPECT_THROW(quantizer.quantize_packed(x, codes, scales, 1, 32), std::invalid_argument);
    EXPECT_THROW(quantizer.unpack(codes, scales, values, 1, 32), std::invalid_argument);
  }
  const BlockQuantizer quantizer(format("e2m1", "e8m0", 32, ScaleRule::Floor, false), Rounding::TiesToEven);
  std::vector<float> x(32);
  EXPECT_THROW(quantizer.quantize(x, x, 1, 32, {}, nullptr, nullptr, -1), std::invalid_argument);
}

}  // namespace
}  // namespace halfulp
