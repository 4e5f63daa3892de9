#include "formats/fused_product.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "formats/cast.h"
#include "formats/codec.h"
#include "formats/float_control.h"
#include "formats/matrix_multiply_ways.h"
#include "formats/parts.h"

namespace halfulp {
namespace {

constexpr uint32_t kSign = 0x80000000, kInfinity = 0x7f800000;

// The nearest number of binary16, as binary32.
uint32_t nearest_half(double x) {
  constexpr int kMinExponent = -14, kMantissaBits = 10;
  constexpr double kMax = 65504;
  if (std::isnan(x)) return 0x7fffe000;
  if (x == 0 || std::isinf(x)) return std::bit_cast<uint32_t>(float(x));
  const int quantum = std::max(std::ilogb(x), kMinExponent) - kMantissaBits;
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(x, -quantum)), quantum);
  if (std::abs(rounded) > kMax) return kInfinity | (std::signbit(x) ? kSign : 0);
  return std::bit_cast<uint32_t>(float(rounded));
}

// Toward zero, but beyond the range to infinity. `dropped` of the lowest mantissa bits become zeros.
uint32_t cut(double x, int dropped) {
  constexpr int kMinExponent = -126, kQuantum = -149;
  const uint64_t magnitude = std::bit_cast<uint64_t>(std::abs(x));
  const int exponent = int(magnitude >> 52) - 1023;
  uint32_t bits = kInfinity;
  if (exponent < kMinExponent)
    bits = uint32_t(std::ldexp(std::abs(x), -kQuantum));
  else if (exponent < 128)
    bits = uint32_t(magnitude >> 29) - (uint32_t{1023 - 127} << 23);
  return (bits & (~uint32_t{0} << dropped)) | (std::signbit(x) ? kSign : 0);
}

uint32_t from_accumulator(uint32_t code) { return (code & ~kSign) > kInfinity ? kUnitNan32 : code; }
uint32_t from_accumulator(uint16_t code) {
  const uint32_t magnitude = code & 0x7fff, sign = uint32_t(code & 0x8000) << 16;
  if (magnitude > 0x7c00) return 0x7fffe000;
  if (magnitude == 0x7c00) return sign | kInfinity;
  return sign | std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude << 13) * 0x1p112f);
}
void to_accumulator(uint32_t bits, uint32_t& code) { code = bits; }
void to_accumulator(uint32_t bits, uint16_t& code) {
  const uint32_t magnitude = bits & ~kSign, sign = (bits & kSign) >> 16;
  const uint32_t finite = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p-112f) >> 13;
  code = uint16_t(sign | (magnitude > kInfinity ? 0x7fff : magnitude == kInfinity ? 0x7c00 : finite));
}

// ---- operands ----

// Where number k of an instruction stands: its own place, or for units via binary16 in one of two halves.
size_t place_of(const FusedUnit& fused, size_t k) {
  if (!fused.is_via_half) return k;
  const size_t size = fused.k, within = k % size;
  return k - within + within / 4 * 2 + within % 2 + (within % 4 >= 2 ? size / 2 : 0);
}

// Rows of A or columns of B, `k` codes each: numbers in the order in which they are added, `depth` each with zeros at
// the end.
template <class Code>
void read_lines(const FusedUnit& fused, const Format& format, std::span<const Code> codes, size_t k, size_t depth,
                float* numbers) {
  if (depth == k && !fused.is_via_half) return read_numbers(format, codes, {numbers, codes.size()});
  std::vector<float> dense(codes.size());
  read_numbers<Code>(format, codes, dense);
  const size_t count = codes.size() / k;
  std::fill_n(numbers, count * depth, 0.0f);
  for (size_t line = 0; line < count; ++line)
    for (size_t i = 0; i < k; ++i) numbers[line * depth + place_of(fused, i)] = dense[line * k + i];
}

// The scales of a line's `depth` numbers, each for so many of them as kernels take together. What a NaN scales becomes
// NaN.
void read_scales(const ScaleUnit& unit, std::span<const uint8_t> codes, std::span<float> numbers, RowScale* scales) {
  for (size_t first = 0; first < numbers.size(); first += unit.step) {
    const size_t block = first / unit.block;
    if (block >= codes.size()) return;  // zeros that fill up the last instruction
    const uint8_t code = codes[block];
    scales[first / unit.step] = unit.values[code];
    if (unit.is_nan[code]) numbers[first] = std::numeric_limits<float>::quiet_NaN();
  }
}

