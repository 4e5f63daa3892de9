// Posits and takums: codes whose fraction has the more bits, the nearer the number is to 1. Internal to formats/.
//
// Each real number has an infinite code, and a format's code is the start of it; zeros follow where it ends. Rounding
// looks at the bits that follow, not at distances, and gives neither zero nor the NaN (Posit Standard 2022, 4.1).
#pragma once

#include <cstdint>

#include "formats/format.h"
#include "formats/place.h"

namespace halfulp {

/// Number `index` >= 1.
Real tapered_number(const Format& format, uint32_t index);

/// The place of |x|, which is finite and not zero.
Place tapered_place(const Format& format, const Real& x);

}  // namespace halfulp
