// Blocks of products and c, all of them cut below the largest exponent among them and added exactly (specification of
// matrix units, 2.2 and 2.3).
#include "formats/matrix_multiply_kernels.h"

#include <cstddef>
#include <cstdint>

#include "formats/fused_terms.h"
#include "formats/matrix_multiply_vector.h"
#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {
namespace {

// ---- the addend ----

// In units of 2^(top - fraction), cut toward zero.
HALFULP_INLINE I32 aligned(const Addend& c, I32 top, int fraction) {
  constexpr int kMost = FusedJob::kMostFraction;
  const I32 magnitude = shifted(c.significand << (kMost - 23), top - c.exponent + (kMost - fraction));
  return (magnitude ^ c.sign) - c.sign;
}

// ---- sums ----

// A sum of whole numbers of 32 bits that may need more.
struct WideSum {
  I32 low = {};                  // modulo 2^32
  I32 quarters = {}, rest = {};  // the sum is 4 · quarters + rest

  HALFULP_INLINE void add(I32 x) {
    low += x;
    quarters += x >> 2;
    rest += x & 3;
  }
  // The sum in units of 2^power; what does not fit is a quarter of it, rounded to odd, since further rounding is to
  // fewer bits.
  HALFULP_INLINE I32 folded(I32& power) const {
    const I32 whole = quarters + (rest >> 2);
    const I32 fits = is_below((U32)(whole + (1 << 28)), (U32)splat(1u << 29));
    if (!any(~fits)) return low;
    power = select(fits, power, power + 2);
    return select(fits, low, whole | (((rest & 3) != 0) & 1));
  }
};

// ---- blocks ----

// Where the scales of a block stand.
struct ScalePlace {
  const RowScale* a;
  size_t a_stride;
  const int32_t* b_exponents;

  HALFULP_INLINE I16 exponent(size_t row) const {
    const I32 a_exponent = splat(uint32_t(a[row * a_stride].exponent));
    const I32 sum[2] = {load<I32>(b_exponents) + a_exponent, load<I32>(b_exponents + kLanes) + a_exponent};
    return narrowed(sum);
  }
};

// One block of kCount rows and kWidth columns; c has a stride of kPanelColumns.
template <Products kProducts, FusedResult kResult, size_t kCount>
HALFULP_INLINE void add_block(const FusedJob& job, const Place& place, const ScalePlace& scale_place, bool is_wide,
                              uint32_t* c) {
  constexpr bool kScaled = kProducts == Products::Scaled;
  I16 top[kCount], scale_exponent[kCount];
#pragma GCC unroll 4
  for (size_t row = 0; row < kCount; ++row) top[row] = splat16(kScaled ? 2 * kZeroExponent : job.zero_exponent);
  largest_exponents(place, job.block, top);

  Scales<kProducts, kCount> scales;
  I32 tops[kCount][2], terms[kCount][2];
#pragma GCC unroll 4
  for (size_t row = 0; row < kCount; ++row) {
    const uint32_t* const from = c + row * kPanelColumns;
    const Addend part[2] = {addend<kResult>(load<I32>(from)), addend<kResult>(load<I32>(from + kLanes))};
    const I32 own[2] = {part[0].top, part[1].top};
    if constexpr (kScaled) {
      scale_exponent[row] = scale_place.exponent(row);
      top[row] = larger(top[row] + scale_exponent[row], splat16(job.zero_exponent));
    }
    top[row] = larger(top[row], narrowed(own));
    widen(top[row], tops[row]);
    if constexpr (kScaled) {
      I32 relative[2];
      widen(top[row] - scale_exponent[row], relative);
      scales.set(row, top[row], relative, job.fraction);
    } else {
      scales.set(row, top[row], tops[row], job.fraction);
    }
    terms[row][0] = aligned(part[0], tops[row][0], job.fraction);
    terms[row][1] = aligned(part[1], tops[row][1], job.fraction);
  }

  const auto finish = [&](size_t row, size_t half, I32 sum, I32 power) __attribute__((always_inline)) {
    uint32_t* const to = c + row * kPanelColumns + half * kLanes;
    store(to, result<kResult>(job.keeps_underflow, sum, power, load<I32>(to)));
  };
  I32 sum[kCount][2];
  if (!is_wide) {
    add_terms(place, job.block, scales, sum);
#pragma GCC unroll 4
    for (size_t row = 0; row < kCount; ++row)
#pragma GCC unroll 2
      for (size_t half = 0; half < 2; ++half)
        finish(row, half, sum[row][half] + terms[row][half], tops[row][half] - job.fraction);
    return;
  }
  WideSum all[kCount][2];
#pragma GCC unroll 4
  for (size_t row = 0; row < kCount; ++row)
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; ++half) all[row][half].add(terms[row][half]);
  const size_t chunk = job.chunk();
  for (size_t first = 0; first < job.block; first += chunk) {
    add_terms(place.from(first), job.block - first < chunk ? job.block - first : chunk, scales, sum);
#pragma GCC unroll 4
    for (size_t row = 0; row < kCount; ++row)
#pragma GCC unroll 2
      for (size_t half = 0; half < 2; ++half) all[row][half].add(sum[row][half]);
  }
#pragma GCC unroll 4
  for (size_t row = 0; row < kCount; ++row)
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; ++half) {
      I32 power = tops[row][half] - job.fraction;
      const I32 folded = all[row][half].folded(power);
      finish(row, half, folded, power);
    }
}

