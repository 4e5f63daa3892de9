#include "formats/block_kernels.h"

#include <cstddef>
#include <cstdint>

#include "formats/philox_vector.h"
#include "formats/quotient.h"
#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {
namespace {

// Blocks whose scales are found together. What they have read is still in the first cache when its elements follow.
constexpr size_t kBatch = 64;

// One load: left to themselves compilers read a number again for each of its uses, and loads are what is scarce.
HALFULP_INLINE I32 load_once(const float* from) {
  I32 v = load<I32>(from);
  asm("" : "+v"(v));
  return v;
}

HALFULP_INLINE F32 spread(float x) { return float_of(splat(bits_of(x))); }

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

// Whether a differs from b or c from d.
HALFULP_INLINE bool differ(I32 a, I32 b, I32 c, I32 d) {
#if defined(__AVX512F__)
  return !_kortestz_mask16_u8(_mm512_cmpneq_epi32_mask((__m512i)a, (__m512i)b),
                              _mm512_cmpneq_epi32_mask((__m512i)c, (__m512i)d));
#else
  return differ((a ^ b) | (c ^ d), I32{});
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

// Half an AVX-512 vector: what is left to reduce across lanes is then half as much.
#if defined(__AVX2__)
using Half [[gnu::vector_size(32)]] = int32_t;
HALFULP_INLINE Half words_low(Half a, Half b) { return (Half)_mm256_unpacklo_epi32((__m256i)a, (__m256i)b); }
HALFULP_INLINE Half words_high(Half a, Half b) { return (Half)_mm256_unpackhi_epi32((__m256i)a, (__m256i)b); }
HALFULP_INLINE Half pairs_low(Half a, Half b) { return (Half)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b); }
HALFULP_INLINE Half pairs_high(Half a, Half b) { return (Half)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b); }
#else
using Half [[gnu::vector_size(16)]] = int32_t;
HALFULP_INLINE Half words_low(Half a, Half b) { return (Half)_mm_unpacklo_epi32((__m128i)a, (__m128i)b); }
HALFULP_INLINE Half words_high(Half a, Half b) { return (Half)_mm_unpackhi_epi32((__m128i)a, (__m128i)b); }
HALFULP_INLINE Half pairs_low(Half a, Half b) { return (Half)_mm_unpacklo_epi64((__m128i)a, (__m128i)b); }
HALFULP_INLINE Half pairs_high(Half a, Half b) { return (Half)_mm_unpackhi_epi64((__m128i)a, (__m128i)b); }
#endif
constexpr size_t kHalfLanes = sizeof(Half) / 4;

HALFULP_INLINE Half larger(Half a, Half b) { return a > b ? a : b; }

HALFULP_INLINE Half largest_of_lanes(const float* block, size_t size) {
  const Half magnitude = Half{} + int32_t(kMagnitudeBits);
  Half largest = load<Half>(block) & magnitude;
  for (size_t i = kHalfLanes; i < size; i += kHalfLanes) largest = larger(largest, load<Half>(block + i) & magnitude);
  return largest;
}

// The largest lanes of four vectors, one after the other in each 16 bytes.
HALFULP_INLINE Half largest_of_four(Half a, Half b, Half c, Half d) {
  const Half ab = larger(words_low(a, b), words_high(a, b)), cd = larger(words_low(c, d), words_high(c, d));
  return larger(pairs_low(ab, cd), pairs_high(ab, cd));
}

// amax[b] = bits of the largest magnitude of block b, for a multiple of kHalfLanes blocks.
HALFULP_INLINE void find_whole_maxima(const float* x, size_t size, size_t blocks, uint32_t* amax) {
  for (size_t b = 0; b < blocks; b += kHalfLanes) {
    Half largest[kHalfLanes];
    for (size_t i = 0; i < kHalfLanes; ++i) largest[i] = largest_of_lanes(x + (b + i) * size, size);
    const Half first = largest_of_four(largest[0], largest[1], largest[2], largest[3]);
#if defined(__AVX2__)
    const Half second = largest_of_four(largest[4], largest[5], largest[6], largest[7]);
    const Half low = (Half)_mm256_permute2x128_si256((__m256i)first, (__m256i)second, 0x20);
    const Half high = (Half)_mm256_permute2x128_si256((__m256i)first, (__m256i)second, 0x31);
    store(amax + b, larger(low, high));
#else
    store(amax + b, first);
#endif
  }
}

