#include "formats/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "formats/block_run.h"
#include "formats/block_scale.h"
#include "formats/block_variant.h"
#include "formats/codec.h"
#include "formats/exact.h"
#include "formats/float_control.h"
#include "formats/kernels.h"

namespace halfulp {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int kAmaxBits = 24;

// Mantissa bits of the largest number's significand.
int fraction_bits(const Format& element) { return element.mantissa_bits - (element.exponent_bits == 0); }

// What added to the binary32 bits of a normal amax carries into the exponent field exactly where a rule of powers of
// two goes up.
uint32_t rule_carry(ScaleRule rule, const Format& element) {
  constexpr uint32_t kMantissa = 0x007fffff;
  switch (rule) {
    case ScaleRule::Ceil: return kMantissa;
    case ScaleRule::Even: return uint32_t{1} << (22 - fraction_bits(element));
    case ScaleRule::Rceil: return kMantissa - (std::bit_cast<uint32_t>(float(max_finite(element))) & kMantissa);
    default: return 0;
  }
}

// Whether the kernel for powers of two knows the format's scales.
bool has_simple_powers(const BlockFormat& f) {
  const bool knows_rule = f.rule == ScaleRule::Floor || f.rule == ScaleRule::Ceil || f.rule == ScaleRule::Even ||
                          f.rule == ScaleRule::Rceil;
  return knows_rule && std::string_view(f.scale.name) == "e8m0" && !f.has_tensor_scale && f.headroom.is_one() &&
         f.prescale.is_one();
}

// Whether a quotient rounded to binary64 and then, to odd, to binary32 rounds to `format` like the exact one does. What
// the last rounding compares it with are numbers of at most `seen` bits. A quotient by a number of d bits differs from
// such a number by a part in 2^(d + seen) or not at all, which binary64 must keep apart; binary32 must have room for
// `seen` bits, the bit that is odd and one more, down to the smallest of these numbers.
bool narrow_quotients_suffice(const Format& format, int random_bits, int denominator_bits) {
  const int seen = format.precision() + 1 + random_bits;
  return seen <= 22 && denominator_bits + seen <= 52 && format.min_quantum_exponent() - 1 - random_bits > -126;
}

bool fits_53_bits(double a, double b) { return std::fma(a, b, -(a * b)) == 0; }

int blocks_along(int size, int block) { return block == 0 ? size > 0 : size / block + (size % block != 0); }

// Which tensor scale belongs to the number at a row and column.
size_t outer_index(const BlockFormat& format, int cols, int row, int col) {
  const size_t outer_row = format.outer.rows == 0 ? 0 : size_t(row / format.outer.rows);
  const size_t outer_col = format.outer.cols == 0 ? 0 : size_t(col / format.outer.cols);
  return outer_row * size_t(blocks_along(cols, format.outer.cols)) + outer_col;
}

// Calls visit(first row, first column, rows, columns) for every block of an array, row-major.
template <class Visitor>
void for_each_block(const BlockShape& shape, int rows, int cols, Visitor visit) {
  if (rows == 0 || cols == 0) return;
  const int block_rows = shape.rows == 0 ? rows : shape.rows, block_cols = shape.cols == 0 ? cols : shape.cols;
  for (int row = 0, height; row < rows; row += height) {
    height = std::min(block_rows, rows - row);
    for (int col = 0, width; col < cols; col += width) {
      width = std::min(block_cols, cols - col);
      visit(row, col, height, width);
    }
  }
}

// How many rows a block has in an array of `rows`.
size_t block_height(const BlockFormat& format, int rows) {
  return size_t(format.rows == 0 ? std::max(rows, 1) : format.rows);
}

uint32_t largest(std::span<const uint32_t> magnitudes) {
  return magnitudes.empty() ? 0 : *std::ranges::max_element(magnitudes);
}

}  // namespace

CastEvents& CastEvents::operator+=(const CastEvents& other) {
  elements += other.elements;
  saturated += other.saturated;
  flushed += other.flushed;
  subnormal += other.subnormal;
  nonfinite += other.nonfinite;
  error_squares += other.error_squares;
  signal_squares += other.signal_squares;
  return *this;
}

GridRange range_of(const Format& format) {
  return {.max_positive = max_finite(format),
          .max_negative = magnitude(format, format.max_index(true), true),
          .min_normal = min_normal(format)};
}

