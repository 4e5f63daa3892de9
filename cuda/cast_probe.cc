// Compares a GPU's conversions from float to FP8, FP6 and FP4 with the library for every one of the 2^32 binary32
// numbers: rounding ties_to_even under the profile `cuda`. Prints how many codes agree and the first that does not;
// exit code 1 on any difference, 2 without a device.
#include <fmt/format.h>

#include <bit>
#include <exception>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "cuda/convert.h"
#include "formats/cast.h"
#include "formats/profile.h"

namespace halfulp::cuda {
namespace {

constexpr uint64_t kAll = uint64_t{1} << 32;
constexpr uint32_t kChunk = uint32_t{1} << 24;

uint64_t count_differences(std::string_view name, Narrow format) {
  const Caster caster(parse_format(name), {.policies = policies(Profile::Cuda, Source::Binary32)});
  std::vector<float> x(kChunk);
  std::vector<uint8_t> got(kChunk), want(kChunk);
  uint64_t differences = 0;
  for (uint64_t first = 0; first < kAll; first += kChunk) {
    convert_to_narrow(format, uint32_t(first), got);
    for (uint32_t i = 0; i < kChunk; ++i) x[i] = std::bit_cast<float>(uint32_t(first) + i);
    caster.encode<uint8_t>(x, want);
    for (uint32_t i = 0; i < kChunk; ++i)
      if (got[i] != want[i] && differences++ == 0)
        fmt::print("{}: {:a} gives {:02x} on the device, {:02x} in the library\n", name, x[i], got[i], want[i]);
  }
  fmt::print("{}: {} of {} codes agree\n", name, kAll - differences, kAll);
  return differences;
}

}  // namespace
}  // namespace halfulp::cuda

int main() {
  using namespace halfulp::cuda;
  try {
    fmt::print("{}\n", device_name());
    uint64_t differences = 0;
    for (const auto& [name, format] :
         std::initializer_list<std::pair<std::string_view, Narrow>>{{"e4m3fn", Narrow::E4m3},
                                                                    {"e5m2", Narrow::E5m2},
                                                                    {"e3m2", Narrow::E3m2},
                                                                    {"e2m3", Narrow::E2m3},
                                                                    {"e2m1", Narrow::E2m1}})
      differences += count_differences(name, format);
    return differences == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "cast_probe: {}\n", error.what());
    return 2;
  }
}