[[gnu::noinline]] void find_maxima(const float* x, size_t size, size_t blocks, uint32_t* amax) {
  const size_t whole = blocks / kHalfLanes * kHalfLanes;
  // the usual sizes, known to the compiler
  if (size == 16)
    find_whole_maxima(x, 16, whole, amax);
  else if (size == 32)
    find_whole_maxima(x, 32, whole, amax);
  else
    find_whole_maxima(x, size, whole, amax);
  for (size_t b = whole; b < blocks; ++b) {
    const Half largest = largest_of_lanes(x + b * size, size);
    int32_t all = 0;
    for (size_t i = 0; i < kHalfLanes; ++i) all = detail::select(largest[i] > all, largest[i], all);
    amax[b] = uint32_t(all);
  }
}

// The same of blocks first, first + 1, … where they are known already.
HALFULP_INLINE void take_maxima(const uint32_t* known, size_t first, const float* x, size_t size, size_t blocks,
                                uint32_t* amax) {
  if (known == nullptr) return find_maxima(x, size, blocks, amax);
  __builtin_memcpy(amax, known + first, blocks * sizeof *amax);
}

// ---- elements ----

// Rounds numbers to the steps of a binade, which is that of one of them.
template <Rounding R>
class Steps {
 public:
  // `one` is one of the numbers, limited<R>.
  HALFULP_INLINE Steps(const Grid& g, I32 one) : grid_(g), above_(binade(g, one)), constant_(above_ + g.constant) {}

  HALFULP_INLINE I32 sum(I32 v) const { return add_constant<R>(grid_, v, above_, constant_); }
  // What a sum stands for: the bits of a magnitude, or an index.
  HALFULP_INLINE I32 bits(I32 sum) const {
    return bits_of(float_of(sum) - float_of(constant_)) & splat(addition(R).by_value ? kMagnitudeBits : ~0u);
  }
  HALFULP_INLINE I32 index(I32 sum) const {
    const I32 steps = sum - constant_;
    return (addition(R).by_value ? select(steps < 0, -steps, steps) : steps) + (above_ >> grid_.field_drop);
  }

 private:
  const Grid& grid_;
  I32 above_, constant_;
};

template <Rounding R, class Out>
struct ChosenSteps {
  using Type = Steps<R>;
};
template <Rounding R>
requires(kFuses) struct ChosenSteps<R, float> {
  using Type = FusedSteps<R>;
};

// The grid of an element, and the same moved by a power of two, given as an exponent field in place.
template <Rounding R>
HALFULP_INLINE auto grid_of(const Encoder& e) {
  if constexpr (is_stochastic(R))
    return random_grid<R>(e);
  else
    return grid<R>(e);
}
HALFULP_INLINE Grid moved(const Grid& g, I32 shift) {
  return {g.lowest + shift, g.constant + shift, g.half_step + shift, g.field_drop};
}
HALFULP_INLINE RandomGrid moved(const RandomGrid& g, I32 shift) {
  return {moved(g.grid, shift), g.step + shift, g.fine_step + shift, g.fine_half, g.coarse - shift,
          g.back + shift,       g.is_fine};
}

// A number limited<R>, rounded: the bits of its magnitude, or its index with anything above kIndexBits.
template <Rounding R, class Out>
HALFULP_INLINE I32 rounded_to(const Grid& g, I32 v, Fields) {
  if constexpr (sizeof(Out) == 1) return rounded_index<R>(g, v);
  return rounded_bits<R>(g, v);
}
template <Rounding R, class Out>
HALFULP_INLINE I32 rounded_to(const RandomGrid& g, I32 v, Fields fields) {
  if constexpr (sizeof(Out) == 1) return randomly_rounded_index<R>(g, v, fields.lanes());
  return randomly_rounded_bits<R>(g, v, fields.lanes());
}

// The way from a rounded magnitude to a result. Plain elements need no care but for the sign bit.
template <bool kIsPlain>
class Results {
 public:
  HALFULP_INLINE explicit Results(const Encoder& e) : e_(e), sign_(sign_place<uint32_t>(e.sign_code[1])) {}

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
    const I32 code = or_masked(index, x >> sign_.shift, splat(sign_.mask));
    if constexpr (kIsPlain) return code;
    const I32 complemented = (x < 0) & splat(e_.code_mask != 0 ? ~0u : 0u);
    const I32 other = merge(complemented, (splat(0) - index) & splat(e_.code_mask), code);
    return select(index == 0, splat(0), other);
  }

 private:
  Encoder e_;
  SignPlace sign_;
};