void count_events(std::span<const float> x, std::span<const float> y, double scale, const GridRange& range,
                  CastEvents& events) {
  assert(x.size() == y.size());
  CastEvents counted{.elements = int64_t(x.size())};
  for (size_t i = 0; i < x.size(); ++i) {
    const double wanted = x[i], got = double(y[i]) * scale, magnitude = std::fabs(double(y[i]));
    const bool finite = std::isfinite(wanted) && std::isfinite(got);
    counted.nonfinite += !finite;
    counted.saturated +=
        magnitude > 0 && std::isfinite(got) && (wanted > range.max_positive || wanted < -range.max_negative);
    counted.flushed += magnitude == 0 && wanted != 0;
    counted.subnormal += magnitude > 0 && magnitude < range.min_normal;
    counted.error_squares += finite ? (got - wanted) * (got - wanted) : 0;
    counted.signal_squares += finite ? wanted * wanted : 0;
  }
  events += counted;
}

double scale_value(const BlockFormat& format, uint32_t scale_code) {
  return decode(format.scale, scale_code & ~format.second_grid_bit());
}

double element_value(const BlockFormat& format, uint32_t scale_code, uint32_t code) {
  if ((scale_code & format.second_grid_bit()) == 0) return decode(format.element, code);
  // No binary32 number lies so near a midpoint of others that rounding twice could matter: units are short fractions.
  return decode(format.second->element, code) * format.second->unit.numerator / format.second->unit.denominator;
}

// The array's largest magnitude and what follows from it: a scale is amax · numerator / (max · denominator), an element
// x · prescale · numerator / (scale · denominator).
struct BlockQuantizer::Level {
  bool is_finite = true;
  bool is_zero = false;
  ArrayUnit unit;
  VariantUnit variant = {};
  float tensor_scale = 1;
};

BlockQuantizer::BlockQuantizer(const BlockFormat& format, Rounding rounding, int random_bits)
    : format_(format),
      caster_(format.element,
              {.rounding = rounding, .random_bits = random_bits, .policies = {.overflow = Overflow::Saturate}}),
      scale_caster_(format.scale, {.policies = {.overflow = Overflow::Saturate, .negative = NegativePolicy::Absolute}}),
      max_element_(max_finite(format.element)),
      target_(format.scale_target()) {
  assert(fits_binary32(format.element) && fits_binary32(format.scale));
  if (format.second) second_caster_.emplace(format.second->element, caster_.projection());
  if (format.scale.bits() > 8) return;
  for (uint32_t code = 0; code < 256; ++code) scale_numbers_.push_back(float(decode(format.scale, code)));
}

BlockQuantizer::Level BlockQuantizer::level(float amax, bool is_finite) const {
  static const Format binary32 = parse_format("binary32");
  const Ratio& prescale = format_.prescale;
  const auto rounded = [&](const Product& above, const Product& below) {
    const uint32_t bits = encode(binary32, {.policies = {.overflow = Overflow::Saturate}},
                                 Product::quotient(above * prescale.denominator, below * prescale.numerator, false));
    return std::bit_cast<float>(bits);
  };
  if (!format_.has_tensor_scale) return {.tensor_scale = rounded(Product(1), Product(1))};
  if (!is_finite) return {.is_finite = false, .tensor_scale = kNan};
  const VariantUnit variant = variant_unit(format_, amax);
  if (format_.variant != Variant::Exact) return {.variant = variant, .tensor_scale = variant.decode};
  if (amax == 0) return {.is_zero = true, .tensor_scale = rounded(Product(1), Product(1))};
  return {.unit = {.numerator = max_element_ * target_, .denominator = amax},
          .tensor_scale = rounded(Product(amax), Product(max_element_ * target_))};
}

// The same of the bits that kernels give as largest magnitude.
BlockQuantizer::Level BlockQuantizer::level_of_bits(uint32_t amax) const {
  return level(std::bit_cast<float>(amax), amax < kInfinityBits);
}

// The range of a block's elements. The tensor scale is exact here: rounded to binary32 it would count the array's
// largest number as saturated.
GridRange BlockQuantizer::range_in_array(const Level& level, uint32_t scale_code) const {
  const bool takes_second = (scale_code & format_.second_grid_bit()) != 0;
  const Format& element = takes_second ? format_.second->element : format_.element;
  const GridRange grid = range_of(element);
  const Ratio unit = takes_second ? format_.second->unit : Ratio{};
  const double scale = scale_value(format_, scale_code);
  const auto in_array = [&](double max) {
    if (format_.variant != Variant::Exact) return max * scale * double(level.variant.decode);
    return max * scale * level.unit.denominator * format_.prescale.denominator * unit.numerator /
           (level.unit.numerator * format_.prescale.numerator * unit.denominator);
  };
  return {in_array(grid.max_positive), in_array(grid.max_negative),
          element.exponent_bits == 0 ? 0 : grid.min_normal * scale * unit.numerator / unit.denominator};
}

// --- the reference ---

