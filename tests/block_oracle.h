// The oracle of block formats: every scale and every code is found by comparing exact rational numbers.
//
// Written from the definitions at the top of formats/block.h, formats/format.h and formats/rounding.h and differently
// from the library: a scale is the candidate that satisfies its rule's inequality, a code the neighbour of x / scale
// in the ordered list of numbers. GMP does the arithmetic; nothing here rounds but where the definition says so.
#pragma once

#include <gmpxx.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "formats/block.h"
#include "formats/format.h"
#include "formats/philox.h"
#include "formats/rounding.h"

namespace halfulp::block_oracle {

using Rational = mpq_class;

inline Rational power_of_two(int exponent) {
  Rational result = 1;
  if (exponent >= 0)
    mpq_mul_2exp(result.get_mpq_t(), result.get_mpq_t(), mp_bitcnt_t(exponent));
  else
    mpq_div_2exp(result.get_mpq_t(), result.get_mpq_t(), mp_bitcnt_t(-exponent));
  return result;
}

/// Magnitude of number `index` of a format, counted from the smallest.
inline Rational magnitude_of(const Format& format, uint32_t index) {
  const uint32_t per_binade = uint32_t{1} << format.mantissa_bits;
  const uint32_t exponent = format.exponent_bits == 0 ? 0 : index / per_binade;
  const bool is_normal = exponent > 0 || !format.has_zero;
  if (!is_normal) return index * power_of_two(1 - format.bias - format.mantissa_bits);
  return (per_binade + index % per_binade) * power_of_two(int(exponent) - format.bias - format.mantissa_bits);
}

/// Index of the largest number of a sign.
inline uint32_t last_index(const Format& format, bool negative) {
  if (format.encoding == Encoding::TwosComplement)
    return (uint32_t{1} << format.mantissa_bits) - 1 + (negative && !format.narrow);
  const uint32_t per_binade = uint32_t{1} << format.mantissa_bits;
  const uint32_t magnitudes = per_binade << format.exponent_bits;
  switch (format.nan) {
    case NanCodes::Ieee: return magnitudes - per_binade - 1;
    case NanCodes::Top: return magnitudes - 2 - format.has_infinity;
    case NanCodes::None:
    case NanCodes::NegativeZero: break;
  }
  return magnitudes - 1 - format.has_infinity;
}

inline Rational largest(const Format& format) { return magnitude_of(format, last_index(format, false)); }

/// Code of number `index` of a sign.
inline uint32_t code_of(const Format& format, bool negative, uint32_t index) {
  if (!negative) return index;
  const uint32_t codes = uint32_t{1} << format.bits();
  if (format.encoding == Encoding::TwosComplement) return index == 0 ? 0 : codes - index;
  return index == 0 && !format.has_negative_zero() ? 0 : codes / 2 + index;
}

/// The canonical NaN.
inline uint32_t nan_code(const Format& format) {
  const uint32_t top_magnitude = (uint32_t{1} << format.magnitude_bits()) - 1;
  switch (format.nan) {
    case NanCodes::Top: return top_magnitude;
    case NanCodes::Ieee: return top_magnitude - (uint32_t{1} << format.mantissa_bits >> 1) + 1;
    case NanCodes::NegativeZero: return uint32_t{1} << format.magnitude_bits();
    case NanCodes::None: break;
  }
  return last_index(format, false);
}

/// An element cast: the rounding and the random bits of the element.
struct Draw {
  Rounding rounding = Rounding::TiesToEven;
  int random_bits = 0;
  uint64_t random = 0;
};

/// Index of ±`magnitude` after rounding; above the largest number, the largest.
inline uint32_t round_to_index(const Format& format, bool negative, const Rational& magnitude, const Draw& draw) {
  const uint32_t last = last_index(format, negative);
  uint32_t below = 0, above = last + 1;  // the numbers on either side
  while (above - below > 1) {
    const uint32_t middle = below + (above - below) / 2;
    (magnitude_of(format, middle) <= magnitude ? below : above) = middle;
  }
  const Rational lower = magnitude_of(format, below);
  if (below == last || magnitude <= lower) return below;

  const Rational nu = (magnitude - lower) / (magnitude_of(format, above) - lower);
  const Rational half(1, 2);
  const bool odd = below % 2 == 1;
  const auto floor_of = [](const Rational& x) { return mpz_class(x.get_num() / x.get_den()); };
  const Rational levels = power_of_two(draw.random_bits);
  const Rational random = mpz_class(static_cast<unsigned long>(draw.random));
  bool up = false;
  switch (draw.rounding) {
    case Rounding::TiesToEven: up = nu > half || (nu == half && odd); break;
    case Rounding::TiesToAway: up = nu >= half; break;
    case Rounding::TiesToZero: up = nu > half; break;
    case Rounding::TiesToOdd: up = nu > half || (nu == half && !odd); break;
    case Rounding::TiesTowardPositive: up = nu > half || (nu == half && !negative); break;
    case Rounding::TiesTowardNegative: up = nu > half || (nu == half && negative); break;
    case Rounding::TowardZero: break;
    case Rounding::TowardPositive: up = !negative; break;
    case Rounding::TowardNegative: up = negative; break;
    case Rounding::AwayFromZero: up = true; break;
    case Rounding::ToOdd: up = !odd; break;
    case Rounding::ToEven: up = odd; break;
    case Rounding::StochasticEqual: up = 2 * random >= levels; break;
    case Rounding::StochasticA: up = floor_of(nu * levels) + random >= levels; break;
    case Rounding::StochasticB: up = floor_of(nu * levels * 2) + 2 * random + 1 >= 2 * levels; break;
    case Rounding::StochasticC: {
      const Rational scaled = nu * levels;
      const mpz_class whole = floor_of(scaled);
      const Rational rest = scaled - whole;
      const bool next = rest > half || (rest == half && mpz_odd_p(whole.get_mpz_t()));
      up = whole + next + random >= levels;
      break;
    }
  }
  return up ? above : below;
}

/// The smallest k for which 2^k >= `bound`.
inline int ceil_log2(const Rational& bound) {
  int k = -400;
  for (int step = 512; step > 0; step /= 2)
    if (power_of_two(k + step - 1) < bound) k += step;
  return k;
}

/// The largest k for which 2^k <= `bound`.
inline int floor_log2(const Rational& bound) {
  const int k = ceil_log2(bound);
  return power_of_two(k) == bound ? k : k - 1;
}

/// log2 of the scale a rule with power-of-two scales asks for, however large or small.
inline int scale_exponent(ScaleRule rule, const Format& element, const Rational& amax) {
  const Rational max = largest(element);
  const int e_max = floor_log2(max);
  const int e = floor_log2(amax);
  // numbers of the highest binade are multiples of 2^(e_max - fraction_bits)
  const int fraction_bits = element.exponent_bits == 0 ? element.mantissa_bits - 1 : element.mantissa_bits;
  switch (rule) {
    case ScaleRule::Floor: return e - e_max;
    case ScaleRule::Ceil: return ceil_log2(amax) - e_max;
    case ScaleRule::Even:
      return (amax >= power_of_two(e + 1) - power_of_two(e - fraction_bits - 1) ? e + 1 : e) - e_max;
    case ScaleRule::Rceil: return ceil_log2(amax / max);
    case ScaleRule::Nearest: break;
  }
  return 0;
}

/// What quantising an array gives.
struct Quantized {
  std::vector<uint32_t> codes, scales;
  std::vector<float> values;  // element · block scale
  float tensor_scale = 1;
  CastEvents events;
};

class Quantizer {
 public:
  Quantizer(const BlockFormat& format, Rounding rounding, int random_bits = 0)
      : format_(format), draw_{rounding, random_bits} {}

