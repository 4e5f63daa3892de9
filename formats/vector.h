// Vectors of the instruction set a kernel file is compiled for, and the rounding of binary32 numbers on them.
//
// Internal to kernel files (*_kernels.cc). The arithmetic is that of the compilers' vector types; intrinsics stand
// only where those have no good word for it. Every function is always_inline and lives in the namespace of the
// instruction set.
//
// A binary32 number is rounded to a format by one addition: beside a constant whose last bit is worth the format's step
// the processor itself rounds to a multiple of that step, so that the sum's bits count steps and subtracting the
// constant again leaves the rounded number. That needs the right rounding direction and exact subnormal numbers in
// the control register: FloatControl (formats/float_control.h) sets both, whatever the caller had.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "formats/encoder.h"
#include "formats/float_control.h"
#include "formats/rounding.h"

#ifdef __FAST_MATH__
#error "-ffast-math deletes the addition that rounds"
#endif

#define HALFULP_INLINE [[gnu::always_inline]] inline

namespace halfulp::HALFULP_ISA {

#if defined(__AVX512F__)
inline constexpr size_t kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr size_t kVectorBytes = 32;
#else
inline constexpr size_t kVectorBytes = 16;
#endif
inline constexpr size_t kLanes = kVectorBytes / 4;

using F32 [[gnu::vector_size(kVectorBytes)]] = float;
using I32 [[gnu::vector_size(kVectorBytes)]] = int32_t;  // also the result of comparisons: 0 or -1
using U32 [[gnu::vector_size(kVectorBytes)]] = uint32_t;
using I16 [[gnu::vector_size(kVectorBytes)]] = int16_t;
using U64 [[gnu::vector_size(kVectorBytes)]] = uint64_t;

// ---- moving ----

template <class Vector>
HALFULP_INLINE Vector load(const void* from) {
  Vector v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class Vector>
HALFULP_INLINE void store(void* to, Vector v) {
  __builtin_memcpy(to, &v, sizeof v);
}
HALFULP_INLINE I32 splat(uint32_t x) { return I32{} + int32_t(x); }

/// kLanes codes, zero-extended.
HALFULP_INLINE I32 load_extended(const uint32_t* from) { return load<I32>(from); }
HALFULP_INLINE I32 load_extended(const uint8_t* from) {
#if defined(__AVX512F__)
  return (I32)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#elif defined(__AVX2__)
  return (I32)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#else
  const __m128i zero = _mm_setzero_si128(), bytes = _mm_cvtsi32_si128(load<int32_t>(from));
  return (I32)_mm_unpacklo_epi16(_mm_unpacklo_epi8(bytes, zero), zero);
#endif
}
HALFULP_INLINE I32 load_extended(const uint16_t* from) {
#if defined(__AVX512F__)
  return (I32)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__AVX2__)
  return (I32)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
  return (I32)_mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)), _mm_setzero_si128());
#endif
}

HALFULP_INLINE I32 bits_of(F32 x) { return (I32)x; }
HALFULP_INLINE F32 float_of(I32 bits) { return (F32)bits; }
HALFULP_INLINE uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
HALFULP_INLINE float float_of(uint32_t bits) { return __builtin_bit_cast(float, bits); }

// ---- arithmetic ----

/// Lane by lane c ? a : b, where c is the result of a comparison.
HALFULP_INLINE I32 select(I32 c, I32 a, I32 b) { return c ? a : b; }

/// The entry of a pair that belongs to the sign.
HALFULP_INLINE I32 pick(const uint32_t (&pair)[2], I32 negative) {
  return select(negative, splat(pair[1]), splat(pair[0]));
}

/// The smaller of two non-negative lanes, and the larger.
HALFULP_INLINE I32 min(I32 a, I32 b) { return a < b ? a : b; }
HALFULP_INLINE I32 max(I32 a, I32 b) { return a > b ? a : b; }