struct BlockQuantizer::Block {
  std::span<const float> array;
  int cols;  // of the array
  int row, col, height, width;
  RandomSite site;
  uint32_t scale_random = 0;  // random bits of the scale
  size_t first_index = 0;     // of array[0], for random bits

  size_t index(int r, int c) const { return size_t(row + r) * size_t(cols) + size_t(col + c); }

  template <class Visitor>
  void for_each(Visitor visit) const {
    for (int r = 0; r < height; ++r)
      for (int c = 0; c < width; ++c) visit(index(r, c));
  }
};

struct BlockQuantizer::Quantised {
  uint32_t scale = 0;
  std::vector<uint32_t> codes;  // row-major
};

namespace {

// The finite numbers' largest magnitude, and what else there is.
struct Extremes {
  float amax = 0;
  bool has_nan = false, has_infinity = false;

  void add(float x) {
    has_nan |= std::isnan(x);
    has_infinity |= std::isinf(x);
    if (std::isfinite(x)) amax = std::max(amax, std::fabs(x));
  }
  bool spoils(const BlockFormat& format) const {
    return (has_nan && format.nan == BlockNan::Block) || (has_infinity && format.infinity == BlockInfinity::Block);
  }
};

// The error of a block under one scale, exactly.
struct BlockError {
  ExactSum sum;
  Difference largest{0, 0};

  void add(Metric metric, const Difference& d) {
    const double sign = std::copysign(1.0, d.high);
    switch (metric) {
      case Metric::Mse: return sum.add_square(d);
      case Metric::Mae: return sum.add(sign * d.high), sum.add(sign * d.low);
      case Metric::MaxAbs: break;
    }
    if (largest.is_smaller_than(d)) largest = d;
  }
  bool is_smaller_than(const BlockError& other, Metric metric) const {
    return metric == Metric::MaxAbs ? largest.is_smaller_than(other.largest) : sum < other.sum;
  }
};

}  // namespace

uint32_t BlockQuantizer::element_random(const RandomSite& site, size_t index) const {
  const Projection& projection = caster_.projection();
  return is_stochastic(projection.rounding) ? random_bits(site, uint32_t(index), projection.random_bits) : 0;
}

// The codes of a block under a scale; all 0 where it is zero or NaN.
BlockQuantizer::Quantised BlockQuantizer::quantize_with(const Level& level, const Block& block,
                                                        uint32_t scale_code) const {
  Quantised result{scale_code, std::vector<uint32_t>(size_t(block.height) * size_t(block.width))};
  const double scale = scale_value(format_, scale_code);
  if (std::isnan(scale) || scale == 0) return result;
  const bool takes_second = (scale_code & format_.second_grid_bit()) != 0;
  const Caster& caster = takes_second ? *second_caster_ : caster_;
  const Ratio unit = takes_second ? format_.second->unit : Ratio{};
  const Product divisor =
      Product(std::fabs(scale)) * level.unit.denominator * format_.prescale.denominator * unit.numerator;
  size_t i = 0;
  block.for_each([&](size_t at) {
    const float x = block.array[at];
    Real quotient = Real::of(double(x));
    if (std::isnan(x) && !caster.format().has_nan()) quotient = Real::of(0.0);
    if (std::isfinite(x))
      quotient = Product::quotient(Product(x) * level.unit.numerator * format_.prescale.numerator * unit.denominator,
                                   divisor, std::signbit(x));
    result.codes[i++] =
        encode(caster.format(), caster.projection(), quotient, element_random(block.site, block.first_index + at));
  });
  return result;
}

// The scales a block tries, the preferred one first.
std::vector<uint32_t> BlockQuantizer::candidates(const Level& level, const Block& block, double statistic) const {
  const auto code = [&](const Ratio& more) {
    return scale_code(format_, level.unit, statistic, more, block.scale_random);
  };
  std::vector<uint32_t> codes = {code({})};
  if (format_.search == Search::FourOverSix) codes.push_back(code({3, 2}));
  if (format_.search == Search::Nearby) {
    const uint32_t first = codes[0], lowest = format_.scale.has_zero, highest = largest_scale(format_);
    for (uint32_t step = 1; step <= uint32_t(format_.reach); ++step) {
      if (first >= lowest + step) codes.push_back(first - step);
      if (first + step <= highest) codes.push_back(first + step);
    }
  }
  if (!format_.second) return codes;
  const size_t count = codes.size();
  for (size_t i = 0; i < count; ++i) codes.push_back(codes[i] | format_.second_grid_bit());
  return codes;
}

