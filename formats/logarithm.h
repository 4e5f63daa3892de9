// Logarithms and powers without error: enough digits of each to know every bit that is asked for. Internal to formats/.
//
// Each result is enclosed between two fixed-point numbers, with twice the digits again as long as the two leave a bit
// open. That ends: what is not rational from the start (and then computed exactly) has no last digit.
#pragma once

#include <cstdint>

#include "formats/real.h"

namespace halfulp {

/// A real number: whole + fraction / 2^64, with `sticky` more than that by less than 2^-64.
struct Position {
  int64_t whole;
  uint64_t fraction;
  bool sticky;
};

/// log2(x) · multiplier / divisor of a finite x > 0. A sticky x counts as barely larger than without its sticky bit.
Position log2_position(const Real& x, uint32_t multiplier, uint32_t divisor);

/// 2 ln(x), for x between 2^-369 and 2^369.
Position twice_ln_position(const Real& x);

/// Where x lies from a to b, as a fraction of the distance: a = 2^(low / divisor), or 0 if `from_zero`,
/// b = 2^(high / divisor), a <= x < b.
Position position_between_powers(const Real& x, bool from_zero, int64_t low, int64_t high, uint32_t divisor);

/// 2^(numerator / divisor).
Real power_of_two(int64_t numerator, uint32_t divisor);

/// sqrt(e)^(numerator / 2^fraction_bits), for powers up to ±256.
Real power_of_sqrt_e(int64_t numerator, int fraction_bits);

}  // namespace halfulp
