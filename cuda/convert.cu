#include "cuda/convert.h"

#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include "cuda/device.h"

namespace halfulp::cuda {
namespace {

__device__ uint8_t converted(Narrow format, float x) {
  switch (format) {
    case Narrow::E4m3: return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3);
    case Narrow::E5m2: return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E5M2);
    case Narrow::E3m2: return __nv_cvt_float_to_fp6(x, __NV_E3M2, cudaRoundNearest);
    case Narrow::E2m3: return __nv_cvt_float_to_fp6(x, __NV_E2M3, cudaRoundNearest);
    case Narrow::E2m1: return __nv_cvt_float_to_fp4(x, __NV_E2M1, cudaRoundNearest);
    case Narrow::E8m0Zero: return __nv_cvt_float_to_e8m0(x, __NV_SATFINITE, cudaRoundZero);
    case Narrow::E8m0Up: return __nv_cvt_float_to_e8m0(x, __NV_SATFINITE, cudaRoundPosInf);
  }
  return 0;
}

__global__ void convert(Narrow format, uint32_t first_bits, uint8_t* codes, size_t count) {
  const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) codes[i] = converted(format, __uint_as_float(first_bits + uint32_t(i)));
}

}  // namespace

std::string device_name() {
  cudaDeviceProp device{};
  require(cudaGetDeviceProperties(&device, 0), "no usable device");
  return std::string(device.name) + ", sm_" + std::to_string(device.major) + std::to_string(device.minor);
}

void convert_to_narrow(Narrow format, uint32_t first_bits, std::vector<uint8_t>& codes) {
  constexpr unsigned kThreads = 256;
  const DeviceBytes device(codes.size());
  convert<<<unsigned((codes.size() + kThreads - 1) / kThreads), kThreads>>>(format, first_bits, device.data,
                                                                            codes.size());
  require(cudaGetLastError(), "conversion kernel");
  device.copy_to(codes);
}

}  // namespace halfulp::cuda