/// The bits of `a` where `mask` is set, of `b` elsewhere.
HALFULP_INLINE I32 merge(I32 mask, I32 a, I32 b) {
#if defined(__AVX512F__)
  return (I32)_mm512_ternarylogic_epi32((__m512i)mask, (__m512i)a, (__m512i)b, 0xca);
#else
  return (a & mask) | (b & ~mask);
#endif
}
/// a | (b & mask).
HALFULP_INLINE I32 or_masked(I32 a, I32 b, I32 mask) {
#if defined(__AVX512F__)
  return (I32)_mm512_ternarylogic_epi32((__m512i)a, (__m512i)b, (__m512i)mask, 0xf8);
#else
  return a | (b & mask);
#endif
}

/// max(a - b, 0) of lanes whose lower 16 bits are 0.
HALFULP_INLINE I32 subtract_fields(I32 a, I32 b) {
#if defined(__AVX512F__)
  return (I32)_mm512_subs_epu16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (I32)_mm256_subs_epu16((__m256i)a, (__m256i)b);
#else
  return (I32)_mm_subs_epu16((__m128i)a, (__m128i)b);
#endif
}

inline constexpr uint32_t kSignBit = 0x80000000, kMagnitudeBits = 0x7fffffff, kInfinityBits = 0x7f800000;

