#include "formats/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>

#include "formats/block_run.h"
#include "formats/codec.h"
#include "formats/kernels.h"

namespace halfulp {
namespace {

constexpr std::string_view kMx = "OCP MX v1.0";
constexpr uint32_t kInfinityBits = 0x7f800000;

constexpr std::array kBlockRows = {
    BlockRow{"mxfp8_e4m3", "e4m3fn", "e8m0", 1, 32, {}, false, kMx},
    BlockRow{"mxfp8_e5m2", "e5m2", "e8m0", 1, 32, {}, false, kMx},
    BlockRow{"mxfp6_e3m2", "e3m2", "e8m0", 1, 32, {}, false, kMx},
    BlockRow{"mxfp6_e2m3", "e2m3", "e8m0", 1, 32, {}, false, kMx},
    BlockRow{"mxfp4", "e2m1", "e8m0", 1, 32, {}, false, kMx},
    BlockRow{"mxint8", "s2f6", "e8m0", 1, 32, {}, false, kMx},
    BlockRow{"nvfp4", "e2m1", "ue4m3", 1, 16, ScaleRule::Nearest, true, "arXiv 2509.25149, exact quotients"},
};

// Mantissa bits of the largest number's significand.
int fraction_bits(const Format& element) { return element.mantissa_bits - (element.exponent_bits == 0); }

// The exponent of a power-of-two scale for a finite amax > 0.
int scale_exponent(ScaleRule rule, const Format& element, double amax) {
  const int exponent = std::ilogb(amax);
  const double significand = std::ldexp(amax, -exponent);
  const int e_max = max_exponent(element);
  switch (rule) {
    case ScaleRule::Floor: return exponent - e_max;
    case ScaleRule::Ceil: return exponent + (significand > 1) - e_max;
    case ScaleRule::Even: return exponent + (significand >= 2 - std::ldexp(1.0, -(fraction_bits(element) + 1))) - e_max;
    case ScaleRule::Rceil: return exponent + (significand > std::ldexp(max_finite(element), -e_max)) - e_max;
    case ScaleRule::Nearest: break;
  }
  return 0;
}

// What added to the binary32 bits of a normal amax carries into the exponent field exactly where the rule goes up.
uint32_t rule_carry(ScaleRule rule, const Format& element) {
  constexpr uint32_t kMantissa = 0x007fffff;
  switch (rule) {
    case ScaleRule::Floor: return 0;
    case ScaleRule::Ceil: return kMantissa;
    case ScaleRule::Even: return uint32_t{1} << (22 - fraction_bits(element));
    case ScaleRule::Rceil: return kMantissa - (std::bit_cast<uint32_t>(float(max_finite(element))) & kMantissa);
    case ScaleRule::Nearest: break;
  }
  return 0;
}

constexpr int kAmaxBits = 24;

// Whether a quotient rounded to binary64 and then, to odd, to binary32 rounds to `format` like the exact one does. What
// the last rounding compares it with are numbers of at most `seen` bits. A quotient by a number of d bits differs from
// such a number by a part in 2^(d + seen) or not at all, which binary64 must keep apart; binary32 must have room for
// `seen` bits, the bit that is odd and one more, down to the smallest of these numbers.
bool narrow_quotients_suffice(const Format& format, int random_bits, int denominator_bits) {
  const int seen = format.precision() + 1 + random_bits;
  return seen <= 22 && denominator_bits + seen <= 52 && format.min_quantum_exponent() - 1 - random_bits > -126;
}

struct Shape {
  int rows, cols;
};

Shape parse_shape(std::string_view text) {
  Shape shape{};
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, shape.rows);
  const bool has_x = first.ec == std::errc() && first.ptr != end && *first.ptr == 'x';
  const auto second = has_x ? std::from_chars(first.ptr + 1, end, shape.cols) : first;
  if (!has_x || second.ec != std::errc() || second.ptr != end || shape.rows < 1 || shape.cols < 1)
    throw std::invalid_argument(
        fmt::format("block shape '{}': two positive numbers, rows x columns, such as 1x16 or 16x16", text));
  return shape;
}

// Calls visit(first row, first column, rows, columns) for every block of an array, row-major.
template <class Visitor>
void for_each_block(const BlockFormat& format, int rows, int cols, Visitor visit) {
  const int block_rows = format.rows == 0 ? std::max(rows, 1) : format.rows;
  const int block_cols = format.cols == 0 ? std::max(cols, 1) : format.cols;
  for (int row = 0; row < rows; row += block_rows)
    for (int col = 0; col < cols; col += block_cols)
      visit(row, col, std::min(block_rows, rows - row), std::min(block_cols, cols - col));
}

}  // namespace

