// The streaming form of `cast` against CUDA's host headers.
#include <gtest/gtest.h>

#ifdef HALFULP_HAS_CUDA_HEADERS

#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/philox.h"
#include "tests/cli/command.h"

namespace halfulp {
namespace {

struct Conversion {
  const char* format;
  const char* rounding;
  uint8_t (*convert)(float);
};

constexpr Conversion kConversions[] = {
    {"e4m3fn", "ties_to_even", [](float x) -> uint8_t { return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3); }},
    {"e5m2", "ties_to_even", [](float x) -> uint8_t { return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E5M2); }},
    {"e3m2", "ties_to_even", [](float x) -> uint8_t { return __nv_cvt_float_to_fp6(x, __NV_E3M2, cudaRoundNearest); }},
    {"e2m3", "ties_to_even", [](float x) -> uint8_t { return __nv_cvt_float_to_fp6(x, __NV_E2M3, cudaRoundNearest); }},
    {"e2m1", "ties_to_even", [](float x) -> uint8_t { return __nv_cvt_float_to_fp4(x, __NV_E2M1, cudaRoundNearest); }},
    {"e8m0", "toward_zero",
     [](float x) -> uint8_t { return __nv_cvt_float_to_e8m0(x, __NV_SATFINITE, cudaRoundZero); }},
    {"e8m0", "toward_positive",
     [](float x) -> uint8_t { return __nv_cvt_float_to_e8m0(x, __NV_SATFINITE, cudaRoundPosInf); }},
};

TEST(CastVerb, binary_agrees_with_cuda_on_two_to_the_24_random_floats) {
  constexpr uint32_t kCount = uint32_t{1} << 24;
  std::vector<uint32_t> bits(kCount);
  for (uint32_t i = 0; i < kCount; i += 4) {
    const PhiloxCounter words = random_words({.seed = 24, .stream = Stream::Data}, i / 4);
    for (uint32_t lane = 0; lane < 4; ++lane) bits[i + lane] = words[lane];
  }
  const std::string_view input(reinterpret_cast<const char*>(bits.data()), bits.size() * sizeof(uint32_t));
  for (const Conversion& peer : kConversions) {
    const CommandResult result = halfulp_command({"cast", "--binary", "--from", "f32", "--profile", "cuda", "--format",
                                                  peer.format, "--rounding", peer.rounding},
                                                 input);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    ASSERT_EQ(result.out.size(), kCount) << peer.format;
    int shown = 0;
    for (uint32_t i = 0; i < kCount && shown < 5; ++i) {
      const float x = std::bit_cast<float>(bits[i]);
      const int got = uint8_t(result.out[i]), want = peer.convert(x);
      if (got == want) continue;
      ++shown;
      ADD_FAILURE() << fmt::format("{} {} of {:a}: got {:#04x}, CUDA gives {:#04x}", peer.format, peer.rounding, x, got,
                                   want);
    }
  }
}

}  // namespace
}  // namespace halfulp

#else

TEST(CastVerb, binary_agrees_with_cuda_on_two_to_the_24_random_floats) {
  GTEST_SKIP() << "CUDA's headers are not installed (cuda_fp8.h)";
}

#endif
