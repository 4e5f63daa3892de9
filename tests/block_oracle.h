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

/// What a rule asks for: a, and a / max of the element format.
struct Wanted {
  Rational a, quotient;
};

/// Index of the number of the scale format that a rule gives; the nearest end where it lies outside.
inline uint32_t rule_index(const BlockFormat& format, const Wanted& wanted, uint64_t random) {
  const Format& element = format.element;
  const int e_max = floor_log2(largest(element));
  const auto rounded = [&](const Rational& x, Rounding rounding) {
    return round_to_index(format.scale, false, x, Draw{rounding, kMaxRandomBits, random});
  };
  const auto power = [&](int k) { return rounded(power_of_two(k), Rounding::TiesToEven); };
  const int e = floor_log2(wanted.a);
  switch (format.rule) {
    case ScaleRule::Floor: return power(e - e_max);
    case ScaleRule::Ceil: return power(ceil_log2(wanted.a) - e_max);
    case ScaleRule::Even: {
      // numbers of the highest binade are multiples of 2^(e_max - fraction_bits)
      const int fraction_bits = element.exponent_bits == 0 ? element.mantissa_bits - 1 : element.mantissa_bits;
      return power((wanted.a >= power_of_two(e + 1) - power_of_two(e - fraction_bits - 1) ? e + 1 : e) - e_max);
    }
    case ScaleRule::NearLog: {
      const int k = floor_log2(wanted.quotient);
      return power(wanted.quotient * wanted.quotient > power_of_two(2 * k + 1) ? k + 1 : k);
    }
    case ScaleRule::Rceil: return rounded(wanted.quotient, Rounding::AwayFromZero);
    case ScaleRule::RoundDown: return rounded(wanted.quotient, Rounding::TowardZero);
    case ScaleRule::Nearest:
      return rounded(wanted.quotient, format.scale.mantissa_bits > 0 ? Rounding::TiesToEven : Rounding::TiesToAway);
    case ScaleRule::NearestCode: return rounded(wanted.quotient, Rounding::TiesToEven);
    case ScaleRule::Stochastic: return rounded(wanted.quotient, Rounding::StochasticC);
    case ScaleRule::TritonUp:
    case ScaleRule::TritonDown: break;  // binary32 arithmetic: not for this oracle
  }
  return 0;
}

/// What quantising an array gives.
struct Quantized {
  std::vector<uint32_t> codes, scales;
  std::vector<float> values;  // element · block scale (· tensor scale where there are several)
  float tensor_scale = 1;
  std::vector<float> outer_scales;
  CastEvents events;
};

/// All that is exact: every rule but Triton's, every option but statistic, variant and eden.
class Quantizer {
 public:
  Quantizer(const BlockFormat& format, Rounding rounding, int random_bits = 0)
      : format_(format), draw_{rounding, random_bits} {}

  Quantized operator()(std::span<const float> x, int rows, int cols, const RandomSite& site = {}) const {
    Quantized result;
    result.codes.resize(x.size());
    result.values.resize(x.size());
    const Extent whole{0, rows, 0, cols};
    std::vector<Array> arrays;
    for (const Extent& extent : parts(whole, format_.outer.rows, format_.outer.cols)) {
      Array array{x, cols, site, extent, 1, 1, true};
      set_tensor_scale(array);
      arrays.push_back(array);
      if (format_.has_outer_blocks()) result.outer_scales.push_back(array.tensor_scale);
    }
    if (!format_.has_outer_blocks()) result.tensor_scale = arrays.empty() ? empty_scale() : arrays[0].tensor_scale;
    for (const Extent& extent : parts(whole, format_.rows, format_.cols))
      for (const Array& array : arrays)
        if (array.extent.contains(extent)) quantize_block(array, extent, result);
    return result;
  }

 private:
  struct Extent {
    int row0, row1, col0, col1;

    bool contains(const Extent& other) const {
      return other.row0 >= row0 && other.row1 <= row1 && other.col0 >= col0 && other.col1 <= col1;
    }
  };

  struct Array {
    std::span<const float> x;
    int cols;
    RandomSite site;
    Extent extent;
    Rational unit;  // the exact tensor scale without prescale; 1 where the format has none
    float tensor_scale;
    bool is_finite;
  };

  /// One grid and one scale that a block may be given.
  struct Trial {
    const Format* element;
    Rational unit;  // of the element's numbers, in units of the scale
    uint32_t scale_index;
    uint32_t flag;
    std::vector<uint32_t> codes, indices;
    Rational error;
  };

  static std::vector<Extent> parts(const Extent& whole, int height, int width) {
    std::vector<Extent> all;
    if (height == 0) height = std::max(whole.row1, 1);
    if (width == 0) width = std::max(whole.col1, 1);
    for (int row = 0; row < whole.row1; row += std::min(height, whole.row1 - row))
      for (int col = 0; col < whole.col1; col += std::min(width, whole.col1 - col))
        all.push_back({row, row + std::min(height, whole.row1 - row), col, col + std::min(width, whole.col1 - col)});
    return all;
  }

