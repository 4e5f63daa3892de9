// Exact arithmetic for what binary64 cannot hold: products of a few numbers, their quotients, and sums of squares.
// Internal to formats/.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdint>

#include "formats/codec.h"

namespace halfulp {

__extension__ using Uint128 = unsigned __int128;

/// A number >= 0 that is a product of others: significand · 2^exponent, the significand odd and below 2^128.
class Product {
 public:
  explicit Product(double factor) {
    const int exponent = factor == 0 ? 0 : std::ilogb(factor) - 52;
    significand_ = Uint128(std::ldexp(std::fabs(factor), -exponent));
    exponent_ = exponent;
    strip();
  }

  /// `factor` has at most 24 bits less than there is room for.
  Product operator*(double factor) const {
    Product result(factor);
    assert(width(significand_) + width(result.significand_) <= 128);
    result.significand_ *= significand_;
    result.exponent_ += exponent_;
    return result;
  }

  /// numerator / denominator with a sign; denominator > 0, of at most 64 bits.
  static Real quotient(const Product& numerator, const Product& denominator, bool negative) {
    Real result{.negative = negative};
    if (numerator.significand_ == 0) return result;
    const int n_shift = 128 - width(numerator.significand_), d_shift = 64 - width(denominator.significand_);
    assert(d_shift >= 0);
    const Uint128 n = numerator.significand_ << n_shift, d = denominator.significand_ << d_shift;
    Uint128 quotient = n / d;  // of 64 or 65 bits; NOLINT(*DivideZero): the denominator is no zero
    result.sticky = quotient * d != n;
    const int extra = width(quotient) - 64;
    result.sticky |= (quotient & extra) != 0;
    result.kind = Real::Kind::Finite;
    result.significand = uint64_t(quotient >> extra);  // NOLINT(*UndefinedBinaryOperatorResult): extra is 0 or 1
    result.exponent = 63 + extra + (numerator.exponent_ - n_shift) - (denominator.exponent_ - d_shift);
    return result;
  }

 private:
  static int width(Uint128 x) {
    const uint64_t high = uint64_t(x >> 64);
    return high != 0 ? 128 - std::countl_zero(high) : 64 - std::countl_zero(uint64_t(x));
  }
  void strip() {
    const int zeros = significand_ == 0 ? 0 : std::countr_zero(uint64_t(significand_));
    significand_ >>= zeros;
    exponent_ += zeros;
  }

  Uint128 significand_;
  int exponent_;
};

/// a - b as an unevaluated sum of two doubles, exactly: high is the difference rounded.
struct Difference {
  double high, low;

  Difference(double a, double b) : high(a - b) {
    const double b_part = a - high, a_part = high + b_part;
    low = (a - a_part) + (b_part - b);
  }
  /// Whether |this| < |other|.
  bool is_smaller_than(const Difference& other) const {
    const auto less = [](double a, double b) { return std::fabs(a) < std::fabs(b); };
    if (std::fabs(high) != std::fabs(other.high)) return less(high, other.high);
    return std::copysign(1.0, high) * low < std::copysign(1.0, other.high) * other.low;
  }
};

/// A sum of up to 2^30 numbers and products of two numbers, each a multiple of 2^-1024 below 2^1000, without any
/// rounding.
class ExactSum {
 public:
  void add(double x) { add_product(x, 1.0); }

  void add_product(double a, double b) {
    if (a == 0 || b == 0) return;
    const int a_exponent = std::ilogb(a) - 52, b_exponent = std::ilogb(b) - 52;
    const Uint128 product =
        Uint128(std::ldexp(std::fabs(a), -a_exponent)) * uint64_t(std::ldexp(std::fabs(b), -b_exponent));
    int position = a_exponent + b_exponent + kPointBit;
    Uint128 rest = product;
    if (position < 0) {  // the lowest bits of a product of 106 are zeros there
      rest >>= -position;
      position = 0;
    }
    size_t word = size_t(position) / 32;
    uint64_t part = uint64_t(uint32_t(rest)) << position % 32;
    const int64_t sign = std::signbit(a) == std::signbit(b) ? 1 : -1;
    for (rest >>= 32; part != 0 || rest != 0; rest >>= 32) {
      words_[word++] += sign * int64_t(uint32_t(part));
      part = (part >> 32) + (uint64_t(uint32_t(rest)) << position % 32);
    }
  }

  void add_square(const Difference& x) {
    add_product(x.high, x.high);
    add_product(2 * x.high, x.low);
    add_product(x.low, x.low);
  }

  bool operator<(const ExactSum& other) const {
    // the sign of the difference is that of its highest word once the lower ones have carried
    int64_t carry = 0;
    bool is_zero = true;
    for (size_t i = 0; i < kWords; ++i) {
      const int64_t word = words_[i] - other.words_[i] + carry;
      carry = word >> 32;
      is_zero &= uint32_t(word) == 0;
    }
    return !is_zero && carry < 0;
  }

 private:
  static constexpr int kPointBit = 1024;
  static constexpr size_t kWords = 72;
  std::array<int64_t, kWords> words_ = {};
};

}  // namespace halfulp
