// Where a real number stands among the numbers of a format: what a rounding decides from. Internal to formats/.
#pragma once

#include <cstdint>

#include "formats/codec.h"
#include "formats/format.h"

namespace halfulp {

/// A magnitude between two numbers of one sign, counted 0, 1, 2, … from the smallest as if there were no largest. Its
/// distance from the lower one, in units of the distance between the two, is nu = fraction / 2^64, plus less than 2^-64
/// with `sticky`.
struct Place {
  uint64_t index;  // of the largest number that is not above it
  uint64_t next;   // of the number above that
  uint64_t fraction;
  bool sticky;
};

/// The place of |x|, which is finite and not zero. A magnitude below the smallest number of a format without zero
/// stands on that number.
Place place(const Format& format, const Real& x);

}  // namespace halfulp
