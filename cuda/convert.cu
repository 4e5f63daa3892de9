#include "cuda/convert.h"

#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <stdexcept>

namespace halfulp::cuda {
namespace {

__global__ void convert(__nv_fp8_interpretation_t format, uint32_t first_bits, uint8_t* codes, size_t count) {
  const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) codes[i] = __nv_cvt_float_to_fp8(__uint_as_float(first_bits + uint32_t(i)), __NV_SATFINITE, format);
}

void require(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

struct DeviceBytes {
  uint8_t* data = nullptr;
  explicit DeviceBytes(size_t count) { require(cudaMalloc(&data, count), "device memory"); }
  ~DeviceBytes() { cudaFree(data); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
};

}  // namespace

std::string device_name() {
  cudaDeviceProp device{};
  require(cudaGetDeviceProperties(&device, 0), "no usable device");
  return std::string(device.name) + ", sm_" + std::to_string(device.major) + std::to_string(device.minor);
}

void convert_to_fp8(Fp8 format, uint32_t first_bits, std::vector<uint8_t>& codes) {
  constexpr unsigned kThreads = 256;
  const DeviceBytes device(codes.size());
  convert<<<unsigned((codes.size() + kThreads - 1) / kThreads), kThreads>>>(
      format == Fp8::E4m3 ? __NV_E4M3 : __NV_E5M2, first_bits, device.data, codes.size());
  require(cudaGetLastError(), "conversion kernel");
  require(cudaMemcpy(codes.data(), device.data, codes.size(), cudaMemcpyDeviceToHost), "copy from the device");
}

}  // namespace halfulp::cuda