/// Bits of |x|, and where that is larger of `limit`; of a NaN, anything.
HALFULP_INLINE I32 limited_magnitude(I32 x, I32 limit) {
#if defined(__AVX512F__)
  return (I32)_mm512_range_ps((__m512)x, (__m512)limit, 0b10'10);  // the smaller magnitude, sign cleared
#else
  return min(x & splat(kMagnitudeBits), limit);
#endif
}
/// The same with the sign of x.
HALFULP_INLINE I32 limited_value(I32 x, I32 limit) {
#if defined(__AVX512F__)
  return (I32)_mm512_range_ps((__m512)x, (__m512)limit, 0b00'10);
#else
  return or_masked(limited_magnitude(x, limit), x, splat(kSignBit));
#endif
}

/// a · b + c, rounded once where the product is exact or the instruction set has fused steps (SSE2 has none).
HALFULP_INLINE F32 multiply_add(F32 a, F32 b, F32 c) {
#if defined(__AVX512F__)
  return (F32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (F32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

/// Whether a lane of any is NaN.
HALFULP_INLINE bool any_nan(F32 a, F32 b, F32 c, F32 d) {
#if defined(__AVX512F__)
  return !_kortestz_mask16_u8(_mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_UNORD_Q),
                              _mm512_cmp_ps_mask((__m512)c, (__m512)d, _CMP_UNORD_Q));
#elif defined(__AVX2__)
  const __m256 ab = _mm256_cmp_ps((__m256)a, (__m256)b, _CMP_UNORD_Q);
  return _mm256_movemask_ps(_mm256_or_ps(ab, _mm256_cmp_ps((__m256)c, (__m256)d, _CMP_UNORD_Q))) != 0;
#else
  const __m128 ab = _mm_cmpunord_ps((__m128)a, (__m128)b);
  return _mm_movemask_ps(_mm_or_ps(ab, _mm_cmpunord_ps((__m128)c, (__m128)d))) != 0;
#endif
}

/// x rounded to whole numbers, ties to even; not on SSE2.
#if defined(__AVX2__)
inline constexpr bool kRoundsToWhole = true;
HALFULP_INLINE F32 nearest_whole(F32 x) {
#if defined(__AVX512F__)
  return (F32)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT);
#else
  return (F32)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT);
#endif
}
#else
inline constexpr bool kRoundsToWhole = false;
HALFULP_INLINE F32 nearest_whole(F32 x) { return x; }
#endif

// ---- narrow lanes ----

/// Where a code keeps its sign, counted down from the highest bit of its type; and that bit, once in each code of
/// 32 bits.
struct SignPlace {
  int shift;
  uint32_t mask;
};
template <class Code>
HALFULP_INLINE SignPlace sign_place(uint32_t sign_code) {
  constexpr int kBits = 8 * int(sizeof(Code));
  if (sign_code == 0) return {0, 0};
  return {kBits - 32 + __builtin_clz(sign_code), sign_code * (~0u / (~0u >> (32 - kBits)))};
}

namespace packs {

// The instruction set's packs, which cut lanes in half and interleave two vectors 16 bytes at a time. Words and bytes
// of `low` packs are the lanes' lowest bits, above which there may be anything (bytes: up to bit 15 nothing); those of
// `sign` packs have the lanes' signs.
HALFULP_INLINE I32 pack_low_words(I32 a, I32 b) {
#if defined(__AVX512F__)
  const __m512i low = _mm512_set_epi16(62, 60, 58, 56, 30, 28, 26, 24, 54, 52, 50, 48, 22, 20, 18, 16, 46, 44, 42, 40,
                                       14, 12, 10, 8, 38, 36, 34, 32, 6, 4, 2, 0);
  return (I32)_mm512_permutex2var_epi16((__m512i)a, low, (__m512i)b);
#elif defined(__AVX2__)
  return (I32)_mm256_packus_epi32((__m256i)(a & 0xffff), (__m256i)(b & 0xffff));
#else
  return (I32)_mm_packs_epi32((__m128i)(a << 16 >> 16), (__m128i)(b << 16 >> 16));
#endif
}
HALFULP_INLINE I32 pack_low_bytes(I32 a, I32 b) {
#if defined(__AVX512F__)
  return (I32)_mm512_packus_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (I32)_mm256_packus_epi16((__m256i)a, (__m256i)b);
#else
  return (I32)_mm_packus_epi16((__m128i)a, (__m128i)b);
#endif
}
HALFULP_INLINE I32 pack_sign_words(I32 a, I32 b) {
#if defined(__AVX512F__)
  return (I32)_mm512_packs_epi32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (I32)_mm256_packs_epi32((__m256i)a, (__m256i)b);
#else
  return (I32)_mm_packs_epi32((__m128i)a, (__m128i)b);
#endif
}
HALFULP_INLINE I32 pack_sign_bytes(I32 a, I32 b) {
#if defined(__AVX512F__)
  return (I32)_mm512_packs_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (I32)_mm256_packs_epi16((__m256i)a, (__m256i)b);
#else
  return (I32)_mm_packs_epi16((__m128i)a, (__m128i)b);
#endif
}

// Undo the interleaving of one pack, and of one on top of another.
HALFULP_INLINE I32 words_in_order(I32 v) {
#if defined(__AVX512F__)
  return (I32)_mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), (__m512i)v);
#elif defined(__AVX2__)
  return (I32)_mm256_permute4x64_epi64((__m256i)v, 0b11'01'10'00);
#else
  return v;
#endif
}
HALFULP_INLINE I32 bytes_in_order(I32 v) {
#if defined(__AVX512F__)
  return (I32)_mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
                                       (__m512i)v);
#elif defined(__AVX2__)
  return (I32)_mm256_permutevar8x32_epi32((__m256i)v, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
#else
  return v;
#endif
}

}  // namespace packs

/// How many vectors' codes store_codes takes at once.
inline constexpr size_t kGroup = 4;

/// Stores the lowest bits of the lanes of `codes`, with the signs of `x` at their place. Above a code there may be
/// anything, but for codes of 8 bits not in the lowest 16.
HALFULP_INLINE void store_codes(uint8_t* to, const I32 (&codes)[kGroup], const I32 (&x)[kGroup], SignPlace sign) {
  using namespace packs;
  const I32 low = pack_low_bytes(pack_low_words(codes[0], codes[1]), pack_low_words(codes[2], codes[3]));
  const I32 signs = pack_sign_bytes(pack_sign_words(x[0], x[1]), pack_sign_words(x[2], x[3]));
  store(to, bytes_in_order(or_masked(low, (I32)((I16)signs >> sign.shift), splat(sign.mask))));
}
HALFULP_INLINE void store_codes(uint16_t* to, const I32 (&codes)[kGroup], const I32 (&x)[kGroup], SignPlace sign) {
  using namespace packs;
  for (size_t i = 0; i < kGroup; i += 2) {
    const I32 low = pack_low_words(codes[i], codes[i + 1]), signs = pack_sign_words(x[i], x[i + 1]);
    store(to + i * kLanes, words_in_order(or_masked(low, (I32)((I16)signs >> sign.shift), splat(sign.mask))));
  }
}

/// Stores the upper halves of lanes.
HALFULP_INLINE void store_upper_halves(uint16_t* to, I32 a, I32 b) {
#if defined(__AVX512F__)
  const __m512i upper = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25,
                                         23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  store(to, _mm512_permutex2var_epi16((__m512i)a, upper, (__m512i)b));
#else
  store(to, packs::words_in_order(packs::pack_sign_words(a >> 16, b >> 16)));
#endif
}

#if defined(__F16C__)
/// Stores lanes rounded to binary16, ties to even.
HALFULP_INLINE void store_binary16(uint16_t* to, F32 x) {
#if defined(__AVX512F__)
  const __m256i half = _mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT);
#else
  const __m128i half = _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT);
