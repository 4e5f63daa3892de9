// Addends and results of matrix units on vectors: what the kernels of formats/matrix_multiply_kernels.h share.
//
// Internal to kernel files, as formats/vector.h is.
//
// The control register has subnormals flushed: whatever is that small is cut to zero anyway. Results are put together
// from integers, so that their subnormals do not depend on it. Its direction is toward zero, for the conversion of
// sums.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/matrix_multiply_kernels.h"
#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {

inline constexpr uint32_t kUnitControl =
    _MM_ROUND_TOWARD_ZERO | _MM_FLUSH_ZERO_ON | 0x0040;  // and subnormals are zeros
inline constexpr size_t kWidth = 2 * kLanes;             // columns at a time: a vector of exponents, two of numbers
#if defined(__AVX512F__)
inline constexpr size_t kRows = 4;  // of A at a time
#else
inline constexpr size_t kRows = 2;
#endif

HALFULP_INLINE bool any(I32 mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return _mm256_testz_si256((__m256i)mask, (__m256i)mask) == 0;
#else
  return _mm_movemask_epi8((__m128i)mask) != 0;
#endif
}

HALFULP_INLINE I32 truncated(F32 x) { return __builtin_convertvector(x, I32); }
HALFULP_INLINE I32 is_below(U32 a, U32 b) { return (I32)(a < b); }
/// x >> count for non-negative lanes; counts beyond 31, negative ones too, give 0 where x has no more than 31 bits.
HALFULP_INLINE I32 shifted(I32 x, I32 count) {
  return (I32)((U32)x >> (U32)select(is_below((U32)count, (U32)splat(31)), count, splat(31)));
}

// ---- lanes of 64 bits ----

/// Lanes of 64 bits, and as many of 32.
using F64 [[gnu::vector_size(kVectorBytes)]] = double;
using I64 [[gnu::vector_size(kVectorBytes)]] = int64_t;
using F32Half [[gnu::vector_size(kVectorBytes / 2)]] = float;
using I32Half [[gnu::vector_size(kVectorBytes / 2)]] = int32_t;

template <class Half, class Whole>
HALFULP_INLINE Half half_of(Whole x, size_t which) {
  Half half[2];
  __builtin_memcpy(half, &x, sizeof x);
  return half[which];
}
HALFULP_INLINE F32 joined(F32Half low, F32Half high) {
  const F32Half both[2] = {low, high};
  return load<F32>(both);
}

/// 2^exponent of normal numbers; where that would be too small, of the smallest.
HALFULP_INLINE F64 power_of_two(I32Half exponent) {
  constexpr int kBias = 1023, kMinExponent = -1022, kMantissaBits = 52;
  const I32Half least = I32Half{} + kMinExponent, field = (exponent > least ? exponent : least) + kBias;
  return (F64)(__builtin_convertvector(field, I64) << kMantissaBits);
}
HALFULP_INLINE F64 power_of_two(I32 exponent, size_t which) { return power_of_two(half_of<I32Half>(exponent, which)); }

