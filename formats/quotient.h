// Quotients for kernel files: rounded to odd, so that a later rounding sees on which side of a number or midpoint the
// exact one lies. Internal to formats/.
#pragma once

#include <cstdint>

#include "formats/encoder.h"

namespace halfulp::detail {

/// binary64 to binary32, to odd: the exact value when it fits, otherwise the neighbour whose last bit is 1. Magnitudes
/// outside binary32's normal range go to its ends, which the casts that follow do not tell apart.
[[gnu::always_inline]] inline float narrow_to_odd(double x) {
  const uint64_t bits = __builtin_bit_cast(uint64_t, x);
  const uint64_t magnitude = bits & 0x7fff'ffff'ffff'ffff;
  const uint64_t lost = magnitude & 0x1fff'ffff;
  constexpr uint64_t kRebias = uint64_t{1023 - 127} << 23;
  constexpr uint64_t kSmallest = 0x0080'0001, kLargest = 0x7f7f'ffff;
  uint64_t narrow = (magnitude >> 29 | uint64_t{lost != 0}) - kRebias;
  narrow = select(magnitude >> 29 < kRebias + kSmallest, kSmallest, narrow);
  narrow = select(magnitude >> 29 > kRebias + kLargest, kLargest, narrow);
  narrow = select(magnitude == 0, uint64_t{0}, narrow);
  narrow = select(magnitude == 0x7ff0'0000'0000'0000, uint64_t{0x7f80'0000}, narrow);
  narrow = select(magnitude > 0x7ff0'0000'0000'0000, uint64_t{0x7fc0'0000}, narrow);
  return __builtin_bit_cast(float, uint32_t(bits >> 63 << 31 | narrow));
}

}  // namespace halfulp::detail