#endif
  store(to, half);
}
#endif

/// Stores the lowest bits of each lane.
HALFULP_INLINE void store_narrow(uint32_t* to, I32 v) { store(to, v); }
HALFULP_INLINE void store_narrow(uint16_t* to, I32 v) {
  const I32 words = packs::words_in_order(packs::pack_low_words(v, v));
  __builtin_memcpy(to, &words, 2 * kLanes);
}
HALFULP_INLINE void store_narrow(uint8_t* to, I32 v) {
  const I32 words = packs::pack_low_words(v & 0xff, v & 0xff);
  const I32 bytes = packs::bytes_in_order(packs::pack_low_bytes(words, words));
  __builtin_memcpy(to, &bytes, kLanes);
}

// ---- rounding by an addition ----

/// How a rounding becomes the rounding of an addition: which direction the processor rounds in and what is added.
struct Addition {
  uint32_t direction;  // the processor's: _MM_ROUND_NEAREST, …
  bool by_value;       // the number itself is added; otherwise its magnitude
  int half;            // half steps added first
  bool odd;            // the constant is an odd multiple of the step, so that even sums are odd codes
  bool jams;           // inexact sums become odd
};

HALFULP_INLINE constexpr Addition addition(Rounding rounding) {
  constexpr uint32_t kNearest = _MM_ROUND_NEAREST, kDown = _MM_ROUND_DOWN, kUp = _MM_ROUND_UP,
                     kZero = _MM_ROUND_TOWARD_ZERO;
  switch (rounding) {
    case Rounding::TiesToEven: return {kNearest, false, 0, false, false};
    case Rounding::TiesToOdd: return {kNearest, false, 0, true, false};
    case Rounding::TiesToAway: return {kZero, false, 1, false, false};
    case Rounding::TiesToZero: return {kUp, false, -1, false, false};
    case Rounding::TiesTowardPositive: return {kDown, true, 1, false, false};
    case Rounding::TiesTowardNegative: return {kUp, true, -1, false, false};
    case Rounding::TowardZero: return {kZero, false, 0, false, false};
    case Rounding::TowardPositive: return {kUp, true, 0, false, false};
    case Rounding::TowardNegative: return {kDown, true, 0, false, false};
    case Rounding::AwayFromZero: return {kUp, false, 0, false, false};
    case Rounding::ToOdd: return {kZero, false, 0, false, true};
    case Rounding::ToEven: return {kZero, false, 0, true, true};
    case Rounding::StochasticA:  // what lies below the step is for later
    case Rounding::StochasticB:
    case Rounding::StochasticC:
    case Rounding::StochasticEqual: break;
  }
  return {kZero, false, 0, false, false};
}

