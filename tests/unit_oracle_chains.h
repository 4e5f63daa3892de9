// The oracle of matrix units that round on the way, add exactly or floor: sections 2.1, 2.5 to 2.8 and 2.10 to 2.12 of
// the specification of matrix units.
//
// Written from there and from the field comments of formats/matrix_unit.h. A sum or product is exact first, as in
// tests/unit_oracle.h; what a unit does is where it is rounded, flushed or cut. Terms that cancel are +0, and what
// rounds to zero keeps its sign: the specification leaves that open, but the models that the rows cite do so.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/unit_oracle.h"

namespace halfulp::unit_oracle {

// ---- exact numbers ----

/// A number whose zeros have signs, an infinity or a NaN.
struct Number {
  Big steps = 0;    // of 2^-kPoint
  double kind = 0;  // ±1 for all numbers but ±0, or the infinity or NaN
};

inline double kind_of(double x) { return x == 0 || !std::isfinite(x) ? x : std::copysign(1, x); }

inline Number number(double x) { return {std::isfinite(x) ? steps_of(x) : 0, kind_of(x)}; }

// Kinds are added and multiplied as IEEE 754 does with zeros and what is not finite.
inline Number operator+(const Number& x, const Number& y) {
  const double kind = x.kind + y.kind;
  if (!std::isfinite(kind)) return {0, kind};
  const Big steps = x.steps + y.steps;
  return {steps, steps == 0 ? kind : steps.sign()};
}

inline Number product(double x, double y) {
  const double kind = kind_of(x) * kind_of(y);
  if (!std::isfinite(kind)) return {0, kind};
  int exponent = 0;
  const auto whole = int64_t(std::ldexp(std::frexp(y, &exponent), 53));
  return {(steps_of(x) * whole << std::max(exponent - 53, 0)) >> std::max(53 - exponent, 0), kind};
}

inline Number operator-(const Number& x) { return {-x.steps, -x.kind}; }

/// As IEEE 754 does: toward zero, or away from it where that is the rounding's direction.
inline Number directed(const Number& x, const Layout& f, Rounding rounding) {
  if (x.steps == 0) return x;
  const bool is_negative = x.steps < 0;
  const uint64_t infinity = ((uint64_t{1} << f.exponent_bits) - 1) << f.mantissa_bits;
  uint64_t code = std::min(magnitude_code(abs(x.steps), f, Rounding::TowardZero), infinity - 1);
  const bool is_away = rounding == (is_negative ? Rounding::TowardNegative : Rounding::TowardPositive);
  if (is_away && steps_of(value(f, code)) != abs(x.steps)) ++code;
  const Number magnitude = number(value(f, code));
  return is_negative ? -magnitude : magnitude;
}

inline Number rounded(const Number& x, const Layout& f, Rounding rounding) {
  if (x.steps == 0) return x;
  const Number magnitude = number(value(f, magnitude_code(abs(x.steps), f, rounding)));
  return x.steps < 0 ? -magnitude : magnitude;
}

inline bool is_subnormal(const Number& x, const Layout& f) {
  return x.steps != 0 && abs(x.steps) < Big(1) << (f.emin() + kPoint);
}

inline Number signed_zero(const Number& x) { return {0, std::copysign(0.0, x.kind)}; }

// ---- terms ----

/// A product and the exponent that it is aligned by.
struct Product {
  Number exact;
  int exponent;
};

struct Terms {
  std::vector<Product> products;
  Number c;
};

/// An operand or c. CDNA2 makes +0 of subnormals, others keep the sign.
inline double read(const MatrixUnit& unit, const Layout& f, uint64_t code, bool flushes) {
  const double x = value(f, code);
  if (!flushes || !is_subnormal(number(x), f)) return x;
  return unit.operation == DotOperation::FlushedPairs ? 0.0 : std::copysign(0.0, x);
}

inline Terms terms(const MatrixUnit& unit, const DotInputs& in) {
  const Layout &a = layout(unit.a), &b = layout(unit.b);
  Terms all;
  for (size_t k = 0; k < size_t(unit.k); ++k) {
    const double x = read(unit, a, in.a[k], unit.flushes_operands), y = read(unit, b, in.b[k], unit.flushes_operands);
    all.products.push_back({product(x, y), exponent_of(x, a) + exponent_of(y, b)});
  }
  all.c = number(read(unit, layout(unit.accumulator), in.c, unit.flushes_accumulator));
  return all;
}

/// What one operation of the unit leaves of an exact result.
inline Number result(const MatrixUnit& unit, const Number& exact) {
  const Layout& f = layout(unit.accumulator);
  const Number x = rounded(exact, f, unit.rounding);
  return unit.flushes_results && is_subnormal(x, f) ? signed_zero(x) : x;
}

// ---- operations ----

/// The same of units of binary64, whose steps may be directed. Downward, what cancels is -0.
inline Number directed_step(const MatrixUnit& unit, const Number& product, const Number& c) {
  Number exact = product + c;
  const bool are_positive_zeros =
      exact.steps == 0 && product.steps == 0 && c.steps == 0 && !std::signbit(product.kind) && !std::signbit(c.kind);
  if (unit.rounding == Rounding::TowardNegative && exact.kind == 0 && !are_positive_zeros) exact.kind = -0.0;
  return directed(exact, layout(unit.accumulator), unit.rounding);
}

/// Products first, first + stride, … added one after the other, each sum rounded once.
inline Number fma_chain(const MatrixUnit& unit, const Terms& all, Number c, size_t first = 0, size_t stride = 1) {
  const bool is_directed = unit.accumulator == "binary64" && unit.rounding != Rounding::TiesToEven;
  for (size_t k = first; k < all.products.size(); k += stride) {
    const Number& product = all.products[k].exact;
    c = is_directed ? directed_step(unit, product, c) : result(unit, product + c);
  }
  return c;
}

inline Number odd_first_chain(const MatrixUnit& unit, Terms all) {
  for (size_t k = 0; k + 1 < all.products.size(); k += 2) std::swap(all.products[k], all.products[k + 1]);
  return fma_chain(unit, all, all.c);
}

inline Number two_chains(const MatrixUnit& unit, const Terms& all) {
  const Number even = fma_chain(unit, all, {}, 0, 2), odd = fma_chain(unit, all, {}, 1, 2);
  return result(unit, all.c + result(unit, even + odd));
}

inline Number pairs(const MatrixUnit& unit, const Terms& all) {
  const bool is_fused = unit.operation == DotOperation::FusedPairs;
  const auto product = [&](size_t k) { return is_fused ? all.products[k].exact : result(unit, all.products[k].exact); };
  Number c = all.c;
  for (size_t k = 0; k < all.products.size(); k += 2) c = result(unit, c + result(unit, product(k) + product(k + 1)));
  return c;
}

/// Rounded products added in pairs, pairs of pairs and so on.
inline Number tree(const MatrixUnit& unit, std::span<const Product> products) {
  if (products.size() == 1) return result(unit, products[0].exact);
  const size_t half = products.size() / 2;
  return result(unit, tree(unit, products.first(half)) + tree(unit, products.subspan(half)));
}

inline Number exact_block(const MatrixUnit& unit, std::span<const Product> products, Number c) {
  for (const Product& each : products) c = c + each.exact;
  return c.kind == 0 ? Number{} : result(unit, c);
}

// ---- operations that floor ----

inline constexpr int kNoExponent = -999;  // of a sum of zeros

/// Drops what is below 2^exponent, downward.
inline Big floored(const Big& steps, int exponent) {
  const Big kept = cut(steps, exponent);
  return kept > steps ? kept - (Big(1) << (exponent + kPoint)) : kept;
}

/// The sum of products cut below the largest of their exponents, and that exponent.
inline Addend cut_sum(const MatrixUnit& unit, std::span<const Product> products, size_t first = 0, size_t stride = 1) {
  Addend sum = {0, kNoExponent};
  for (size_t k = first; k < products.size(); k += stride)
    if (products[k].exact.steps != 0) sum.exponent = std::max(sum.exponent, products[k].exponent);
  for (size_t k = first; k < products.size(); k += stride)
    sum.steps += cut(products[k].exact.steps, sum.exponent - unit.fraction);
  return sum;
}

inline Addend split_sum(const MatrixUnit& unit, std::span<const Product> products) {
  const Addend even = cut_sum(unit, products, 0, 2), odd = cut_sum(unit, products, 1, 2);
  const int top = std::max(even.exponent, odd.exponent);
  return {floored(even.steps, top - unit.fraction) + floored(odd.steps, top - unit.fraction), top};
}

/// Products of 2^128 and more are infinite.
inline Number overflowed(const Number& product) {
  const bool is_infinite = abs(product.steps) >= Big(1) << (128 + kPoint);
  return is_infinite ? Number{0, product.kind * std::numeric_limits<double>::infinity()} : product;
}

inline Number floored_block(const MatrixUnit& unit, std::span<const Product> products, Number c) {
  const Layout& f = layout(unit.accumulator);
  const bool is_split = unit.operation == DotOperation::SplitThenFloor;
  const Addend dot = is_split ? split_sum(unit, products) : cut_sum(unit, products);
  Number specials = c;
  for (const Product& each : products) specials = specials + overflowed(each.exact);
  if (!std::isfinite(specials.kind)) return specials;

  const int c_exponent = c.steps == 0 ? f.emin() : std::max(int(msb(abs(c.steps))) - kPoint, f.emin());
  const int top = std::max(dot.exponent, c_exponent);
  if (is_split && c_exponent < top - unit.fraction - 1) c = {};
  const Big sum = floored(dot.steps, top - unit.sum_fraction - 1) + floored(c.steps, top - unit.fraction);
  if (sum == 0) return {};
  const int exponent = std::max(int(msb(abs(sum))) - kPoint, f.emin());
  return rounded(Number{floored(sum, exponent - unit.sum_fraction), double(sum.sign())}, f, unit.rounding);
}

// ---- outputs ----

template <class Block>
Number blocks(const MatrixUnit& unit, const Terms& all, Block block) {
  const std::span<const Product> products = all.products;
  Number c = all.c;
  for (size_t first = 0; first < products.size(); first += size_t(unit.block))
    c = block(products.subspan(first, std::min(size_t(unit.block), products.size() - first)), c);
  return c;
}

inline Number sum(const MatrixUnit& unit, const Terms& all) {
  switch (unit.operation) {
    case DotOperation::FmaChain: return fma_chain(unit, all, all.c);
    case DotOperation::OddFirstChain: return odd_first_chain(unit, all);
    case DotOperation::TwoChains: return two_chains(unit, all);
    case DotOperation::UnfusedPairs:
    case DotOperation::FusedPairs: return pairs(unit, all);
    case DotOperation::FlushedPairs:
      return blocks(unit, all, [&](auto products, const Number& c) { return result(unit, c + tree(unit, products)); });
    case DotOperation::ExactFused:
      return blocks(unit, all, [&](auto products, const Number& c) { return exact_block(unit, products, c); });
    case DotOperation::TruncateThenFloor:
    case DotOperation::SplitThenFloor:
      return blocks(unit, all, [&](auto products, const Number& c) { return floored_block(unit, products, c); });
    default: throw std::invalid_argument("an operation of another oracle");
  }
}

/// The code of a NaN result where something says which: Arm's default NaN; what a processor has said of VDPBF16PS, that
/// the first NaN among a[0], b[0], a[1], b[1] and c is made quiet, and of no NaN a negative one is made.
inline std::optional<uint64_t> nan_code(const MatrixUnit& unit, const DotInputs& in) {
  if (unit.operation == DotOperation::UnfusedPairs) return 0x7fc00000;
  if (unit.operation != DotOperation::OddFirstChain || unit.k != 2) return {};
  for (const uint64_t code : {in.a[0] << 16, in.b[0] << 16, in.a[1] << 16, in.b[1] << 16, in.c})
    if (std::isnan(value(layout("binary32"), code))) return code | 0x400000;
  return 0xffc00000;
}

/// Where the reference model drops a c that is no number: section 2.8 calls that a quirk.
inline bool is_open(const MatrixUnit& unit, const DotInputs& in) {
  if (unit.operation != DotOperation::SplitThenFloor) return false;
  const auto is_special = [](const Number& x) { return !std::isfinite(x.kind); };
  const Terms all = terms(unit, in);
  bool any_special = is_special(all.c), any_large = false;
  for (const Product& each : all.products) {
    any_special |= is_special(each.exact);
    any_large |= each.exact.steps != 0 && each.exponent > unit.fraction;
  }
  return any_special && any_large;
}

/// d of a unit with float operands; nothing where it is a NaN and nobody says which.
inline std::optional<uint64_t> float_output(const MatrixUnit& unit, const DotInputs& in) {
  const Number d = sum(unit, terms(unit, in));
  if (std::isnan(d.kind)) return nan_code(unit, in);
  const Layout& f = layout(unit.accumulator);
  const uint64_t infinity = ((uint64_t{1} << f.exponent_bits) - 1) << f.mantissa_bits;
  const uint64_t magnitude = std::isinf(d.kind) ? infinity : magnitude_code(abs(d.steps), f, Rounding::TowardZero);
  return magnitude | uint64_t{std::signbit(d.kind)} << (f.exponent_bits + f.mantissa_bits);
}

// ---- whole numbers ----

inline int64_t whole_value(std::string_view format, uint64_t code) {
  const int bits = format.ends_with("int4") ? 4 : format.ends_with("int8") ? 8 : 32;
  const bool is_negative = !format.starts_with("u") && code >> (bits - 1) == 1;
  return int64_t(code) - (is_negative ? int64_t{1} << bits : 0);
}

inline int64_t whole_product(const MatrixUnit& unit, uint64_t a, uint64_t b) {
  switch (unit.operation) {
    case DotOperation::XorPopcount: return a != b;
    case DotOperation::AndPopcount: return a == 1 && b == 1;
    default: return whole_value(unit.a, a) * whole_value(unit.b, b);
  }
}

/// d of a unit that counts: modulo 2^32, or clamped after the last product.
inline uint64_t whole_output(const MatrixUnit& unit, const DotInputs& in) {
  int64_t sum = whole_value(unit.accumulator, in.c);
  for (size_t k = 0; k < size_t(unit.k); ++k) sum += whole_product(unit, in.a[k], in.b[k]);
  constexpr int64_t kModulus = int64_t{1} << 32;
  if (unit.saturates) sum = std::clamp(sum, -kModulus / 2, kModulus / 2 - 1);
  return uint64_t((sum % kModulus + kModulus) % kModulus);
}

}  // namespace halfulp::unit_oracle
