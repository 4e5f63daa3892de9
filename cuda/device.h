// Errors and memory of the CUDA runtime, shared by this folder's device code. C++17.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace halfulp::cuda {

inline void require(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

/// Bytes in the device's memory.
struct DeviceBytes {
  uint8_t* data = nullptr;
  size_t count;

  explicit DeviceBytes(size_t size) : count(size) { require(cudaMalloc(&data, count), "device memory"); }
  explicit DeviceBytes(const std::vector<uint8_t>& bytes) : DeviceBytes(bytes.size()) {
    require(cudaMemcpy(data, bytes.data(), count, cudaMemcpyHostToDevice), "copy to the device");
  }
  ~DeviceBytes() { cudaFree(data); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  void copy_to(std::vector<uint8_t>& bytes) const {
    require(cudaMemcpy(bytes.data(), data, bytes.size(), cudaMemcpyDeviceToHost), "copy from the device");
  }
  std::vector<uint8_t> copy() const {
    std::vector<uint8_t> bytes(count);
    copy_to(bytes);
    return bytes;
  }
};

}  // namespace halfulp::cuda