// ---- rows and panels ----

template <Products kProducts, FusedResult kResult, size_t kCount>
[[gnu::noinline]] void add_rows(const FusedJob& job, const FusedTile& tile, size_t row, size_t depth, uint32_t* c) {
  const bool is_wide = job.is_wide();
  for (size_t column = 0; column < kPanelColumns; column += kWidth)
    for (size_t block = 0; block * job.block < depth; ++block) {
      const Place place = {tile.a + row * tile.a_stride, tile.a_exponents + row * tile.a_stride, tile.a_stride,
                           tile.b + column, tile.b_exponents + column};
      ScalePlace scales = {};
      if constexpr (kProducts == Products::Scaled)
        scales = {tile.a_scales + row * tile.a_scale_stride + block, tile.a_scale_stride,
                  tile.b_scales[block].exponents + column};
      add_block<kProducts, kResult, kCount>(job, place.from(block * job.block), scales, is_wide,
                                            c + row * kPanelColumns + column);
    }
}

template <Products kProducts, FusedResult kResult>
void add_all_rows(const FusedJob& job, const FusedTile& tile, size_t rows, size_t depth, uint32_t* c) {
  size_t row = 0;
  for (; row + kRows <= rows; row += kRows) add_rows<kProducts, kResult, kRows>(job, tile, row, depth, c);
  for (; row < rows; ++row) add_rows<kProducts, kResult, 1>(job, tile, row, depth, c);
}

template <Products kProducts>
void add_all_rows(const FusedJob& job, const FusedTile& tile, size_t rows, size_t depth, uint32_t* c) {
  switch (job.result) {
    case FusedResult::Binary32: return add_all_rows<kProducts, FusedResult::Binary32>(job, tile, rows, depth, c);
    case FusedResult::E8M13: return add_all_rows<kProducts, FusedResult::E8M13>(job, tile, rows, depth, c);
    case FusedResult::Binary16: return add_all_rows<kProducts, FusedResult::Binary16>(job, tile, rows, depth, c);
  }
}

// Of one number; false where it is not finite.
HALFULP_INLINE bool take_one_apart(uint32_t bits, int min_exponent, int16_t& exponent, float& significand) {
  const uint32_t magnitude = bits & kMagnitudeBits, field = magnitude >> 23;
  const int own = int(field) - 127, floored = own > min_exponent ? own : min_exponent;
  exponent = int16_t(magnitude == 0 ? kZeroExponent : floored);
  const uint32_t subnormal = bits_of(float(int(magnitude)) * 0x1p-23f), normal = (magnitude & 0x7fffff) | 0x3f800000;
  significand = float_of((field == 0 ? subnormal : normal) | (bits & kSignBit));
  return field != 255;
}

}  // namespace

void add_products(const FusedJob& job, const FusedTile& tile, size_t rows, size_t depth, uint32_t* c) {
  const FloatControl control(kUnitControl);
  if (job.is_scaled) return add_all_rows<Products::Scaled>(job, tile, rows, depth, c);
  if (job.has_wide_exponents) return add_all_rows<Products::Wide>(job, tile, rows, depth, c);
  return add_all_rows<Products::Plain>(job, tile, rows, depth, c);
}

bool take_apart(const float* x, size_t count, int min_exponent, int16_t* exponents, float* significands) {
  int finite = 1;
  for (size_t i = 0; i < count; ++i)
    finite &= take_one_apart(bits_of(x[i]), min_exponent, exponents[i], significands[i]);
  return finite != 0;
}

size_t exponent_place(size_t column) {
  const size_t half = column % kWidth / kLanes, lane = column % kLanes;
  return column / kWidth * kWidth + lane / 4 * 8 + half * 4 + lane % 4;
}

}  // namespace halfulp::HALFULP_ISA