std::span<const BlockRow> block_formats() { return kBlockRows; }

const BlockRow* find_block_row(std::string_view name) {
  const auto row = std::ranges::find(kBlockRows, name, &BlockRow::name);
  return row == kBlockRows.end() ? nullptr : &*row;
}

std::vector<ScaleRule> scale_rules(const Format& scale) {
  if (scale.mantissa_bits > 0) return {ScaleRule::Nearest};
  return {ScaleRule::Floor, ScaleRule::Ceil, ScaleRule::Even, ScaleRule::Rceil, ScaleRule::Nearest};
}

BlockFormat make_block_format(std::string_view text, std::optional<ScaleRule> rule, std::string_view shape) {
  const BlockRow* row = find_block_row(text);
  if (row == nullptr) {
    std::vector<std::string_view> known;
    for (const BlockRow& each : kBlockRows) known.push_back(each.name);
    throw UnknownName("block format", text, known);
  }
  const Format scale = parse_format(row->scale);
  const std::vector<ScaleRule> allowed = scale_rules(scale);
  if (!rule) rule = row->rule;
  if (!rule || std::ranges::find(allowed, *rule) == allowed.end()) {
    std::vector<std::string_view> spelled;
    for (ScaleRule each : allowed) spelled.push_back(name(each));
    throw std::invalid_argument(fmt::format(
        "block format '{}': {}; its scale rule is one of: {}", text,
        rule ? fmt::format("not with scale rule '{}'", name(*rule)) : std::string("its scale rule must be stated"),
        fmt::join(spelled, ", ")));
  }
  const Shape blocks = shape.empty() ? Shape{row->rows, row->cols} : parse_shape(shape);
  return {.name = row->name,
          .element = parse_format(row->element),
          .scale = scale,
          .rows = blocks.rows,
          .cols = blocks.cols,
          .rule = *rule,
          .has_tensor_scale = row->has_tensor_scale,
          .source = row->source};
}

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
          .max_negative = magnitude(format, format.max_index(true)),
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

// The array's largest magnitude and what follows from it: an element is x · numerator / (scale · denominator).
struct BlockQuantizer::Level {
  bool is_finite = true;
  bool is_zero = false;
  double numerator = 1, denominator = 1;
  float tensor_scale = 1;
};

BlockQuantizer::BlockQuantizer(const BlockFormat& format, Rounding rounding, int random_bits)
    : format_(format),
      caster_(format.element,
              {.rounding = rounding, .random_bits = random_bits, .policies = {.overflow = Overflow::Saturate}}),
      scale_caster_(format.scale, {.policies = {.overflow = Overflow::Saturate, .negative = NegativePolicy::Absolute}}),
      max_element_(max_finite(format.element)),
      max_scale_(max_finite(format.scale)) {
  assert(fits_binary32(format.element) && fits_binary32(format.scale));
  if (format.scale.bits() > 8) return;
  for (uint32_t code = 0; code < 256; ++code) scale_numbers_.push_back(float(decode(format.scale, code)));
}

BlockQuantizer::Level BlockQuantizer::level(std::span<const float> x, const Hadamard* transform, int threads) const {
  if (!format_.has_tensor_scale) return {};
  const uint32_t bits = largest_magnitude_of(transform, x, threads);
  const float amax = std::bit_cast<float>(bits);
  if (bits >= kInfinityBits) return {.is_finite = false, .tensor_scale = std::numeric_limits<float>::quiet_NaN()};
  if (amax == 0) return {.is_zero = true};
  // Both products are exact: no format of the catalogue has that many significand bits.
  return {.numerator = max_element_ * max_scale_,
          .denominator = amax,
          .tensor_scale = float(amax / (max_element_ * max_scale_))};
}

