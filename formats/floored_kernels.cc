// Blocks of products that are cut below their own largest exponent, whose sum and c are then floored below the larger
// exponent of both, and that sum floored again before it is rounded to nearest (specification of matrix units, 2.7 and
// 2.8).
//
// What is floored are whole numbers in binary64. The control register rounds to nearest and keeps subnormals.
#include <cstddef>
#include <cstdint>

#include "formats/fused_terms.h"
#include "formats/matrix_multiply_kernels.h"
#include "formats/matrix_multiply_vector.h"
#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {
namespace {

constexpr int kMinExponent = -126, kNoExponent = -999;
constexpr int kLargeExponent = 126;  // of products that may be 2^128 and more
constexpr uint32_t kNan = 0x7fffffff;

// The whole number below x, or x, below 2^51.
HALFULP_INLINE F64 floored(F64 x) {
#if defined(__AVX512F__)
  return (F64)_mm512_maskz_roundscale_pd(0xff, (__m512d)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return (F64)_mm256_round_pd((__m256d)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#else
  const F64 near = (x + 0x1.8p52) - 0x1.8p52;
  return near > x ? near - 1 : near;
#endif
}

// The exponent of each lane; of zeros, one below all others.
HALFULP_INLINE I32Half exponents_of(F64 x) { return __builtin_convertvector((((I64)x >> 52) & 0x7ff) - 1023, I32Half); }

// Products of a block, in units of 2^(top - fraction).
struct BlockSum {
  I32 top, sum;
};

// x · 2^(from - to), floored.
HALFULP_INLINE I32 floored_to(const BlockSum& x, I32 top) { return x.sum >> min(top - x.top, splat(31)); }

// The sums of even and of odd products, or only of all.
template <Products kProducts, size_t kParts, size_t kCount>
HALFULP_INLINE void sum_blocks(const FusedJob& job, const Place& place, BlockSum (&sums)[kParts][kCount][2]) {
#pragma GCC unroll 2
  for (size_t part = 0; part < kParts; ++part) {
    const Place its = place.from(part);
    I16 top[kCount];
#pragma GCC unroll 4
    for (size_t row = 0; row < kCount; ++row) top[row] = splat16(kNoExponent);
    largest_exponents(its, job.block - part, top, kParts);
    Scales<kProducts, kCount> scales;
    I32 tops[kCount][2], terms[kCount][2];
#pragma GCC unroll 4
    for (size_t row = 0; row < kCount; ++row) {
      widen(top[row], tops[row]);
      scales.set(row, top[row], tops[row], job.fraction);
    }
    add_terms(its, job.block - part, scales, terms, kParts);
#pragma GCC unroll 4
    for (size_t row = 0; row < kCount; ++row)
#pragma GCC unroll 2
      for (size_t half = 0; half < 2; ++half) sums[part][row][half] = {tops[row][half], terms[row][half]};
  }
}

// One output per lane.
HALFULP_INLINE I32 block_result(const FusedJob& job, const BlockSum& products, I32 c, bool drops_small_c) {
  const Addend own = addend<FusedResult::Binary32>(c);
  const I32 top = max(products.top, own.exponent), lowest = top - (job.sum_fraction + 1);
  I32 significand = (own.significand ^ own.sign) - own.sign;
  if (drops_small_c) significand = select(own.exponent < products.top - (job.fraction + 1), splat(0), significand);
  F32Half results[2];
#pragma GCC unroll 2
  for (size_t part = 0; part < 2; ++part) {
    const F64 addend_units = floored(__builtin_convertvector(half_of<I32Half>(significand, part), F64) *
                                     power_of_two(own.exponent - top + (job.fraction - 23), part));
    const F64 product_units = floored(__builtin_convertvector(half_of<I32Half>(products.sum, part), F64) *
                                      power_of_two(products.top - top + (job.sum_fraction + 1 - job.fraction), part));
    const F64 to_lowest = power_of_two(splat(uint32_t(job.sum_fraction + 1 - job.fraction)), part);
    F64 sum = product_units + addend_units * to_lowest;
    const I32Half least = half_of<I32Half>(kMinExponent - lowest, part), exponent = exponents_of(sum);
    const I32Half dropped = (exponent > least ? exponent : least) - job.sum_fraction;
    const F64 unit = power_of_two(dropped > 0 ? dropped : I32Half{});
    sum = floored(sum / unit) * unit;
    results[part] = __builtin_convertvector(sum * power_of_two(lowest, part), F32Half);
  }
  const I32 is_special = (c & kInfinityBits) == splat(kInfinityBits);
  const I32 result = select(is_special, c, bits_of(joined(results[0], results[1])));
  return select(products.top >= splat(kLargeExponent), splat(kNan), result);
}

template <Products kProducts, size_t kParts, size_t kCount>
[[gnu::noinline]] void add_rows(const FusedJob& job, const FusedTile& tile, size_t row, size_t depth, uint32_t* c) {
  for (size_t column = 0; column < kPanelColumns; column += kWidth)
    for (size_t k = 0; k < depth; k += job.block) {
      const Place place = {tile.a + row * tile.a_stride, tile.a_exponents + row * tile.a_stride, tile.a_stride,
                           tile.b + column, tile.b_exponents + column};
      BlockSum sums[kParts][kCount][2];
      sum_blocks<kProducts>(job, place.from(k), sums);
#pragma GCC unroll 4
      for (size_t i = 0; i < kCount; ++i)
#pragma GCC unroll 2
        for (size_t half = 0; half < 2; ++half) {
          BlockSum all = sums[0][i][half];
          if constexpr (kParts == 2) {
            const BlockSum& odd = sums[1][i][half];
            const I32 top = max(all.top, odd.top);
            all = {top, floored_to(all, top) + floored_to(odd, top)};
          }
          uint32_t* const to = c + (row + i) * kPanelColumns + column + half * kLanes;
          store(to, block_result(job, all, load<I32>(to), kParts == 2));
        }
    }
}

template <Products kProducts, size_t kParts>
void add_all_rows(const FusedJob& job, const FusedTile& tile, size_t rows, size_t depth, uint32_t* c) {
  size_t row = 0;
  for (; row + kRows <= rows; row += kRows) add_rows<kProducts, kParts, kRows>(job, tile, row, depth, c);
  for (; row < rows; ++row) add_rows<kProducts, kParts, 1>(job, tile, row, depth, c);
}

}  // namespace

void add_floored(const FusedJob& job, const FusedTile& tile, size_t rows, size_t depth, uint32_t* c) {
  const FloatControl control;
  if (job.splits_sum) return add_all_rows<Products::Plain, 2>(job, tile, rows, depth, c);
  if (job.has_wide_exponents) return add_all_rows<Products::Wide, 1>(job, tile, rows, depth, c);
  add_all_rows<Products::Plain, 1>(job, tile, rows, depth, c);
}

}  // namespace halfulp::HALFULP_ISA
