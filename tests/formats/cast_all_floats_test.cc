// Every one of the 2^32 floats, through the fast cast and through the reference. Minutes per format and rounding.
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "formats/cast.h"
#include "formats/codec.h"
#include "tests/cast_cases.h"
#include "tests/oracle.h"

namespace halfulp {
namespace {

struct Case {
  const char* format;
  Rounding rounding;
};

void PrintTo(const Case& test, std::ostream* out) { *out << test.format << " " << name(test.rounding); }

std::vector<Case> all_cases() {
  std::vector<Case> result;
  for (const char* format : {"e4m3fn", "e5m2", "e3m2", "e2m3", "e2m1", "bfloat16", "binary16"})
    for (const Rounding rounding : {Rounding::TiesToEven, Rounding::TowardZero, Rounding::ToOdd, Rounding::StochasticC})
      result.push_back({format, rounding});
  return result;
}

class AllFloatsExhaustive : public testing::TestWithParam<Case> {};

TEST_P(AllFloatsExhaustive, cast_as_the_reference_casts_them) {
  const auto& [text, rounding] = GetParam();
  const Projection projection{rounding, is_stochastic(rounding) ? 16 : 0, policies(Profile::Cuda, Source::Binary32)};
  const oracle::Oracle oracle(parse_format(text));
  const Format& format = oracle.format();
  const Caster caster(format, projection);
  Mismatches mismatches(oracle);

  constexpr uint64_t kBatch = 1 << 16;
  std::vector<float> inputs(kBatch), values(kBatch);
  std::vector<uint16_t> codes(kBatch);
  for (uint64_t first = 0; first < uint64_t{1} << 32; first += kBatch) {
    for (uint64_t i = 0; i < kBatch; ++i) inputs[i] = std::bit_cast<float>(uint32_t(first + i));
    caster.encode(inputs, std::span(codes), {}, uint32_t(first));
    caster.round(inputs, values, {}, uint32_t(first));
    for (uint64_t i = 0; i < kBatch; ++i) {
      const uint32_t random =
          is_stochastic(rounding) ? random_bits({}, uint32_t(first + i), projection.random_bits) : 0;
      const uint32_t want = encode(format, projection, Real::of(inputs[i]), random);
      mismatches.expect_equal(codes[i], want, projection, inputs[i], random);
      if (std::bit_cast<uint32_t>(values[i]) != std::bit_cast<uint32_t>(float(decode(format, want)))) [[unlikely]]
        mismatches.report(fmt::format("rounds to {:a}: {}", values[i],
                                      describe(oracle, projection, inputs[i], random, codes[i], want)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Casts, AllFloatsExhaustive, testing::ValuesIn(all_cases()),
                         [](const testing::TestParamInfo<Case>& test) {
                           return std::string(test.param.format) + "_" + std::string(name(test.param.rounding));
                         });

}  // namespace
}  // namespace halfulp