/// Calls use.template operator()<R>() for the rounding at hand.
template <class Use>
HALFULP_INLINE auto with_rounding(Rounding rounding, Use use) {
#define HALFULP_CASE(mode) \
  case Rounding::mode: return use.template operator()<Rounding::mode>()
  switch (rounding) {
    HALFULP_CASE(TiesToEven);
    HALFULP_CASE(TiesToAway);
    HALFULP_CASE(TiesToZero);
    HALFULP_CASE(TiesToOdd);
    HALFULP_CASE(TiesTowardPositive);
    HALFULP_CASE(TiesTowardNegative);
    HALFULP_CASE(TowardZero);
    HALFULP_CASE(TowardPositive);
    HALFULP_CASE(TowardNegative);
    HALFULP_CASE(AwayFromZero);
    HALFULP_CASE(ToOdd);
    HALFULP_CASE(ToEven);
    HALFULP_CASE(StochasticA);
    HALFULP_CASE(StochasticB);
    HALFULP_CASE(StochasticC);
    HALFULP_CASE(StochasticEqual);
  }
#undef HALFULP_CASE
  __builtin_unreachable();
}

/// A format's numbers as the additions see them. Lanes may belong to different grids.
struct Grid {
  I32 lowest;      // exponent field of the smallest normal, in place; lower bits are 0
  I32 constant;    // bits of the constant for the lowest binade
  I32 half_step;   // bits of half a step there
  int field_drop;  // 23 - mantissa_bits
};

/// Whether one addition rounds to the grid: for codes whose lowest bit is one of the significand, and where neither
/// the constant, which counts up to 2^22 numbers, nor half a step leaves binary32's normal range. Without an exponent
/// the smallest normal lies above all numbers.
HALFULP_INLINE bool rounds_by_addition(const Encoder& e) {
  const uint32_t limit = e.limit[0] > e.limit[1] ? e.limit[0] : e.limit[1];
  const int highest = int(limit >> 23) > e.min_field ? int(limit >> 23) : e.min_field;
  return e.mantissa_bits >= 1 && e.mantissa_bits <= 20 && e.min_field - e.mantissa_bits >= 2 &&
         highest + 23 - e.mantissa_bits <= 254 && e.max_index[0] < (1u << 21) && e.max_index[1] < (1u << 21);
}

/// The grid of a format of `mantissa_bits` whose smallest normal has exponent field `lowest`, given in place.
template <Rounding R>
HALFULP_INLINE Grid grid(I32 lowest, int mantissa_bits) {
  // The constant is 1.5 times a power of two, so that there is one step on both sides of it.
  const uint32_t above = (uint32_t(23 - mantissa_bits) << 23) + (1u << 22) + addition(R).odd;
  return {lowest, lowest + splat(above), lowest - splat(uint32_t(mantissa_bits + 1) << 23), 23 - mantissa_bits};
}
template <Rounding R>
HALFULP_INLINE Grid grid(const Encoder& e) {
  return grid<R>(splat(uint32_t(e.min_field) << 23), e.mantissa_bits);
}

/// Bits of x, no larger than `limit`, as the additions take it.
template <Rounding R>
HALFULP_INLINE I32 limited(I32 x, I32 limit) {
  return addition(R).by_value ? limited_value(x, limit) : limited_magnitude(x, limit);
}

/// Exponent field of v above the lowest one, in place.
HALFULP_INLINE I32 binade(const Grid& g, I32 v) { return subtract_fields(v & splat(kInfinityBits), g.lowest); }

/// Bits of v + constant, in the direction of addition(R): so many steps above the constant's bits as |v|, or v if it
/// has its sign, is steps. The constant may be any multiple of the step that is in its binade.
template <Rounding R>
HALFULP_INLINE I32 add_constant(const Grid& g, I32 v, I32 above, I32 constant) {
  constexpr Addition how = addition(R);
  F32 first = float_of(v);
  if constexpr (how.half > 0) first = first + float_of(above + g.half_step);
  if constexpr (how.half < 0) first = first - float_of(above + g.half_step);
  const F32 sum = first + float_of(constant);
  if constexpr (!how.jams) return bits_of(sum);
  return select(bits_of(sum - float_of(constant)) != v, bits_of(sum) | 1, bits_of(sum));
}

#if defined(__AVX2__)
inline constexpr bool kFuses = true;
#else
inline constexpr bool kFuses = false;
#endif