uint32_t BlockQuantizer::scale_code(const Level& level, uint32_t amax_bits) const {
  const auto code_of = [&](const Real& x) { return encode(format_.scale, scale_caster_.projection(), x); };
  if (!level.is_finite || amax_bits >= kInfinityBits)
    return code_of(Real::of(std::numeric_limits<double>::quiet_NaN()));
  const double amax = std::bit_cast<float>(amax_bits);
  if (amax == 0) return code_of(Real::of(0.0));
  if (format_.rule != ScaleRule::Nearest)
    return code_of(Real::of(1.0).scaled(scale_exponent(format_.rule, format_.element, amax)));
  if (format_.has_tensor_scale) return code_of(Real::quotient(amax * max_scale_, level.denominator));
  return code_of(Real::quotient(amax, max_element_));
}

bool BlockQuantizer::fast_quotients() const {
  const int denominator_bits = format_.scale.precision() + (format_.has_tensor_scale ? kAmaxBits : 0);
  return caster_.encoder() != nullptr &&
         narrow_quotients_suffice(format_.element, caster_.projection().random_bits, denominator_bits);
}

bool BlockQuantizer::fast_scales() const {
  return scale_caster_.encoder() != nullptr && narrow_quotients_suffice(format_.scale, 0, kAmaxBits);
}

// What the kernels need to know; empty where they do not reach.
std::optional<BlockPlan> BlockQuantizer::plan(const Level& level, size_t numbers, const RandomSite& site,
                                              const Hadamard* transform) const {
  const Encoder* encoder = caster_.encoder();
  const Rounding rounding = caster_.projection().rounding;
  if (!kernels_know(encoder, rounding, format_.rows, format_.cols, numbers)) return {};
  BlockPlan plan{.element = encoder,
                 .rounding = rounding,
                 .site = site,
                 .block = size_t(format_.cols),
                 .powers = {},
                 .quotients = {}};
  if (transform != nullptr && !fits_pieces(plan, *transform)) return {};
  if (is_power_of_two()) {
    plan.powers = power_scales(format_.element, *encoder, rounding, format_.scale,
                               rule_carry(format_.rule, format_.element), scale_code(level, 0));
    return plan;
  }
  if (!level.is_finite || level.is_zero || !fast_quotients() || !fast_scales() ||
      !kernels_know_quotients(format_.element, *encoder, rounding, format_.scale, *scale_caster_.encoder()))
    return {};
  plan.quotients = {.encoder = scale_caster_.encoder(),
                    .scale_numerator = format_.has_tensor_scale ? max_scale_ : 1,
                    .scale_denominator = format_.has_tensor_scale ? level.denominator : max_element_,
                    .numerator = level.numerator,
                    .denominator = level.denominator};
  return plan;
}

void BlockQuantizer::quantize_segment(const Level& level, uint32_t scale_code, std::span<const float> x,
                                      std::span<float> values, const RandomSite& site, uint32_t first_index) const {
  const double scale = decode(format_.scale, scale_code);
  if (std::isnan(scale) || scale == 0) {
    std::ranges::fill(values, scale == 0 ? 0.0f : std::numeric_limits<float>::quiet_NaN());
    return;
  }
  const Projection& projection = caster_.projection();
  const Encoder* encoder = caster_.encoder();
  CastJob job{encoder, projection.rounding, site, first_index};

  // A power of two moves the element grid instead of the numbers, so that nothing but the cast itself rounds.
  if (is_power_of_two() && encoder != nullptr) {
    Encoder moved = *encoder;
    if (detail::scale_grid(moved, std::ilogb(scale))) {
      job.encoder = &moved;
      HALFULP_DISPATCH(round_values, job, x.data(), values.data(), x.size());
      return;
    }
  } else if (fast_quotients()) {
    HALFULP_DISPATCH(quotients, x.data(), level.numerator, scale * level.denominator, values.data(), x.size());
    HALFULP_DISPATCH(round_values, job, values.data(), values.data(), x.size());
    HALFULP_DISPATCH(multiply, values.data(), float(scale), values.data(), x.size());
    return;
  }
  for (size_t i = 0; i < x.size(); ++i) {
    const Real quotient = Real::quotient(x[i] * level.numerator, scale * level.denominator);
    const uint32_t random =
        is_stochastic(projection.rounding) ? random_bits(site, first_index + uint32_t(i), projection.random_bits) : 0;
    values[i] = float(decode(format_.element, encode(format_.element, projection, quotient, random)) * scale);
  }
}

