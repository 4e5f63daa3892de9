#include "sim/gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>  // size
#include <limits>
#include <string>
#include <vector>

#include "formats/isa.h"
#include "formats/philox.h"
#include "sim/gemm_kernels.h"

namespace halfulp {
namespace {

struct Shape {
  int m, n, k;
};

enum class Order { Ascending, Descending };

// The definition, written again: one chain per output, and one code for every NaN.
std::vector<float> reference(const std::vector<float>& a, const std::vector<float>& b, std::vector<float> c, Shape s,
                             Order order = Order::Ascending) {
  for (int i = 0; i < s.m; ++i)
    for (int j = 0; j < s.n; ++j) {
      float& out = c[std::size_t(i) * s.n + j];
      for (int step = 0; step < s.k; ++step) {
        const int t = order == Order::Ascending ? step : s.k - 1 - step;
        out = std::fma(a[std::size_t(i) * s.k + t], b[std::size_t(j) * s.k + t], out);
      }
      if (std::isnan(out)) out = std::bit_cast<float>(0x7fc00000);
    }
  return c;
}

struct Copy {
  Isa isa;
  GemmKernel* gemm;
  TransposeKernel* transpose;
};

// The copies this machine can run: the active one and the lesser ones.
std::vector<Copy> copies() {
  std::vector<Copy> found;
  for (const Copy& copy :
       {Copy{Isa::Portable, portable::gemm, portable::transpose}, Copy{Isa::Avx2, avx2::gemm, avx2::transpose},
        Copy{Isa::Avx512, avx512::gemm, avx512::transpose}})
    if (copy.isa <= active_isa()) found.push_back(copy);
  return found;
}

using Draw = float (*)(uint32_t word);

// In [-1, 1), exponents close together: nearly every order of summation rounds differently.
float uniform(uint32_t word) { return float(int32_t(word)) * 0x1p-31f; }

// Any float at all: every exponent, NaNs with payloads, infinities, subnormals.
float any_float(uint32_t word) { return std::bit_cast<float>(word); }

// Mostly what a kernel could get wrong, and large terms of both signs that cancel.
float special(uint32_t word) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float values[] = {0.0f,        -0.0f,      1.0f,           -1.0f,    0x1p-149f, -0x1p-149f,
                              0x1.8p-127f, -0x1p-126f, 0x1p24f,        -0x1p24f, 0x1p-24f,  0x1.fp60f,
                              -0x1.fp60f,  0x1p-75f,   0x1.fffffep63f, -0x1p64f};
  if (word % 1024 == 0) return kInfinity;
  if (word % 1024 == 1) return -kInfinity;
  if (word % 1024 == 2) return std::bit_cast<float>(0xffc12345);
  return values[(word >> 16) % std::size(values)];
}

std::vector<float> matrix(std::size_t size, uint32_t site, Draw draw) {
  std::vector<float> values(size);
  for (std::size_t i = 0; i < size; ++i)
    values[i] = draw(random_word({.seed = 1, .stream = Stream::Data, .site = site}, uint32_t(i)));
  return values;
}

struct Problem {
  Shape shape;
  std::vector<float> a, b, c;