/// The whole number beside x, toward zero, below 2^52.
HALFULP_INLINE F64 truncated(F64 x) {
#if defined(__AVX512F__)
  return (F64)_mm512_maskz_roundscale_pd(0xff, (__m512d)x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return (F64)_mm256_round_pd((__m256d)x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
#else
  const I64 sign = (I64)x & INT64_MIN;
  const F64 magnitude = ((F64)((I64)x & INT64_MAX) + 0x1p52) - 0x1p52;  // the control register rounds toward zero
  return (F64)((I64)magnitude | sign);
#endif
}

// ---- results ----

/// Finite numbers, as bits of binary32, to the nearest of binary16, again as binary32.
HALFULP_INLINE I32 nearest_half(I32 x) {
#if defined(__AVX512F__)
  // the zero-masking forms with a full mask: g++ 12 takes the plain ones for a use of an uninitialised register
  constexpr __mmask16 kAll = 0xffff;
  const __m256i half = _mm512_maskz_cvtps_ph(kAll, (__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return (I32)_mm512_maskz_cvtph_ps(kAll, half);
#elif defined(__F16C__)
  return (I32)_mm256_cvtph_ps(_mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
#else
  constexpr uint32_t kMinNormal = 113 << 23, kOverflow = 143 << 23;  // 2^-14, 2^16
  const I32 magnitude = x & kMagnitudeBits, odd = (magnitude >> 13) & 1;
  const I32 normal = (magnitude + 0xfff + odd) & ~0x1fff;
  // below: in steps of 2^-24
  const I32 shift = min(126 - (magnitude >> 23), splat(25));
  const I32 significand = (magnitude & 0x7fffff) | 0x800000;
  const I32 steps =
      (significand + (I32)((U32)splat(1) << (U32)(shift - 1)) - 1 + ((significand >> shift) & 1)) >> shift;
  const I32 small = bits_of(__builtin_convertvector(steps, F32) * 0x1p-24f);
  const I32 rounded = select(magnitude < splat(kMinNormal), small, normal);
  return select(rounded >= splat(kOverflow), splat(kInfinityBits), rounded) | (x & kSignBit);
#endif
}

template <FusedResult kResult>
HALFULP_INLINE I32 cut_to_result(I32 bits) {
  return kResult == FusedResult::E8M13 ? bits & ~0x3ff : bits;
}

/// The number with the bits f times 2^power, where that is no normal number or c is NaN or infinite.
template <FusedResult kResult>
[[gnu::noinline]] I32 extraordinary_result(bool keeps_underflow, I32 f, I32 power, I32 c) {
  const I32 is_zero = (f & kMagnitudeBits) == 0;
  const I32 field = ((f >> 23) & 0xff) + power;
  const I32 subnormal = shifted((f & 0x7fffff) | 0x800000, 1 - field), normal = (f & 0x7fffff) | (field << 23);
  I32 d = select(field >= 255, splat(kInfinityBits), select(field >= 1, normal, subnormal));
  d = cut_to_result<kResult>(select(is_zero, splat(0), d));
  d |= f & kSignBit;
  if constexpr (kResult == FusedResult::Binary16) d = nearest_half(d);
  if (!keeps_underflow) d = select((d & kMagnitudeBits) == 0, splat(0), d);
  return select((c & kInfinityBits) == splat(kInfinityBits), c, d);
}

/// The number with the bits f times 2^power, rounded; c where that is NaN or infinite.
template <FusedResult kResult>
HALFULP_INLINE I32 scaled_result(bool keeps_underflow, I32 f, I32 power, I32 c) {
  constexpr uint32_t kMinNormalBits = 0x00800000;
  const I32 own = f & kMagnitudeBits, magnitude = own + (power << 23);
  const I32 is_normal = is_below((U32)(magnitude - kMinNormalBits), (U32)splat(kInfinityBits - kMinNormalBits));
  if (any(~is_normal | (own == 0) | ((c & kInfinityBits) == splat(kInfinityBits)))) [[unlikely]]
    return extraordinary_result<kResult>(keeps_underflow, f, power, c);
  const I32 d = cut_to_result<kResult>(magnitude | (f & kSignBit));
  if constexpr (kResult != FusedResult::Binary16) return d;
  const I32 half = nearest_half(d);
  return keeps_underflow ? half : select((half & kMagnitudeBits) == 0, splat(0), half);
}

/// The same of a whole number.
template <FusedResult kResult>
HALFULP_INLINE I32 result(bool keeps_underflow, I32 sum, I32 power, I32 c) {
  const F32 converted = __builtin_convertvector(sum, F32);  // toward zero
  I32 f = bits_of(converted);
  if constexpr (kResult == FusedResult::Binary16)
    f |= (truncated(converted) != sum) & 1;  // to odd, to be rounded again
  return scaled_result<kResult>(keeps_underflow, f, power, c);
}

// ---- the addend ----

struct Addend {
  I32 top;       // the exponent that takes part in the maximum
  I32 exponent;  // of the significand, which has 23 fraction bits
  I32 significand;
  I32 sign;  // 0 or -1
};

template <FusedResult kResult>
HALFULP_INLINE Addend addend(I32 c) {
  constexpr int kMinExponent = kResult == FusedResult::Binary16 ? -14 : -126;
  const I32 magnitude = c & kMagnitudeBits, field = max(magnitude >> 23, splat(1));
  const I32 exponent = field - 127;
  return {select(magnitude == 0, splat(uint32_t(kZeroExponent)), max(exponent, splat(uint32_t(kMinExponent)))),
          exponent, magnitude - ((field - 1) << 23), c >> 31};
}

}  // namespace halfulp::HALFULP_ISA