  Quantized operator()(std::span<const float> x, int rows, int cols, const RandomSite& site = {}) const {
    Quantized result;
    result.codes.resize(x.size());
    result.values.resize(x.size());
    Array array{x, cols, site, 0, 1, true};
    for (float v : x)
      if (std::isfinite(v))
        array.amax = std::max(array.amax, Rational(std::fabs(double(v))));
      else
        array.is_finite = false;
    set_tensor_scale(array, result);
    const int height = format_.rows == 0 ? std::max(rows, 1) : std::min(format_.rows, std::max(rows, 1));
    const int width = format_.cols == 0 ? std::max(cols, 1) : std::min(format_.cols, std::max(cols, 1));
    for (int row = 0; row < rows; row += height)
      for (int col = 0; col < cols; col += width)
        quantize_block(array, row, std::min(row + height, rows), col, std::min(col + width, cols), result);
    return result;
  }

 private:
  struct Array {
    std::span<const float> x;
    int cols;
    RandomSite site;
    Rational amax;         // of the finite numbers
    Rational denominator;  // the exact tensor scale; 1 where the format has none
    bool is_finite;
  };

  // A tensor scale is the amax of the array over the largest number a block can hold, rounded to binary32 for the user
  // and exact within. 1 for an array of zeros, NaN with a NaN or an infinity anywhere.
  void set_tensor_scale(Array& array, Quantized& result) const {
    if (!format_.has_tensor_scale) return;
    if (!array.is_finite) {
      result.tensor_scale = std::numeric_limits<float>::quiet_NaN();
      return;
    }
    if (array.amax == 0) return;
    array.denominator = array.amax / (largest(format_.element) * largest(format_.scale));
    const Format binary32 = parse_format("binary32");
    const uint32_t index = round_to_index(binary32, false, array.denominator, Draw{});
    result.tensor_scale = std::bit_cast<float>(index);
  }

