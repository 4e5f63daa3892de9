// Conversions done by a GPU, to hold the library against. C++17: device code includes this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace halfulp::cuda {

enum class Fp8 { E4m3, E5m2 };

/// "NAME, sm_XY" of the first device. Throws std::runtime_error where there is none that can be used, saying why.
std::string device_name();

/// The codes of the binary32 numbers with bits first_bits, first_bits + 1, …: __nv_cvt_float_to_fp8 with saturation,
/// which is cvt.rn.satfinite.{e4m3,e5m2}x2.f32 from sm_89 on. Throws std::runtime_error as device_name does.
void convert_to_fp8(Fp8 format, uint32_t first_bits, std::vector<uint8_t>& codes);

}  // namespace halfulp::cuda
