// From a block's numbers to the code of its scale, exactly. Internal to formats/.
#pragma once

#include <cstdint>

#include "formats/block_format.h"

namespace halfulp {

/// Numbers of an array in units of its tensor scale are x · numerator / denominator; both are 1 without one.
struct ArrayUnit {
  double numerator = 1, denominator = 1;
};

/// The code of the scale of a block whose statistic (amax, or what stands for it) is `statistic`, finite and >= 0, in
/// the units of x. It is mapped to max / (headroom · `more`). `random` is what the rule Stochastic uses.
uint32_t scale_code(const BlockFormat& format, const ArrayUnit& unit, double statistic, const Ratio& more,
                    uint32_t random);

/// The code of a NaN scale, and that of the largest one.
uint32_t nan_scale(const BlockFormat& format);
uint32_t largest_scale(const BlockFormat& format);

/// `code` as the format's policy for scales of zero leaves it.
uint32_t with_zero_policy(const BlockFormat& format, uint32_t code);

}  // namespace halfulp