BlockQuantizer::Quantised BlockQuantizer::quantize_block(const Level& level, const Block& block) const {
  Extremes extremes;
  block.for_each([&](size_t i) { extremes.add(block.array[i]); });
  if (!level.is_finite || extremes.spoils(format_)) {
    const bool is_infinite = format_.rule == ScaleRule::TritonUp && !extremes.has_nan;
    const uint32_t nan = is_infinite ? (uint32_t{1} << format_.scale.bits()) - 1 : nan_scale(format_);
    return {nan, std::vector<uint32_t>(size_t(block.height) * size_t(block.width))};
  }
  if (extremes.has_infinity && format_.infinity == BlockInfinity::Saturate)
    return quantize_with(level, block, largest_scale(format_));
  if (format_.variant != Variant::Exact) return quantize_variant(level, block, extremes.amax);

  double statistic = extremes.amax;
  if (format_.statistic == Statistic::Rms) {
    double sum = 0;
    int64_t count = 0;
    block.for_each([&](size_t i) {
      const double x = block.array[i];
      if (!std::isfinite(x)) return;
      sum += x * x;
      ++count;
    });
    statistic = count == 0 ? 0 : format_.rms_factor * std::sqrt(sum / double(count)) * max_element_;
  }

  const std::vector<uint32_t> codes = candidates(level, block, statistic);
  Quantised best = quantize_with(level, block, codes[0]);
  if (codes.size() == 1) return best;
  const Ratio second = format_.second ? format_.second->unit : Ratio{};
  // value - x, times a common factor that makes both of them whole binary64 numbers
  const auto error_of = [&](const Quantised& quantised) {
    const bool takes_second = (quantised.scale & format_.second_grid_bit()) != 0;
    const Format& element = takes_second ? format_.second->element : format_.element;
    const double unit = takes_second ? second.numerator : second.denominator;
    const double value_factor =
        scale_value(format_, quantised.scale) * level.unit.denominator * format_.prescale.denominator * unit;
    const double x_factor = level.unit.numerator * format_.prescale.numerator * second.denominator;
    BlockError error;
    size_t i = 0;
    block.for_each([&](size_t at) {
      const double x = block.array[at], value = decode(element, quantised.codes[i++]);
      if (std::isfinite(x)) error.add(format_.metric, Difference(value * value_factor, x * x_factor));
    });
    return error;
  };
  BlockError least = error_of(best);
  for (size_t i = 1; i < codes.size(); ++i) {
    Quantised other = quantize_with(level, block, codes[i]);
    const BlockError error = error_of(other);
    if (!error.is_smaller_than(least, format_.metric)) continue;
    least = error;
    best = std::move(other);
  }
  return best;
}

BlockQuantizer::Quantised BlockQuantizer::quantize_variant(const Level& level, const Block& block, float amax) const {
  const auto quantised = [&](float more) {
    Quantised result{variant_scale(format_, level.variant, amax, more), {}};
    const float scale = float(scale_value(format_, result.scale));
    block.for_each([&](size_t i) {
      const float quotient = variant_quotient(format_, level.variant, scale, block.array[i]);
      const bool is_lost = std::isnan(quotient) && !format_.element.has_nan();
      result.codes.push_back(encode(format_.element, caster_.projection(), Real::of(is_lost ? 0.0 : double(quotient)),
                                    element_random(block.site, i)));
    });
    return result;
  };
  if (format_.variant != Variant::Te4over6) return quantised(1);

  const auto error_of = [&](const Quantised& result) {
    const float scale = float(scale_value(format_, result.scale));
    std::vector<float> values, rows;
    for (uint32_t code : result.codes) values.push_back(float(decode(format_.element, code)));
    for (int r = 0; r < block.height; ++r) {
      const size_t width = size_t(block.width);
      rows.push_back(variant_row_error(format_, level.variant, scale, block.array.subspan(block.index(r, 0), width),
                                       std::span(values).subspan(size_t(r) * width, width)));
    }
    return variant_block_error(format_, rows);
  };
  Quantised to_six = quantised(1), to_four = quantised(1.5f);
  return error_of(to_four) < error_of(to_six) ? to_four : to_six;
}

