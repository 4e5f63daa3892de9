#include "formats/block_kernels.h"

#include <cstddef>
#include <cstdint>

#include "formats/quotient.h"
#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {
namespace {

// Blocks whose scales are found together. What they have read is still in the first cache when its elements follow.
constexpr size_t kBatch = 64;

HALFULP_INLINE bool differ(I32 a, I32 b) {
#if defined(__AVX512F__)
  return _mm512_cmpneq_epi32_mask((__m512i)a, (__m512i)b) != 0;
#elif defined(__AVX2__)
  const __m256i difference = _mm256_xor_si256((__m256i)a, (__m256i)b);
  return _mm256_testz_si256(difference, difference) == 0;
#else
  return _mm_movemask_epi8(_mm_cmpeq_epi32((__m128i)a, (__m128i)b)) != 0xffff;
#endif
}

// A bit per lane of what comparisons give.
HALFULP_INLINE uint64_t bit_mask(I32 lanes) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)lanes);
#elif defined(__AVX2__)
  return uint64_t(_mm256_movemask_ps((__m256)lanes));
#else
  return uint64_t(_mm_movemask_ps((__m128)lanes));
#endif
}

// ---- largest magnitudes ----

HALFULP_INLINE I32 largest_of_lanes(const float* block, size_t size) {
  I32 largest = load<I32>(block) & splat(kMagnitudeBits);
  for (size_t i = kLanes; i < size; i += kLanes) largest = max(largest, load<I32>(block + i) & splat(kMagnitudeBits));
  return largest;
}

// The larger of neighbours: of four lanes a0 a1 a2 a3 and b0 b1 b2 b3 the maxima of a0 a2, b0 b2, a1 a3 and b1 b3.
HALFULP_INLINE I32 larger_of_words(I32 a, I32 b) {
#if defined(__AVX512F__)
  return max((I32)_mm512_unpacklo_epi32((__m512i)a, (__m512i)b), (I32)_mm512_unpackhi_epi32((__m512i)a, (__m512i)b));
#elif defined(__AVX2__)
  return max((I32)_mm256_unpacklo_epi32((__m256i)a, (__m256i)b), (I32)_mm256_unpackhi_epi32((__m256i)a, (__m256i)b));
#else
  return max((I32)_mm_unpacklo_epi32((__m128i)a, (__m128i)b), (I32)_mm_unpackhi_epi32((__m128i)a, (__m128i)b));
#endif
}
// The same with pairs of lanes.
HALFULP_INLINE I32 larger_of_pairs(I32 a, I32 b) {
#if defined(__AVX512F__)
  return max((I32)_mm512_unpacklo_epi64((__m512i)a, (__m512i)b), (I32)_mm512_unpackhi_epi64((__m512i)a, (__m512i)b));
#elif defined(__AVX2__)
  return max((I32)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b), (I32)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b));
#else
  return max((I32)_mm_unpacklo_epi64((__m128i)a, (__m128i)b), (I32)_mm_unpackhi_epi64((__m128i)a, (__m128i)b));
#endif
}

