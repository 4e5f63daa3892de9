#include "formats/affine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "formats/codec.h"

namespace halfulp {
namespace {

constexpr std::array kSchemes = {
    AffineScheme{"sym_full", ScaleSpan::FullRange, CodeRange::Unsigned, ZeroPoint::Middle, "IST-DASLab/gptq quant.py"},
    AffineScheme{"sym_qmax", ScaleSpan::Positive, CodeRange::Signed, ZeroPoint::Middle, "convention"},
    AffineScheme{"sym_qmax_narrow", ScaleSpan::Positive, CodeRange::Narrow, ZeroPoint::Middle,
                 "INT v.s. FP (arXiv 2510.25602), symmetric clipping"},
    AffineScheme{"sym_avg", ScaleSpan::FullRange, CodeRange::Signed, ZeroPoint::Middle,
                 "IST-DASLab/FP-Quant quantizer.py"},
    AffineScheme{"asymmetric", ScaleSpan::Extent, CodeRange::Unsigned, ZeroPoint::OfMinimum,
                 "IST-DASLab/gptq quant.py"},
    AffineScheme{"centred", ScaleSpan::FullRange, CodeRange::Unsigned, ZeroPoint::HalfBelow,
                 "IST-DASLab/QuEST base_linear.py"},
};

// Whole numbers far beyond all codes.
constexpr int kWholeBits = 20;
constexpr Format kWhole = {.name = "int20",
                           .encoding = Encoding::TwosComplement,
                           .exponent_bits = 0,
                           .mantissa_bits = kWholeBits - 1,
                           .bias = 2 - kWholeBits,
                           .nan = NanCodes::None,
                           .has_infinity = false};

constexpr int32_t whole_number(uint32_t code) { return int32_t(code << (32 - kWholeBits)) >> (32 - kWholeBits); }

__extension__ using Uint128 = unsigned __int128;

// The multiples of 2^-64 up to a magnitude, and whether there is more.
struct Fixed {
  Uint128 steps;
  bool sticky;
};

// |x| < 2^kWholeBits.
Fixed to_fixed(const Real& x) {
  if (x.kind == Real::Kind::Zero) return {0, false};
  const int shift = x.exponent + 1;  // from the significand's steps of 2^(exponent - 63)
  if (shift >= 0) return {Uint128{x.significand} << shift, x.sticky};
  if (shift <= -64) return {0, true};
  return {x.significand >> -shift, x.sticky || x.significand << (64 + shift) != 0};
}

// Not less than 2^-64, or zero.
Real to_real(bool negative, const Fixed& x) {
  if (x.steps == 0) return {};
  const uint64_t high = uint64_t(x.steps >> 64);
  const int leading = high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(uint64_t(x.steps));
  const Uint128 aligned = x.steps << leading;
  return {.kind = Real::Kind::Finite,
          .negative = negative,
          .sticky = x.sticky || uint64_t(aligned) != 0,
          .exponent = 63 - leading,
          .significand = uint64_t(aligned >> 64)};
}

// x + zero for a zero >= 0 with at most one bit after the point, as exactly as any rounding to whole numbers needs. x
// is a quotient of binary32 numbers: one that is not -zero differs from it by more than 2^-25.
Real plus(const Real& x, float zero) {
  const bool is_number = x.kind == Real::Kind::Zero || x.kind == Real::Kind::Finite;
  if (zero == 0 || !is_number || x.exponent >= kWholeBits) return x;
  const Fixed magnitude = to_fixed(x);
  const Uint128 offset = Uint128(2 * zero) << 63;
  if (!x.negative) return to_real(false, {offset + magnitude.steps, magnitude.sticky});
  // what is below the steps is part of what is taken away
  if (offset > magnitude.steps) return to_real(false, {offset - magnitude.steps - magnitude.sticky, magnitude.sticky});
  return to_real(true, {magnitude.steps - offset, magnitude.sticky});
}

// The real number, rounded to nearest even.
float nearest_binary32(const Real& x) {
  static const Format binary32 = parse_format("binary32");
  return float(decode(binary32, encode(binary32, {}, x)));
}

// a + b in binary64, rounded to odd where it is inexact, so that comparisons with numbers of up to 52 bits are those of
// the exact sum.
double sum_to_odd(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  const double error = (a - (sum - b_part)) + (b - b_part);
  if (error == 0 || std::bit_cast<uint64_t>(sum) % 2 == 1) return sum;
  return std::nextafter(sum, error > 0 ? std::numeric_limits<double>::infinity() : 0.0);
}

// What a scale is computed from.
struct Range {
  float min = 0, max = 0;
  bool is_finite = true;
  float amax() const { return std::max(-min, max); }
};

Range range_of_numbers(std::span<const float> x) {
  Range range;
  for (const float value : x) {
    range.is_finite &= std::isfinite(value);
    range.min = std::min(range.min, value);
    range.max = std::max(range.max, value);
  }
  return range;
}

int32_t levels(int bits) { return (1 << bits) - 1; }
int32_t half(int bits) { return 1 << (bits - 1); }

int32_t lowest_code(CodeRange codes, int bits) {
  return codes == CodeRange::Unsigned ? 0 : -half(bits) + (codes == CodeRange::Narrow);
}
int32_t highest_code(CodeRange codes, int bits) { return codes == CodeRange::Unsigned ? levels(bits) : half(bits) - 1; }

float scale(const AffineFormat& format, const Range& range) {
  const float full = float(levels(format.bits)), positive = float(half(format.bits) - 1);
  const bool is_exact = format.arithmetic == AffineArithmetic::Exact;
  // twice a number and a quotient that is rounded once are the same either way, but for overflow
  switch (format.scheme.span) {
    case ScaleSpan::FullRange:
      return is_exact ? nearest_binary32(Real::quotient(2 * double(range.amax()), double(full)))
                      : 2 * range.amax() / full;
    case ScaleSpan::Positive: return range.amax() / positive;
    case ScaleSpan::Extent:
      // boundaries between binary32 numbers, times full, have 25 + 16 bits
      return is_exact
                 ? nearest_binary32(Real::quotient(sum_to_odd(double(range.max), -double(range.min)), double(full)))
                 : (range.max - range.min) / full;
  }
  return 0;
}

int32_t zero_of_minimum(const AffineFormat& format, float min, float scale) {
  const Real quotient = format.arithmetic == AffineArithmetic::Exact ? Real::quotient(-double(min), double(scale))
                                                                     : Real::of(double(-min / scale));
  const Projection nearest{.policies = {.overflow = Overflow::Saturate}};
  // a scale that is subnormal has lost precision: the quotient may lie beyond the codes
  return std::min(whole_number(encode(kWhole, nearest, quotient)), levels(format.bits));
}

const AffineFormat& checked(const AffineFormat& format) {
  if (format.bits < kMinAffineBits || format.bits > kMaxAffineBits)
    throw std::invalid_argument(fmt::format("integer quantiser {}: {} bits; {} to {} are wanted", format.scheme.name,
                                            format.bits, kMinAffineBits, kMaxAffineBits));
  if ((format.granularity == Granularity::Group) != (format.group > 0) || format.group < 0)
    throw std::invalid_argument(
        fmt::format("integer quantiser {}: groups of {} numbers with granularity {}; granularity "
                    "group takes at least 1, others take 0",
                    format.scheme.name, format.group, name(format.granularity)));
  return format;
}

void require_size(std::string_view what, size_t got, int rows, int cols) {
  if (rows < 0 || cols < 0 || got != size_t(rows) * size_t(cols))
    throw std::invalid_argument(fmt::format("integer quantiser: {} {} for {} rows of {}", got, what, rows, cols));
}

constexpr size_t kChunk = 512;

}  // namespace

std::span<const AffineScheme> affine_schemes() { return kSchemes; }

const AffineScheme& find_affine_scheme(std::string_view text) {
  const auto row = std::ranges::find(kSchemes, text, &AffineScheme::name);
  if (row != kSchemes.end()) return *row;
  std::vector<std::string_view> known;
  for (const AffineScheme& each : kSchemes) known.push_back(each.name);
  throw UnknownName("integer quantiser", text, known);
}

// before + after is the zero.
struct AffineQuantizer::Zero {
  float before;  // added before rounding
  int32_t after;
};

AffineQuantizer::AffineQuantizer(const AffineFormat& format)
    : format_(checked(format)),
      min_code_(lowest_code(format.scheme.codes, format.bits)),
      max_code_(highest_code(format.scheme.codes, format.bits)),
      caster_(kWhole, {.rounding = format.rounding,
                       .random_bits = format.random_bits,
                       .policies = {.overflow = Overflow::Saturate}}) {}

AffineGrid AffineQuantizer::grid(std::span<const float> x) const {
  const Range range = range_of_numbers(x);
  AffineGrid grid{.scale = std::numeric_limits<float>::quiet_NaN(), .zero = 0};
  if (range.is_finite) grid.scale = scale(format_, range);
  if (std::isinf(grid.scale)) grid.scale = std::numeric_limits<float>::quiet_NaN();
  switch (format_.scheme.zero) {
    case ZeroPoint::Middle:
      if (format_.scheme.codes == CodeRange::Unsigned) grid.zero = float(half(format_.bits));
      break;
    case ZeroPoint::OfMinimum:
      if (grid.scale > 0) grid.zero = float(zero_of_minimum(format_, range.min, grid.scale));
      break;
    case ZeroPoint::HalfBelow: grid.zero = float(half(format_.bits)) - 0.5f; break;
  }
  return grid;
}

AffineQuantizer::Zero AffineQuantizer::split(const AffineGrid& grid) const {
  if (format_.zero_order == ZeroOrder::BeforeRounding) return {.before = grid.zero, .after = 0};
  const float whole = std::floor(grid.zero);
  return {.before = grid.zero - whole, .after = int32_t(whole)};
}

void AffineQuantizer::encode(const AffineGrid& grid, std::span<const float> x, std::span<int32_t> codes,
                             const RandomSite& site, uint32_t first_index) const {
  assert(x.size() == codes.size());
  if (!(grid.scale > 0)) {
    std::ranges::fill(codes, int32_t(std::floor(grid.zero)));
    return;
  }
  if (format_.arithmetic == AffineArithmetic::Exact) return encode_exactly(grid, x, codes, site, first_index);
  const Zero zero = split(grid);
  std::array<float, kChunk> sums;
  std::array<uint32_t, kChunk> rounded;
  for (size_t begin = 0; begin < x.size(); begin += kChunk) {
    const size_t count = std::min(kChunk, x.size() - begin);
    // adding nothing changes no rounding but would lose the sign of a zero, which no code has
    for (size_t i = 0; i < count; ++i) sums[i] = x[begin + i] / grid.scale + zero.before;
    caster_.encode<uint32_t>(std::span(sums).first(count), std::span(rounded).first(count), site,
                             first_index + uint32_t(begin));
    for (size_t i = 0; i < count; ++i)
      codes[begin + i] = std::clamp(whole_number(rounded[i]) + zero.after, min_code_, max_code_);
  }
}

void AffineQuantizer::encode_exactly(const AffineGrid& grid, std::span<const float> x, std::span<int32_t> codes,
                                     const RandomSite& site, uint32_t first_index) const {
  const Zero zero = split(grid);
  const Projection& projection = caster_.projection();
  for (size_t i = 0; i < x.size(); ++i) {
    const Real sum = plus(Real::quotient(double(x[i]), double(grid.scale)), zero.before);
    const uint32_t random =
        is_stochastic(projection.rounding) ? random_bits(site, first_index + uint32_t(i), projection.random_bits) : 0;
    const int32_t whole = whole_number(halfulp::encode(kWhole, projection, sum, random));
    codes[i] = std::clamp(whole + zero.after, min_code_, max_code_);
  }
}

void AffineQuantizer::decode(const AffineGrid& grid, std::span<const int32_t> codes, std::span<float> values) const {
  assert(codes.size() == values.size());
  if (grid.scale == 0) {
    std::ranges::fill(values, 0.0f);
    return;
  }
  const float whole = std::floor(grid.zero);
  const bool has_half = whole != grid.zero;
  if (has_half && format_.arithmetic == AffineArithmetic::Binary32) {
    for (size_t i = 0; i < codes.size(); ++i) values[i] = (float(codes[i]) - whole) * grid.scale - grid.scale / 2;
    return;
  }
  // 24 and 17 bits: the product is exact before it is rounded
  for (size_t i = 0; i < codes.size(); ++i)
    values[i] = float(double(grid.scale) * (double(codes[i]) - double(grid.zero)));
}

// Calls visit(index of the group's first number, how many, number of the group).
template <class Visitor>
void AffineQuantizer::for_each_group(int rows, int cols, Visitor visit) const {
  const size_t size = size_t(rows) * size_t(cols);
  const size_t row = format_.granularity == Granularity::Tensor ? size : size_t(cols);
  const size_t group = format_.granularity == Granularity::Group ? size_t(format_.group) : row;
  size_t number = 0;
  for (size_t first = 0; first < size; first += row)
    for (size_t at = 0; at < row; at += group) visit(first + at, std::min(group, row - at), number++);
}

AffineCodes AffineQuantizer::quantize(std::span<const float> x, int rows, int cols, const RandomSite& site) const {
  require_size("numbers", x.size(), rows, cols);
  AffineCodes quantized{.codes = std::vector<int32_t>(x.size()), .grids = {}};
  for_each_group(rows, cols, [&](size_t first, size_t count, size_t) {
    const std::span<const float> numbers = x.subspan(first, count);
    quantized.grids.push_back(grid(numbers));
    encode(quantized.grids.back(), numbers, std::span(quantized.codes).subspan(first, count), site, uint32_t(first));
  });
  return quantized;
}

void AffineQuantizer::dequantize(const AffineCodes& quantized, int rows, int cols, std::span<float> values) const {
  require_size("numbers", values.size(), rows, cols);
  require_size("codes", quantized.codes.size(), rows, cols);
  for_each_group(rows, cols, [&](size_t first, size_t count, size_t number) {
    decode(quantized.grids.at(number), std::span(quantized.codes).subspan(first, count), values.subspan(first, count));
  });
}

RealBiasFormat::RealBiasFormat(int exponent_bits, int mantissa_bits, float max, bool is_signed)
    : unit_{.name = "real_bias",
            .encoding = is_signed ? Encoding::SignMagnitude : Encoding::Unsigned,
            .exponent_bits = exponent_bits,
            .mantissa_bits = mantissa_bits,
            .bias = 0,
            .nan = NanCodes::None,
            .has_infinity = false},
      max_(max) {
  const bool bits = exponent_bits >= 1 && exponent_bits <= 8 && mantissa_bits >= 1 && mantissa_bits <= 15;
  if (!bits || !std::isfinite(max) || !(max > 0))
    throw std::invalid_argument(
        fmt::format("format with a real bias: {} exponent bits, {} mantissa bits, largest number {}; 1 to 8, 1 to 15 "
                    "and a finite positive number are wanted",
                    exponent_bits, mantissa_bits, max));
  unit_max_ = max_finite(unit_);
}

uint32_t RealBiasFormat::encode(float x, Rounding rounding) const {
  const Projection projection{.rounding = rounding,
                              .policies = {.overflow = Overflow::Saturate, .negative = NegativePolicy::ToZero}};
  return halfulp::encode(unit_, projection, Real::quotient(double(x) * unit_max_, double(max_)));
}

float RealBiasFormat::decode(uint32_t code) const {
  return nearest_binary32(Real::quotient(halfulp::decode(unit_, code) * double(max_), unit_max_));
}

}  // namespace halfulp