  Problem(Shape s, Draw draw)
      : shape(s),
        a(matrix(std::size_t(s.m) * s.k, 0, draw)),
        b(matrix(std::size_t(s.n) * s.k, 1, draw)),
        c(matrix(std::size_t(s.m) * s.n, 2, draw)) {}
};

std::string hex(float x) {
  char text[64];
  std::snprintf(text, sizeof text, "%a (0x%08x)", double{x}, std::bit_cast<uint32_t>(x));
  return text;
}

// Passes where `got` and `want` hold the same bits; else names the first output that differs.
testing::AssertionResult same_bits(const std::vector<float>& got, const std::vector<float>& want, int columns) {
  if (got.size() != want.size()) return testing::AssertionFailure() << got.size() << " values, not " << want.size();
  for (std::size_t i = 0; i < got.size(); ++i)
    if (std::bit_cast<uint32_t>(got[i]) != std::bit_cast<uint32_t>(want[i]))
      return testing::AssertionFailure() << "at row " << i / columns << ", column " << i % columns << ": got "
                                         << hex(got[i]) << ", want " << hex(want[i]);
  return testing::AssertionSuccess();
}

// Runs a copy as gemm() does, on a workspace full of NaN and with a guard behind c that must survive.
std::vector<float> run(const Copy& copy, const Problem& p, bool accumulate) {
  constexpr float kGuard = 123.0f;
  constexpr std::size_t kGuards = 64;
  std::vector<float> workspace(kGemmWorkspace + 16, std::bit_cast<float>(0x7fc00001));
  float* aligned = workspace.data() + (64 - reinterpret_cast<std::uintptr_t>(workspace.data()) % 64) / sizeof(float);
  std::vector<float> c = p.c;
  c.resize(p.c.size() + kGuards, kGuard);
  copy.gemm(p.a.data(), p.b.data(), c.data(), p.shape.m, p.shape.n, p.shape.k, accumulate, aligned);
  EXPECT_TRUE(std::all_of(c.end() - kGuards, c.end(), [](float x) { return x == kGuard; })) << "wrote behind c";
  c.resize(p.c.size());
  return c;
}

void expect_the_chain(Shape s, Draw draw) {
  const Problem p(s, draw);
  const std::vector<float> fresh = reference(p.a, p.b, std::vector<float>(p.c.size(), 0.0f), s);
  const std::vector<float> continued = reference(p.a, p.b, p.c, s);
  for (const Copy& copy : copies()) {
    SCOPED_TRACE(testing::Message() << name(copy.isa) << " " << s.m << "x" << s.n << "x" << s.k);
    EXPECT_TRUE(same_bits(run(copy, p, false), fresh, s.n));
    EXPECT_TRUE(same_bits(run(copy, p, true), continued, s.n)) << "accumulating";
  }
}

TEST(Gemm, is_one_ascending_fma_chain_per_output_for_every_small_shape) {
  for (int m : {0, 1, 2, 3, 5, 6, 7, 13, 14, 15, 17, 29})
    for (int n = 0; n <= 67; n += n < 19 ? 1 : 3)
      for (int k : {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33}) {
        expect_the_chain({m, n, k}, uniform);
        if (HasFailure()) return;
      }
}

TEST(Gemm, is_one_ascending_fma_chain_per_output_for_training_shapes_and_beyond_every_block) {
  for (Shape s : {Shape{64, 10, 128},
                  {128, 64, 64},
                  {64, 64, 1024},
                  {128, 128, 784},
                  {32, 600, 256},
                  {20, 1030, 257},
                  {3, 513, 600},
                  {300, 1, 700},
                  {1, 300, 700},
                  {40, 33, 255},
                  {15, 512, 511},
                  {9, 31, 2049}})
    expect_the_chain(s, uniform);
}

TEST(Gemm, is_one_ascending_fma_chain_per_output_for_shapes_drawn_at_random) {
  for (uint32_t i = 0; i < 60; ++i) {
    const PhiloxCounter draw = random_words({.seed = 2}, i);
    expect_the_chain({int(draw[0] % 90), int(draw[1] % 150), int(draw[2] % 600)}, uniform);
  }
}

TEST(Gemm, treats_nan_infinity_subnormals_and_signed_zeros_as_fma_does) {
  for (Shape s : {Shape{1, 1, 1},
                  {29, 67, 1},
                  {29, 67, 2},
                  {29, 67, 5},
                  {13, 48, 40},
                  {64, 10, 128},
                  {7, 1, 300},
                  {15, 70, 513}}) {
    expect_the_chain(s, special);
    expect_the_chain(s, any_float);
  }
}

TEST(Gemm, stores_every_nan_as_one_code) {
  Problem p({9, 21, 4}, [](uint32_t word) { return std::bit_cast<float>(0xff800001 | (word & 0x3fffff)); });
  for (const Copy& copy : copies())
    for (bool accumulate : {false, true})
      for (float x : run(copy, p, accumulate)) EXPECT_EQ(std::bit_cast<uint32_t>(x), 0x7fc00000u) << name(copy.isa);
}

TEST(Gemm, notices_a_wrong_order_and_an_unfused_product) {
  const Shape s{64, 64, 64};
  const Problem p(s, uniform);
  const std::vector<float> zeros(p.c.size(), 0.0f);
  const std::vector<float> right = reference(p.a, p.b, zeros, s);
  const std::vector<float> descending = reference(p.a, p.b, zeros, s, Order::Descending);
  std::size_t other_order = 0, unfused = 0, split = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    float rounded_twice = 0.0f, even = 0.0f, odd = 0.0f;
    for (int t = 0; t < s.k; ++t) {
      const float x = p.a[i / s.n * s.k + t], y = p.b[i % s.n * s.k + t];
      rounded_twice += x * y;
      float& half = t % 2 == 0 ? even : odd;
      half = std::fma(x, y, half);
    }
    other_order += descending[i] != right[i];
    unfused += rounded_twice != right[i];
    split += even + odd != right[i];
  }
  // each of these faults changes most outputs of this data, which the tests above draw too
  EXPECT_GT(other_order, right.size() / 2);
  EXPECT_GT(unfused, right.size() / 2);
  EXPECT_GT(split, right.size() / 2);
}

