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

constexpr unsigned kThreads = 256;
constexpr int kMxBlock = 32;

unsigned blocks_for(size_t count) { return unsigned((count + kThreads - 1) / kThreads); }

// The exponent of an element format's largest number.
__device__ int max_exponent(Narrow element) {
  switch (element) {
    case Narrow::E4m3: return 8;
    case Narrow::E5m2: return 15;
    case Narrow::E3m2: return 4;
    default: return 2;
  }
}

// A thread per block: the scale is 2^(floor(log2 amax) - e_max), and quotients by it are exact.
__global__ void quantize(Narrow element, const float* x, uint8_t* codes, uint8_t* scales, size_t count) {
  const size_t block = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (block >= count) return;
  float amax = 0;
  for (int i = 0; i < kMxBlock; ++i) amax = fmaxf(amax, fabsf(x[block * kMxBlock + i]));
  const int scale = amax == 0 ? 0 : min(max(ilogbf(amax) - max_exponent(element) + 127, 0), 254);
  const float factor = ldexpf(1, 127 - scale);
  for (int i = 0; i < kMxBlock; ++i) codes[block * kMxBlock + i] = converted(element, x[block * kMxBlock + i] * factor);
  scales[block] = uint8_t(scale);
}

}  // namespace

std::string device_name() {
  cudaDeviceProp device{};
  require(cudaGetDeviceProperties(&device, 0), "no usable device");
  return std::string(device.name) + ", sm_" + std::to_string(device.major) + std::to_string(device.minor);
}

void convert_to_narrow(Narrow format, uint32_t first_bits, std::vector<uint8_t>& codes) {
  const DeviceBytes device(codes.size());
  convert<<<blocks_for(codes.size()), kThreads>>>(format, first_bits, device.data, codes.size());
  require(cudaGetLastError(), "conversion kernel");
  device.copy_to(codes);
}

MxBlocks quantize_mx(Narrow element, const std::vector<float>& x) {
  const size_t count = x.size() / kMxBlock;
  const DeviceBytes numbers(x.size() * sizeof(float)), codes(x.size()), scales(count);
  require(cudaMemcpy(numbers.data, x.data(), numbers.count, cudaMemcpyHostToDevice), "copy to the device");
  quantize<<<blocks_for(count), kThreads>>>(element, reinterpret_cast<const float*>(numbers.data), codes.data,
                                            scales.data, count);
  require(cudaGetLastError(), "block kernel");
  return {codes.copy(), scales.copy()};
}

}  // namespace halfulp::cuda
