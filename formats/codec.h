// The reference cast: one correctly rounded step from an exact real number to a code.
//
// Everything here is integer arithmetic on the definition, slow and obvious; formats/cast.h has the fast forms, which
// tests hold equal to this one. Every function is total.
#pragma once

#include <cstdint>

#include "formats/format.h"
#include "formats/rounding.h"

namespace halfulp {

/// A real number as a cast sees it: exactly ±significand · 2^(exponent - 63), or with `sticky` more than that by less
/// than one unit of the significand. A quotient of two doubles is such a number; a double needs no sticky bit.
struct Real {
  enum class Kind { Zero, Finite, Infinity, Nan };

  Kind kind = Kind::Zero;
  bool negative = false;
  bool sticky = false;
  int exponent = 0;          // Finite: floor(log2 |x|)
  uint64_t significand = 0;  // Finite: highest bit set. Nan: payload, aligned to the highest bit

  static Real of(double x);
  /// x / y, exactly. Zero, infinite and NaN operands give what IEEE 754 division gives.
  static Real quotient(double x, double y);
  /// This number times 2^power, exactly.
  Real scaled(int power) const;
};

/// The code of `x`. `random` is R of the stochastic modes, below 2^random_bits.
uint32_t encode(const Format& format, const Projection& projection, const Real& x, uint32_t random = 0);

/// Whether `x`, finite and not zero, is beyond the range and goes to infinity or what stands for it.
bool overflows_to_infinity(const Format& format, const Projection& projection, const Real& x, uint32_t random = 0);

}  // namespace halfulp
