// Matrix instructions run on a GPU. C++17: device code includes this.
//
// Without CUDA or without a device the same functions throw std::runtime_error, which says why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/instruction.h"

namespace halfulp::cuda {

/// What a captured output depends on beside its inputs.
struct DeviceInfo {
  std::string name;
  int sm = 0;          // 10 · major + minor of the compute capability
  std::string driver;  // and the CUDA version it supports
  std::string cuda;    // of the toolkit that compiled this
  std::string ptxas;
};

DeviceInfo device_info();

/// Tiles in memory as the kernels read them. Rows of A and columns of B are k codes next to each other, the first in
/// the lowest bits; C and D are stored row by row.
struct PackedTiles {
  size_t count;
  std::vector<uint8_t> a, b, c;
};

/// The device lacks the instruction.
struct AbsentInstruction : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// D of every tile, `repeats` times over: all must be the same, or it throws std::runtime_error. Throws
/// AbsentInstruction.
std::vector<uint8_t> run_tiles(const Instruction& instruction, const PackedTiles& tiles, int repeats = 1);

}  // namespace halfulp::cuda