// EDEN: x and its quantised value q agree in the mean over rotations once q is multiplied with <x,x> / <x,q>. Sums are
// binary64, in the order of the numbers.
void BlockQuantizer::correct_scales(std::span<const float> x, int rows, int cols, const RandomSite& site,
                                    BlockCodes& result) const {
  RandomSite scales_site = site;
  scales_site.stream = Stream::Scales;
  const int width = format_.cols == 0 ? std::max(cols, 1) : format_.cols;
  const int blocks = blocks_along(cols, format_.cols);
  const auto scale_at = [&](int row, int col) -> uint32_t& {
    return result.scales[size_t(row) * size_t(blocks) + size_t(col / width)];
  };
  for_each_block({1, format_.eden_group}, rows, cols, [&](int row, int first, int, int count) {
    double xx = 0, xq = 0;
    for (int col = first; col < first + count; ++col) {
      const size_t i = size_t(row) * size_t(cols) + size_t(col);
      const uint32_t scale = scale_at(row, col);
      const size_t outer = result.outer_scales.empty() ? 0 : outer_index(format_, cols, row, col);
      const double tensor_scale = result.outer_scales.empty() ? result.tensor_scale : result.outer_scales[outer];
      const double q = element_value(format_, scale, result.codes[i]) * scale_value(format_, scale) * tensor_scale;
      xx += double(x[i]) * double(x[i]);
      xq += double(x[i]) * q;
    }
    if (!(xx > 0 && xq > 0 && std::isfinite(xx) && std::isfinite(xq))) return;
    const Projection stochastic{.rounding = Rounding::StochasticC,
                                .random_bits = kMaxRandomBits,
                                .policies = scale_caster_.projection().policies};
    for (int col = first; col < first + count; col += width) {
      uint32_t& scale = scale_at(row, col);
      const uint32_t block = uint32_t(size_t(row) * size_t(blocks) + size_t(col / width));
      const uint32_t second = scale & format_.second_grid_bit();
      scale = second | encode(format_.scale, stochastic, Real::of(scale_value(format_, scale) * (xx / xq)),
                              random_bits(scales_site, block, kMaxRandomBits));
    }
  });
}

// What the tensor scales are made from, in their order; one where there is none.
std::vector<BlockQuantizer::Level> BlockQuantizer::levels(std::span<const float> x, int rows, int cols,
                                                          const GivenScales& given) const {
  std::vector<Level> all;
  for_each_block(format_.outer, rows, cols, [&](int row, int col, int height, int width) {
    Extremes extremes;
    const Block outer{x, cols, row, col, height, width, {}};
    if (format_.has_tensor_scale) outer.for_each([&](size_t i) { extremes.add(x[i]); });
    all.push_back(level(given.amax.value_or(extremes.amax), !extremes.spoils(format_)));
  });
  if (all.empty()) all.push_back(level(given.amax.value_or(0), true));
  return all;
}

BlockCodes BlockQuantizer::quantize_reference(std::span<const float> x, int rows, int cols, const RandomSite& site,
                                              const GivenScales& given) const {
  const FloatControl control;
  assert(x.size() == size_t(rows) * size_t(cols));
  RandomSite scales_site = site;
  scales_site.stream = Stream::Scales;

  const std::vector<Level> levels = this->levels(x, rows, cols, given);
  BlockCodes result{.codes = std::vector<uint32_t>(x.size()), .scales = {}, .tensor_scale = levels[0].tensor_scale};
  if (format_.has_outer_blocks()) {
    result.tensor_scale = 1;
    for (const Level& each : levels) result.outer_scales.push_back(each.tensor_scale);
    if (x.empty()) result.outer_scales.clear();
  }

  for_each_block({format_.rows, format_.cols}, rows, cols, [&](int row, int col, int height, int width) {
    const uint32_t number = uint32_t(result.scales.size());
    const uint32_t random =
        format_.rule == ScaleRule::Stochastic ? random_bits(scales_site, number, kMaxRandomBits) : 0;
    const Block block{x, cols, row, col, height, width, site, random};
    const Level& level = levels[outer_index(format_, cols, row, col)];
    const Quantised quantised =
        given.codes.empty() ? quantize_block(level, block) : quantize_with(level, block, given.codes[number]);
    result.scales.push_back(quantised.scale);
    size_t i = 0;
    block.for_each([&](size_t at) { result.codes[at] = quantised.codes[i++]; });
  });
  if (format_.eden_group > 0 && given.codes.empty()) correct_scales(x, rows, cols, site, result);
  return result;
}

// --- the fast paths ---

bool BlockQuantizer::is_plain() const {
  const BlockFormat& f = format_;
  return f.variant == Variant::Exact && f.statistic == Statistic::Amax && f.search == Search::None && !f.second &&
         f.eden_group == 0 && f.nan == BlockNan::Block && f.infinity == BlockInfinity::Block &&
         f.zero == ZeroScale::Zero && f.smallest_amax == 0 && !f.has_outer_blocks() &&
         f.rule != ScaleRule::Stochastic && f.rule != ScaleRule::TritonUp && f.rule != ScaleRule::TritonDown;
}

uint32_t BlockQuantizer::fast_scale_code(const Level& level, uint32_t amax_bits) const {
  if (!level.is_finite || amax_bits >= kInfinityBits) return nan_scale(format_);
  return scale_code(format_, level.unit, std::bit_cast<float>(amax_bits), {}, 0);
}