// Runs `elements` over the blocks of a batch, but for those whose bit is set in `skipped`. Elements know of each block
// (`block`), of a vector's rounded magnitudes and of its results.
template <class Elements>
HALFULP_INLINE void quantize_vector(const Elements& elements, const typename Elements::Block& block, const float* from,
                                    float* to, Fields fields) {
  const I32 x = elements.template bits_of_numbers<float>(block, from);
  store(to, elements.value(block, x, elements.template rounded<float>(block, x, from, fields)));
}
template <class Elements>
HALFULP_INLINE void quantize_vector(const Elements& elements, const typename Elements::Block& block, const float* from,
                                    uint8_t* to, Fields fields) {
  const I32 x = elements.template bits_of_numbers<uint8_t>(block, from);
  const I32 index = elements.template rounded<uint8_t>(block, x, from, fields) & splat(kIndexBits);
  store_narrow(to, elements.results().code(x, index));
}

template <class Elements, class Out>
HALFULP_INLINE void quantize_one_by_one(const Elements& elements, const float* x, Out* out, Fields fields, size_t size,
                                        size_t first, size_t blocks, uint64_t skipped) {
  for (size_t b = first; b < blocks; ++b) {
    if ((skipped >> b & 1) != 0) continue;
    const typename Elements::Block block = elements.block(b);
    for (size_t i = b * size; i < (b + 1) * size; i += kLanes)
      quantize_vector(elements, block, x + i, out + i, fields.from(i));
  }
}

// Four vectors at a time, which are those of kBlocks blocks or of a part of one. Elements may know a way to do them
// together, which returns whether it did.
template <size_t kBlocks, class Elements, class Out>
HALFULP_INLINE void quantize_in_groups(const Elements& elements, const float* x, Out* out, Fields fields, size_t size,
                                       size_t blocks, SignPlace sign) {
  const size_t whole = blocks / kBlocks * kBlocks, vectors = kBlocks > 1 ? kGroup * kLanes : size;
  for (size_t b = 0; b < whole; b += kBlocks) {
    for (size_t i = b * size; i < b * size + vectors; i += kGroup * kLanes) {
      if constexpr (requires { elements.template quantize_together<kBlocks>(b, x, out); })
        if (elements.template quantize_together<kBlocks>(b, x + i, out + i)) [[likely]]
          continue;
      I32 codes[kGroup], numbers[kGroup];
#pragma GCC unroll 4
      for (size_t v = 0; v < kGroup; ++v) {
        const typename Elements::Block block = elements.block(b + v * kBlocks / kGroup);
        const size_t at = i + v * kLanes;
        if constexpr (sizeof(Out) == sizeof(float)) {
          quantize_vector(elements, block, x + at, out + at, fields.from(at));
        } else {
          numbers[v] = elements.template bits_of_numbers<Out>(block, x + at);
          codes[v] = elements.template rounded<Out>(block, numbers[v], x + at, fields.from(at));
        }
      }
      if constexpr (sizeof(Out) == 1) store_codes(out + i, codes, numbers, sign);
    }
  }
  quantize_one_by_one(elements, x, out, fields, size, whole, blocks, 0);
}

template <bool kIsPlain, class Elements, class Out>
HALFULP_INLINE void quantize_batch(const Elements& elements, const Encoder& e, const float* x, Out* out, Fields fields,
                                   size_t size, size_t blocks, uint64_t skipped) {
  if constexpr (kIsPlain) {
    const SignPlace sign = sign_place<uint8_t>(e.sign_code[1]);
    if (skipped == 0) {
      if constexpr (kBlockStep == kLanes)
        if (size == kLanes) return quantize_in_groups<4>(elements, x, out, fields, kLanes, blocks, sign);
      if constexpr (kBlockStep <= 2 * kLanes)
        if (size == 2 * kLanes) return quantize_in_groups<2>(elements, x, out, fields, 2 * kLanes, blocks, sign);
      if (size % (kGroup * kLanes) == 0) return quantize_in_groups<1>(elements, x, out, fields, size, blocks, sign);
    }
  }
  quantize_one_by_one(elements, x, out, fields, size, 0, blocks, skipped);
}

// ---- scales that are powers of two ----

