// Whole arrays through the block kernels: a piece at a time that stays in the first cache, transformed on the way where
// that is asked for. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "formats/block_kernels.h"
#include "formats/format.h"
#include "formats/hadamard.h"

namespace halfulp {

/// Whether the kernels know blocks of that shape and element in an array of `numbers`. `encoder` may be null.
bool kernels_know(const Encoder* encoder, Rounding rounding, int block_rows, int block_cols, size_t numbers);

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

/// Quantises one block whose first number has index `first` in the array, to values or to a byte per code and the
/// scale.
using OneBlock =
    std::function<void(std::span<const float> x, size_t first, float* values, uint8_t* codes, uint8_t* scale)>;

/// Whether a piece of whole blocks and whole transforms fits the buffers.
bool fits_pieces(const BlockPlan& plan, const Hadamard& transform);

/// Quantises an array of rows x cols whose rows are cut into blocks; `one_block` does what the kernels leave. A
/// transform comes first where there is one that fits_pieces; its size divides cols. Packed rows start with a byte of
/// their own. The target may be x.
void run_blocks(const BlockPlan& plan, const Hadamard* transform, std::span<const float> x, size_t rows, size_t cols,
                const BlockTarget& target, const OneBlock& one_block, int threads);

/// binary32 bits of the largest magnitude of the transformed array; a NaN counts as larger than infinity.
uint32_t largest_magnitude_of(const Hadamard* transform, std::span<const float> x, int threads);

/// Values of codes, one to a byte or packed as nibbles, of rows of `cols`; `scales` are those of each row's blocks of
/// `block`, for `block_rows` rows.
void unpack_blocks(const Format& element, bool packs_nibbles, std::span<const uint8_t> codes,
                   std::span<const float> scales, size_t block_rows, size_t block, std::span<float> values, size_t rows,
                   size_t cols);

}  // namespace halfulp