bool BlockQuantizer::fast_quotients() const {
  const int denominator_bits = format_.scale.precision() + (format_.has_tensor_scale ? kAmaxBits : 0) +
                               std::bit_width(unsigned(format_.prescale.denominator - 1));
  // a factor of 24 bits for x must leave its product with the numerator in 53
  const double numerator = (format_.has_tensor_scale ? max_element_ * target_ : 1) * format_.prescale.numerator;
  return caster_.encoder() != nullptr && fits_53_bits(numerator, 0x1.fffffep0) &&
         narrow_quotients_suffice(format_.element, caster_.projection().random_bits, denominator_bits);
}

bool BlockQuantizer::fast_scales() const {
  return format_.rule == ScaleRule::Nearest && format_.headroom.is_one() && format_.prescale.is_one() &&
         format_.scale.mantissa_bits > 0 && scale_caster_.encoder() != nullptr &&
         narrow_quotients_suffice(format_.scale, 0, kAmaxBits);
}

// Whether the kernels know blocks of this shape, and the transform fits them.
bool BlockQuantizer::kernels_reach(size_t numbers, const Hadamard* transform) const {
  return is_plain() && kernels_know(caster_.encoder(), caster_.projection().rounding, format_.cols, numbers) &&
         (transform == nullptr || fits_pieces(size_t(format_.cols), *transform));
}

// The largest magnitudes of blocks where more than their own rows must be known first.
std::vector<uint32_t> BlockQuantizer::needed_maxima(std::span<const float> x, int rows, int cols,
                                                    const Hadamard* transform, int threads) const {
  if (!format_.has_tensor_scale && format_.rows == 1) return {};
  return maxima_of_blocks(transform, x, size_t(rows), size_t(cols), block_height(format_, rows), size_t(format_.cols),
                          threads);
}

// What the kernels need to know; empty where they do not know such scales.
std::optional<BlockPlan> BlockQuantizer::plan(const Level& level, int rows, const RandomSite& site) const {
  const Encoder* encoder = caster_.encoder();
  const Rounding rounding = caster_.projection().rounding;
  BlockPlan plan{.element = encoder,
                 .rounding = rounding,
                 .site = site,
                 .block = size_t(format_.cols),
                 .block_rows = block_height(format_, rows),
                 .powers = {},
                 .quotients = {}};
  if (has_simple_powers(format_)) {
    plan.powers = power_scales(format_.element, *encoder, rounding, format_.scale,
                               rule_carry(format_.rule, format_.element), fast_scale_code(level, 0));
    return plan;
  }
  if (!level.is_finite || level.is_zero || !fast_quotients() || !fast_scales() ||
      !kernels_know_quotients(format_.element, *encoder, rounding, format_.scale, *scale_caster_.encoder()))
    return {};
  plan.quotients = {.encoder = scale_caster_.encoder(),
                    .scale_numerator = format_.has_tensor_scale ? target_ : 1,
                    .scale_denominator = format_.has_tensor_scale ? level.unit.denominator : max_element_,
                    .numerator = level.unit.numerator,
                    .denominator = level.unit.denominator};
  return plan;
}

void BlockQuantizer::quantize_segment(const Level& level, uint32_t scale_code, std::span<const float> x,
                                      std::span<float> values, const RandomSite& site, uint32_t first_index) const {
  const double scale = decode(format_.scale, scale_code);
  if (std::isnan(scale) || scale == 0) {
    std::ranges::fill(values, scale == 0 ? 0.0f : kNan);
    return;
  }
  const Projection& projection = caster_.projection();
  const Encoder* encoder = caster_.encoder();
  CastJob job{encoder, projection.rounding, site, first_index};

  // A power of two moves the element grid instead of the numbers, so that nothing but the cast itself rounds.
  const bool is_power = format_.scale.mantissa_bits == 0 && !format_.has_tensor_scale && format_.prescale.is_one();
  if (is_power && encoder != nullptr) {
    Encoder moved = *encoder;
    if (detail::scale_grid(moved, std::ilogb(scale))) {
      job.encoder = &moved;
      HALFULP_DISPATCH(round_values, job, x.data(), values.data(), x.size());
      return;
    }
  } else if (fast_quotients()) {
    const double numerator = level.unit.numerator * format_.prescale.numerator;
    const double denominator = scale * level.unit.denominator * format_.prescale.denominator;
    HALFULP_DISPATCH(quotients, x.data(), numerator, denominator, values.data(), x.size());
    HALFULP_DISPATCH(round_values, job, values.data(), values.data(), x.size());
    HALFULP_DISPATCH(multiply, values.data(), float(scale), values.data(), x.size());
    return;
  }
  const Block block{x, int(x.size()), 0, 0, 1, int(x.size()), site, 0, first_index};
  const Quantised quantised = quantize_with(level, block, scale_code);
  for (size_t i = 0; i < x.size(); ++i) values[i] = float(decode(format_.element, quantised.codes[i]) * scale);
}