  template <class Visitor>
  static void for_each(const Extent& extent, int cols, Visitor visit) {
    for (int row = extent.row0; row < extent.row1; ++row)
      for (int col = extent.col0; col < extent.col1; ++col) visit(size_t(row) * size_t(cols) + size_t(col));
  }

  /// amax of the numbers that count; false where one of the others spoils them.
  bool find_amax(const Array& array, const Extent& extent, Rational& amax) const {
    bool is_finite = true;
    amax = 0;
    for_each(extent, array.cols, [&](size_t i) {
      const float v = array.x[i];
      if (std::isfinite(v))
        amax = std::max(amax, Rational(std::fabs(double(v))));
      else
        is_finite &= std::isnan(v) ? format_.nan != BlockNan::Block : format_.infinity != BlockInfinity::Block;
    });
    return is_finite;
  }

  static Rational of(const Ratio& ratio) { return Rational(ratio.numerator, ratio.denominator); }

  static float to_binary32(const Rational& x) {
    static const Format binary32 = parse_format("binary32");
    return std::bit_cast<float>(round_to_index(binary32, false, x, Draw{}));
  }

  float empty_scale() const { return to_binary32(1 / of(format_.prescale)); }

  // A tensor scale is the amax of what shares it over the largest number a block can hold, rounded to binary32 for the
  // user and exact within. 1 for zeros, NaN with a NaN or an infinity anywhere.
  void set_tensor_scale(Array& array) const {
    array.tensor_scale = empty_scale();
    if (!format_.has_tensor_scale) return;
    Rational amax;
    array.is_finite = find_amax(array, array.extent, amax);
    if (!array.is_finite) array.tensor_scale = std::numeric_limits<float>::quiet_NaN();
    if (!array.is_finite || amax == 0) return;
    const Rational target = format_.target == 0 ? largest(format_.scale) : Rational(double(format_.target));
    array.unit = amax / (largest(format_.element) * target);
    array.tensor_scale = to_binary32(array.unit / of(format_.prescale));
  }

  void quantize_block(const Array& array, const Extent& extent, Quantized& result) const {
    Rational amax;
    const bool is_finite = find_amax(array, extent, amax) && array.is_finite;
    if (!is_finite) {
      result.scales.push_back(nan_code(format_.scale));
      for_each(extent, array.cols, [&](size_t i) {
        result.values[i] = std::numeric_limits<float>::quiet_NaN();
        ++result.events.elements;
        ++result.events.nonfinite;
      });
      return;
    }
    std::vector<Trial> trials;
    for (uint32_t index : scale_indices(array, extent, amax, result.scales.size()))
      trials.push_back({&format_.element, 1, index, 0, {}, {}, 0});
    const size_t count = trials.size();
    for (size_t t = 0; t < count && format_.second; ++t)
      trials.push_back({&format_.second->element,
                        of(format_.second->unit),
                        trials[t].scale_index,
                        uint32_t{1} << format_.scale.bits(),
                        {},
                        {},
                        0});
    size_t best = 0;
    for (size_t t = 0; t < trials.size(); ++t) {
      attempt(array, extent, trials[t]);
      if (trials[t].error < trials[best].error) best = t;
    }
    finish(array, extent, trials[best], result);
  }

  bool has_infinity(const Array& array, const Extent& extent) const {
    bool found = false;
    for_each(extent, array.cols, [&](size_t i) { found |= std::isinf(array.x[i]); });
    return found;
  }

  std::vector<uint32_t> scale_indices(const Array& array, const Extent& extent, const Rational& amax,
                                      size_t number) const {
    const uint32_t last = last_index(format_.scale, false);
    if (has_infinity(array, extent) && format_.infinity == BlockInfinity::Saturate) return {last};
    RandomSite site = array.site;
    site.stream = Stream::Scales;
    const uint64_t random = halfulp::random_bits(site, uint32_t(number), kMaxRandomBits);
    const auto index = [&](const Rational& more) { return scale_index(array, amax, more, random); };
    std::vector<uint32_t> all = {index(1)};
    if (format_.search == Search::FourOverSix) all.push_back(index(Rational(3, 2)));
    if (format_.search == Search::Nearby) {
      const int first = int(all[0]);
      for (int step = 1; step <= format_.reach; ++step)
        for (int other : {first - step, first + step})
          if (other >= 0 && other <= int(last) && magnitude_of(format_.scale, uint32_t(other)) > 0)
            all.push_back(uint32_t(other));
    }
    return all;
  }

