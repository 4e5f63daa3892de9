// Blocks of groups: the products of a group are added exactly, scaled exactly, and cut below the largest exponent among
// those of the scales and of c (specification of matrix units, 2.4).
//
// Every lane is one output. The sum of a group and that times the scales' significands are exact in binary32; what is
// cut, and the sum of all that, are whole numbers in binary64.
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "formats/matrix_multiply_kernels.h"
#include "formats/matrix_multiply_vector.h"
#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {
namespace {

// Some rows, and a panel's columns from one on, both from the first product of a block on.
struct Place {
  const float* a;
  size_t a_stride;
  const float* b;  // kPanelColumns for each k
  const RowScale* a_scales;
  size_t a_scale_stride;
  const PanelScale* b_scales;
  size_t column;

  HALFULP_INLINE const RowScale& a_scale(size_t row, size_t group) const {
    return a_scales[row * a_scale_stride + group];
  }
  // What a group lets the largest exponent be: nothing where all its products, or the scale, are zeros.
  HALFULP_INLINE I32 exponent(size_t row, size_t half, size_t group) const {
    const RowScale& row_scale = a_scale(row, group);
    const PanelScale& scales = b_scales[group];
    const size_t first = column + half * kLanes;
    const I32 all_zeros = (load<I32>(scales.nonzero + first) & splat(row_scale.nonzero)) == 0;
    const I32 sum = load<I32>(scales.exponents + first) + splat(uint32_t(row_scale.exponent));
    return select(all_zeros, splat(uint32_t(kZeroExponent)), sum);
  }
  HALFULP_INLINE F32 significand(size_t row, size_t half, size_t group) const {
    return load<F32>(b_scales[group].significands + column + half * kLanes) * a_scale(row, group).significand;
  }
};

template <size_t kCount>
HALFULP_INLINE void sum_products(const Place& place, size_t first, size_t count, F32 (&sum)[kCount][2]) {
#pragma GCC unroll 4
  for (size_t row = 0; row < kCount; ++row) sum[row][0] = sum[row][1] = F32{};
  for (size_t k = first; k < first + count; ++k) {
    const float* const from = place.b + k * kPanelColumns + place.column;
    const F32 b[2] = {load<F32>(from), load<F32>(from + kLanes)};
#pragma GCC unroll 4
    for (size_t row = 0; row < kCount; ++row) {
      const F32 a = F32{} + place.a[row * place.a_stride + k];
      sum[row][0] += a * b[0];
      sum[row][1] += a * b[1];
    }
  }
}

// x · 2^exponent, cut to whole numbers, in two halves.
template <class Vector32>
HALFULP_INLINE void add_units(Vector32 x, I32 exponent, F64 (&sum)[2]) {
  using Half = std::conditional_t<std::is_same_v<Vector32, I32>, I32Half, F32Half>;
#pragma GCC unroll 2
  for (size_t part = 0; part < 2; ++part)
    sum[part] += truncated(__builtin_convertvector(half_of<Half>(x, part), F64) * power_of_two(exponent, part));
}

// One block of kCount rows and kWidth columns; c has a stride of kPanelColumns.
template <FusedResult kResult, size_t kCount>
HALFULP_INLINE void add_block(const FusedJob& job, const Place& place, uint32_t* c) {
  const size_t groups = job.block / job.group;
  I32 to_units[kCount][2];
  F64 sum[kCount][2][2] = {};
#pragma GCC unroll 4
  for (size_t row = 0; row < kCount; ++row)
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; ++half) {
      const Addend own = addend<kResult>(load<I32>(c + row * kPanelColumns + half * kLanes));
      I32 top = max(own.top, splat(uint32_t(job.zero_exponent)));
      for (size_t group = 0; group < groups; ++group) top = max(top, place.exponent(row, half, group));
      to_units[row][half] = job.fraction - top;
      add_units((own.significand ^ own.sign) - own.sign, own.exponent - 23 + to_units[row][half], sum[row][half]);
    }
  for (size_t group = 0; group < groups; ++group) {
    F32 products[kCount][2];
    sum_products(place, group * job.group, job.group, products);
#pragma GCC unroll 4
    for (size_t row = 0; row < kCount; ++row)
#pragma GCC unroll 2
      for (size_t half = 0; half < 2; ++half)
        add_units(products[row][half] * place.significand(row, half, group),
                  place.exponent(row, half, group) + to_units[row][half], sum[row][half]);
  }
#pragma GCC unroll 4
  for (size_t row = 0; row < kCount; ++row)
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; ++half) {
      uint32_t* const to = c + row * kPanelColumns + half * kLanes;
      const F32 converted = joined(__builtin_convertvector(sum[row][half][0], F32Half),  // toward zero
                                   __builtin_convertvector(sum[row][half][1], F32Half));
      store(to, scaled_result<kResult>(job.keeps_underflow, bits_of(converted), -to_units[row][half], load<I32>(to)));
    }
}

template <FusedResult kResult, size_t kCount>
[[gnu::noinline]] void add_rows(const FusedJob& job, const FusedTile& tile, size_t row, size_t depth, uint32_t* c) {
  for (size_t column = 0; column < kPanelColumns; column += kWidth)
    for (size_t k = 0; k < depth; k += job.block) {
      const size_t group = k / job.group;
      const Place place = {tile.a + row * tile.a_stride + k,
                           tile.a_stride,
                           tile.b + k * kPanelColumns,
                           tile.a_scales + row * tile.a_scale_stride + group,
                           tile.a_scale_stride,
                           tile.b_scales + group,
                           column};
      add_block<kResult, kCount>(job, place, c + row * kPanelColumns + column);
    }
}

template <FusedResult kResult>
void add_all_rows(const FusedJob& job, const FusedTile& tile, size_t rows, size_t depth, uint32_t* c) {
  size_t row = 0;
  for (; row + kRows <= rows; row += kRows) add_rows<kResult, kRows>(job, tile, row, depth, c);
  for (; row < rows; ++row) add_rows<kResult, 1>(job, tile, row, depth, c);
}

}  // namespace

void add_groups(const FusedJob& job, const FusedTile& tile, size_t rows, size_t depth, uint32_t* c) {
  const FloatControl control(kUnitControl);
  if (job.result == FusedResult::E8M13) return add_all_rows<FusedResult::E8M13>(job, tile, rows, depth, c);
  add_all_rows<FusedResult::Binary32>(job, tile, rows, depth, c);
}

}  // namespace halfulp::HALFULP_ISA