  void quantize_block(const Array& array, int row0, int row1, int col0, int col1, Quantized& result) const {
    Rational amax = 0;
    bool is_finite = array.is_finite || !format_.has_tensor_scale;
    for (int row = row0; row < row1; ++row)
      for (int col = col0; col < col1; ++col) {
        const float v = array.x[size_t(row) * size_t(array.cols) + size_t(col)];
        if (std::isfinite(v))
          amax = std::max(amax, Rational(std::fabs(double(v))));
        else
          is_finite = false;
      }
    const uint32_t scale_code = is_finite ? scale_index(array, amax) : nan_code(format_.scale);
    const Rational scale = is_finite ? magnitude_of(format_.scale, scale_code) : Rational(0);
    result.scales.push_back(scale_code);
    for (int row = row0; row < row1; ++row)
      for (int col = col0; col < col1; ++col) {
        const size_t i = size_t(row) * size_t(array.cols) + size_t(col);
        if (is_finite)
          quantize_one(array, i, scale, result);
        else
          lose_one(i, result);
      }
  }

  // Index of the number of the scale format that the rule gives; the nearest end where it lies outside.
  uint32_t scale_index(const Array& array, const Rational& amax) const {
    if (amax == 0) return 0;
    if (format_.rule == ScaleRule::Nearest)
      return round_to_index(format_.scale, false, amax / largest(format_.element) / array.denominator, Draw{});
    const Rational wanted = power_of_two(scale_exponent(format_.rule, format_.element, amax));
    uint32_t index = 0;
    while (index < last_index(format_.scale, false) && magnitude_of(format_.scale, index + 1) <= wanted) ++index;
    return index;
  }

  void quantize_one(const Array& array, size_t i, const Rational& scale, Quantized& result) const {
    const Format& element = format_.element;
    const float x = array.x[i];
    const double magnitude = std::fabs(double(x));
    const Rational whole_scale = scale * array.denominator;
    uint32_t index = 0;
    if (scale != 0) {
      Draw draw = draw_;
      if (is_stochastic(draw.rounding)) draw.random = halfulp::random_bits(array.site, uint32_t(i), draw.random_bits);
      index = round_to_index(element, std::signbit(x), magnitude / whole_scale, draw);
      result.codes[i] = code_of(element, std::signbit(x), index);
    }
    const Rational exact = magnitude_of(element, index) * scale;
    const bool negative = std::signbit(x) && result.codes[i] != 0;
    // exact in double: at most 8 significant bits of an element times 24 of a scale
    result.values[i] = float(negative ? -exact.get_d() : exact.get_d());
    count_one(x, i, whole_scale, index, result);
  }

  static void lose_one(size_t i, Quantized& result) {
    result.values[i] = std::numeric_limits<float>::quiet_NaN();
    ++result.events.elements;
    ++result.events.nonfinite;
  }

  void count_one(float x, size_t i, const Rational& whole_scale, uint32_t index, Quantized& result) const {
    CastEvents& events = result.events;
    const double value = double(result.values[i]) * double(result.tensor_scale);
    ++events.elements;
    if (!std::isfinite(value)) {
      ++events.nonfinite;
      return;
    }
    const Format& element = format_.element;
    const bool is_integer = element.exponent_bits == 0;
    // a block whose scale is zero has no grid to be beyond
    events.saturated +=
        whole_scale != 0 && std::fabs(double(x)) > magnitude_of(element, last_index(element, x < 0)) * whole_scale;
    events.flushed += x != 0 && index == 0;
    events.subnormal += !is_integer && index > 0 && index < uint32_t{1} << element.mantissa_bits;
    events.error_squares += (value - double(x)) * (value - double(x));
    events.signal_squares += double(x) * double(x);
  }

  BlockFormat format_;
  Draw draw_;
};

}  // namespace halfulp::block_oracle
