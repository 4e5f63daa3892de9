#include "formats/hadamard.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "formats/hadamard_kernels.h"

namespace halfulp {
namespace {

constexpr int kSizes[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 1024};

/// The transforms of every instruction set of this machine.
struct Kernel {
  const char* isa;
  decltype(&portable::hadamard_runs) run;
};
std::vector<Kernel> kernels() {
  std::vector<Kernel> all = {{"portable", portable::hadamard_runs}};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back({"avx2", avx2::hadamard_runs});
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    all.push_back({"avx512", avx512::hadamard_runs});
  return all;
}

/// Entry (row, column) of the Sylvester matrix.
int entry(int row, int column) { return std::popcount(unsigned(row) & unsigned(column)) % 2 == 0 ? 1 : -1; }

/// The definition as a recursion: the transforms of both halves, then their sums and differences.
std::vector<float> unscaled(const std::vector<float>& x) {
  if (x.size() == 1) return x;
  const auto middle = x.begin() + std::ptrdiff_t(x.size() / 2);
  const std::vector<float> low = unscaled({x.begin(), middle}), high = unscaled({middle, x.end()});
  std::vector<float> y;
  for (size_t i = 0; i < low.size(); ++i) y.push_back(low[i] + high[i]);
  for (size_t i = 0; i < low.size(); ++i) y.push_back(low[i] - high[i]);
  return y;
}

std::vector<float> defined(const std::vector<float>& x, int size, const std::vector<float>& before,
                           const std::vector<float>& after) {
  std::vector<float> y;
  for (size_t start = 0; start < x.size(); start += size_t(size)) {
    std::vector<float> run(x.begin() + std::ptrdiff_t(start), x.begin() + std::ptrdiff_t(start) + size);
    for (size_t i = 0; i < before.size(); ++i) run[i] *= before[i];
    run = unscaled(run);
    for (float& v : run) v *= float(1.0 / std::sqrt(double(size)));
    for (size_t i = 0; i < after.size(); ++i) run[i] *= after[i];
    y.insert(y.end(), run.begin(), run.end());
  }
  return y;
}

std::vector<float> random_signs(int size, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<float> signs;
  for (int i = 0; i < size; ++i) signs.push_back(generator() % 2 == 0 ? 1.0f : -1.0f);
  return signs;
}

std::vector<uint32_t> flips(const std::vector<float>& signs) {
  std::vector<uint32_t> result;
  for (float sign : signs) result.push_back(std::bit_cast<uint32_t>(sign) & 0x80000000);
  return result;
}

/// Numbers of all magnitudes, zeros of both signs, subnormals and, seldom, infinities.
std::vector<float> mixed(size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = uint32_t(generator());
    switch (generator() % 16) {
      case 0: x.push_back(std::bit_cast<float>(bits & 0x80000000)); break;
      case 1: x.push_back(std::bit_cast<float>(bits & 0x807fffff)); break;
      case 2: x.push_back(std::bit_cast<float>(bits & 0xbfffffff)); break;
      case 3: x.push_back(bits % 64 == 0 ? std::bit_cast<float>(bits | 0x7f800000) : 3e38f); break;
      default: x.push_back(normal(generator)); break;
    }
  }
  return x;
}

bool same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

TEST(Hadamard, of_small_whole_numbers_is_the_matrix_product) {
  std::mt19937 generator(1);
  for (int size : kSizes) {
    const std::vector<float> signs = random_signs(size, unsigned(size));
    std::vector<float> x(size_t(size) * 3), y(x.size());
    for (float& v : x) v = float(int(generator() % 2001) - 1000);
    Hadamard(size, signs).apply(x, y);
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t start = i / size_t(size) * size_t(size);
      int64_t sum = 0;
      for (int j = 0; j < size; ++j)
        sum += entry(int(i - start), j) * int64_t(signs[size_t(j)]) * int64_t(x[start + size_t(j)]);
      // sums below 2^24 are exact, so that only the last product rounds
      const float want = float(double(sum) * double(float(1 / std::sqrt(double(size)))));
      ASSERT_EQ(y[i], want) << size << " points, number " << i;
    }
  }
}

TEST(Hadamard, adds_in_the_stated_order_on_every_instruction_set) {
  for (const Kernel& kernel : kernels())
    for (int size : kSizes)
      for (size_t runs : {1, 2, 3, 7, 16, 33}) {
        const size_t count = runs * size_t(size);
        const std::vector<float> x = mixed(count, unsigned(size) + unsigned(runs)), none;
        const std::vector<float> signs = random_signs(size, unsigned(runs)), others = random_signs(size, 77);
        for (const auto& [before, after] : {std::pair{none, none}, {signs, none}, {none, signs}, {signs, others}}) {
          const std::vector<uint32_t> first = flips(before), last = flips(after);
          const HadamardJob job{size, float(1.0 / std::sqrt(double(size))), before.empty() ? nullptr : first.data(),
                                after.empty() ? nullptr : last.data()};
          std::vector<float> y(count + 1, 42.0f), in_place = x;
          kernel.run(job, x.data(), y.data(), count);
          kernel.run(job, in_place.data(), in_place.data(), count);
          const std::vector<float> want = defined(x, size, before, after);
          for (size_t i = 0; i < count; ++i)
            ASSERT_TRUE(same(y[i], want[i]) && same(in_place[i], want[i]))
                << kernel.isa << ", " << size << " points, " << runs << " runs, number " << i
                << fmt::format(": {:a}, in place {:a}, want {:a}", y[i], in_place[i], want[i]);
          ASSERT_EQ(y[count], 42.0f) << kernel.isa << " wrote beyond " << count << " numbers";
        }
      }
}

TEST(Hadamard, does_not_depend_on_the_callers_rounding_direction) {
  const std::vector<float> x = mixed(256, 5);
  std::vector<float> want(x.size()), got(x.size());
  Hadamard(32).apply(x, want);
  for (int direction : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::fesetround(direction);
    Hadamard(32).apply(x, got);
    const int left = std::fegetround();
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(left, direction);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_TRUE(same(got[i], want[i])) << i;
  }
}

TEST(Hadamard, is_undone_by_its_inverse) {
  std::mt19937 generator(3);
  for (int size : {4, 16, 64, 256}) {
    const Hadamard hadamard(size, random_signs(size, 9));
    std::vector<float> x(size_t(size) * 2), y(x.size());
    for (float& v : x) v = float(int(generator() % 201) - 100);
    hadamard.apply(x, y);
    EXPECT_NE(x, y);
    hadamard.apply_inverse(y, y);
    EXPECT_EQ(x, y) << size;
  }
}

std::string complaint(int size, const std::vector<float>& signs) {
  try {
    const Hadamard hadamard(size, signs);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(Hadamard, what_cannot_be_is_refused) {
  EXPECT_EQ(complaint(2, {1, -1}), "");
  for (int size : {0, -1, -16, 3, 24, 2 * Hadamard::kMaxSize, 1 << 30})
    EXPECT_NE(complaint(size, {}).find(fmt::format("not {}", size)), std::string::npos) << size;
  EXPECT_NE(complaint(4, {1, 1}).find("4 of them, not 2"), std::string::npos);
  for (float sign : {0.0f, 2.0f, std::nanf("")})
    EXPECT_NE(complaint(2, {1, sign}).find("1 or -1"), std::string::npos) << sign;
}

}  // namespace
}  // namespace halfulp
