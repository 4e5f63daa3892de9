// Whole arrays through the block kernels: a piece at a time that stays in the first cache, transformed on the way where
// that is asked for. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "formats/block_kernels.h"
#include "formats/format.h"
#include "formats/hadamard.h"

namespace halfulp {

/// Whether the kernels know blocks of so many columns and that element in an array of `numbers`. `encoder` may be null.
bool kernels_know(const Encoder* encoder, Rounding rounding, int block_cols, size_t numbers);

/// Whether they know the quotients of elements and scales of these formats.
bool kernels_know_quotients(const Format& element, const Encoder& encoder, Rounding rounding, const Format& scale,
                            const Encoder& scale_encoder);

/// The scales of `scale`, a format of powers of two, by a rule that is a carry.
PowerScales power_scales(const Format& element, const Encoder& encoder, Rounding rounding, const Format& scale,
                         uint32_t carry, uint32_t zero_code);

/// Where a run of numbers goes: to values, or to codes and scales (null: not wanted).
struct BlockTarget {
  float* values = nullptr;
  uint8_t* codes = nullptr;  // one a byte, or two where they are packed
  uint8_t* scales = nullptr;
  bool packs_nibbles = false;
};

/// Quantises one row of a block whose largest magnitude has the bits amax; its first number has index `first` in the
/// array. To values, or to a byte per code and the scale (null: not wanted).
using OneBlock = std::function<void(std::span<const float> x, size_t first, uint32_t amax, float* values,
                                    uint8_t* codes, uint8_t* scale)>;

/// Whether a piece of whole blocks and whole transforms fits the buffers.
bool fits_pieces(size_t block, const Hadamard& transform);

/// binary32 bits of the largest magnitudes of an array's blocks, row-major over their grid; a NaN counts as larger than
/// infinity. A transform comes first where there is one that fits_pieces.
std::vector<uint32_t> maxima_of_blocks(const Hadamard* transform, std::span<const float> x, size_t rows, size_t cols,
                                       size_t block_rows, size_t block, int threads);

/// Quantises an array of rows x cols; `one_block` does what the kernels leave. `amax` is what maxima_of_blocks gives;
/// it may be empty where blocks have one row. A transform comes first where there is one that fits_pieces; its size
/// divides cols. Packed rows start with a byte of their own. The target may be x.
void run_blocks(const BlockPlan& plan, const Hadamard* transform, std::span<const float> x, size_t rows, size_t cols,
                std::span<const uint32_t> amax, const BlockTarget& target, const OneBlock& one_block, int threads);

/// Values of codes, one to a byte or packed as nibbles, of rows of `cols`; `scales` are those of each row's blocks of
/// `block`, for `block_rows` rows.
void unpack_blocks(const Format& element, bool packs_nibbles, std::span<const uint8_t> codes,
                   std::span<const float> scales, size_t block_rows, size_t block, std::span<float> values, size_t rows,
                   size_t cols);

}  // namespace halfulp
