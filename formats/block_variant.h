// The variants of block scaling that are sequences of binary32 operations. Internal to formats/.
#pragma once

#include <cstdint>
#include <span>

#include "formats/block_format.h"

namespace halfulp {

/// What an array's amax gives: the factor that numbers are encoded with and its inverse as the variant computes it.
struct VariantUnit {
  float amax, encode, decode;
};

VariantUnit variant_unit(const BlockFormat& format, float amax);

/// The scale of a block; `more`: 1, or 1.5 where amax is mapped to 4 instead of 6.
uint32_t variant_scale(const BlockFormat& format, const VariantUnit& unit, float amax, float more);

/// x as the element cast gets it.
float variant_quotient(const BlockFormat& format, const VariantUnit& unit, float scale, float x);

/// The error te_4over6 sees in numbers of one row of a block, `values` being decoded elements.
float variant_row_error(const BlockFormat& format, const VariantUnit& unit, float scale, std::span<const float> x,
                        std::span<const float> values);
/// The errors of a block's rows together. Overwrites them.
float variant_block_error(const BlockFormat& format, std::span<float> rows);

}  // namespace halfulp