TEST(Gemm, lets_the_order_decide_a_cancellation) {
  const std::vector<float> a{1.0f, 0x1p30f, -0x1p30f}, ones(3, 1.0f);
  for (const Copy& copy : copies()) {
    Problem p({1, 1, 3}, uniform);
    p.a = a, p.b = ones;
    EXPECT_EQ(run(copy, p, false)[0], 0.0f) << name(copy.isa);  // 1 is absorbed, then the large terms cancel
    p.a = {0x1p30f, -0x1p30f, 1.0f};
    EXPECT_EQ(run(copy, p, false)[0], 1.0f) << name(copy.isa);
  }
}

TEST(Gemm, does_not_depend_on_the_other_rows_and_columns) {
  const Problem p({50, 70, 300}, uniform);
  for (const Copy& copy : copies()) {
    const std::vector<float> whole = run(copy, p, false);
    Problem part({11, 70, 300}, uniform);
    part.a.assign(p.a.begin() + 20 * 300, p.a.begin() + 31 * 300);
    EXPECT_TRUE(same_bits(run(copy, part, false), {whole.begin() + 20 * 70, whole.begin() + 31 * 70}, 70));
  }
}

TEST(Gemm, of_no_terms_is_zero_and_accumulates_nothing) {
  std::vector<float> c(6, 7.0f);
  gemm_accumulate({}, {}, c, 2, 3, 0);
  EXPECT_EQ(c, std::vector<float>(6, 7.0f));
  gemm({}, {}, c, 2, 3, 0);
  EXPECT_TRUE(same_bits(c, std::vector<float>(6, 0.0f), 3));
  gemm({}, {}, {}, 0, 0, 0);
}

TEST(Gemm, runs_the_active_copy) {
  const Problem p({37, 41, 300}, uniform);
  std::vector<float> c = p.c;
  gemm(p.a, p.b, c, 37, 41, 300);
  EXPECT_TRUE(same_bits(c, reference(p.a, p.b, std::vector<float>(c.size(), 0.0f), p.shape), 41));
  const std::vector<float> once = c;
  gemm_accumulate(p.a, p.b, c, 37, 41, 300);
  EXPECT_TRUE(same_bits(c, reference(p.a, p.b, once, p.shape), 41));
}

TEST(Transpose, moves_every_bit_to_its_place) {
  for (int rows : {0, 1, 2, 7, 8, 9, 15, 16, 17, 40, 64, 65, 131})
    for (int columns : {0, 1, 3, 8, 15, 16, 17, 33, 64, 100}) {
      const std::vector<float> in = matrix(std::size_t(rows) * columns, 3, any_float);
      std::vector<float> want(in.size());
      for (int i = 0; i < rows; ++i)
        for (int j = 0; j < columns; ++j) want[std::size_t(j) * rows + i] = in[std::size_t(i) * columns + j];
      for (const Copy& copy : copies()) {
        SCOPED_TRACE(testing::Message() << name(copy.isa) << " " << rows << "x" << columns);
        std::vector<float> out(in.size() + 64, 123.0f);
        copy.transpose(in.data(), out.data(), rows, columns);
        EXPECT_TRUE(std::all_of(out.end() - 64, out.end(), [](float x) { return x == 123.0f; })) << "wrote behind out";
        out.resize(in.size());
        EXPECT_TRUE(same_bits(out, want, rows));
      }
      std::vector<float> out(in.size());
      transpose(in, out, rows, columns);
      EXPECT_TRUE(same_bits(out, want, rows));
    }
}

#if !defined(NDEBUG)
TEST(GemmDeathTest, asserts_that_sizes_match_shapes) {
  std::vector<float> a(6), b(6), c(4);
  EXPECT_DEATH(gemm(a, b, c, 2, 2, 4), "holds");
  EXPECT_DEATH(gemm(a, b, c, 2, 1, 3), "holds");
  EXPECT_DEATH(transpose(a, c, 2, 3), "size");
}
#endif

}  // namespace
}  // namespace halfulp