float BlockQuantizer::quantize(std::span<const float> x, std::span<float> values, int rows, int cols,
                               const RandomSite& site, CastEvents* events, const Hadamard* transform,
                               int threads) const {
  assert(x.size() == size_t(rows) * size_t(cols) && values.size() == x.size());
  const Level array = level(x, transform, threads);
  if (events == nullptr) {
    if (const std::optional<BlockPlan> fast = plan(array, x.size(), site, transform)) {
      run_blocks(
          *fast, transform, x, size_t(rows), size_t(cols), {.values = values.data()},
          [&](std::span<const float> block, size_t first, float* to, uint8_t*, uint8_t*) {
            const uint32_t amax = HALFULP_DISPATCH(largest_magnitude, block.data(), block.size());
            quantize_segment(array, scale_code(array, amax), block, {to, block.size()}, site, uint32_t(first));
          },
          threads);
      return array.tensor_scale;
    }
  }
  if (transform != nullptr) {
    transform->apply(x, values);
    return quantize(values, values, rows, cols, site, events);
  }
  const GridRange element = range_of(format_.element);
  std::vector<float> original;
  for_each_block(format_, rows, cols, [&](int row, int col, int height, int width) {
    const auto segment = [&](int r) { return size_t(row + r) * size_t(cols) + size_t(col); };
    uint32_t amax = 0;
    for (int r = 0; r < height; ++r)
      amax = std::max(amax, HALFULP_DISPATCH(largest_magnitude, x.data() + segment(r), size_t(width)));
    const uint32_t code = scale_code(array, amax);
    const double scale = decode(format_.scale, code);
    // The tensor scale is exact here: rounded to binary32 it would count the array's largest number as saturated.
    const auto in_array = [&](double max) { return max * scale * array.denominator / array.numerator; };
    const GridRange range{in_array(element.max_positive), in_array(element.max_negative), element.min_normal * scale};
    for (int r = 0; r < height; ++r) {
      const std::span<const float> in = x.subspan(segment(r), size_t(width));
      const std::span<float> out = values.subspan(segment(r), size_t(width));
      if (events != nullptr) original.assign(in.begin(), in.end());
      quantize_segment(array, code, in, out, site, uint32_t(segment(r)));
      if (events != nullptr) count_events(original, out, array.tensor_scale, range, *events);
    }
  });
  return array.tensor_scale;
}

size_t BlockQuantizer::packed_codes(int rows, int cols) const {
  const size_t per_byte = format_.element.bits() == 4 ? 2 : 1;
  return size_t(rows) * ((size_t(cols) + per_byte - 1) / per_byte);
}

size_t BlockQuantizer::packed_scales(int rows, int cols) const {
  const auto parts = [](int size, int block) {
    return block == 0 ? 1 : (size_t(size) + size_t(block) - 1) / size_t(block);
  };
  return rows == 0 || cols == 0 ? 0 : parts(rows, format_.rows) * parts(cols, format_.cols);
}