// What the elements of a batch's blocks need: where each one's grid lies.
struct PowerBatch {
  alignas(kVectorBytes) uint32_t amax[kBatch] = {};
  alignas(kVectorBytes) uint32_t shift[kBatch];   // an exponent field, in place
  alignas(kVectorBytes) uint32_t lowest[kBatch];  // of the moved grid
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
    store(batch.shift + i, shift);
    store(batch.lowest + i, shift + splat(uint32_t(plan.element->min_field) << 23));
    store(batch.limit + i, shift + splat(plan.element->limit[0]));
    const I32 code = (field >> 23) + splat(uint32_t(scales.code_shift));
    store_narrow(batch.code + i, select(is_zero, splat(scales.zero_code), code));
  }
  return odd & (~uint64_t{0} >> (64 - blocks));
}

template <Rounding R, bool kIsPlain>
class PowerElements {
 public:
  using ItsGrid = decltype(grid_of<R>(Encoder{}));
  struct Block {
    ItsGrid grid;
    I32 limit;
  };

  HALFULP_INLINE PowerElements(const Encoder& e, const PowerBatch& batch)
      : results_(e), grid_(grid_of<R>(e)), batch_(batch) {}

  HALFULP_INLINE Block block(size_t b) const {
    Block block = {moved(grid_, splat(batch_.shift[b])), splat(batch_.limit[b])};
    if constexpr (kFuses && !is_stochastic(R)) block.grid.lowest = splat(batch_.lowest[b]);
    return block;
  }
  template <class Out>
  HALFULP_INLINE I32 bits_of_numbers(const Block&, const float* from) const {
    return load_once(from);
  }
  template <class Out>
  HALFULP_INLINE I32 rounded(const Block& block, I32 x, const float*, Fields fields) const {
    return rounded_to<R, Out>(block.grid, limited<R>(x, results_.limit(x, block.limit)), fields);
  }
  HALFULP_INLINE I32 value(const Block&, I32 x, I32 bits) const { return results_.value(x, bits); }
  HALFULP_INLINE const Results<kIsPlain>& results() const { return results_; }

 private:
  Results<kIsPlain> results_;
  ItsGrid grid_;
  const PowerBatch& batch_;
};

// How many blocks are done together.
HALFULP_INLINE size_t batch_size(const BlockPlan& plan) {
  const size_t blocks = is_stochastic(plan.rounding) ? kRandomBatch / plan.block : kBatch;
  return blocks < kBatch ? blocks : kBatch;
}

// Calls batch(first block, blocks, its random fields), which returns a bit per block out of the ordinary.
template <Rounding R, class Use>
HALFULP_INLINE void for_each_batch(const BlockPlan& plan, uint32_t first_index, size_t blocks, uint64_t* odd,
                                   Use batch) {
  for (size_t word = 0; word * 64 < blocks; ++word) odd[word] = 0;
  RandomRun random(plan.site, is_stochastic(R) ? plan.element->random_bits : 8);
  const size_t step = batch_size(plan), size = plan.block;
  for (size_t first = 0, count; first < blocks; first += count) {
    count = blocks - first < step ? blocks - first : step;
    // a batch's bits belong to one word
    const size_t left = 64 - first % 64;
    count = count < left ? count : left;
    Fields fields{};
    if constexpr (is_stochastic(R)) fields = random.all_fields(first_index + uint32_t(first * size), count * size);
    odd[first / 64] |= batch(first, count, fields) << first % 64;
  }
}

template <Rounding R, bool kIsPlain, class Out>
[[gnu::noinline]] void power_blocks(const BlockPlan& plan, uint32_t first_index, const float* x, const uint32_t* amax,
                                    Out* out, uint8_t* scales, size_t blocks, uint64_t* odd) {
  const size_t size = plan.block;
  PowerBatch batch;
  const PowerElements<R, kIsPlain> elements(*plan.element, batch);
  for_each_batch<R>(plan, first_index, blocks, odd, [&](size_t first, size_t count, Fields fields) {
    const float* const in = x + first * size;
    take_maxima(amax, first, in, size, count, batch.amax);
    const uint64_t skipped = find_grids(plan, count, batch);
    if (scales != nullptr) __builtin_memcpy(scales + first, batch.code, count);
    quantize_batch<kIsPlain>(elements, *plan.element, in, out + first * size, fields, size, count, skipped);
    return skipped;
  });
}