// Which numbers of a line are not zero, by groups.
void mark_nonzero(size_t group, std::span<const float> values, RowScale* scales) {
  for (size_t first = 0; first < values.size(); first += group, ++scales)
    for (size_t i = 0; i < group; ++i) scales->nonzero |= uint32_t{values[first + i] != 0} << i;
}

// What is made of a row of A or a column of B.
struct Line {
  std::span<float> numbers;  // what NaNs scale becomes NaN
  int16_t* exponents;
  float* values;                  // numbers or significands; zeros where they are NaN or infinite
  RowScale* scales;               // those of scaled units
  std::vector<size_t>& specials;  // the places of NaNs and infinities
};

void take_line_apart(const FusedUnit& fused, int min_exponent, std::span<const uint8_t> scales, const Line& line) {
  const std::span<float> numbers = line.numbers;
  if (fused.job.is_scaled) read_scales(fused.scale, scales, numbers, line.scales);
  line.specials.clear();
  const bool is_finite =
      HALFULP_DISPATCH(take_apart, numbers.data(), numbers.size(), min_exponent, line.exponents, line.values);
  if (!fused.job.has_wide_exponents) std::ranges::copy(numbers, line.values);
  for (size_t k = 0; k < (is_finite ? 0 : numbers.size()); ++k) {
    if (std::isfinite(numbers[k])) continue;
    line.specials.push_back(k);
    line.exponents[k] = kZeroExponent;
    line.values[k] = 0;
  }
  if (fused.job.group > 0) mark_nonzero(fused.job.group, {line.values, numbers.size()}, line.scales);
}

// ---- outputs with NaNs and infinities: one by one in binary64, where all these numbers are exact ----

double power_of_two(int exponent) { return std::bit_cast<double>(uint64_t(exponent + 1023) << 52); }

// What a largest exponent takes from a finite number.
int exponent_of(float x, int min_exponent) {
  const int field = int(std::bit_cast<uint32_t>(x) >> 23 & 0xff);
  return x == 0 ? kZeroExponent : std::max(field - 127, min_exponent);
}

uint32_t special_result(const FusedJob& job, double sum) {
  if (std::isnan(sum)) return job.result == FusedResult::Binary16 ? 0x7fffe000 : kUnitNan32;
  return kInfinity | (sum < 0 ? kSign : 0);
}

uint32_t rounded(const FusedJob& job, double x) {
  const uint32_t bits =
      job.result == FusedResult::Binary16 ? nearest_half(x) : cut(x, job.result == FusedResult::E8M13 ? 10 : 0);
  return (bits & ~kSign) == 0 && !(job.keeps_underflow && x != 0) ? 0 : bits;
}

uint32_t block_of_any(const FusedUnit& unit, const float* a, const float* b, int scale_exponent, uint32_t c_bits) {
  const FusedJob& job = unit.job;
  const float c = std::bit_cast<float>(c_bits);
  double special = std::isfinite(c) ? 0 : double(c);
  int top = std::max(job.zero_exponent, exponent_of(c, job.result == FusedResult::Binary16 ? kHalfMinExponent : -126));
  for (size_t k = 0; k < job.block; ++k) {
    const double product = double(a[k]) * double(b[k]);
    if (!std::isfinite(product)) special += product;
    top =
        std::max(top, exponent_of(a[k], unit.a_min_exponent) + exponent_of(b[k], unit.b_min_exponent) + scale_exponent);
  }
  if (special != 0) return special_result(job, special);
  const double scale = power_of_two(job.fraction - top);
  int64_t sum = int64_t(double(c) * scale);
  const double product_scale = power_of_two(job.fraction - top + scale_exponent);
  for (size_t k = 0; k < job.block; ++k) sum += int64_t(double(a[k]) * double(b[k]) * product_scale);
  return rounded(job, double(sum) * power_of_two(top - job.fraction));
}

// ---- tiles ----

constexpr size_t kTileRows = 16;

// Bits of the binary32 numbers of a tile's outputs, those of binary16 among them.
struct TileSums {
  alignas(64) uint32_t bits[kTileRows][kPanelColumns] = {};
};

