#include "formats/block_run.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>
#include <numeric>
#include <vector>

#include "formats/cast.h"
#include "formats/parts.h"

namespace halfulp {
namespace {

constexpr int kBinary32Bias = 127;
constexpr size_t kTile = 2048;    // numbers that pass through buffers at once
constexpr size_t kPiece = 16384;  // numbers a kernel gets at once where there are no buffers
constexpr size_t kOddWords = kPiece / kBlockStep / 64;
constexpr uint32_t kIndexEnd = 1 << 21;  // above the indices that the additions count

// The shifts of the element's exponents that leave binary32 room for the additions that round.
struct ShiftRange {
  int min, max;
};
ShiftRange shifts(const Encoder& e, Rounding rounding) {
  const int highest = std::max(int(std::max(e.limit[0], e.limit[1]) >> 23), e.min_field);
  const int lowest = is_stochastic(rounding) ? 35 : 2;  // what lies below a step takes part
  return {lowest + e.mantissa_bits - e.min_field, 231 + e.mantissa_bits - highest};
}

size_t packed_bytes(const BlockTarget& target, size_t count) { return target.packs_nibbles ? (count + 1) / 2 : count; }

// The shortest run of whole blocks and whole transforms.
size_t whole_unit(size_t block, const Hadamard* transform) {
  return transform == nullptr ? block : std::lcm(block, size_t(transform->size()));
}

size_t divide_up(size_t count, size_t size) { return (count + size - 1) / size; }

// The largest magnitudes of the blocks in a row's `x`, which begins with one.
void row_maxima(const Hadamard* transform, std::span<const float> x, size_t block, uint32_t* amax) {
  alignas(64) float tile[kTile];
  const size_t unit = whole_unit(block, transform);
  const size_t step = transform == nullptr ? x.size() : kTile / unit * unit;  // NOLINT(*DivideZero): no unit is empty
  for (size_t at = 0; at < x.size(); at += step) {
    std::span<const float> part = x.subspan(at, std::min(step, x.size() - at));
    if (transform != nullptr) {
      transform->apply(part, std::span(tile).first(part.size()));
      part = std::span(tile).first(part.size());
    }
    const size_t whole = part.size() / block, rest = part.size() % block;
    HALFULP_DISPATCH(block_maxima, part.data(), block, whole, amax);
    amax += whole;
    if (rest > 0) *amax++ = HALFULP_DISPATCH(largest_magnitude, part.data() + whole * block, rest);
  }
}

// A piece of whole blocks of one row, its first number with index `first`.
class Piece {
 public:
  Piece(const BlockPlan& plan, const Hadamard* transform, const OneBlock& one_block)
      : plan_(plan), transform_(transform), one_block_(one_block) {}

  // As many numbers as make whole blocks and transforms and fit the buffers at hand.
  size_t largest_size(const BlockTarget& target) const {
    const size_t unit = whole_unit(plan_.block, transform_);
    return (transform_ != nullptr || target.packs_nibbles ? kTile : kPiece) / unit * unit;
  }

  // `amax` is that of the piece's blocks (null: not known).
  void quantize(std::span<const float> x, size_t first, const uint32_t* amax, const BlockTarget& target) {
    const float* in = transformed(x);
    const size_t whole = x.size() / plan_.block, size = plan_.block;
    uint64_t odd[kOddWords];
    uint8_t* const codes = target.packs_nibbles ? codes_ : target.codes;
    if (target.values != nullptr)
      HALFULP_DISPATCH(quantize_blocks, plan_, uint32_t(first), in, amax, target.values, whole, odd);
    else
      HALFULP_DISPATCH(encode_blocks, plan_, uint32_t(first), in, amax, codes, target.scales, whole, odd);

    const auto by_itself = [&](size_t block, size_t count) {
      const size_t at = block * size;
      const uint32_t largest = amax != nullptr ? amax[block] : HALFULP_DISPATCH(largest_magnitude, in + at, count);
      if (target.values != nullptr)
        one_block_({in + at, count}, first + at, largest, target.values + at, nullptr, nullptr);
      else
        one_block_({in + at, count}, first + at, largest, nullptr, codes + at,
                   target.scales == nullptr ? nullptr : target.scales + block);
    };
    for (size_t word = 0; word * 64 < whole; ++word)
      for (uint64_t rest = odd[word]; rest != 0; rest &= rest - 1)
        by_itself(word * 64 + size_t(std::countr_zero(rest)), size);
    if (x.size() % size != 0) by_itself(whole, x.size() % size);

    if (!target.packs_nibbles) return;
    codes_[x.size()] = 0;
    HALFULP_DISPATCH(pack_nibbles, codes_, target.codes, (x.size() + 1) / 2 * 2);
  }