// Through codes.
float BlockQuantizer::quantize_by(const GivenScales& given, std::span<const float> x, std::span<float> values, int rows,
                                  int cols, const RandomSite& site, CastEvents* events) const {
  const FloatControl control;
  const BlockCodes result = quantize_reference(x, rows, cols, site, given);
  const std::vector<Level> array = levels(x, rows, cols, given);
  size_t number = 0;
  for_each_block({format_.rows, format_.cols}, rows, cols, [&](int row, int col, int height, int width) {
    const uint32_t code = result.scales[number++];
    const double scale = scale_value(format_, code);
    const size_t outer = outer_index(format_, cols, row, col);
    const float tensor_scale = result.outer_scales.empty() ? 1 : result.outer_scales[outer];
    const GridRange range = range_in_array(array[outer], code);
    for (int r = 0; r < height; ++r) {
      const size_t first = size_t(row + r) * size_t(cols) + size_t(col);
      const std::vector<float> original(x.begin() + ptrdiff_t(first), x.begin() + ptrdiff_t(first) + width);
      const std::span<float> out = values.subspan(first, size_t(width));
      for (size_t i = 0; i < out.size(); ++i)
        out[i] = float(element_value(format_, code, result.codes[first + i]) * scale);
      if (events != nullptr)
        count_events(original, out, double(result.tensor_scale) * double(tensor_scale), range, *events);
      for (float& value : out) value *= tensor_scale;
    }
  });
  return result.tensor_scale;
}

// A block at a time, with the kernels of casts.
void BlockQuantizer::quantize_by_blocks(const Level& level, std::span<const float> x, std::span<float> values, int rows,
                                        int cols, const RandomSite& site, CastEvents* events) const {
  std::vector<float> original;
  for_each_block({format_.rows, format_.cols}, rows, cols, [&](int row, int col, int height, int width) {
    const auto segment = [&](int r) { return size_t(row + r) * size_t(cols) + size_t(col); };
    uint32_t amax = 0;
    for (int r = 0; r < height; ++r)
      amax = std::max(amax, HALFULP_DISPATCH(largest_magnitude, x.data() + segment(r), size_t(width)));
    const uint32_t code = fast_scale_code(level, amax);
    const GridRange range = range_in_array(level, code);
    for (int r = 0; r < height; ++r) {
      const std::span<const float> in = x.subspan(segment(r), size_t(width));
      const std::span<float> out = values.subspan(segment(r), size_t(width));
      if (events != nullptr) original.assign(in.begin(), in.end());
      quantize_segment(level, code, in, out, site, uint32_t(segment(r)));
      if (events != nullptr) count_events(original, out, level.tensor_scale, range, *events);
    }
  });
}

float BlockQuantizer::quantize(std::span<const float> x, std::span<float> values, int rows, int cols,
                               const RandomSite& site, CastEvents* events, const Hadamard* transform,
                               int threads) const {
  const FloatControl control;
  assert(x.size() == size_t(rows) * size_t(cols) && values.size() == x.size());
  if (events == nullptr && kernels_reach(x.size(), transform)) {
    const std::vector<uint32_t> maxima = needed_maxima(x, rows, cols, transform, threads);
    const Level array = level_of_bits(largest(maxima));
    if (const std::optional<BlockPlan> fast = plan(array, rows, site)) {
      run_blocks(
          *fast, transform, x, size_t(rows), size_t(cols), maxima, {.values = values.data()},
          [&](std::span<const float> block, size_t first, uint32_t amax, float* to, uint8_t*, uint8_t*) {
            quantize_segment(array, fast_scale_code(array, amax), block, {to, block.size()}, site, uint32_t(first));
          },
          threads);
      return array.tensor_scale;
    }
  }
  if (transform != nullptr) {
    transform->apply(x, values);
    return quantize(values, values, rows, cols, site, events);
  }
  if (!is_plain()) return quantize_by({}, x, values, rows, cols, site, events);
  const Level array = level_of_bits(HALFULP_DISPATCH(largest_magnitude, x.data(), x.size()));
  quantize_by_blocks(array, x, values, rows, cols, site, events);
  return array.tensor_scale;
}

// --- packed codes ---

int BlockQuantizer::element_bits() const {
  return std::max(format_.element.bits(), format_.second ? format_.second->element.bits() : 0);
}

size_t BlockQuantizer::packed_codes(int rows, int cols) const {
  const size_t per_byte = element_bits() == 4 ? 2 : 1;
  return size_t(rows) * ((size_t(cols) + per_byte - 1) / per_byte);
}