/// The constant that rounds, over the power of two of the numbers.
template <Rounding R>
HALFULP_INLINE F32 constant_factor(const Grid& g) {
  return float_of(splat((uint32_t(127 + g.field_drop) << 23) + (1u << 22) + addition(R).odd));
}

/// The same additions where fused steps multiply the constants out of a power of two, which spares moving them to the
/// binade; for magnitudes whose bits are wanted and not their index. Numbers are rounded to the steps of one's binade.
template <Rounding R>
class FusedSteps {
 public:
  /// `one` is limited<R>.
  HALFULP_INLINE FusedSteps(const Grid& g, I32 one)
      : power_(float_of(max(one & splat(kInfinityBits), g.lowest))),
        constant_(constant_factor<R>(g)),
        half_step_(float_of(splat(uint32_t(103 + g.field_drop) << 23))) {}

  /// Bits of v + constant, as add_constant gives them.
  HALFULP_INLINE I32 sum(I32 v) const {
    constexpr Addition how = addition(R);
    F32 first = float_of(v);
    if constexpr (how.half > 0) first = multiply_add(power_, half_step_, first);
    if constexpr (how.half < 0) first = multiply_add(power_, -half_step_, first);
    const F32 sum = multiply_add(power_, constant_, first);
    if constexpr (!how.jams) return bits_of(sum);
    return select(difference(sum) != v, bits_of(sum) | 1, bits_of(sum));
  }
  /// The bits of the magnitude that a sum stands for.
  HALFULP_INLINE I32 bits(I32 sum) const {
    const I32 bits = difference(float_of(sum));
    return addition(R).by_value ? bits & splat(kMagnitudeBits) : bits;
  }

 private:
  HALFULP_INLINE I32 difference(F32 sum) const { return bits_of(multiply_add(power_, -constant_, sum)); }

  F32 power_;                 // of v's binade
  F32 constant_, half_step_;  // over that power
};

/// binary32 bits of the magnitude of limited<R>(x, limit) rounded to the grid. In that direction too.
template <Rounding R>
HALFULP_INLINE I32 rounded_bits(const Grid& g, I32 v) {
  if constexpr (kFuses) {
    const FusedSteps<R> steps(g, v);
    return steps.bits(steps.sum(v));
  }
  const I32 above = binade(g, v), constant = above + g.constant;
  const I32 bits = bits_of(float_of(add_constant<R>(g, v, above, constant)) - float_of(constant));
  return addition(R).by_value ? bits & splat(kMagnitudeBits) : bits;
}

/// The constant plus the numbers below v's binade in steps, so that sums end in the index of the rounded number; and
/// how many of their lowest bits are index.
HALFULP_INLINE I32 counting_constant(const Grid& g, I32 above) { return above + (above >> g.field_drop) + g.constant; }
inline constexpr uint32_t kIndexBits = 0x3fffff;

/// The index of the rounded magnitude among the format's numbers, in the lowest bits.
template <Rounding R>
HALFULP_INLINE I32 rounded_index(const Grid& g, I32 v) {
  constexpr Addition how = addition(R);
  const I32 above = binade(g, v);
  if constexpr (how.by_value) {
    const I32 constant = above + g.constant, steps = add_constant<R>(g, v, above, constant) - constant;
    return select(steps < 0, -steps, steps) + (above >> g.field_drop);
  }
  const I32 sum = add_constant<R>(g, v, above, counting_constant(g, above));
  return how.odd ? sum - 1 : sum;
}

// ---- stochastic rounding by additions ----

/// Random bits of lanes, aligned to the highest bit of a significand: R / 2^N = high / 2^23 + low / 2^32.
struct RandomLanes {
  I32 high;  // 23 bits
  I32 low;   // 9 bits
};

/// Where the random fields of a run of elements stand (RandomRun::fields).
struct Fields {
  const uint8_t* first;
  int width;  // bits of a field; 0: there are none

