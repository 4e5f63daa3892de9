// The oracle of matrix units that cut their terms: whole numbers of any size, from which remainders are dropped.
//
// Written from sections 1, 2.2, 2.3, 2.4 and 2.9 of the specification of matrix units, and differently from
// formats/dot_product.cc: a number is one big integer in steps of 2^-kPoint, its exponent is where its highest bit
// lies, and cutting is to take away what a division leaves.
#pragma once

#include <algorithm>
#include <bit>
#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "formats/dot_product.h"

namespace halfulp::unit_oracle {

using Big = boost::multiprecision::cpp_int;

inline constexpr int kPoint = 2200;  // below the product of two numbers, of binary64 too

/// A float format by its fields; `top` is its highest exponent field: of infinities and NaNs, of numbers, in e4m3fn of
/// numbers and one NaN, or, where -0 is the NaN, of numbers.
struct Layout {
  std::string_view name;
  int exponent_bits, mantissa_bits, bias;
  enum class Top { Special, Numbers, OneNan, NanIsNegativeZero } top = Top::Special;
  int idle = 0;  // low bits without a say

  int emin() const { return 1 - bias; }
};

inline const Layout& layout(std::string_view name) {
  using enum Layout::Top;
  static const Layout all[] = {{"binary16", 5, 10, 15},
                               {"bfloat16", 8, 7, 127},
                               {"tf32", 8, 10, 127, Special, 13},
                               {"binary32", 8, 23, 127},
                               {"e8m13", 8, 13, 127},
                               {"e5m2", 5, 2, 15},
                               {"e4m3fn", 4, 3, 7, OneNan},
                               {"e3m2", 3, 2, 3, Numbers},
                               {"e2m3", 2, 3, 1, Numbers},
                               {"e2m1", 2, 1, 1, Numbers},
                               {"binary64", 11, 52, 1023},
                               {"e4m3fnuz", 4, 3, 8, NanIsNegativeZero},
                               {"e5m2fnuz", 5, 2, 16, NanIsNegativeZero}};
  for (const Layout& each : all)
    if (each.name == name) return each;
  throw std::invalid_argument("no layout of that format");
}

inline double value(const Layout& f, uint64_t word) {
  const uint64_t code = word >> f.idle, mantissa = code & ((uint64_t{1} << f.mantissa_bits) - 1);
  const int top = (1 << f.exponent_bits) - 1, field = int(code >> f.mantissa_bits) & top;
  const double sign = (code >> (f.mantissa_bits + f.exponent_bits)) % 2 == 0 ? 1 : -1;
  if (field == top && f.top == Layout::Top::Special)
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  if (field == top && f.top == Layout::Top::OneNan && mantissa + 1 == uint64_t{1} << f.mantissa_bits)
    return std::numeric_limits<double>::quiet_NaN();
  if (f.top == Layout::Top::NanIsNegativeZero && field == 0 && mantissa == 0 && sign < 0)
    return std::numeric_limits<double>::quiet_NaN();
  const double whole = double(mantissa) + (field == 0 ? 0 : std::ldexp(1, f.mantissa_bits));
  return sign * std::ldexp(whole, std::max(field, 1) - f.bias - f.mantissa_bits);
}

/// A number and the exponent that it is aligned by.
struct Addend {
  Big steps;  // of 2^-kPoint
  int exponent;
};

inline Big steps_of(double x) {
  int exponent = 0;
  const Big whole = Big(int64_t(std::ldexp(std::frexp(x, &exponent), 53)));
  const int shift = exponent - 53 + kPoint;
  return shift >= 0 ? Big(whole << shift) : Big(whole / (Big(1) << -shift));  // what is divided away are zeros
}

inline int exponent_of(double x, const Layout& f) { return x == 0 ? f.emin() : std::max(std::ilogb(x), f.emin()); }

/// Drops what is below 2^exponent, toward zero.
inline Big cut(const Big& steps, int exponent) { return steps - steps % (Big(1) << (exponent + kPoint)); }

/// The code of a magnitude. Overflow is to infinity.
inline uint64_t magnitude_code(const Big& magnitude, const Layout& f, Rounding rounding) {
  if (magnitude == 0) return 0;
  const uint64_t infinity = ((uint64_t{1} << f.exponent_bits) - 1) << f.mantissa_bits;
  const int exponent = std::max(int(msb(magnitude)) - kPoint, f.emin());
  if (exponent > f.bias) return infinity;
  const Big step = Big(1) << (exponent - f.mantissa_bits + kPoint), rest = magnitude % step, twice = rest * 2;
  Big whole = magnitude / step;
  const bool is_odd = whole % 2 == 1;
  switch (rounding) {
    case Rounding::TowardZero: break;
    case Rounding::TiesToEven: whole += twice > step || (twice == step && is_odd); break;
    case Rounding::ToOdd: whole += rest != 0 && !is_odd; break;
    default: throw std::invalid_argument("no unit rounds like that");
  }
  // one more than the largest mantissa carries into the exponent's field by itself, and beyond the largest to infinity
  return (uint64_t(exponent - f.emin()) << f.mantissa_bits) + uint64_t(whole);
}

/// The code of a sum in the result's format, as the accumulator stores it. Zero is +0.
inline uint64_t rounded(const Big& sum, const Layout& f, Rounding rounding) {
  const uint64_t code = magnitude_code(abs(sum), f, rounding);
  const int unused = f.exponent_bits == 8 ? 23 - f.mantissa_bits : 0;
  return (code | uint64_t{sum < 0 && code != 0} << (f.exponent_bits + f.mantissa_bits)) << unused;
}

inline uint64_t special(double x, std::string_view accumulator) {
  const bool is_half = accumulator == "binary16";
  if (std::isnan(x)) return is_half ? 0x7fff : 0x7fffffff;
  return x > 0 ? (is_half ? 0x7c00 : 0x7f800000) : (is_half ? 0xfc00 : 0xff800000);
}

/// The product of the scales of product `k`, and its exponent; the value is NaN where one of them is.
struct Scale {
  double value = 1;
  int exponent = 0;
};

inline Scale scale_of(std::string_view format, uint64_t code) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  if (format == "e8m0") return {code == 255 ? kNan : std::ldexp(1, int(code) - 127), int(code) - 127};
  static const Layout kE4m3 = {"", 4, 3, 7, Layout::Top::OneNan};
  const double x = value(kE4m3, code & 0x7f);
  return {x, exponent_of(x, kE4m3)};
}

