#include "formats/isa.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "formats/cast.h"
#include "formats/codec.h"
#include "tests/cast_cases.h"

namespace halfulp {
namespace {

enum ExitCode { kEqual, kDifferent, kRefused };

/// Casts under the instruction set that HALFULP_ISA names. It is read once per process, so this runs in one of its own.
[[noreturn]] void cast_under(const char* isa) {
  setenv("HALFULP_ISA", isa, 1);
  try {
    if (std::string_view(name(active_isa())) != isa) std::exit(kDifferent);
  } catch (const std::invalid_argument&) {
    std::exit(kRefused);
  }
  const std::vector<float> inputs = random_floats(10'000, 10);
  for (const char* text : {"e4m3fn", "bfloat16", "int8"})
    for (const Projection& projection : projections({8, 32}, {})) {
      const Caster caster(parse_format(text), projection);
      std::vector<uint16_t> codes(inputs.size());
      std::vector<float> values(inputs.size());
      caster.encode(inputs, std::span(codes));
      caster.round(inputs, values);
      for (size_t i = 0; i < inputs.size(); ++i) {
        const uint32_t random =
            is_stochastic(projection.rounding) ? random_bits({}, uint32_t(i), projection.random_bits) : 0;
        const uint32_t want = caster.encode_reference(inputs[i], random);
        const float value = float(decode(caster.format(), want));
        if (codes[i] != want || std::bit_cast<uint32_t>(values[i]) != std::bit_cast<uint32_t>(value))
          std::exit(kDifferent);
      }
    }
  std::exit(kEqual);
}

class IsaDeathTest : public testing::Test {
 protected:
  void SetUp() override { testing::GTEST_FLAG(death_test_style) = "threadsafe"; }
};

TEST_F(IsaDeathTest, every_set_of_this_machine_can_be_forced_and_casts_as_the_reference) {
  EXPECT_EXIT(cast_under("portable"), testing::ExitedWithCode(kEqual), "");
  if (__builtin_cpu_supports("avx2")) {
    EXPECT_EXIT(cast_under("avx2"), testing::ExitedWithCode(kEqual), "");
  }
  if (__builtin_cpu_supports("avx512bw")) {
    EXPECT_EXIT(cast_under("avx512"), testing::ExitedWithCode(kEqual), "");
  }
}

TEST_F(IsaDeathTest, an_unknown_set_is_refused) {
  EXPECT_EXIT(cast_under("sse9"), testing::ExitedWithCode(kRefused), "");
  EXPECT_EXIT(cast_under("AVX2"), testing::ExitedWithCode(kRefused), "");
}

}  // namespace
}  // namespace halfulp
