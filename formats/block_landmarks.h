// The blocks that tell one block format from another: what its conformance vectors are made of.
//
// A scale rule is given away by the largest magnitudes at which the scale changes, a block format by what it makes of
// small arrays. Lists are functions of their arguments alone.
#pragma once

#include <string_view>
#include <vector>

#include "formats/block.h"

namespace halfulp {

/// A block with the largest magnitude `amax` in an array with the largest magnitude `array_amax`.
struct ScaleCase {
  float amax, array_amax;
};

/// The code that the block's scale gets where its other numbers are zeros.
uint32_t scale_code(const BlockQuantizer& quantizer, const ScaleCase& block);

/// Each amax at which the scale changes, ascending, and the ends of binary32's ranges, with the two numbers of binary32
/// beside each; zero, infinity and NaN. Under a tensor scale that for several array_amax, otherwise amax is this too.
std::vector<ScaleCase> scale_landmarks(const BlockQuantizer& quantizer);

/// A small array, row-major.
struct BlockCase {
  std::string_view name;
  int rows, cols;
  std::vector<float> x;
};

/// One block of zeros, with a NaN or an infinity, of numbers and ties of the element format, of subnormal, huge and
/// random numbers; arrays of several blocks, which end inside a block.
std::vector<BlockCase> block_landmarks(const BlockQuantizer& quantizer);

}  // namespace halfulp