// ---- scales with a mantissa ----

// A quotient x / s lies between the products of x with `low` and with `high`, whatever their rounding.
struct QuotientBatch {
  alignas(kVectorBytes) uint32_t amax[kBatch] = {};
  alignas(kVectorBytes) float scale[kBatch];
  alignas(kVectorBytes) float low[kBatch], high[kBatch];
  alignas(kVectorBytes) uint32_t limit[kBatch];  // larger magnitudes have the largest element as this one has
  uint8_t code[kBatch];
};

// A bit per block out of the ordinary, and one per block whose scale is zero.
struct BlockKinds {
  uint64_t odd = 0, zero = 0;
};

// The smallest and the largest factor that stay away from the ends of binary32's range, where products lose bits; how
// far the ends of an interval are from its middle, which is more than all roundings on the way to a product together.
constexpr float kMinFactor = 0x1p-100f, kMaxFactor = 0x1p120f, kSlack = 0x1p-20f;

// The scales of a vector of blocks, exactly: their bits and their codes.
struct Scales {
  I32 bits, codes;
};
[[gnu::noinline]] Scales exact_scales(const BlockPlan& plan, const uint32_t* amax) {
  const QuotientScales& scales = plan.quotients;
  float wanted[kLanes];
  for (size_t i = 0; i < kLanes; ++i)
    wanted[i] = detail::narrow_to_odd(double(float_of(amax[i])) * scales.scale_numerator / scales.scale_denominator);
  const Grid g = grid<Rounding::TiesToEven>(*scales.encoder);
  const I32 v = limited_magnitude(load<I32>(wanted), splat(scales.encoder->limit[0]));
  return {rounded_bits<Rounding::TiesToEven>(g, v), rounded_index<Rounding::TiesToEven>(g, v)};
}

// Rounds to nearest.
[[gnu::noinline]] BlockKinds find_scales_to_nearest(const BlockPlan& plan, size_t blocks, bool needs_codes,
                                                    QuotientBatch& batch) {
  constexpr Rounding kNearest = Rounding::TiesToEven;
  const QuotientScales& scales = plan.quotients;
  const Grid g = grid<kNearest>(*scales.encoder);
  const I32 limit = splat(scales.encoder->limit[0]);
  const float of_amax = float(scales.scale_numerator / scales.scale_denominator);
  const float of_scale = float(scales.numerator / scales.denominator);
  const float of_limit = float_of(plan.element->limit[0]) / of_scale * (1 + 4 * kSlack);
  const uint64_t all = ~uint64_t{0} >> (64 - blocks);
  if (!(of_scale >= kMinFactor && of_scale <= kMaxFactor)) return {.odd = all};
  BlockKinds kinds;
  for (size_t b = 0; b < blocks; b += kLanes) {
    const I32 amax = load<I32>(batch.amax + b);
    const F32 wanted = float_of(amax) * of_amax;
    const I32 low = limited_magnitude(bits_of(wanted * (1 - kSlack)), limit);
    const I32 high = limited_magnitude(bits_of(wanted * (1 + kSlack)), limit);
    const Steps<kNearest> steps(g, high);
    const I32 sum = steps.sum(high);
    Scales found = {steps.bits(sum), steps.index(sum)};
    if (differ(sum, steps.sum(low)) || of_amax < kMinFactor || of_amax > kMaxFactor) [[unlikely]]
      found = exact_scales(plan, batch.amax + b);

    const I32 is_zero = found.bits == 0, amax_is_odd = amax >= splat(kInfinityBits);
    const I32 quotient = bits_of(of_scale / float_of(found.bits));
    const F32 factor = float_of(quotient & ~is_zero);
    const I32 is_odd = (quotient < splat(bits_of(kMinFactor))) | (quotient > splat(bits_of(kMaxFactor)));
    // zeros among them, whose quotient is infinite
    if (bit_mask(amax_is_odd | is_odd) != 0) [[unlikely]] {
      kinds.odd |= bit_mask(amax_is_odd | (is_odd & ~is_zero)) << b;
      kinds.zero |= bit_mask(is_zero) << b;
    }
    store(batch.scale + b, found.bits);
    if (needs_codes) store_narrow(batch.code + b, found.codes);
    store(batch.low + b, factor * (1 - kSlack));
    store(batch.high + b, factor * (1 + kSlack));
    store(batch.limit + b, float_of(found.bits) * of_limit);
  }
  return {kinds.odd & all, kinds.zero & all & ~kinds.odd};
}