// Panels of B are laid out by the thread that needs them, and used for tiles of all rows of A one after the other.
template <class Code, class Accumulator>
class FusedProduct {
 public:
  FusedProduct(const FusedUnit& fused, const MatrixProduct<Code, Accumulator>& in, const Accumulation& how,
               OutputByDefinition<Accumulator> by_definition, int threads)
      : fused_(fused),
        in_(in),
        by_definition_(std::move(by_definition)),
        depth_(rounded_up(size_t(in.k), fused.k)),
        rows_(size_t(in.m)),
        columns_(size_t(in.n)),
        scale_codes_(fused.job.is_scaled ? rounded_up(size_t(in.k), fused.scale.block) / fused.scale.block : 0),
        scales_(fused.job.is_scaled ? depth_ / fused.scale.step : 0) {
    if (how.splits > 1) intervals_.push_back(fused.k * part_size(depth_ / fused.k, how.splits));
    if (how.promotion > 0) intervals_.push_back(fused.k * size_t(how.promotion));
    if (fused.is_via_half) intervals_.push_back(fused.k);
    lay_out_a(threads);
  }

  void multiply(std::span<Accumulator> d, int threads) const {
    const size_t groups = rounded_up(rows_, kTileRows) / kTileRows;
    const size_t panels = rounded_up(columns_, kPanelColumns) / kPanelColumns;
    // of a tile, in 64 multiplications each: what a thread is worth starting for
    const size_t work = kTileRows * kPanelColumns / 64 * depth_;
    in_parts(
        groups * panels * work, threads,
        [&](size_t first, size_t size) {
          const FloatControl control;
          Panel panel(depth_, scales_);
          for (size_t tile = first / work; tile < (first + size) / work; ++tile) {
            lay_out_b(tile / groups, panel);
            run_tile(tile % groups * kTileRows, panel, d);
          }
        },
        work);
  }

 private:
  struct Panel {
    size_t number = std::numeric_limits<size_t>::max();
    std::vector<float> numbers;      // (kPanelColumns, depth)
    std::vector<float> values;       // (depth, kPanelColumns): numbers or significands
    std::vector<int16_t> exponents;  // (depth, kPanelColumns), see exponent_place
    std::vector<PanelScale> scales;
    std::vector<size_t> specials[kPanelColumns];
    bool has_specials = false;

    Panel(size_t depth, size_t count)
        : numbers(kPanelColumns * depth),
          values(kPanelColumns * depth),
          exponents(kPanelColumns * depth, kZeroExponent),
          scales(count) {}
  };

  // Outputs, the first of them at this place.
  struct Tile {
    size_t row, rows, columns;
    const Panel& panel;
    bool has_specials;
  };

  void lay_out_a(int threads) {
    a_numbers_ = std::make_unique_for_overwrite<float[]>(rows_ * depth_);
    a_values_ = std::make_unique_for_overwrite<float[]>(rows_ * depth_);
    a_exponents_ = std::make_unique_for_overwrite<uint32_t[]>(rows_ * depth_);
    a_scales_.resize(rows_ * scales_);
    a_specials_.resize(rows_);
    in_parts(
        rows_ * depth_, threads,
        [&](size_t first, size_t size) {
          const FloatControl control;
          const size_t k = size_t(in_.k), row = first / depth_, rows = size / depth_;
          read_lines(fused_, fused_.a_format, in_.a.subspan(row * k, rows * k), k, depth_, &a_numbers_[first]);
          std::vector<int16_t> exponents(depth_);
          for (size_t i = 0; i < rows; ++i) {
            const size_t start = first + i * depth_;
            take_line_apart(fused_, fused_.a_min_exponent, in_.a_scales.subspan((row + i) * scale_codes_, scale_codes_),
                            {{&a_numbers_[start], depth_},
                             exponents.data(),
                             &a_values_[start],
                             a_scales_.data() + (row + i) * scales_,
                             a_specials_[row + i]});
            for (size_t t = 0; t < depth_; ++t) a_exponents_[start + t] = uint32_t(uint16_t(exponents[t])) * 0x10001;
          }
        },
        depth_);
  }

