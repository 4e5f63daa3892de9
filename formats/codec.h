// The reference cast: one correctly rounded step from an exact real number to a code.
//
// Everything here is integer arithmetic on the definition, slow and obvious; formats/cast.h has the fast forms, which
// tests hold equal to this one. Every function is total.
#pragma once

#include <cstdint>

#include "formats/format.h"
#include "formats/real.h"
#include "formats/rounding.h"

namespace halfulp {

/// The code of `x`. `random` is R of the stochastic modes, below 2^random_bits.
uint32_t encode(const Format& format, const Projection& projection, const Real& x, uint32_t random = 0);

/// Whether `x`, finite and not zero, is beyond the range and goes to infinity or what stands for it.
bool overflows_to_infinity(const Format& format, const Projection& projection, const Real& x, uint32_t random = 0);

}  // namespace halfulp
