#include "sim/elementary.h"

#include <gtest/gtest.h>
#include <mpfr.h>

#include <algorithm>
#include <bit>  // bit_cast
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "sim/elementary_kernels.h"

namespace halfulp {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Function {
  const char* name;
  Elementary kernel;
  void (*array)(std::span<const float>, std::span<float>);
  int (*exact)(mpfr_t, const mpfr_t, mpfr_rnd_t);
  double (*close)(double);  // libm's; glibc documents errors of at most 2 ulp
  float low, high;          // where the result is neither constant nor the argument
};

int mpfr_exp_of(mpfr_t y, const mpfr_t x, mpfr_rnd_t r) { return mpfr_exp(y, x, r); }
int mpfr_log_of(mpfr_t y, const mpfr_t x, mpfr_rnd_t r) { return mpfr_log(y, x, r); }
int mpfr_tanh_of(mpfr_t y, const mpfr_t x, mpfr_rnd_t r) { return mpfr_tanh(y, x, r); }
int mpfr_erf_of(mpfr_t y, const mpfr_t x, mpfr_rnd_t r) { return mpfr_erf(y, x, r); }

const Function kFunctions[] = {
    {"exp", Elementary::Exp, exp_array, mpfr_exp_of, std::exp, -105, 90},
    {"log", Elementary::Log, log_array, mpfr_log_of, std::log, 0, 8},
    {"tanh", Elementary::Tanh, tanh_array, mpfr_tanh_of, std::tanh, -10, 10},
    {"erf", Elementary::Erf, erf_array, mpfr_erf_of, std::erf, -4.5, 4.5},
};

struct Kernel {
  const char* isa;
  bool available;
  void (*run)(Elementary, const float*, float*, std::size_t);
};

const Kernel kKernels[] = {
    {"portable", true, portable::elementary},
    {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), avx2::elementary},
    {"avx512", __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"), avx512::elementary},
};

uint32_t code(float x) { return std::bit_cast<uint32_t>(x); }
float from_code(uint64_t c) { return std::bit_cast<float>(static_cast<uint32_t>(c)); }

/// f(x) rounded once to float by MPFR: 24 bits, float's exponent range and its subnormals.
float correctly_rounded(const Function& f, float x) {
  mpfr_set_emin(-148);
  mpfr_set_emax(128);
  mpfr_t v;
  mpfr_init2(v, 24);
  mpfr_set_flt(v, x, MPFR_RNDN);
  mpfr_subnormalize(v, f.exact(v, v, MPFR_RNDN), MPFR_RNDN);
  const float y = mpfr_get_flt(v, MPFR_RNDN);
  mpfr_clear(v);
  return std::isnan(y) ? kNan : y;
}

/// The same, asking MPFR only where a double, give or take 16 ulps, does not settle the rounding.
float correctly_rounded_quickly(const Function& f, float x) {
  const double y = f.close(static_cast<double>(x));
  if (std::isnan(y)) return kNan;
  const float low = static_cast<float>(y * (1 - 0x1p-48));
  const float high = static_cast<float>(y * (1 + 0x1p-48));
  return code(low) == code(high) ? low : correctly_rounded(f, x);
}

std::string hex(float x) {
  char text[64];
  std::snprintf(text, sizeof text, "%a (0x%08x)", static_cast<double>(x), code(x));
  return text;
}

/// Counts the elements in which a result differs from the wanted one and reports the first.
void expect_same(const std::string& what, const std::vector<float>& x, const std::vector<float>& got,
                 const std::vector<float>& want) {
  std::size_t wrong = 0, first = 0;
  for (std::size_t i = x.size(); i-- > 0;)
    if (code(got[i]) != code(want[i])) ++wrong, first = i;
  EXPECT_EQ(wrong, 0u) << what << "(" << hex(x[first]) << ") = " << hex(got[first]) << ", want " << hex(want[first]);
}

/// Compares every available kernel on x with the oracle.
void expect_rounded_by_all(const Function& f, float (*oracle)(const Function&, float), const std::vector<float>& x) {
  std::vector<float> want, got(x.size());
  for (float v : x) want.push_back(oracle(f, v));
  for (const Kernel& kernel : kKernels) {
    if (!kernel.available) continue;
    kernel.run(f.kernel, x.data(), got.data(), x.size());
    expect_same(std::string(kernel.isa) + " " + f.name, x, got, want);
  }
}

/// Special values, floats whose logarithm a double cannot round to float, the bounds between the parts of each
/// evaluation, and the floats around them, of both signs.
std::vector<float> edges() {
  std::vector<float> x = {
      kNan,           -kNan,          kInfinity,       -kInfinity,     from_code(0x7f800001), from_code(0xffffffff),
      0x1.827a74p-7f, 0x1.2f1fd6p+3f, 0x1.bacb4ap+25f, 0x1.b121a6p+76f};
  for (float edge : {0.0f,        FLT_TRUE_MIN, FLT_MIN,     FLT_MAX,    0x1p-25f,   0x1p-12f,   0.34657359f, 0.5f,
                     0.70710678f, 1.0f,         1.41421356f, 2.0f,       3.9192059f, 3.9375f,    4.0f,        9.010913f,
                     10.0f,       20.0f,        87.336544f,  88.722839f, 89.0f,      103.27893f, 103.97208f,  104.5f})
    for (uint32_t i = 0; i < 64; ++i)
      for (uint32_t sign : {0u, 0x80000000u}) x.push_back(from_code((code(edge) + i - 32) ^ sign));
  return x;
}

/// Every `stride`-th float of all codes.
std::vector<float> strided(uint64_t stride) {
  std::vector<float> x;
  for (uint64_t c = 0; c < 1ull << 32; c += stride) x.push_back(from_code(c));
  return x;
}

/// 2^18 floats at even distances over the useful range.
std::vector<float> dense(const Function& f) {
  std::vector<float> x;
  for (int i = 0; i <= 1 << 18; ++i) x.push_back(f.low + (f.high - f.low) * static_cast<float>(i) * 0x1p-18f);
  return x;
}

class ElementaryFunction : public testing::TestWithParam<Function> {};
class ElementaryExhaustive : public testing::TestWithParam<Function> {};
void PrintTo(const Function& f, std::ostream* out) { *out << f.name; }
std::string function_name(const testing::TestParamInfo<Function>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(, ElementaryFunction, testing::ValuesIn(kFunctions), function_name);
INSTANTIATE_TEST_SUITE_P(, ElementaryExhaustive, testing::ValuesIn(kFunctions), function_name);

TEST_P(ElementaryFunction, same_bits_on_every_instruction_set) {
  std::vector<float> x = strided(1009);
  for (float edge : edges()) x.push_back(edge);
  std::vector<float> want(x.size()), got(x.size());
  portable::elementary(GetParam().kernel, x.data(), want.data(), x.size());
  for (const Kernel& kernel : kKernels) {
    if (!kernel.available) continue;
    kernel.run(GetParam().kernel, x.data(), got.data(), x.size());
    expect_same(std::string(kernel.isa) + " " + GetParam().name, x, got, want);
  }
}

TEST_P(ElementaryFunction, is_correctly_rounded) {
  expect_rounded_by_all(GetParam(), correctly_rounded, edges());
  expect_rounded_by_all(GetParam(), correctly_rounded, dense(GetParam()));
  expect_rounded_by_all(GetParam(), correctly_rounded_quickly, strided(1009));
}

TEST_P(ElementaryExhaustive, every_float_is_correctly_rounded_on_every_instruction_set) {
  constexpr uint64_t kChunk = 1 << 16;
  std::vector<float> x(kChunk);
  for (uint64_t begin = 0; begin < 1ull << 32 && !HasFailure(); begin += kChunk) {
    for (uint64_t i = 0; i < kChunk; ++i) x[i] = from_code(begin + i);
    expect_rounded_by_all(GetParam(), correctly_rounded_quickly, x);
  }
}

TEST_P(ElementaryFunction, does_not_depend_on_length_or_alignment_or_place) {
  const Function& f = GetParam();
  std::vector<float> x(200), want(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = f.low + (f.high - f.low) * static_cast<float>(i) / 200;
  for (std::size_t i = 0; i < x.size(); ++i) f.array({&x[i], 1}, {&want[i], 1});
  for (const Kernel& kernel : kKernels) {
    if (!kernel.available) continue;
    for (std::size_t offset = 0; offset < 17; ++offset)
      for (std::size_t count = 0; offset + count <= x.size(); ++count) {
        std::vector<float> in_place = x, wanted = x;  // elements outside the range must stay what they were
        std::copy_n(want.begin() + offset, count, wanted.begin() + offset);
        kernel.run(f.kernel, in_place.data() + offset, in_place.data() + offset, count);
        expect_same(f.name, x, in_place, wanted);
      }
  }
}

float one(void (*array)(std::span<const float>, std::span<float>), float x) {
  array({&x, 1}, {&x, 1});
  return x;
}

TEST(Elementary, gives_the_known_values) {
  EXPECT_EQ(one(exp_array, 0.0f), 1.0f);
  EXPECT_EQ(one(exp_array, -0.0f), 1.0f);
  EXPECT_EQ(one(exp_array, 1.0f), 0x1.5bf0a8p+1f);
  EXPECT_EQ(code(one(log_array, 1.0f)), code(0.0f));
  EXPECT_EQ(one(log_array, 2.0f), 0x1.62e43p-1f);
  EXPECT_EQ(one(tanh_array, 1.0f), 0x1.85efacp-1f);
  EXPECT_EQ(one(erf_array, 1.0f), 0x1.af767ap-1f);
}

TEST(Elementary, special_values_are_those_the_header_states) {
  for (auto array : {exp_array, log_array, tanh_array, erf_array})
    for (float nan : {kNan, -kNan, from_code(0x7f800001), from_code(0xffffffff)})
      EXPECT_EQ(code(one(array, nan)), 0x7fc00000u) << hex(nan);

  EXPECT_EQ(code(one(exp_array, -kInfinity)), code(0.0f));
  EXPECT_EQ(one(exp_array, kInfinity), kInfinity);
  EXPECT_EQ(one(exp_array, 0x1.62e43p+6f), kInfinity);  // the first float above ln(FLT_MAX)
  EXPECT_EQ(one(exp_array, -103.0f), FLT_TRUE_MIN);
  EXPECT_EQ(one(exp_array, -104.0f), 0.0f);

  for (float negative : {-FLT_TRUE_MIN, -1.0f, -kInfinity})
    EXPECT_EQ(code(one(log_array, negative)), 0x7fc00000u) << hex(negative);
  EXPECT_EQ(one(log_array, 0.0f), -kInfinity);
  EXPECT_EQ(one(log_array, -0.0f), -kInfinity);
  EXPECT_EQ(one(log_array, kInfinity), kInfinity);

  for (auto odd : {tanh_array, erf_array}) {
    EXPECT_EQ(code(one(odd, 0.0f)), code(0.0f));
    EXPECT_EQ(code(one(odd, -0.0f)), code(-0.0f));
    for (float large : {9.02f, 1e30f, kInfinity}) EXPECT_EQ(one(odd, large), 1.0f) << hex(large);
  }
}

TEST(Elementary, tanh_and_erf_are_odd) {
  const std::vector<float> x = strided(1009);
  std::vector<float> negated(x.size()), y(x.size()), y_of_negated(x.size());
  for (auto odd : {tanh_array, erf_array}) {
    for (std::size_t i = 0; i < x.size(); ++i) negated[i] = -x[i];
    odd(x, y);
    odd(negated, y_of_negated);
    for (float& v : y)
      if (!std::isnan(v)) v = -v;
    expect_same("odd function", negated, y_of_negated, y);
  }
}

}  // namespace
}  // namespace halfulp
