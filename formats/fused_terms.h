// The products of a block, cut below an exponent: what kernels of units that cut terms share.
//
// Internal to kernel files, as formats/vector.h is. Every lane is one output; a block takes two passes over its
// products: the largest exponent, in lanes of 16 bits; then (a · b) · 2^(fraction - largest), where a · b is exact in
// binary32, the factor a power of two, and the conversion to a whole number the very truncation that the hardware does.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/matrix_multiply_kernels.h"
#include "formats/matrix_multiply_vector.h"
#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {

// ---- lanes of 16 bits; lower and upper halves are those of each 128 bits ----

HALFULP_INLINE I16 larger(I16 a, I16 b) {
#if defined(__AVX512F__)
  return (I16)_mm512_max_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (I16)_mm256_max_epi16((__m256i)a, (__m256i)b);
#else
  return (I16)_mm_max_epi16((__m128i)a, (__m128i)b);
#endif
}
HALFULP_INLINE I32 lower(I16 a, I16 b) {
#if defined(__AVX512F__)
  return (I32)_mm512_unpacklo_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (I32)_mm256_unpacklo_epi16((__m256i)a, (__m256i)b);
#else
  return (I32)_mm_unpacklo_epi16((__m128i)a, (__m128i)b);
#endif
}
HALFULP_INLINE I32 upper(I16 a, I16 b) {
#if defined(__AVX512F__)
  return (I32)_mm512_unpackhi_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (I32)_mm256_unpackhi_epi16((__m256i)a, (__m256i)b);
#else
  return (I32)_mm_unpackhi_epi16((__m128i)a, (__m128i)b);
#endif
}
/// Undoes lower and upper, for lanes that fit.
HALFULP_INLINE I16 narrowed(const I32 (&x)[2]) { return (I16)packs::pack_sign_words(x[0], x[1]); }
HALFULP_INLINE void widen(I16 x, I32 (&wide)[2]) {
  wide[0] = lower(x, x) >> 16;
  wide[1] = upper(x, x) >> 16;
}
HALFULP_INLINE I16 splat16(int x) { return I16{} + int16_t(x); }

// ---- products ----

/// Where the products of some rows and columns stand, from their first k on.
struct Place {
  const float* a;
  const uint32_t* a_exponents;
  size_t a_stride;
  const float* b;
  const int16_t* b_exponents;

  HALFULP_INLINE I16 a_exponent(size_t row, size_t k) const { return (I16)splat(a_exponents[row * a_stride + k]); }
  HALFULP_INLINE I16 b_exponent(size_t k) const { return load<I16>(b_exponents + k * kPanelColumns); }
  HALFULP_INLINE F32 a_number(size_t row, size_t k) const { return F32{} + a[row * a_stride + k]; }
  HALFULP_INLINE F32 b_number(size_t k, size_t half) const { return load<F32>(b + k * kPanelColumns + half * kLanes); }
  HALFULP_INLINE Place from(size_t k) const {
    return {a + k, a_exponents + k, a_stride, b + k * kPanelColumns, b_exponents + k * kPanelColumns};
  }
};

/// Of products 0, step, … below count.
template <size_t kCount>
HALFULP_INLINE void largest_exponents(const Place& place, size_t count, I16 (&top)[kCount], size_t step = 1) {
  for (size_t k = 0; k < count; k += step) {
    const I16 b = place.b_exponent(k);
#pragma GCC unroll 4
    for (size_t row = 0; row < kCount; ++row) top[row] = larger(top[row], place.a_exponent(row, k) + b);
  }
}

/// What products are before they are terms.
enum class Products {
  Plain,   // products of numbers
  Wide,    // of significands, with exponents apart
  Scaled,  // of numbers, times a power of two
};

/// Factors that bring products into units of 2^(top - fraction).
template <Products kProducts, size_t kCount>
struct Scales;

/// One per output. No product is zero where the factor would leave binary32, and none but those of huge c is inexact.
template <Products kProducts, size_t kCount>
struct Scales {
  F32 factor[kCount][2];

  HALFULP_INLINE void set(size_t row, I16, const I32 (&top)[2], int fraction) {
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; ++half)
      factor[row][half] = float_of(min(max(fraction + 127 - top[half], splat(1)), splat(254)) << 23);
  }
  HALFULP_INLINE void of(const Place&, size_t row, size_t, F32 (&result)[2]) const {
    result[0] = factor[row][0];
    result[1] = factor[row][1];
  }
};

/// One per product, of the significands' exponents too: too small ones are zero.
template <size_t kCount>
struct Scales<Products::Wide, kCount> {
  I16 field[kCount];

  HALFULP_INLINE void set(size_t row, I16 top, const I32 (&)[2], int fraction) {
    field[row] = splat16(fraction + 127) - top;
  }
  HALFULP_INLINE void of(const Place& place, size_t row, size_t k, F32 (&result)[2]) const {
    const I16 bits = larger(field[row] + place.a_exponent(row, k) + place.b_exponent(k), I16{}) << 7;
    result[0] = float_of(lower(I16{}, bits));
    result[1] = float_of(upper(I16{}, bits));
  }
};

/// Sums of the same products, each cut to a whole number.
template <Products kProducts, size_t kCount>
HALFULP_INLINE void add_terms(const Place& place, size_t count, const Scales<kProducts, kCount>& scales,
                              I32 (&sum)[kCount][2], size_t step = 1) {
#pragma GCC unroll 4
  for (size_t row = 0; row < kCount; ++row) sum[row][0] = sum[row][1] = I32{};
  for (size_t k = 0; k < count; k += step) {
    const F32 b[2] = {place.b_number(k, 0), place.b_number(k, 1)};
#pragma GCC unroll 4
    for (size_t row = 0; row < kCount; ++row) {
      const F32 a = place.a_number(row, k);
      F32 scale[2];
      scales.of(place, row, k, scale);
      sum[row][0] += truncated(b[0] * a * scale[0]);
      sum[row][1] += truncated(b[1] * a * scale[1]);
    }
  }
}

}  // namespace halfulp::HALFULP_ISA
