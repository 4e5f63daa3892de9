// What block quantisers are measured against.
#pragma once

#include <cstddef>
#include <cstdint>

namespace halfulp {

/// Rows of 32 numbers to signed bytes and a binary32 scale amax / 127 each, as inference engines do it: AVX2
/// intrinsics, the product with the reciprocal rounded to nearest. `count` is a multiple of 32.
void quantize_int8_rows(const float* x, int8_t* codes, float* scales, size_t count);

/// The Hadamard transform of runs of `size` numbers as a loop over its stages.
void hadamard_loop(const float* x, float* y, size_t size, size_t count);

}  // namespace halfulp