inline Scale scale(const MatrixUnit& unit, const DotInputs& in, size_t k) {
  if (unit.scale.empty()) return {};
  const size_t i = k / size_t(unit.scale_block);
  const Scale a = scale_of(unit.scale, in.a_scales[i]), b = scale_of(unit.scale, in.b_scales[i]);
  return {a.value * b.value, a.exponent + b.exponent};
}

/// One block of `count` products from `first` on, with c. Zeros have the unit's zero exponent; groups of products are
/// one addend, whose exponent is that of their scales unless all of them are zeros.
inline uint64_t block(const MatrixUnit& unit, const DotInputs& in, size_t first, size_t count, uint64_t c) {
  const Layout &a = layout(unit.a), &b = layout(unit.b), &accumulator = layout(unit.accumulator);
  const bool is_grouped = unit.operation == DotOperation::GroupScaledFused;
  const double start = value(accumulator, c);
  double specials = std::isfinite(start) ? 0 : start;
  std::vector<Addend> addends(1, {0, unit.zero_exponent});
  if (std::isfinite(start) && start != 0) addends[0] = {steps_of(start), exponent_of(start, accumulator)};
  for (size_t k = first; k < first + count; ++k) {
    const double x = value(a, in.a[k]), y = value(b, in.b[k]);
    const Scale s = scale(unit, in, k);
    if (!is_grouped || k % size_t(unit.group) == 0) addends.push_back({0, unit.zero_exponent});
    if (!std::isfinite(x * y * s.value)) {
      specials += x * y * s.value;
    } else if (const double product = x * y * s.value; product != 0) {
      addends.back().steps += steps_of(product);
      addends.back().exponent = s.exponent + (is_grouped ? 0 : exponent_of(x, a) + exponent_of(y, b));
    }
  }
  if (!std::isfinite(specials)) return special(specials, unit.accumulator);
  const int top = std::max(unit.zero_exponent, std::ranges::max_element(addends, {}, &Addend::exponent)->exponent);
  Big sum = 0;
  for (const Addend& each : addends) sum += cut(each.steps, top - unit.fraction);
  return rounded(sum, layout(unit.result), unit.rounding);
}

inline uint64_t chain(const MatrixUnit& unit, const DotInputs& in) {
  uint64_t c = in.c;
  for (int first = 0; first < unit.k; first += unit.block)
    c = block(unit, in, size_t(first), size_t(std::min(unit.block, unit.k - first)), c);
  return c;
}

/// A number that binary16 holds.
inline uint64_t half_code(double x) {
  const uint64_t sign = std::signbit(x) ? 0x8000 : 0;
  if (std::isnan(x)) return 0x7e00;
  if (std::isinf(x)) return sign | 0x7c00;
  return x == 0 ? sign : rounded(steps_of(x), layout("binary16"), Rounding::TiesToEven);
}

/// FP8 by way of binary16: products k mod 4 in {0, 1}, then {2, 3}, then c in one rounded addition.
inline uint64_t via_half(const MatrixUnit& unit, const DotInputs& in) {
  MatrixUnit part = unit;
  part.operation = DotOperation::TruncatedFused;
  part.a = part.b = "binary16";
  uint64_t sum = 0;
  for (const size_t pair : {0, 2}) {
    std::vector<uint64_t> a, b;
    for (size_t k = 0; k < size_t(unit.k); ++k)
      if (k % 4 / 2 * 2 == pair) {
        a.push_back(half_code(value(layout(unit.a), in.a[k])));
        b.push_back(half_code(value(layout(unit.b), in.b[k])));
      }
    part.k = int(a.size());
    sum = chain(part, {.a = a, .b = b, .c = sum});
  }
  const Layout& f = layout(unit.accumulator);
  const double t = value(f, sum), c = value(f, in.c);
  if (!std::isfinite(t + c)) return special(t + c, unit.accumulator);
  const bool negative_zero = t == 0 && c == 0 && std::signbit(t) && std::signbit(c);
  return negative_zero ? uint64_t{1} << (f.exponent_bits + f.mantissa_bits)
                       : rounded(steps_of(t) + steps_of(c), f, Rounding::TiesToEven);
}

/// d of a unit that cuts its terms, with ZeroSign::Positive.
inline uint64_t output(const MatrixUnit& unit, const DotInputs& in) {
  return unit.operation == DotOperation::ViaHalf ? via_half(unit, in) : chain(unit, in);
}

}  // namespace halfulp::unit_oracle
