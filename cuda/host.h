// Matrix instructions of the processor this runs on, as tiles.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/instruction.h"
#include "cuda/mma.h"

namespace halfulp::cuda {

const std::vector<Instruction>& host_instructions();

/// The processor's name, family, model and stepping; sm is 0.
DeviceInfo host_info();

/// As run_tiles.
std::vector<uint8_t> run_host_tiles(const Instruction& instruction, const PackedTiles& tiles, int repeats);

}  // namespace halfulp::cuda