  void lay_out_b(size_t number, Panel& panel) const {
    if (panel.number == number) return;
    panel.number = number;
    panel.has_specials = false;
    const size_t k = size_t(in_.k), first = number * kPanelColumns, count = std::min(kPanelColumns, columns_ - first);
    read_lines(fused_, fused_.b_format, in_.b.subspan(first * k, count * k), k, depth_, panel.numbers.data());
    std::vector<int16_t> exponents(depth_);
    std::vector<float> values(depth_);
    for (size_t column = 0; column < count; ++column) {
      std::vector<RowScale> scales(scales_);
      take_line_apart(fused_, fused_.b_min_exponent,
                      in_.b_scales.subspan((first + column) * scale_codes_, scale_codes_),
                      {{&panel.numbers[column * depth_], depth_},
                       exponents.data(),
                       values.data(),
                       scales.data(),
                       panel.specials[column]});
      panel.has_specials |= !panel.specials[column].empty();
      const size_t place = HALFULP_DISPATCH(exponent_place, column);
      for (size_t t = 0; t < depth_; ++t) {
        panel.values[t * kPanelColumns + column] = values[t];
        panel.exponents[t * kPanelColumns + place] = exponents[t];
      }
      for (size_t i = 0; i < scales_; ++i) {
        panel.scales[i].significands[column] = scales[i].significand;
        panel.scales[i].exponents[column] = scales[i].exponent;
        panel.scales[i].nonzero[column] = scales[i].nonzero;
      }
    }
  }

  [[gnu::noinline]] void run_tile(size_t row, const Panel& panel, std::span<Accumulator> d) const {
    const size_t column = panel.number * kPanelColumns;
    Tile tile{row, std::min(kTileRows, rows_ - row), std::min(kPanelColumns, columns_ - column), panel,
              panel.has_specials};
    for (size_t i = 0; i < tile.rows; ++i) tile.has_specials |= !a_specials_[row + i].empty();
    TileSums sums;
    for (size_t i = 0; i < tile.rows; ++i)
      for (size_t j = 0; j < tile.columns; ++j)
        sums.bits[i][j] = from_accumulator(in_.c[(row + i) * columns_ + column + j]);
    run(tile, 0, depth_, 0, sums);
    for (size_t i = 0; i < tile.rows; ++i)
      for (size_t j = 0; j < tile.columns; ++j) {
        Accumulator& output = d[(row + i) * columns_ + column + j];
        if (is_for_definition(tile, i, j, sums))
          output = by_definition_(row + i, column + j);
        else
          to_accumulator(sums.bits[i][j], output);
      }
  }

  // Units that floor sums have rules of their own for what is special.
  bool is_for_definition(const Tile& tile, size_t i, size_t j, const TileSums& sums) const {
    if (fused_.job.sum_fraction == 0) return false;
    return (sums.bits[i][j] & ~kSign) > kInfinity || !a_specials_[tile.row + i].empty() ||
           !tile.panel.specials[j].empty();
  }

  // Adds the products first … last - 1 to sums: in intervals, each summed from +0, or in one chain.
  void run(const Tile& tile, size_t first, size_t last, size_t level, TileSums& sums) const {
    if (level == intervals_.size()) return chain(tile, first, last, sums);
    for (; first < last; first += intervals_[level]) {
      TileSums part;
      run(tile, first, std::min(first + intervals_[level], last), level + 1, part);
      add(tile, part, sums);
    }
  }

  void add(const Tile& tile, const TileSums& part, TileSums& sums) const {
    const bool is_half = fused_.job.result == FusedResult::Binary16;
    for (size_t i = 0; i < tile.rows; ++i)
      for (size_t j = 0; j < tile.columns; ++j) {
        const uint32_t sum = nearest_sum(sums.bits[i][j], part.bits[i][j]);
        sums.bits[i][j] = is_half ? nearest_half(double(std::bit_cast<float>(sum))) : sum;
      }
  }

  void chain(const Tile& tile, size_t first, size_t last, TileSums& sums) const {
    if (!tile.has_specials || fused_.job.sum_fraction > 0) return chain_of_finite(tile, first, last, sums);
    const TileSums before = sums;
    chain_of_finite(tile, first, last, sums);
    for (size_t i = 0; i < tile.rows; ++i)
      for (size_t j = 0; j < tile.columns; ++j) {
        const Chain its{tile, i, j, first, last, before.bits[i][j]};
        const double special =
            special_products(a_specials_[tile.row + i], its) + special_products(tile.panel.specials[j], its);
        if (special != 0) sums.bits[i][j] = with_special(its, sums.bits[i][j], special);
      }
  }