// Stores the largest lane of each of four vectors.
HALFULP_INLINE void store_maxima(uint32_t* to, I32 a, I32 b, I32 c, I32 d) {
  I32 largest = larger_of_pairs(larger_of_words(a, b), larger_of_words(c, d));
#if defined(__AVX512F__)
  largest = max(largest, (I32)_mm512_shuffle_i32x4((__m512i)largest, (__m512i)largest, 0b01'00'11'10));
  largest = max(largest, (I32)_mm512_shuffle_i32x4((__m512i)largest, (__m512i)largest, 0b10'11'00'01));
#elif defined(__AVX2__)
  largest = max(largest, (I32)_mm256_permute2x128_si256((__m256i)largest, (__m256i)largest, 1));
#endif
  __builtin_memcpy(to, &largest, 4 * sizeof *to);
}

// amax[b] = bits of the largest magnitude of block b.
HALFULP_INLINE void find_maxima(const float* x, size_t size, size_t blocks, uint32_t* amax) {
  for (size_t b = 0; b < blocks; b += 4) {
    const size_t last = blocks - 1 - b;
    const auto block = [&](size_t i) __attribute__((always_inline)) {
      return largest_of_lanes(x + (b + (i < last ? i : last)) * size, size);
    };
    store_maxima(amax + b, block(0), block(1), block(2), block(3));
  }
}

// ---- elements ----

// The way from a rounded magnitude to a result. Plain elements need no care but for the sign bit.
template <bool kIsPlain>
class Results {
 public:
  HALFULP_INLINE explicit Results(const Encoder& e) : e_(e), sign_shift_(__builtin_clz(e.sign_code[1] | 1)) {}

  // Bits of the largest magnitude where `positive` is that of positive numbers.
  HALFULP_INLINE I32 limit(I32 x, I32 positive) const {
    if constexpr (kIsPlain) return positive;
    return positive + ((x < 0) & splat(e_.limit[1] - e_.limit[0]));
  }

  HALFULP_INLINE I32 value(I32 x, I32 bits) const {
    const I32 value = or_masked(bits, x, splat(kSignBit));
    if constexpr (kIsPlain) return value;
    return select(bits == 0, or_masked(bits, x, splat(e_.zero_value[1])), value);
  }

  HALFULP_INLINE I32 code(I32 x, I32 index) const {
    const I32 code = or_masked(index, x >> sign_shift_, splat(e_.sign_code[1]));
    if constexpr (kIsPlain) return code;
    const I32 complemented = (x < 0) & splat(e_.code_mask != 0 ? ~0u : 0u);
    const I32 other = merge(complemented, (splat(0) - index) & splat(e_.code_mask), code);
    return select(index == 0, splat(0), other);
  }

 private:
  Encoder e_;
  int sign_shift_;
};

// ---- scales that are powers of two ----

// What the elements of a batch's blocks need: where each one's grid lies.
struct PowerBatch {
  alignas(kVectorBytes) uint32_t amax[kBatch] = {};
  alignas(kVectorBytes) int32_t lowest[kBatch];  // exponent field of the smallest normal, in place
  alignas(kVectorBytes) uint32_t limit[kBatch];
  uint8_t code[kBatch];
};

// Returns a bit per block out of the ordinary. Zeros are ordinary: they are zeros on any grid.
HALFULP_INLINE uint64_t find_grids(const BlockPlan& plan, size_t blocks, PowerBatch& batch) {
  const PowerScales& scales = plan.powers;
  const I32 lowest_field = splat(uint32_t(scales.min_field) << 23), highest = splat(uint32_t(scales.max_field) << 23);
  uint64_t odd = 0;
  for (size_t i = 0; i < blocks; i += kLanes) {
    const I32 amax = load<I32>(batch.amax + i);
    const I32 wanted = (amax + splat(scales.carry)) & splat(kInfinityBits), is_zero = amax == 0;
    const I32 field = min(max(wanted, lowest_field), highest);
    odd |= bit_mask((field != wanted) & ~is_zero) << i;
    const I32 shift = field + splat(uint32_t(scales.grid_shift) << 23);
    store(batch.lowest + i, shift + splat(uint32_t(plan.element->min_field) << 23));
    store(batch.limit + i, shift + splat(plan.element->limit[0]));
    const I32 code = (field >> 23) + splat(uint32_t(scales.code_shift));
    store_narrow(batch.code + i, select(is_zero, splat(scales.zero_code), code));
  }
  return odd & (~uint64_t{0} >> (kBatch - blocks));
}

template <Rounding R, bool kIsPlain>
class PowerElements {
 public:
  HALFULP_INLINE PowerElements(const Results<kIsPlain>& results, const Grid& g, I32 limit)
      : results_(results), grid_(g), limit_(limit) {}

  HALFULP_INLINE void quantize(const float* from, float* to) const {
    const I32 x = load<I32>(from);
    store(to, results_.value(x, rounded_bits<R>(sum(x))));
  }
  HALFULP_INLINE void quantize(const float* from, uint8_t* to) const {
    const I32 x = load<I32>(from);
    store_narrow(to, results_.code(x, rounded_index<R>(grid_, sum(x))));
  }

 private:
  HALFULP_INLINE Sum sum(I32 x) const {
    return add_constant<R>(grid_, x, min(x & splat(kMagnitudeBits), results_.limit(x, limit_)));
  }

  const Results<kIsPlain>& results_;
  Grid grid_;
  I32 limit_;
};

template <class Elements, class Out>
HALFULP_INLINE void quantize_block(const Elements& elements, const float* x, Out* out, size_t size) {
  for (size_t i = 0; i < size; i += kLanes) elements.quantize(x + i, out + i);
}

template <Rounding R, bool kIsPlain, class Out>
[[gnu::noinline]] void power_blocks(const BlockPlan& plan, const float* x, Out* out, uint8_t* scales, size_t blocks,
                                    uint64_t* odd) {
  const size_t size = plan.block;
  const int mantissa_bits = plan.element->mantissa_bits;
  const Results<kIsPlain> results(*plan.element);
  PowerBatch batch;
  for (size_t first = 0; first < blocks; first += kBatch) {
    const size_t count = blocks - first < kBatch ? blocks - first : kBatch;
    const float* const in = x + first * size;
    find_maxima(in, size, count, batch.amax);
    const uint64_t skipped = find_grids(plan, count, batch);
    odd[first / kBatch] = skipped;
    if (scales != nullptr) __builtin_memcpy(scales + first, batch.code, count);
    for (size_t b = 0; b < count; ++b) {
      if ((skipped >> b & 1) != 0) continue;
      const PowerElements<R, kIsPlain> elements(results, grid<R>(splat(uint32_t(batch.lowest[b])), mantissa_bits),
                                                splat(batch.limit[b]));
      quantize_block(elements, in + b * size, out + (first + b) * size, size);
    }
  }
}

// ---- scales with a mantissa ----

// A quotient x / s lies between the products of x with `low` and with `high`, whatever their rounding.
struct QuotientBatch {
  alignas(kVectorBytes) uint32_t amax[kBatch] = {};
  alignas(kVectorBytes) float scale[kBatch];
  alignas(kVectorBytes) float low[kBatch], high[kBatch];
  uint8_t code[kBatch];
  uint8_t odd[kBatch];
};

// The smallest and the largest factor that stay away from the ends of binary32's range, where products lose bits.
constexpr double kMinFactor = 0x1p-100, kMaxFactor = 0x1p120;

[[gnu::noinline]] void find_scales(const BlockPlan& plan, QuotientBatch& batch) {
  const FloatControl control(_MM_ROUND_NEAREST);
  const QuotientScales scales = plan.quotients;
  const Encoder encoder = *scales.encoder;
  for (size_t b = 0; b < kBatch; ++b) {
    const double amax = double(float_of(batch.amax[b]));
    const float wanted = detail::narrow_to_odd(amax * scales.scale_numerator / scales.scale_denominator);
    batch.scale[b] = float_of(detail::round_one<Rounding::TiesToEven>(encoder, bits_of(wanted), 0));
  }
  for (size_t b = 0; b < kBatch; ++b) {
    const double factor = scales.numerator / (double(batch.scale[b]) * scales.denominator);
    const bool is_zero = batch.scale[b] == 0, is_near_an_end = (factor < kMinFactor) | (factor > kMaxFactor);
    batch.odd[b] = (batch.amax[b] >= kInfinityBits) | (is_near_an_end & !is_zero);
    batch.low[b] = detail::select(is_zero, 0.0f, float(factor * (1 - 0x1p-21)));
    batch.high[b] = detail::select(is_zero, 0.0f, float(factor * (1 + 0x1p-21)));
  }
}

[[gnu::noinline]] void find_scale_codes(const Encoder& encoder, QuotientBatch& batch) {
  const Encoder e = encoder;
  for (size_t b = 0; b < kBatch; ++b)
    batch.code[b] = uint8_t(detail::encode_one<Rounding::TiesToEven>(e, bits_of(batch.scale[b]), 0));
}

// x · numerator / denominator, rounded to odd.
[[gnu::noinline]] void divide(const float* x, double numerator, double denominator, float* quotients) {
  const FloatControl control(_MM_ROUND_NEAREST);
  for (size_t i = 0; i < kLanes; ++i) quotients[i] = detail::narrow_to_odd(double(x[i]) * numerator / denominator);
}

constexpr bool rounds_to_nearest(Rounding rounding) { return rounding <= Rounding::TiesTowardNegative; }
static_assert(!rounds_to_nearest(Rounding::TowardZero) && rounds_to_nearest(Rounding::TiesToEven));

// The elements of one block. Rounding is monotonic: where both ends of the interval that holds the quotient round
// alike, so does the quotient. Elsewhere, once in some ten thousand vectors, it is divided exactly.
template <Rounding R, bool kIsPlain>
class QuotientElements {
 public:
  HALFULP_INLINE QuotientElements(const BlockPlan& plan, const Results<kIsPlain>& results, const Grid& g,
                                  const QuotientBatch& batch, size_t block)
      : plan_(plan),
        results_(results),
        grid_(g),
        limit_(splat(plan.element->limit[0])),
        scale_(batch.scale[block]),
        low_(F32{} + batch.low[block]),
        high_(F32{} + batch.high[block]),
        signs_(splat(batch.scale[block] == 0 ? 0 : ~0u)) {}

  HALFULP_INLINE void quantize(const float* from, float* to) const {
    const I32 x = load<I32>(from) & signs_;
    const I32 element = results_.value(x, rounded_bits<R>(sum(x, from)));
    store(to, float_of(element) * scale_);
  }
  HALFULP_INLINE void quantize(const float* from, uint8_t* to) const {
    const I32 x = load<I32>(from) & signs_;
    store_narrow(to, results_.code(x, rounded_index<R>(grid_, sum(x, from))));
  }

 private:
  HALFULP_INLINE Sum sum(I32 x, const float* from) const {
    const I32 magnitude = x & splat(kMagnitudeBits), limit = results_.limit(x, limit_);
    const I32 low = min(bits_of(float_of(magnitude) * low_), limit);
    I32 high = bits_of(float_of(magnitude) * high_);
    // A product may vanish, a quotient does not.
    if constexpr (!rounds_to_nearest(R)) high = max(high, min(magnitude, splat(0x00800000)));
    high = min(high, limit);
    // Both on the steps of the upper end: where they meet at a power of two, finer steps below it meet there too.
    const I32 binade = binade_of(grid_, high);
    const Sum upper = add_constant<R>(grid_, x, high, binade);
    if (differ(upper.bits, add_constant<R>(grid_, x, low, binade).bits)) [[unlikely]]
      return exact_sum(x, from);
    return upper;
  }

  HALFULP_INLINE Sum exact_sum(I32 x, const float* from) const {
    float quotients[kLanes];
    divide(from, plan_.quotients.numerator, double(scale_) * plan_.quotients.denominator, quotients);
    const I32 magnitude = load<I32>(quotients) & splat(kMagnitudeBits);
    return add_constant<R>(grid_, x, min(magnitude, results_.limit(x, limit_)));
  }

  const BlockPlan& plan_;
  const Results<kIsPlain>& results_;
  const Grid& grid_;
  I32 limit_;
  float scale_;
  F32 low_, high_;
  I32 signs_;  // a scale of zero takes all bits of a number
};

template <Rounding R, bool kIsPlain, class Out>
[[gnu::noinline]] void quotient_blocks(const BlockPlan& plan, const float* x, Out* out, uint8_t* scales, size_t blocks,
                                       uint64_t* odd) {
  const size_t size = plan.block;
  const Results<kIsPlain> results(*plan.element);
  const Grid g = grid<R>(*plan.element);
  QuotientBatch batch;
  for (size_t first = 0; first < blocks; first += kBatch) {
    const size_t count = blocks - first < kBatch ? blocks - first : kBatch;
    const float* const in = x + first * size;
    find_maxima(in, size, count, batch.amax);
    find_scales(plan, batch);
    uint64_t skipped = 0;
    for (size_t b = 0; b < count; ++b) skipped |= uint64_t{batch.odd[b]} << b;
    odd[first / kBatch] = skipped;
    if (scales != nullptr) {
      find_scale_codes(*plan.quotients.encoder, batch);
      __builtin_memcpy(scales + first, batch.code, count);
    }
    for (size_t b = 0; b < count; ++b) {
      if ((skipped >> b & 1) != 0) continue;
      quantize_block(QuotientElements<R, kIsPlain>(plan, results, g, batch, b), in + b * size, out + (first + b) * size,
                     size);
    }
  }
}

// ---- choosing ----

template <Rounding R, bool kIsPlain, class Out>
void choose_scales(const BlockPlan& plan, const float* x, Out* out, uint8_t* scales, size_t blocks, uint64_t* odd) {
  const FloatControl control(R);
  if (plan.quotients.encoder != nullptr) return quotient_blocks<R, kIsPlain>(plan, x, out, scales, blocks, odd);
  return power_blocks<R, kIsPlain>(plan, x, out, scales, blocks, odd);
}

template <Rounding R, class Out>
void choose_signs(const BlockPlan& plan, const float* x, Out* out, uint8_t* scales, size_t blocks, uint64_t* odd) {
  if (plan.element->care == Care::Nan) return choose_scales<R, true>(plan, x, out, scales, blocks, odd);
  return choose_scales<R, false>(plan, x, out, scales, blocks, odd);
}

template <class Out>
void choose_rounding(const BlockPlan& plan, const float* x, Out* out, uint8_t* scales, size_t blocks, uint64_t* odd) {
#define HALFULP_CASE(mode) \
  case Rounding::mode: return choose_signs<Rounding::mode>(plan, x, out, scales, blocks, odd)
  switch (plan.rounding) {
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
    case Rounding::StochasticA:
    case Rounding::StochasticB:
    case Rounding::StochasticC:
    case Rounding::StochasticEqual: break;
  }
#undef HALFULP_CASE
}

}  // namespace

void quantize_blocks(const BlockPlan& plan, const float* x, float* values, size_t blocks, uint64_t* odd) {
  choose_rounding(plan, x, values, nullptr, blocks, odd);
}

void encode_blocks(const BlockPlan& plan, const float* x, uint8_t* codes, uint8_t* scales, size_t blocks,
                   uint64_t* odd) {
  choose_rounding(plan, x, codes, scales, blocks, odd);
}

void pack_nibbles(const uint8_t* codes, uint8_t* packed, size_t count) {
  for (size_t i = 0; i < count / 2; ++i) packed[i] = uint8_t(codes[2 * i] | codes[2 * i + 1] << 4);
}

}  // namespace halfulp::HALFULP_ISA