template <Rounding R>
HALFULP_INLINE BlockKinds find_scales(const BlockPlan& plan, size_t blocks, bool needs_codes, QuotientBatch& batch) {
  if constexpr (addition(R).direction == _MM_ROUND_NEAREST)
    return find_scales_to_nearest(plan, blocks, needs_codes, batch);
  const FloatControl control;
  return find_scales_to_nearest(plan, blocks, needs_codes, batch);
}

// x · numerator / denominator, rounded to odd.
[[gnu::noinline]] void divide(const float* x, double numerator, double denominator, float* quotients) {
  const FloatControl control;
  for (size_t i = 0; i < kLanes; ++i) quotients[i] = detail::narrow_to_odd(double(x[i]) * numerator / denominator);
}

constexpr bool rounds_to_nearest(Rounding rounding) { return rounding <= Rounding::TiesTowardNegative; }
static_assert(!rounds_to_nearest(Rounding::TowardZero) && rounds_to_nearest(Rounding::TiesToEven));

// Rounding is monotonic: where both ends of the interval that holds the quotient round alike, so does the quotient.
// Elsewhere, once in some ten thousand vectors, it is divided exactly.
template <Rounding R, bool kIsPlain>
class QuotientElements {
 public:
  struct Block {
    size_t number;
    F32 scale, low, high;
    I32 limit;
  };

  HALFULP_INLINE QuotientElements(const BlockPlan& plan, const QuotientBatch& batch)
      : plan_(plan),
        results_(*plan.element),
        grid_(grid_of<R>(*plan.element)),
        limit_(splat(plan.element->limit[0])),
        batch_(batch) {}

  HALFULP_INLINE Block block(size_t b) const {
    return {b, spread(batch_.scale[b]), spread(batch_.low[b]), spread(batch_.high[b]), splat(batch_.limit[b])};
  }
  template <class Out>
  HALFULP_INLINE I32 bits_of_numbers(const Block&, const float* from) const {
    return load<I32>(from);
  }
  template <class Out>
  HALFULP_INLINE I32 rounded(const Block& block, I32 x, const float* from, Fields fields) const {
    if constexpr (is_shorter<Out>()) {
      const Ends ends = rounded_ends(block, x);
      if (!differ(ends.low, ends.high)) [[likely]]
        return bits_of(float_of(ends.low) - ends.constant);
      return exactly_rounded<Out>(block, x, from, fields);
    }
    const I32 low = product(x, block.low), high = upper_product(x, block.high);
    if constexpr (is_stochastic(R)) {
      const I32 upper = rounded_to<R, Out>(grid_, high, fields), mask = splat(sizeof(Out) == 1 ? kIndexBits : ~0u);
      if (!differ(upper & mask, rounded_to<R, Out>(grid_, low, fields) & mask)) [[likely]]
        return upper;
    } else {
      // Both on the steps of the upper end: where they meet at a power of two, finer steps below it meet there too.
      const typename ChosenSteps<R, Out>::Type steps(grid_, high);
      const I32 upper = steps.sum(high);
      if (!differ(upper, steps.sum(low))) [[likely]] {
        if constexpr (sizeof(Out) == 1)
          return steps.index(upper);
        else
          return steps.bits(upper);
      }
    }
    return exactly_rounded<Out>(block, x, from, fields);
  }
  HALFULP_INLINE I32 value(const Block& block, I32 x, I32 bits) const {
    return bits_of(float_of(results_.value(x, bits)) * block.scale);
  }
  HALFULP_INLINE const Results<kIsPlain>& results() const { return results_; }

  // kGroup vectors of kBlocks blocks from block `first` on, unless one of them has to be divided exactly.
  template <size_t kBlocks>
  HALFULP_INLINE bool quantize_together(size_t first, const float* from, float* to) const
      requires(R == Rounding::TiesToEven && kIsPlain) {
    I32 x[kGroup];
    Ends ends[kGroup];
#pragma GCC unroll 4
    for (size_t v = 0; v < kGroup; ++v) {
      x[v] = load<I32>(from + v * kLanes);
      ends[v] = rounded_ends(block(first + v * kBlocks / kGroup), x[v]);
    }
    if (differ(ends[0].low, ends[0].high, ends[1].low, ends[1].high) ||
        differ(ends[2].low, ends[2].high, ends[3].low, ends[3].high)) [[unlikely]]
      return false;
#pragma GCC unroll 4
    for (size_t v = 0; v < kGroup; ++v) {
      const I32 bits = bits_of(float_of(ends[v].low) - ends[v].constant);
      store(to + v * kLanes, value(block(first + v * kBlocks / kGroup), x[v], bits));
    }
    return true;
  }