size_t BlockQuantizer::packed_scales(int rows, int cols) const {
  return size_t(blocks_along(rows, format_.rows)) * size_t(blocks_along(cols, format_.cols));
}

void BlockQuantizer::check_packs() const {
  if (element_bits() > 8 || format_.scale_bits() > 8)
    throw std::invalid_argument(
        fmt::format("packed codes of '{}': elements and scales of at most 8 bits, not {} and {}", format_.name,
                    element_bits(), format_.scale_bits()));
  if (format_.has_outer_blocks())
    throw std::invalid_argument(fmt::format("packed codes of '{}': at most one tensor scale", format_.name));
}

// The codes of one row of a block, one a byte, and its scale's (null: not wanted).
void BlockQuantizer::encode_block(const Level& level, uint32_t amax, std::span<const float> x, size_t first,
                                  const RandomSite& site, uint8_t* codes, uint8_t* scale) const {
  const Block block{x, int(x.size()), 0, 0, 1, int(x.size()), site, 0, first};
  const Quantised quantised = quantize_with(level, block, fast_scale_code(level, amax));
  if (scale != nullptr) *scale = uint8_t(quantised.scale);
  std::ranges::transform(quantised.codes, codes, [](uint32_t code) { return uint8_t(code); });
}

float BlockQuantizer::quantize_packed(std::span<const float> x, std::span<uint8_t> codes, std::span<uint8_t> scales,
                                      int rows, int cols, const RandomSite& site, const Hadamard* transform,
                                      int threads) const {
  const FloatControl control;
  check_packs();
  assert(x.size() == size_t(rows) * size_t(cols) && codes.size() == packed_codes(rows, cols) &&
         scales.size() == packed_scales(rows, cols));
  const bool packs_nibbles = element_bits() == 4;
  if (kernels_reach(x.size(), transform)) {
    const std::vector<uint32_t> maxima = needed_maxima(x, rows, cols, transform, threads);
    const Level array = level_of_bits(largest(maxima));
    if (const std::optional<BlockPlan> fast = plan(array, rows, site)) {
      run_blocks(
          *fast, transform, x, size_t(rows), size_t(cols), maxima,
          {.codes = codes.data(), .scales = scales.data(), .packs_nibbles = packs_nibbles},
          [&](std::span<const float> block, size_t first, uint32_t amax, float*, uint8_t* to, uint8_t* scale) {
            encode_block(array, amax, block, first, site, to, scale);
          },
          threads);
      return array.tensor_scale;
    }
  }
  std::vector<float> transformed;
  if (transform != nullptr) {
    transformed.resize(x.size());
    transform->apply(x, transformed);
    x = transformed;
  }
  const BlockCodes all = quantize_reference(x, rows, cols, site);
  std::ranges::transform(all.scales, scales.begin(), [](uint32_t scale) { return uint8_t(scale); });
  const size_t row_bytes = packed_codes(1, cols);
  std::ranges::fill(codes, uint8_t{0});
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t row = i / size_t(cols), col = i % size_t(cols);
    if (packs_nibbles)
      codes[row * row_bytes + col / 2] |= uint8_t(all.codes[i] << 4 * (col % 2));
    else
      codes[i] = uint8_t(all.codes[i]);
  }
  return all.tensor_scale;
}

void BlockQuantizer::unpack(std::span<const uint8_t> codes, std::span<const uint8_t> scales, std::span<float> values,
                            int rows, int cols) const {
  const FloatControl control;
  check_packs();
  assert(codes.size() == packed_codes(rows, cols) && scales.size() == packed_scales(rows, cols) &&
         values.size() == size_t(rows) * size_t(cols));
  if (values.empty()) return;
  const size_t block_rows = size_t(format_.rows == 0 ? rows : format_.rows);
  const size_t block_cols = size_t(format_.cols == 0 ? cols : format_.cols);
  if (!format_.second) {
    std::vector<float> factors(scales.size());
    std::ranges::transform(scales, factors.begin(), [&](uint8_t code) { return scale_numbers_[code]; });
    unpack_blocks(format_.element, element_bits() == 4, codes, factors, block_rows, block_cols, values, size_t(rows),
                  size_t(cols));
    return;
  }
  const size_t row_bytes = packed_codes(1, cols), row_blocks = packed_scales(1, cols);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t row = i / size_t(cols), col = i % size_t(cols);
    const uint32_t scale = scales[row / block_rows * row_blocks + col / block_cols];
    const uint32_t code = element_bits() == 4 ? codes[row * row_bytes + col / 2] >> 4 * (col % 2) & 0xfu : codes[i];
    values[i] = float(element_value(format_, scale, code) * scale_value(format_, scale));
  }
}

}  // namespace halfulp
