// Real numbers as casts see them: 64 significant bits and whether there is more below.
#pragma once

#include <cstdint>

namespace halfulp {

/// A real number: exactly ±significand · 2^(exponent - 63), or with `sticky` more than that by less than one unit of
/// the significand. A quotient of two doubles and an irrational number are such numbers; a double needs no sticky bit.
struct Real {
  enum class Kind { Zero, Finite, Infinity, Nan };

  Kind kind = Kind::Zero;
  bool negative = false;
  bool sticky = false;
  int exponent = 0;          // Finite: floor(log2 |x|)
  uint64_t significand = 0;  // Finite: highest bit set. Nan: payload, aligned to the highest bit

  static Real of(double x);
  /// whole · 2^power, exactly.
  static Real dyadic(uint64_t whole, int power);
  /// x / y, exactly. Zero, infinite and NaN operands give what IEEE 754 division gives.
  static Real quotient(double x, double y);
  /// This number times 2^power, exactly.
  Real scaled(int power) const;
  Real with_sign(bool is_negative) const;

  /// The nearest binary64 number, ties to even; beyond its range infinity. NaNs give the quiet NaN of their sign.
  double nearest() const;
  /// Whether nearest() is this very number.
  bool is_binary64() const;
};

}  // namespace halfulp
