// Conversions done by a GPU, to hold the library against. C++17: device code includes this.
//
// Without CUDA or without a device the same functions throw std::runtime_error, which says why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace halfulp::cuda {

/// What a conversion gives, rounded to nearest even; E8m0Zero and E8m0Up toward zero and toward positive.
enum class Narrow { E4m3, E5m2, E3m2, E2m3, E2m1, E8m0Zero, E8m0Up };

/// "NAME, sm_XY" of the first device.
std::string device_name();

/// The codes of the binary32 numbers with bits first_bits, first_bits + 1, …, one per byte: cvt.satfinite to
/// {e4m3,e5m2}x2 from sm_89 on, to {e3m2,e2m3,e2m1,ue8m0}x2 from sm_100a on; below these, what CUDA's headers compute.
void convert_to_narrow(Narrow format, uint32_t first_bits, std::vector<uint8_t>& codes);

/// Blocks of 32 numbers with a scale each, after OCP MX v1.0 section 6.3: codes of elements and scales, one per byte.
struct MxBlocks {
  std::vector<uint8_t> codes, scales;
};

/// x in whole blocks of finite numbers, to one of the element formats.
MxBlocks quantize_mx(Narrow element, const std::vector<float>& x);

}  // namespace halfulp::cuda
