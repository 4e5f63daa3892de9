// The inner loops of block quantisers, a row of blocks' numbers at a time, one copy per instruction set. Internal to
// formats/.
//
// They do the ordinary blocks, and name the others for the caller to do: those with NaNs or infinities, and those whose
// scale or grid comes near an end of its range.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/kernels.h"

namespace halfulp {

/// What the size of a block must be a multiple of.
inline constexpr size_t kBlockStep = 16;

/// Numbers of the longest block that is rounded at random, and of as many blocks as have their random bits at once.
inline constexpr size_t kLongestRandomBlock = 512, kRandomBatch = 1000;

/// Scales that are powers of two: 2^(field - 127 - e_max), where field is the exponent field of bits(amax) + carry.
struct PowerScales {
  uint32_t carry;
  int min_field, max_field;  // the fields of ordinary blocks; 2 or more
  int grid_shift;            // field + grid_shift: by how much the element's exponents move
  int code_shift;            // field + code_shift: the scale's code
  uint8_t zero_code;         // of a block of zeros
};

/// Scales with a mantissa: scale = amax · scale_numerator / scale_denominator to the nearest, ties to even, and
/// element = x · numerator / (scale · denominator).
struct QuotientScales {
  const Encoder* encoder;  // of the scale; null: scales of another kind
  double scale_numerator, scale_denominator;
  double numerator, denominator;
};

/// How all blocks of an array are quantised.
struct BlockPlan {
  const Encoder* element;
  Rounding rounding;
  RandomSite site;
  size_t block;           // numbers in one row of a block
  size_t block_rows = 1;  // that it has
  PowerScales powers;
  QuotientScales quotients;
};

#define HALFULP_DECLARE_BLOCK_KERNELS                                                                                 \
  /* amax[b] = binary32 bits of the largest magnitude of block b; a NaN counts as larger than infinity */             \
  void block_maxima(const float* x, size_t block, size_t blocks, uint32_t* amax);                                     \
  /* values = element · scale of one row of whole blocks whose largest magnitudes have the bits amax (null: those of \
     the row itself); first_index is that of x[0], for its random bits. A block b that is out of the ordinary is      \
     left alone: bit b % 64 of odd[b / 64]. */                                                                        \
  void quantize_blocks(const BlockPlan& plan, uint32_t first_index, const float* x, const uint32_t* amax,             \
                       float* values, size_t blocks, uint64_t* odd);                                                  \
  /* The codes of elements and of scales (null: not wanted), one a byte. */                                           \
  void encode_blocks(const BlockPlan& plan, uint32_t first_index, const float* x, const uint32_t* amax,               \
                     uint8_t* codes, uint8_t* scales, size_t blocks, uint64_t* odd);                                  \
  /* Codes of 4 bits, two to a byte, the first one low; count is even. */                                             \
  void pack_nibbles(const uint8_t* codes, uint8_t* packed, size_t count);                                             \
  /* values[i] = number of code i · scales[i / block], by the numbers of all 16 codes */                             \
  void unpack_nibble_blocks(const float* numbers, const uint8_t* packed, const float* scales, size_t block,           \
                            float* values, size_t count);                                                             \
  /* values[i] · scales[i / block] */                                                                                \
  void multiply_blocks(float* values, const float* scales, size_t block, size_t count);

namespace portable {
HALFULP_DECLARE_BLOCK_KERNELS
}
namespace avx2 {
HALFULP_DECLARE_BLOCK_KERNELS
}
namespace avx512 {
HALFULP_DECLARE_BLOCK_KERNELS
}
#undef HALFULP_DECLARE_BLOCK_KERNELS

}  // namespace halfulp