 private:
  const float* transformed(std::span<const float> x) {
    if (transform_ == nullptr) return x.data();
    transform_->apply(x, std::span(tile_).first(x.size()));
    return tile_;
  }

  alignas(64) float tile_[kTile];
  alignas(64) uint8_t codes_[kTile + 1];
  const BlockPlan& plan_;
  const Hadamard* transform_;
  const OneBlock& one_block_;
};

}  // namespace

bool kernels_know(const Encoder* encoder, Rounding rounding, int block_cols, size_t numbers) {
  // Random bits are numbered by 32 bits, and a run of them does not start again at 0.
  const bool counts = !is_stochastic(rounding) || numbers <= size_t{1} << 32;
  const size_t longest = is_stochastic(rounding) ? kLongestRandomBlock : kTile;
  // SSE2 cannot round to whole numbers, which the mode C takes.
  const bool rounds = rounding != Rounding::StochasticC || active_isa() != Isa::Portable;
  return encoder != nullptr && encoder->mantissa_bits >= 1 && encoder->max_index[0] < kIndexEnd &&
         encoder->max_index[1] < kIndexEnd && rounds && counts && block_cols > 0 &&
         size_t(block_cols) % kBlockStep == 0 && size_t(block_cols) <= longest;
}

bool kernels_know_quotients(const Format& element, const Encoder& encoder, Rounding rounding, const Format& scale,
                            const Encoder& scale_encoder) {
  const auto is_known = [](const Encoder& e, Rounding its_rounding) {
    const ShiftRange range = shifts(e, its_rounding);
    return e.mantissa_bits >= 1 && e.max_index[0] < kIndexEnd && range.min <= 0 && range.max >= 0;
  };
  // Wide elements would often lie near a boundary; products with scales are exact.
  return is_known(encoder, rounding) && is_known(scale_encoder, Rounding::TiesToEven) && element.precision() <= 8 &&
         element.precision() + scale.precision() <= std::numeric_limits<float>::digits &&
         min_positive(element) * min_positive(scale) >= double(std::numeric_limits<float>::denorm_min()) &&
         max_finite(element) * max_finite(scale) <= double(std::numeric_limits<float>::max());
}

PowerScales power_scales(const Format& element, const Encoder& encoder, Rounding rounding, const Format& scale,
                         uint32_t carry, uint32_t zero_code) {
  const ShiftRange range = shifts(encoder, rounding);
  const int min_shift = std::max(range.min, scale.min_exponent());
  const int max_shift = std::min(range.max, max_exponent(scale));
  const int to_shift = -kBinary32Bias - max_exponent(element);
  return {.carry = carry,
          .min_field = std::max(min_shift - to_shift, 2),
          .max_field = std::min(max_shift - to_shift, 254),
          .grid_shift = to_shift,
          .code_shift = to_shift + scale.bias,
          .zero_code = uint8_t(zero_code)};
}

bool fits_pieces(size_t block, const Hadamard& transform) { return whole_unit(block, &transform) <= kTile; }

std::vector<uint32_t> maxima_of_blocks(const Hadamard* transform, std::span<const float> x, size_t rows, size_t cols,
                                       size_t block_rows, size_t block, int threads) {
  assert(x.size() == rows * cols && (transform == nullptr || cols % size_t(transform->size()) == 0));
  const size_t per_row = divide_up(cols, block);
  std::vector<uint32_t> maxima(divide_up(rows, block_rows) * per_row);
  if (x.empty()) return maxima;
  // Rows of whole blocks are one row.
  if (block_rows == 1 && cols % block == 0) {
    in_parts(
        x.size(), threads,
        [&](size_t first, size_t size) {
          row_maxima(transform, x.subspan(first, size), block, maxima.data() + first / block);
        },
        whole_unit(block, transform));
    return maxima;
  }
  in_parts(
      x.size(), threads,
      [&](size_t first, size_t size) {
        std::vector<uint32_t> of_row(per_row);
        for (size_t row = first / cols; row < (first + size) / cols; ++row) {
          row_maxima(transform, x.subspan(row * cols, cols), block, of_row.data());
          uint32_t* const all = maxima.data() + row / block_rows * per_row;
          for (size_t i = 0; i < per_row; ++i) all[i] = std::max(all[i], of_row[i]);
        }
      },
      block_rows * cols);
  return maxima;
}

void run_blocks(const BlockPlan& plan, const Hadamard* transform, std::span<const float> x, size_t rows, size_t cols,
                std::span<const uint32_t> amax, const BlockTarget& target, const OneBlock& one_block, int threads) {
  assert(x.size() == rows * cols && (transform == nullptr || cols % size_t(transform->size()) == 0));
  assert(!amax.empty() || x.empty() || plan.block_rows == 1);
  if (x.empty()) return;
  // Rows of whole blocks are one row.
  if (plan.block_rows == 1 && cols % plan.block == 0) {
    cols *= rows;
    rows = 1;
  }
  const size_t blocks_per_row = divide_up(cols, plan.block);
  const auto run_row = [&](size_t row, size_t first, size_t size) {
    Piece piece(plan, transform, one_block);
    const size_t step = piece.largest_size(target);
    for (size_t col = first; col < first + size; col += step) {
      const size_t at = row * cols + col, count = std::min(step, first + size - col);
      const size_t block = row / plan.block_rows * blocks_per_row + col / plan.block;
      BlockTarget part = target;
      if (target.values != nullptr) part.values += at;
      if (target.codes != nullptr) part.codes += row * packed_bytes(target, cols) + packed_bytes(target, col);
      if (target.scales != nullptr) part.scales = row % plan.block_rows == 0 ? target.scales + block : nullptr;
      piece.quantize(x.subspan(at, count), at, amax.empty() ? nullptr : amax.data() + block, part);
    }
  };
  // One long row is cut at blocks, many rows between them.
  if (rows == 1)
    return in_parts(
        cols, threads, [&](size_t first, size_t size) { run_row(0, first, size); }, whole_unit(plan.block, transform));
  in_parts(
      x.size(), threads,
      [&](size_t first, size_t size) {
        for (size_t row = first / cols; row < (first + size) / cols; ++row) run_row(row, 0, cols);
      },
      cols);
}

void unpack_blocks(const Format& element, bool packs_nibbles, std::span<const uint8_t> codes,
                   std::span<const float> scales, size_t block_rows, size_t block, std::span<float> values, size_t rows,
                   size_t cols) {
  const size_t scales_per_row = (cols + block - 1) / block, row_bytes = packs_nibbles ? (cols + 1) / 2 : cols;
  float numbers[16];
  if (packs_nibbles)
    for (uint32_t code = 0; code < 16; ++code) numbers[code] = float(decode(element, code));
  for (size_t row = 0; row < rows; ++row) {
    const std::span<const uint8_t> from = codes.subspan(row * row_bytes, row_bytes);
    const std::span<float> to = values.subspan(row * cols, cols);
    const float* const its_scales = scales.data() + row / block_rows * scales_per_row;
    if (packs_nibbles) {
      HALFULP_DISPATCH(unpack_nibble_blocks, numbers, from.data(), its_scales, block, to.data(), cols);
      continue;
    }
    decode(element, from, to);
    HALFULP_DISPATCH(multiply_blocks, to.data(), its_scales, block, cols);
  }
}

}  // namespace halfulp
