// Where a real number stands among the numbers of a format: what a rounding decides from. Internal to formats/.
#pragma once

#include <cstdint>

#include "formats/codec.h"
#include "formats/format.h"

namespace halfulp {

/// A magnitude between two numbers of one sign, counted 0, 1, 2, … from the smallest as if there were no largest. Its
/// distance from the lower one, in units of the distance between the two (on the scale of Format::domain), is
/// nu = fraction / 2^64, plus less than 2^-64 with `sticky`. Where a signed format has no zero, the smallest number of
/// the other sign counts as -1.
struct Place {
  int64_t index;  // of the largest number that is not above it
  int64_t next;   // of the number above that
  uint64_t fraction;
  bool sticky;

  bool is_between_signs() const { return index < 0; }
};

/// The place of |x|, which is finite and, but for signed formats without zero, not zero. A magnitude below the smallest
/// number of an unsigned format without zero stands on that number.
Place place(const Format& format, const Real& x);

}  // namespace halfulp
