// Tiles between their codes, what a kernel reads, and what a capture records.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cuda/mma.h"
#include "cuda/stimulus.h"
#include "formats/matrix_unit.h"

namespace halfulp::cuda {

Shape shape_of(const Instruction& instruction);

/// Codes of less than 8 bits share bytes, the first in the lowest bits.
PackedTiles pack(const Instruction& instruction, std::span<const Tile> tiles);

/// D of each tile from what run_tiles returns.
std::vector<std::vector<uint64_t>> unpack_outputs(const Instruction& instruction, const std::vector<uint8_t>& outputs);

/// The tile with A and C as they are recorded.
Tile recorded(const Instruction& instruction, Tile tile);

/// D of a recorded tile as the unit computes it.
std::vector<uint64_t> expected_outputs(const MatrixUnit& unit, const Shape& shape, const Tile& tile);

}  // namespace halfulp::cuda
