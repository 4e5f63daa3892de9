// Vectors of the instruction set a kernel file is compiled for, and the rounding of binary32 numbers on them.
//
// Internal to kernel files (*_kernels.cc). The arithmetic is that of the compilers' vector types; intrinsics stand
// only where those have no good word for it. Every function is always_inline and lives in the namespace of the
// instruction set.
//
// A binary32 number is rounded to a format by one addition: beside a constant whose last bit is worth the format's step
// the processor itself rounds to a multiple of that step, so that the sum's bits count steps and subtracting the
// constant again leaves the rounded number. That needs the right rounding direction and exact subnormal numbers in
// the control register: FloatControl sets both, whatever the caller had, and puts the caller's back.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "formats/encoder.h"
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

HALFULP_INLINE I32 bits_of(F32 x) { return (I32)x; }
HALFULP_INLINE F32 float_of(I32 bits) { return (F32)bits; }
HALFULP_INLINE uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
HALFULP_INLINE float float_of(uint32_t bits) { return __builtin_bit_cast(float, bits); }

/// Stores the lowest bits of each lane.
HALFULP_INLINE void store_narrow(uint32_t* to, I32 v) { store(to, v); }
#if defined(__AVX512F__)
HALFULP_INLINE void store_narrow(uint16_t* to, I32 v) {
  const __m256i half = _mm512_cvtepi32_epi16((__m512i)v);
  __builtin_memcpy(to, &half, sizeof half);
}
HALFULP_INLINE void store_narrow(uint8_t* to, I32 v) {
  const __m128i quarter = _mm512_cvtepi32_epi8((__m512i)v);
  __builtin_memcpy(to, &quarter, sizeof quarter);
}
#elif defined(__AVX2__)
HALFULP_INLINE void store_narrow(uint16_t* to, I32 v) {
  const __m256i words =
      _mm256_shuffle_epi8((__m256i)v, _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 5, 8,
                                                       9, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m128i half = _mm256_castsi256_si128(_mm256_permute4x64_epi64(words, 0b00'00'10'00));
  __builtin_memcpy(to, &half, sizeof half);
}
HALFULP_INLINE void store_narrow(uint8_t* to, I32 v) {
  const __m256i bytes =
      _mm256_shuffle_epi8((__m256i)v, _mm256_setr_epi8(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 8, 12, 0,
                                                       0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m128i quarter = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
  __builtin_memcpy(to, &quarter, kLanes);
}
#else
HALFULP_INLINE void store_narrow(uint16_t* to, I32 v) {
  // The signed pack keeps 16 bits that are sign-extended.
  const I32 extended = v << 16 >> 16;
  const __m128i half = _mm_packs_epi32((__m128i)extended, (__m128i)extended);
  __builtin_memcpy(to, &half, 2 * kLanes);
}
HALFULP_INLINE void store_narrow(uint8_t* to, I32 v) {
  const I32 cut = v & 0xff;
  const __m128i half = _mm_packs_epi32((__m128i)cut, (__m128i)cut);
  const __m128i quarter = _mm_packus_epi16(half, half);
  __builtin_memcpy(to, &quarter, kLanes);
}
#endif

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

/// The control register as a rounding needs it, from construction to destruction; the caller's flags come back too.
/// Whoever uses it does the arithmetic in a function that is not inlined: to a compiler the register is not there.
class FloatControl {
 public:
  HALFULP_INLINE explicit FloatControl(uint32_t direction) : callers_(_mm_getcsr()) { set(_MM_MASK_MASK | direction); }
  HALFULP_INLINE explicit FloatControl(Rounding rounding) : FloatControl(addition(rounding).direction) {}
  HALFULP_INLINE ~FloatControl() { set(callers_); }
  FloatControl(const FloatControl&) = delete;
  FloatControl& operator=(const FloatControl&) = delete;

 private:
  HALFULP_INLINE static void set(uint32_t control) { asm volatile("ldmxcsr %0" : : "m"(control) : "memory"); }

  uint32_t callers_;
};

/// A format's numbers as the additions see them. Lanes may belong to different grids.
struct Grid {
  I32 lowest;      // exponent field of the smallest normal, in place; lower bits are 0
  I32 constant;    // bits of the constant for the lowest binade
  I32 half_step;   // bits of half a step there
  int field_drop;  // 23 - mantissa_bits
};

/// Whether one addition rounds to the grid: for codes whose lowest bit is one of the significand, and where neither
/// the constant nor half a step leaves binary32's normal range.
HALFULP_INLINE bool rounds_by_addition(const Encoder& e) {
  const uint32_t limit = e.limit[0] > e.limit[1] ? e.limit[0] : e.limit[1];
  return e.mantissa_bits >= 1 && e.mantissa_bits <= 20 && e.min_field - e.mantissa_bits >= 2 &&
         int(limit >> 23) + 23 - e.mantissa_bits <= 254;
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

/// The addition done: sum - constant counts the steps, as integers and as numbers.
struct Sum {
  I32 bits;      // of the sum
  I32 constant;  // bits of the constant
  I32 binade;    // exponent field above the lowest, in place
};

/// The binade of magnitudes, as in Sum.
HALFULP_INLINE I32 binade_of(const Grid& g, I32 magnitude) {
  return subtract_fields(magnitude & splat(kInfinityBits), g.lowest);
}

/// Rounds the numbers with bits `x` and magnitudes `magnitude`, which is at most the grid's limit, to the steps of a
/// binade. Needs FloatControl(R); stochastic modes round toward zero.
template <Rounding R>
HALFULP_INLINE Sum add_constant(const Grid& g, I32 x, I32 magnitude, I32 binade) {
  constexpr Addition how = addition(R);
  const I32 constant = binade + g.constant;
  F32 v = float_of(how.by_value ? or_masked(magnitude, x, splat(kSignBit)) : magnitude);
  if constexpr (how.half > 0) v = v + float_of(binade + g.half_step);
  if constexpr (how.half < 0) v = v - float_of(binade + g.half_step);
  const F32 sum = v + float_of(constant);
  if constexpr (how.jams) {
    const I32 inexact = bits_of(sum - float_of(constant)) != magnitude;
    return {or_masked(bits_of(sum), inexact, splat(1)), constant, binade};
  }
  return {bits_of(sum), constant, binade};
}

/// The same with the steps of their own binades.
template <Rounding R>
HALFULP_INLINE Sum add_constant(const Grid& g, I32 x, I32 magnitude) {
  return add_constant<R>(g, x, magnitude, binade_of(g, magnitude));
}

/// binary32 bits of the rounded magnitude.
template <Rounding R>
HALFULP_INLINE I32 rounded_bits(const Sum& s) {
  const I32 bits = bits_of(float_of(s.bits) - float_of(s.constant));
  return addition(R).by_value ? bits & splat(kMagnitudeBits) : bits;
}

/// The index of the rounded magnitude among the format's numbers.
template <Rounding R>
HALFULP_INLINE I32 rounded_index(const Grid& g, const Sum& s) {
  const I32 steps = s.bits - s.constant;
  const I32 magnitude = addition(R).by_value ? select(steps < 0, -steps, steps) : steps;
  return magnitude + (s.binade >> g.field_drop);
}

}  // namespace halfulp::HALFULP_ISA
