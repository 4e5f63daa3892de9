// Codes taken apart and put together. Internal to formats/.
#pragma once

#include <cstdint>

#include "formats/format.h"

namespace halfulp {

/// A number's sign and its place among the numbers of that sign.
struct SignedIndex {
  bool negative;
  uint32_t index;
};

/// Codes are taken modulo 2^bits. Codes that are no numbers have indices above max_index, or 0 where they look like a
/// negative zero.
SignedIndex signed_index(const Format& format, uint32_t code);

/// The code of these, also of indices above max_index where signed_index gives such.
uint32_t with_sign(const Format& format, bool negative, uint32_t index);

}  // namespace halfulp