 private:
  template <class Out>
  HALFULP_INLINE static constexpr bool is_shorter() {
    return R == Rounding::TiesToEven && kIsPlain && sizeof(Out) == sizeof(float);
  }

  // The sums that round both ends of the interval, on the steps of the lower one, because what is nearest beside a
  // power of two does not depend on them either.
  struct Ends {
    F32 constant;
    I32 low, high;
  };
  HALFULP_INLINE Ends rounded_ends(const Block& block, I32 x) const {
    const F32 magnitude = float_of(limited_magnitude(x, block.limit));
    const I32 low = bits_of(magnitude * block.low);
    const F32 constant = float_of(max(low & splat(kInfinityBits), grid_.lowest)) * constant_factor<R>(grid_);
    return {constant, bits_of(multiply_add(magnitude, block.low, constant)),
            bits_of(multiply_add(magnitude, block.high, constant))};
  }

  HALFULP_INLINE I32 product(I32 x, F32 factor) const {
    return limited<R>(bits_of(float_of(x) * factor), results_.limit(x, limit_));
  }
  // A product may vanish, a quotient does not.
  HALFULP_INLINE I32 upper_product(I32 x, F32 factor) const {
    if constexpr (rounds_to_nearest(R)) return product(x, factor);
    const I32 magnitude = x & splat(kMagnitudeBits);
    const I32 bits = max(bits_of(float_of(magnitude) * factor), min(magnitude, splat(0x00800000)));
    return limited<R>(or_masked(bits, x, splat(kSignBit)), results_.limit(x, limit_));
  }

  template <class Out>
  HALFULP_INLINE I32 exactly_rounded(const Block& block, I32 x, const float* from, Fields fields) const {
    float quotients[kLanes];
    divide(from, plan_.quotients.numerator, double(batch_.scale[block.number]) * plan_.quotients.denominator,
           quotients);
    return rounded_to<R, Out>(grid_, limited<R>(load<I32>(quotients), results_.limit(x, limit_)), fields);
  }

  const BlockPlan& plan_;
  Results<kIsPlain> results_;
  decltype(grid_of<R>(Encoder{})) grid_;
  I32 limit_;
  const QuotientBatch& batch_;
};

template <Rounding R, bool kIsPlain, class Out>
[[gnu::noinline]] void quotient_blocks(const BlockPlan& plan, uint32_t first_index, const float* x,
                                       const uint32_t* amax, Out* out, uint8_t* scales, size_t blocks, uint64_t* odd) {
  const size_t size = plan.block;
  QuotientBatch batch;
  const QuotientElements<R, kIsPlain> elements(plan, batch);
  for_each_batch<R>(plan, first_index, blocks, odd, [&](size_t first, size_t count, Fields fields) {
    const float* const in = x + first * size;
    take_maxima(amax, first, in, size, count, batch.amax);
    const BlockKinds kinds = find_scales<R>(plan, count, scales != nullptr, batch);
    if (scales != nullptr) __builtin_memcpy(scales + first, batch.code, count);
    Out* const to = out + first * size;
    quantize_batch<kIsPlain>(elements, *plan.element, in, to, fields, size, count, kinds.odd);
    // a scale of zero leaves no sign
    for (uint64_t rest = kinds.zero; rest != 0; rest &= rest - 1)
      __builtin_memset(to + size_t(__builtin_ctzll(rest)) * size, 0, size * sizeof *to);
    return kinds.odd;
  });
}

// ---- from codes ----