  uint32_t scale_index(const Array& array, Rational amax, const Rational& more, uint64_t random) const {
    const Format& scale = format_.scale;
    const auto index_of = [&](const Rational& x) { return round_to_index(scale, false, x, Draw{}); };
    amax = std::max(amax, Rational(double(format_.smallest_amax)));
    if (amax == 0 && format_.zero == ZeroScale::One) return index_of(1);
    if (amax == 0 && format_.zero == ZeroScale::UnitAmax) amax = 1;
    uint32_t index = 0;
    if (amax != 0) {
      const Rational a = amax * of(format_.headroom) * more / array.unit;
      index = rule_index(format_, {a, a / largest(format_.element)}, random);
    }
    const bool has_zero = magnitude_of(scale, 0) == 0;
    if (has_zero && format_.zero == ZeroScale::One && index == 0) return index_of(1);
    if (has_zero && format_.zero == ZeroScale::MinSubnormal && index == 0) return 1;
    if (has_zero && format_.zero == ZeroScale::MinNormal)
      while (magnitude_of(scale, index) < power_of_two(1 - scale.bias)) ++index;
    return index;
  }

  void attempt(const Array& array, const Extent& extent, Trial& trial) const {
    const Rational scale = magnitude_of(format_.scale, trial.scale_index);
    const Rational whole = scale * array.unit / of(format_.prescale) * trial.unit;
    const Format& element = *trial.element;
    for_each(extent, array.cols, [&](size_t i) {
      const float x = array.x[i];
      Draw draw = draw_;
      if (is_stochastic(draw.rounding)) draw.random = halfulp::random_bits(array.site, uint32_t(i), draw.random_bits);
      uint32_t index = 0, code = 0;
      if (std::isnan(x)) {
        code = element.has_nan() ? nan_code(element) : 0;
      } else if (scale != 0) {
        index = std::isinf(x) ? last_index(element, x < 0)
                              : round_to_index(element, std::signbit(x), std::fabs(double(x)) / whole, draw);
        code = code_of(element, std::signbit(x), index);
      }
      trial.codes.push_back(scale == 0 ? 0 : code);
      trial.indices.push_back(index);
      if (!std::isfinite(x)) return;
      const Rational error = abs(magnitude_of(element, index) * whole - std::fabs(double(x)));
      switch (format_.metric) {
        case Metric::Mse: trial.error += error * error; break;
        case Metric::Mae: trial.error += error; break;
        case Metric::MaxAbs: trial.error = std::max(trial.error, error); break;
      }
    });
  }

  void finish(const Array& array, const Extent& extent, const Trial& trial, Quantized& result) const {
    const Rational scale = magnitude_of(format_.scale, trial.scale_index);
    result.scales.push_back(trial.scale_index | trial.flag);
    size_t n = 0;
    for_each(extent, array.cols, [&](size_t i) {
      const float x = array.x[i];
      result.codes[i] = trial.codes[n];
      const uint32_t index = trial.indices[n++];
      const Rational exact = magnitude_of(*trial.element, index) * trial.unit * scale;
      const bool negative = std::signbit(x) && result.codes[i] != 0;
      float value = trial.unit == 1 ? float(exact.get_d()) : to_binary32(exact);  // get_d is exact for binary fractions
      if (std::isnan(x) && scale != 0 && trial.element->has_nan()) value = std::numeric_limits<float>::quiet_NaN();
      if (negative) value = -value;
      result.values[i] = format_.has_outer_blocks() ? value * array.tensor_scale : value;
      count_one(x, value, double(array.tensor_scale), scale * array.unit / of(format_.prescale), trial, index,
                result.events);
    });
  }

  static void count_one(float x, float unscaled, double tensor_scale, const Rational& whole_scale, const Trial& trial,
                        uint32_t index, CastEvents& events) {
    const double value = double(unscaled) * tensor_scale;
    const Format& element = *trial.element;
    const Rational largest_here = magnitude_of(element, last_index(element, x < 0)) * trial.unit * whole_scale;
    const bool is_integer = element.exponent_bits == 0;
    ++events.elements;
    events.nonfinite += !std::isfinite(value) || !std::isfinite(x);
    if (!std::isfinite(value)) return;
    // a block whose scale is zero has no grid to be beyond
    events.saturated +=
        whole_scale != 0 && (std::isinf(x) || (!std::isnan(x) && Rational(std::fabs(double(x))) > largest_here));
    events.flushed += x != 0 && index == 0;
    events.subnormal += !is_integer && index > 0 && index < uint32_t{1} << element.mantissa_bits;
    if (!std::isfinite(x)) return;
    events.error_squares += (value - double(x)) * (value - double(x));
    events.signal_squares += double(x) * double(x);
  }

  BlockFormat format_;
  Draw draw_;
};

}  // namespace halfulp::block_oracle