  HALFULP_INLINE Fields from(size_t i) const { return {first + i * size_t(width) / 8, width}; }
  HALFULP_INLINE RandomLanes lanes() const {
    if (width == 8) return {load_extended(first) << 15, splat(0)};
    if (width == 16) return {load_extended(reinterpret_cast<const uint16_t*>(first)) << 7, splat(0)};
    const I32 word = load<I32>(first);
    return {(I32)((U32)word >> 9), word & 0x1ff};
  }
};

/// The grid of a format and the random numbers added before the rounding toward zero: steps of (1 + R / 2^N), the 1 so
/// that R need only be put into a significand. A rounds x + R / 2^N, B x + (R + 1/2) / 2^N, C the same as A after x has
/// been rounded to 2^-N steps. Truncations compose, so that what additions lose does not matter: between two numbers
/// that an addition can tell apart there is never a multiple of a step that it cannot.
struct RandomGrid {
  Grid grid;
  I32 step;       // bits of a step in the lowest binade; B of few bits: and half a 2^-N
  I32 fine_step;  // bits of 2^-32 steps; B: of 2^-33
  I32 fine_half;  // B: half a 2^-N in fine steps
  I32 coarse;     // C: bits of 2^N steps' reciprocal there
  I32 back;       // C: bits of 2^-N steps
  bool is_fine;   // whether R, with the half of B, needs more than a significand
};

HALFULP_INLINE bool rounds_by_random_addition(Rounding rounding, const Encoder& e) {
  return rounds_by_addition(e) && e.min_field - e.mantissa_bits >= 35 &&
         (rounding != Rounding::StochasticC || kRoundsToWhole);
}

template <Rounding R>
HALFULP_INLINE RandomGrid random_grid(const Encoder& e) {
  constexpr bool kHalf = R == Rounding::StochasticB;
  const int n = e.random_bits, step_field = e.min_field - e.mantissa_bits;
  const auto field = [](int exponent) { return splat(uint32_t(exponent) << 23); };
  const bool is_fine = n + kHalf > 23;
  return {.grid = grid<R>(e),
          .step = field(step_field) + splat(kHalf && !is_fine ? 1u << (22 - n) : 0),
          .fine_step = field(step_field - 32 - kHalf),
          .fine_half = splat(is_fine ? 1u << (32 - n) : 0),
          .coarse = field(254 + n - step_field),
          .back = field(step_field - n),
          .is_fine = is_fine};
}

/// Bits of v plus random lanes plus constant, as add_constant gives them for the deterministic modes.
template <Rounding R>
HALFULP_INLINE I32 add_random(const RandomGrid& g, I32 v, I32 above, I32 constant, const RandomLanes& random) {
  F32 first = float_of(v);
  if constexpr (R == Rounding::StochasticEqual) {
    const F32 sum = first + float_of(constant);
    const I32 inexact = bits_of(sum - float_of(constant)) != v;
    return bits_of(sum) + (inexact & (random.high >> 22));
  }
  if constexpr (R == Rounding::StochasticC)
    first = nearest_whole(first * float_of(g.coarse - above)) * float_of(g.back + above);
  if (g.is_fine) {
    const I32 low = R == Rounding::StochasticB ? random.low + random.low + g.fine_half : random.low;
    first = first + __builtin_convertvector(low, F32) * float_of(g.fine_step + above);
  }
  first = first + float_of((g.step + above) | random.high);
  return bits_of(first + float_of(constant - 1));  // less the 1
}

template <Rounding R>
HALFULP_INLINE I32 randomly_rounded_bits(const RandomGrid& g, I32 v, const RandomLanes& random) {
  const I32 above = binade(g.grid, v), constant = above + g.grid.constant;
  return bits_of(float_of(add_random<R>(g, v, above, constant, random)) - float_of(constant));
}

template <Rounding R>
HALFULP_INLINE I32 randomly_rounded_index(const RandomGrid& g, I32 v, const RandomLanes& random) {
  const I32 above = binade(g.grid, v);
  return add_random<R>(g, v, above, counting_constant(g.grid, above), random);
}

}  // namespace halfulp::HALFULP_ISA