// The codes of one block of one row, one a byte, and its scale's.
void BlockQuantizer::encode_block(const Level& level, std::span<const float> x, size_t first, const RandomSite& site,
                                  uint8_t* codes, uint8_t* scale) const {
  const uint32_t amax = HALFULP_DISPATCH(largest_magnitude, x.data(), x.size());
  *scale = uint8_t(scale_code(level, amax));
  const double value = decode(format_.scale, *scale);
  const Projection& projection = caster_.projection();
  for (size_t i = 0; i < x.size(); ++i) {
    const uint32_t random =
        is_stochastic(projection.rounding) ? random_bits(site, uint32_t(first + i), projection.random_bits) : 0;
    const Real quotient = Real::quotient(x[i] * level.numerator, value * level.denominator);
    const bool has_codes = !std::isnan(value) && value != 0;
    codes[i] = has_codes ? uint8_t(encode(format_.element, projection, quotient, random)) : 0;
  }
}

void BlockQuantizer::check_packs() const {
  if (format_.element.bits() > 8 || format_.scale.bits() > 8)
    throw std::invalid_argument(fmt::format("packed block codes: elements and scales of at most 8 bits, not {} and {}",
                                            std::string_view(format_.element.name),
                                            std::string_view(format_.scale.name)));
}

float BlockQuantizer::quantize_packed(std::span<const float> x, std::span<uint8_t> codes, std::span<uint8_t> scales,
                                      int rows, int cols, const RandomSite& site, const Hadamard* transform,
                                      int threads) const {
  check_packs();
  assert(x.size() == size_t(rows) * size_t(cols) && codes.size() == packed_codes(rows, cols) &&
         scales.size() == packed_scales(rows, cols));
  const Level array = level(x, transform, threads);
  const bool packs_nibbles = format_.element.bits() == 4;
  if (const std::optional<BlockPlan> fast = plan(array, x.size(), site, transform)) {
    run_blocks(
        *fast, transform, x, size_t(rows), size_t(cols),
        {.codes = codes.data(), .scales = scales.data(), .packs_nibbles = packs_nibbles},
        [&](std::span<const float> block, size_t first, float*, uint8_t* to, uint8_t* scale) {
          encode_block(array, block, first, site, to, scale);
        },
        threads);
    return array.tensor_scale;
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
  check_packs();
  assert(codes.size() == packed_codes(rows, cols) && scales.size() == packed_scales(rows, cols) &&
         values.size() == size_t(rows) * size_t(cols));
  if (values.empty()) return;
  std::vector<float> factors(scales.size());
  std::ranges::transform(scales, factors.begin(), [&](uint8_t code) { return scale_numbers_[code]; });
  unpack_blocks(format_.element, format_.element.bits() == 4, codes, factors,
                size_t(format_.rows == 0 ? rows : format_.rows), size_t(format_.cols == 0 ? cols : format_.cols),
                values, size_t(rows), size_t(cols));
}

BlockCodes BlockQuantizer::quantize_reference(std::span<const float> x, int rows, int cols,
                                              const RandomSite& site) const {
  assert(x.size() == size_t(rows) * size_t(cols));
  const Level array = level(x);
  BlockCodes result{.codes = std::vector<uint32_t>(x.size()), .scales = {}, .tensor_scale = array.tensor_scale};
  const Projection& projection = caster_.projection();
  for_each_block(format_, rows, cols, [&](int row, int col, int height, int width) {
    uint32_t amax = 0;
    const auto for_each_element = [&](auto visit) {
      for (int r = 0; r < height; ++r)
        for (int c = 0; c < width; ++c) visit(size_t(row + r) * size_t(cols) + size_t(col + c));
    };
    for_each_element([&](size_t i) { amax = std::max(amax, std::bit_cast<uint32_t>(x[i]) & 0x7fffffff); });
    const uint32_t code = scale_code(array, amax);
    const double scale = decode(format_.scale, code);
    result.scales.push_back(code);
    if (std::isnan(scale) || scale == 0) return;
    for_each_element([&](size_t i) {
      const Real quotient = Real::quotient(x[i] * array.numerator, scale * array.denominator);
      const uint32_t random =
          is_stochastic(projection.rounding) ? random_bits(site, uint32_t(i), projection.random_bits) : 0;
      result.codes[i] = encode(format_.element, projection, quotient, random);
    });
  });
  return result;
}

}  // namespace halfulp
