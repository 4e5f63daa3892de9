// Compares a GPU's conversions from float to FP8, FP6, FP4 and E8M0 with the library under the profile `cuda`, for
// every one of the 2^32 binary32 numbers. Prints how many codes agree and the first that does not; exit code 1 on any
// difference, 2 without a device.
#include <fmt/format.h>

#include <bit>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/convert.h"
#include "cuda/stimulus.h"
#include "formats/block.h"
#include "formats/cast.h"
#include "formats/profile.h"

namespace halfulp::cuda {
namespace {

constexpr uint64_t kAll = uint64_t{1} << 32;
constexpr uint32_t kChunk = uint32_t{1} << 24;

struct Conversion {
  Narrow device;
  std::string_view format;  // and the rounding: what the library does
  Rounding rounding = Rounding::TiesToEven;
};

constexpr Conversion kConversions[] = {{Narrow::E4m3, "e4m3fn"},
                                       {Narrow::E5m2, "e5m2"},
                                       {Narrow::E3m2, "e3m2"},
                                       {Narrow::E2m3, "e2m3"},
                                       {Narrow::E2m1, "e2m1"},
                                       {Narrow::E8m0Zero, "e8m0", Rounding::TowardZero},
                                       {Narrow::E8m0Up, "e8m0", Rounding::TowardPositive}};

uint64_t count_differences(const Conversion& conversion) {
  const std::string label = fmt::format("{} {}", conversion.format, name(conversion.rounding));
  Projection projection{.rounding = conversion.rounding, .policies = policies(Profile::Cuda, Source::Binary32)};
  projection.policies.overflow = Overflow::Saturate;
  const Caster caster(parse_format(conversion.format), projection);
  std::vector<float> x(kChunk);
  std::vector<uint8_t> got(kChunk), want(kChunk);
  uint64_t differences = 0;
  for (uint64_t first = 0; first < kAll; first += kChunk) {
    convert_to_narrow(conversion.device, uint32_t(first), got);
    for (uint32_t i = 0; i < kChunk; ++i) x[i] = std::bit_cast<float>(uint32_t(first) + i);
    caster.encode<uint8_t>(x, want);
    for (uint32_t i = 0; i < kChunk; ++i)
      if (got[i] != want[i] && differences++ == 0)
        fmt::print("{}: {:a} gives {:02x} on the device, {:02x} in the library\n", label, x[i], got[i], want[i]);
  }
  fmt::print("{}: {} of {} codes agree\n", label, kAll - differences, kAll);
  return differences;
}

// ---- blocks ----

struct MxFormat {
  Narrow device;
  std::string_view name;  // of the library's block format, by the rule floor
};

constexpr MxFormat kMxFormats[] = {{Narrow::E4m3, "mxfp8_e4m3"},
                                   {Narrow::E5m2, "mxfp8_e5m2"},
                                   {Narrow::E3m2, "mxfp6_e3m2"},
                                   {Narrow::E2m3, "mxfp6_e2m3"},
                                   {Narrow::E2m1, "mxfp4"}};
constexpr int kMxRows = 4096, kMxBlock = 32;  // of one draw
constexpr int kMxDraws = 256;

// Rows of one block each whose exponents lie within a window, wherever that is.
std::vector<float> random_blocks(uint64_t number) {
  const Shape shape = {kMxRows, 1, kMxBlock, "binary32", "binary32", "binary32"};
  std::vector<float> x;
  for (const uint64_t code : make_tile(shape, StimulusFamily::Window, 1, number).a)
    x.push_back(std::bit_cast<float>(uint32_t(code)));
  return x;
}

// Codes of 4 bits two to a byte, as the library packs them.
std::vector<uint8_t> packed(const std::vector<uint8_t>& codes, bool is_narrow) {
  if (!is_narrow) return codes;
  std::vector<uint8_t> bytes(codes.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = uint8_t(codes[2 * i] | codes[2 * i + 1] << 4);
  return bytes;
}

uint64_t count_differing_draws(const MxFormat& mx) {
  const BlockQuantizer quantizer(make_block_format(mx.name, ScaleRule::Floor), Rounding::TiesToEven);
  MxBlocks want;
  want.codes.resize(quantizer.packed_codes(kMxRows, kMxBlock));
  want.scales.resize(quantizer.packed_scales(kMxRows, kMxBlock));
  uint64_t differing = 0;
  for (int draw = 0; draw < kMxDraws; ++draw) {
    const std::vector<float> x = random_blocks(uint64_t(draw));
    quantizer.quantize_packed(x, want.codes, want.scales, kMxRows, kMxBlock);
    const MxBlocks got = quantize_mx(mx.device, x);
    differing += got.scales != want.scales || packed(got.codes, mx.device == Narrow::E2m1) != want.codes;
  }
  fmt::print("{}: {} of {} arrays of {} blocks agree\n", mx.name, kMxDraws - differing, kMxDraws, kMxRows);
  return differing;
}

}  // namespace
}  // namespace halfulp::cuda

int main() {
  using namespace halfulp::cuda;
  try {
    fmt::print("{}\n", device_name());
    uint64_t differences = 0;
    for (const Conversion& conversion : kConversions) differences += count_differences(conversion);
    for (const MxFormat& mx : kMxFormats) differences += count_differing_draws(mx);
    return differences == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "cast_probe: {}\n", error.what());
    return 2;
  }
}