  // With zeros for what is not.
  void chain_of_finite(const Tile& tile, size_t first, size_t last, TileSums& sums) const {
    const size_t a = tile.row * depth_ + first, b = first * kPanelColumns;
    FusedTile operands{.a = &a_values_[a],
                       .a_exponents = &a_exponents_[a],
                       .a_stride = depth_,
                       .b = &tile.panel.values[b],
                       .b_exponents = &tile.panel.exponents[b]};
    if (fused_.job.is_scaled) {
      operands.a_scales = &a_scales_[tile.row * scales_ + first / fused_.scale.step];
      operands.a_scale_stride = scales_;
      operands.b_scales = &tile.panel.scales[first / fused_.scale.step];
    }
    if (fused_.job.sum_fraction > 0)
      HALFULP_DISPATCH(add_floored, fused_.job, operands, tile.rows, last - first, &sums.bits[0][0]);
    else if (fused_.job.group > 0)
      HALFULP_DISPATCH(add_groups, fused_.job, operands, tile.rows, last - first, &sums.bits[0][0]);
    else
      HALFULP_DISPATCH(add_products, fused_.job, operands, tile.rows, last - first, &sums.bits[0][0]);
  }

  // One output of a tile, the range of its products, and its addend.
  struct Chain {
    const Tile& tile;
    size_t row, column;
    size_t first, last;
    uint32_t c;
  };
  const float* a_of(const Chain& its) const { return &a_numbers_[(its.tile.row + its.row) * depth_]; }
  const float* b_of(const Chain& its) const { return &its.tile.panel.numbers[its.column * depth_]; }

  // The sum of those products at some places that are NaN or infinite; 0: there are none.
  double special_products(const std::vector<size_t>& places, const Chain& its) const {
    double sum = 0;
    for (auto k = std::ranges::lower_bound(places, its.first); k != places.end() && *k < its.last; ++k)
      sum += double(a_of(its)[*k]) * double(b_of(its)[*k]);
    return sum;
  }

  // What a chain becomes whose special products have that sum, not 0, and which without them becomes d.
  uint32_t with_special(const Chain& its, uint32_t d, double special) const {
    const double finite = std::bit_cast<float>(d), c = std::bit_cast<float>(its.c);
    const double sum = std::isfinite(finite) ? special : special + finite;
    const bool depends_on_order = std::isnan(sum) && std::isinf(special) && std::isinf(finite) && std::isfinite(c);
    if (!depends_on_order) return special_result(fused_.job, sum);
    // Infinities of both signs, one of them an overflow that was there before the other or never came to be.
    uint32_t exact = its.c;
    for (size_t k = its.first; k < its.last; k += fused_.job.block)
      exact = block_of_any(fused_, a_of(its) + k, b_of(its) + k, scale_exponent(its, k), exact);
    return exact;
  }

  int scale_exponent(const Chain& its, size_t k) const {
    if (!fused_.job.is_scaled) return 0;
    const size_t number = k / fused_.scale.step;
    return a_scales_[(its.tile.row + its.row) * scales_ + number].exponent +
           its.tile.panel.scales[number].exponents[its.column];
  }

  FusedUnit fused_;
  MatrixProduct<Code, Accumulator> in_;
  OutputByDefinition<Accumulator> by_definition_;
  size_t depth_, rows_, columns_;                  // depth: k in whole instructions
  size_t scale_codes_, scales_;                    // of a line: given, and as kernels take them
  std::vector<size_t> intervals_;                  // [products] outer ones first
  std::unique_ptr<float[]> a_numbers_, a_values_;  // (rows, depth), see Panel
  std::unique_ptr<uint32_t[]> a_exponents_;
  std::vector<RowScale> a_scales_;               // (rows, scales)
  std::vector<std::vector<size_t>> a_specials_;  // where NaNs and infinities stand, ascending
};

}  // namespace

template <class Code, class Accumulator>
void multiply_fused(const FusedUnit& unit, const MatrixProduct<Code, Accumulator>& in, const Accumulation& accumulation,
                    const OutputByDefinition<Accumulator>& by_definition, std::span<Accumulator> d, int threads) {
  FusedProduct(unit, in, accumulation, by_definition, threads).multiply(d, threads);
}

#define HALFULP_INSTANTIATE(Code, Accumulator)                                                                 \
  template void multiply_fused(const FusedUnit&, const MatrixProduct<Code, Accumulator>&, const Accumulation&, \
                               const OutputByDefinition<Accumulator>&, std::span<Accumulator>, int);
HALFULP_INSTANTIATE(uint8_t, uint16_t)
HALFULP_INSTANTIATE(uint8_t, uint32_t)
HALFULP_INSTANTIATE(uint16_t, uint16_t)
HALFULP_INSTANTIATE(uint16_t, uint32_t)
HALFULP_INSTANTIATE(uint32_t, uint16_t)
HALFULP_INSTANTIATE(uint32_t, uint32_t)
#undef HALFULP_INSTANTIATE

}  // namespace halfulp