// The numbers of kLanes packed codes.
#if defined(__AVX512F__)
HALFULP_INLINE F32 looked_up(const float* numbers, const uint8_t* packed) {
  uint64_t codes;
  __builtin_memcpy(&codes, packed, sizeof codes);
  const __m512i halves = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const __m512i shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const __m512i words = _mm512_permutexvar_epi32(halves, _mm512_castsi128_si512(_mm_cvtsi64_si128(int64_t(codes))));
  return (F32)_mm512_permutexvar_ps(_mm512_srlv_epi32(words, shifts), _mm512_loadu_ps(numbers));
}
#elif defined(__AVX2__)
HALFULP_INLINE F32 looked_up(const float* numbers, const uint8_t* packed) {
  int32_t codes;
  __builtin_memcpy(&codes, packed, sizeof codes);
  const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  const __m256i code = _mm256_srlv_epi32(_mm256_set1_epi32(codes), shifts);
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(numbers), code);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(numbers + 8), code);
  return (F32)_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)));
}
#else
HALFULP_INLINE F32 looked_up(const float* numbers, const uint8_t* packed) {
  return F32{numbers[packed[0] & 0xf], numbers[packed[0] >> 4], numbers[packed[1] & 0xf], numbers[packed[1] >> 4]};
}
#endif

[[gnu::noinline]] void unpack_rows_of_blocks(const float* numbers, const uint8_t* packed, const float* scales,
                                             size_t block, float* values, size_t count) {
  for (size_t start = 0; start < count; start += block) {
    const float scale = *scales++;
    const size_t end = count - start < block ? count : start + block;
    size_t i = start;
    if (block % kLanes == 0)
      for (; i + kLanes <= end; i += kLanes) store(values + i, looked_up(numbers, packed + i / 2) * spread(scale));
    for (; i < end; ++i) values[i] = numbers[packed[i / 2] >> i % 2 * 4 & 0xf] * scale;
  }
}

// ---- choosing ----

template <Rounding R, bool kIsPlain, class Out>
void choose_scales(const BlockPlan& plan, uint32_t first_index, const float* x, const uint32_t* amax, Out* out,
                   uint8_t* scales, size_t blocks, uint64_t* odd) {
  const FloatControl control(addition(R).direction);
  if (plan.quotients.encoder != nullptr)
    return quotient_blocks<R, kIsPlain>(plan, first_index, x, amax, out, scales, blocks, odd);
  return power_blocks<R, kIsPlain>(plan, first_index, x, amax, out, scales, blocks, odd);
}

template <Rounding R, class Out>
void choose_signs(const BlockPlan& plan, uint32_t first_index, const float* x, const uint32_t* amax, Out* out,
                  uint8_t* scales, size_t blocks, uint64_t* odd) {
  if (plan.element->care == Care::Nan)
    return choose_scales<R, true>(plan, first_index, x, amax, out, scales, blocks, odd);
  return choose_scales<R, false>(plan, first_index, x, amax, out, scales, blocks, odd);
}

template <class Out>
void choose_rounding(const BlockPlan& plan, uint32_t first_index, const float* x, const uint32_t* amax, Out* out,
                     uint8_t* scales, size_t blocks, uint64_t* odd) {
  with_rounding(plan.rounding,
                [&]<Rounding R>() { choose_signs<R>(plan, first_index, x, amax, out, scales, blocks, odd); });
}

}  // namespace

void block_maxima(const float* x, size_t block, size_t blocks, uint32_t* amax) { find_maxima(x, block, blocks, amax); }

void quantize_blocks(const BlockPlan& plan, uint32_t first_index, const float* x, const uint32_t* amax, float* values,
                     size_t blocks, uint64_t* odd) {
  choose_rounding(plan, first_index, x, amax, values, nullptr, blocks, odd);
}

void encode_blocks(const BlockPlan& plan, uint32_t first_index, const float* x, const uint32_t* amax, uint8_t* codes,
                   uint8_t* scales, size_t blocks, uint64_t* odd) {
  choose_rounding(plan, first_index, x, amax, codes, scales, blocks, odd);
}

void pack_nibbles(const uint8_t* codes, uint8_t* packed, size_t count) {
  for (size_t i = 0; i < count / 2; ++i) packed[i] = uint8_t(codes[2 * i] | codes[2 * i + 1] << 4);
}

void unpack_nibble_blocks(const float* numbers, const uint8_t* packed, const float* scales, size_t block, float* values,
                          size_t count) {
  const FloatControl control;
  unpack_rows_of_blocks(numbers, packed, scales, block, values, count);
}

void multiply_blocks(float* values, const float* scales, size_t block, size_t count) {
  for (size_t start = 0; start < count; start += block) {
    const float scale = *scales++;
    const size_t end = count - start < block ? count : start + block;
    for (size_t i = start; i < end; ++i) values[i] *= scale;
  }
}

}  // namespace halfulp::HALFULP_ISA
