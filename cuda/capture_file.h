// Captured tiles as a file: what cli/capture.h calls captures of our own, and describes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/mma.h"
#include "cuda/stimulus.h"

namespace halfulp::cuda {

struct Segment {
  std::string family;
  uint64_t seed;
  std::vector<Tile> tiles;                     // as recorded
  std::vector<std::vector<uint64_t>> outputs;  // of each tile
};

struct Provenance {
  std::string unit, instruction;
  DeviceInfo device;
  std::vector<std::string> sass_opcodes;
  std::string date;
};

/// The whole file.
std::string capture_bytes(const Shape& shape, const Provenance& provenance, std::span<const Segment> segments);

/// Opcodes of a kernel that compute, in order, from the text that `cuobjdump -sass` prints of the program. Empty where
/// the kernel of that name for that target is not there.
std::vector<std::string> opcodes_of(std::string_view sass, std::string_view instruction, int sm);

}  // namespace halfulp::cuda
