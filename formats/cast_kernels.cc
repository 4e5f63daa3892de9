#include <cstddef>
#include <cstdint>

#include "formats/kernels.h"
#include "formats/quotient.h"
#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {
namespace {

// Elements whose random bits are drawn at once.
constexpr size_t kChunk = 256;

constexpr uint32_t kMinNormalBits = 0x00800000;

template <Rounding R>
[[gnu::always_inline]] inline void convert(const Encoder& e, float x, uint32_t random, float& y) {
  y = float_of(detail::round_one<R>(e, bits_of(x), random));
}
template <Rounding R, class Code>
[[gnu::always_inline]] inline void convert(const Encoder& e, float x, uint32_t random, Code& code) {
  code = Code(detail::encode_one<R>(e, bits_of(x), random));
}

// The random bits of a run of elements, as random_bits() defines them, a window of whole draws at a time.
class RandomRun {
 public:
  RandomRun(const RandomSite& site, int bits) : site_(site), bits_(bits) {}

  // Where the values of elements first … first + count - 1 stand, with count cut to what the window holds.
  const uint32_t* get(uint32_t first, size_t& count) {
    if (first - window_ >= filled_) fill(first);
    const size_t offset = first - window_;
    count = count < filled_ - offset ? count : filled_ - offset;
    return values_ + offset;
  }

 private:
  template <uint32_t kWidth>
  void fill_fields(uint32_t first) {
    constexpr uint32_t kPerDraw = 128 / kWidth, kDraws = kChunk / kPerDraw, kPerWord = 32 / kWidth;
    const RandomSite site = site_;
    uint32_t words[4][kDraws];
    for (uint32_t j = 0; j < kDraws; ++j) {
      const PhiloxCounter drawn = random_words(site, first / kPerDraw + j);
      words[0][j] = drawn.word[0];
      words[1][j] = drawn.word[1];
      words[2][j] = drawn.word[2];
      words[3][j] = drawn.word[3];
    }
    const uint32_t shift = 32 - uint32_t(bits_);
    for (uint32_t j = 0; j < kDraws; ++j)
      for (uint32_t lane = 0; lane < kPerDraw; ++lane)
        values_[j * kPerDraw + lane] = words[lane / kPerWord][j] >> lane % kPerWord * kWidth << (32 - kWidth) >> shift;
    window_ = first - first % kPerDraw;
    filled_ = kChunk;
  }

  void fill(uint32_t first) {
    switch (random_field_bits(bits_)) {
      case 8: return fill_fields<8>(first);
      case 16: return fill_fields<16>(first);
      default: return fill_fields<32>(first);
    }
  }

  RandomSite site_;
  int bits_;
  uint32_t window_ = 0;
  size_t filled_ = 0;
  uint32_t values_[kChunk];
};

template <Rounding R, class Result>
[[gnu::always_inline]] inline void convert_all(const Encoder& encoder, const float* x, Result* y, size_t count) {
  const Encoder e = encoder;
  for (size_t i = 0; i < count; ++i) convert<R>(e, x[i], 0, y[i]);
}

template <Rounding R, class Result>
void convert_all(const Encoder& encoder, const float* x, const uint32_t* random, Result* y, size_t count) {
  const Encoder e = encoder;
  for (size_t i = 0; i < count; ++i) convert<R>(e, x[i], random[i], y[i]);
}

// Converts x[0 … count), whose random bits are those of elements first, first + 1, ….
template <Rounding R, class Result>
void loop(const Encoder& e, RandomRun& random, uint32_t first, const float* x, Result* y, size_t count) {
  if constexpr (is_stochastic(R)) {
    for (size_t start = 0, size; start < count; start += size) {
      size = count - start;
      const uint32_t* values = random.get(first + uint32_t(start), size);
      convert_all<R>(e, x + start, values, y + start, size);
    }
  } else {
    convert_all<R>(e, x, y, count);
  }
}

// Calls use.template operator()<R>() for the rounding at hand.
template <class Use>
[[gnu::always_inline]] inline auto with_rounding(Rounding rounding, Use use) {
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

// ---- vectors ----

// The two ways to round a vector of magnitudes, at most limit each. `index` and `bits` are those of
// detail::round_magnitude.

// One addition (formats/vector.h).
template <Rounding R>
class ByAddition {
 public:
  HALFULP_INLINE explicit ByAddition(const Encoder& e) : grid_(grid<R>(e)) {}

  HALFULP_INLINE I32 index(I32 x, I32 magnitude) const {
    return rounded_index<R>(grid_, add_constant<R>(grid_, x, magnitude));
  }
  HALFULP_INLINE I32 bits(I32 x, I32 magnitude) const { return rounded_bits<R>(add_constant<R>(grid_, x, magnitude)); }

 private:
  Grid grid_;
};

// Formats with binary32's exponents: the same bits are dropped everywhere.
bool drops_the_same_bits(const Encoder& e) { return e.min_field == 1 && e.mantissa_bits <= 22; }

template <Rounding R>
class ByDrop {
 public:
  HALFULP_INLINE explicit ByDrop(const Encoder& e) : drop_(23 - e.mantissa_bits) {}

  HALFULP_INLINE I32 index(I32 x, I32 magnitude) const { return carried(x, magnitude) >> drop_; }
  HALFULP_INLINE I32 bits(I32 x, I32 magnitude) const { return carried(x, magnitude) & splat(~0u << drop_); }

 private:
  // The magnitude with what rounding adds to the bits that stay.
  HALFULP_INLINE I32 carried(I32 x, I32 a) const {
    const uint32_t step = uint32_t{1} << drop_, half = step >> 1, rest = step - 1;
    const I32 odd = (a >> drop_) & splat(1), negative = x < 0;
    const I32 inexact = ((a & splat(rest)) + splat(rest)) & splat(step);
    switch (R) {
      case Rounding::TiesToEven: return a + splat(half - 1) + odd;
      case Rounding::TiesToOdd: return a + splat(half) - odd;
      case Rounding::TiesToAway: return a + splat(half);
      case Rounding::TiesToZero: return a + splat(half - 1);
      case Rounding::TiesTowardPositive: return a + splat(half) + negative;
      case Rounding::TiesTowardNegative: return a + splat(half - 1) - negative;
      case Rounding::TowardZero: return a;
      case Rounding::TowardPositive: return a + (splat(rest) & ~negative);
      case Rounding::TowardNegative: return a + (splat(rest) & negative);
      case Rounding::AwayFromZero: return a + splat(rest);
      case Rounding::ToOdd: return a | inexact;
      case Rounding::ToEven: return a + (a & inexact);
      case Rounding::StochasticA:
      case Rounding::StochasticB:
      case Rounding::StochasticC:
      case Rounding::StochasticEqual: break;
    }
    return a;
  }

  int drop_;
};

// What a rounded magnitude stands for where rounding alone does not decide: codes, or binary32 bits. Indexed by sign.
struct Outcomes {
  uint32_t zero[2], overflow[2], infinity[2], nan[2];
};
HALFULP_INLINE Outcomes codes_of(const Encoder& e) {
  return {{e.zero_code[0], e.zero_code[1]},
          {e.overflow[0], e.overflow[1]},
          {e.infinity[0], e.infinity[1]},
          {e.nan[0], e.nan[1]}};
}
HALFULP_INLINE Outcomes values_of(const Encoder& e) {
  return {{e.zero_value[0], e.zero_value[1]},
          {e.overflow_value[0], e.overflow_value[1]},
          {e.infinity_value[0], e.infinity_value[1]},
          {e.nan_value[0], e.nan_value[1]}};
}

// A whole cast, vector by vector: the same as detail::round_one and encode_one.
template <class Way, Care C>
class VectorCast {
 public:
  HALFULP_INLINE explicit VectorCast(const Encoder& e)
      : e_(e), way_(e), values_(values_of(e)), codes_(codes_of(e)), sign_shift_(__builtin_clz(e.sign_code[1] | 1)) {}

  HALFULP_INLINE void cast(I32 x, float* y) const {
    const I32 limit = C == Care::Everything ? pick(e_.limit, x < 0) : splat(e_.limit[0]);
    const I32 bits = way_.bits(x, min(x & splat(kMagnitudeBits), limit));
    const I32 value = or_masked(bits, x, splat(e_.sign_value[1]));
    store(y, decided(x, value, bits == 0, bits == limit, x & splat(e_.sign_value[1]), values_));
  }

  template <class Code>
  HALFULP_INLINE void cast(I32 x, Code* code) const {
    const I32 negative = x < 0;
    const I32 limit = C == Care::Everything ? pick(e_.limit, negative) : splat(e_.limit[0]);
    const I32 index = way_.index(x, min(x & splat(kMagnitudeBits), limit));
    const I32 sign = x >> sign_shift_;
    const I32 max_index = C == Care::Everything ? pick(e_.max_index, negative) : splat(e_.max_index[0]);
    I32 value = or_masked(index, sign, splat(e_.sign_code[1]));
    if constexpr (C == Care::Everything) {
      const I32 complemented = negative & splat(e_.code_mask != 0 ? ~0u : 0u);
      value = merge(complemented, (splat(0) - index) & splat(e_.code_mask), value);
    }
    store_narrow(code, decided(x, value, index == 0, index > max_index, sign & splat(e_.sign_code[1]), codes_));
  }

 private:
  // `result` but where another outcome is due.
  HALFULP_INLINE I32 decided(I32 x, I32 result, I32 is_zero, I32 is_over, I32 sign, const Outcomes& outcomes) const {
    const I32 magnitude = x & splat(kMagnitudeBits), is_nan = magnitude > splat(kInfinityBits);
    if constexpr (C == Care::Overflow) result = select(is_over, splat(outcomes.overflow[0]) | sign, result);
    if constexpr (C != Care::Everything) return select(is_nan, splat(outcomes.nan[0]), result);
    const I32 negative = x < 0;
    result = select(is_zero, pick(outcomes.zero, negative), result);
    result = select(is_over, pick(outcomes.overflow, negative), result);
    result = select(magnitude == splat(kInfinityBits), pick(outcomes.infinity, negative), result);
    return select(is_nan, pick(outcomes.nan, negative), result);
  }

  Encoder e_;
  Way way_;
  Outcomes values_, codes_;
  int sign_shift_;  // of a number's sign bit down to a code's
};

template <class Cast, class Result>
HALFULP_INLINE void cast_vectors(const Cast& cast, const float* x, Result* y, size_t count) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) cast.cast(load<I32>(x + i), y + i);
  if (i == count) return;
  float in[kLanes] = {};
  Result out[kLanes];
  __builtin_memcpy(in, x + i, (count - i) * sizeof *x);
  cast.cast(load<I32>(in), out);
  __builtin_memcpy(y + i, out, (count - i) * sizeof *y);
}

template <class Way, Care C, class Result>
[[gnu::noinline]] void vector_loop(const Encoder& e, const float* x, Result* y, size_t count) {
  cast_vectors(VectorCast<Way, C>(e), x, y, count);
}

template <class Way, class Result>
void choose_care(const Encoder& e, const float* x, Result* y, size_t count) {
  switch (e.care) {
    case Care::Nan: return vector_loop<Way, Care::Nan>(e, x, y, count);
    case Care::Overflow: return vector_loop<Way, Care::Overflow>(e, x, y, count);
    case Care::Everything: return vector_loop<Way, Care::Everything>(e, x, y, count);
  }
}

template <class Result>
void choose_loop(const CastJob& job, const float* x, Result* y, size_t count) {
  const Encoder& e = *job.encoder;
  with_rounding(job.rounding, [&]<Rounding R>() {
    if constexpr (!is_stochastic(R)) {
      if (rounds_by_addition(e)) {
        const FloatControl control(R);
        return choose_care<ByAddition<R>>(e, x, y, count);
      }
      if (drops_the_same_bits(e)) return choose_care<ByDrop<R>>(e, x, y, count);
    }
    RandomRun random(job.site, e.random_bits);
    loop<R>(e, random, job.first_index, x, y, count);
  });
}

[[gnu::always_inline]] inline uint32_t amax_bits(const float* x, size_t count) {
  uint32_t largest = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t magnitude = bits_of(x[i]) & 0x7fffffff;
    largest = detail::select(magnitude > largest, magnitude, largest);
  }
  return largest;
}

// The usual block sizes, known to the compiler.
[[gnu::always_inline]] inline uint32_t block_amax_bits(const float* x, size_t count) {
  switch (count) {
    case 16: return amax_bits(x, 16);
    case 32: return amax_bits(x, 32);
    default: return amax_bits(x, count);
  }
}

// y[i] = x[i] · numerator / denominators[i], rounded to odd. Not inlined: GCC makes vector code of it on its own only.
[[gnu::noinline]] void divide(const float* x, double numerator, const double* denominators, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = detail::narrow_to_odd(double(x[i]) * numerator / denominators[i]);
}

// One block of the usual sizes without the overhead of a run of any length.
template <Rounding R>
void convert_block(const Encoder& e, RandomRun& random, uint32_t first, const float* x, float* y, size_t count) {
  if constexpr (!is_stochastic(R)) {
    if (count == 16) return convert_all<R>(e, x, y, 16);
    if (count == 32) return convert_all<R>(e, x, y, 32);
  }
  loop<R>(e, random, first, x, y, count);
}

}  // namespace

void round_values(const CastJob& job, const float* x, float* y, size_t count) { choose_loop(job, x, y, count); }
void encode_codes(const CastJob& job, const float* x, uint8_t* codes, size_t count) {
  choose_loop(job, x, codes, count);
}
void encode_codes(const CastJob& job, const float* x, uint16_t* codes, size_t count) {
  choose_loop(job, x, codes, count);
}
void encode_codes(const CastJob& job, const float* x, uint32_t* codes, size_t count) {
  choose_loop(job, x, codes, count);
}

uint32_t largest_magnitude(const float* x, size_t count) { return amax_bits(x, count); }

void quotients(const float* x, double numerator, double denominator, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = detail::narrow_to_odd(double(x[i]) * numerator / denominator);
}

void multiply(const float* x, float factor, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = x[i] * factor;
}

size_t quantize_power_of_two_blocks(const BlockJob& job, const float* x, float* y, size_t count) {
  RandomRun random(job.cast.site, job.cast.encoder->random_bits);
  return with_rounding(job.cast.rounding, [&]<Rounding R>() -> size_t {
    size_t start = 0;
    for (size_t size; start < count; start += size) {
      size = count - start < job.block ? count - start : job.block;
      const uint32_t amax = block_amax_bits(x + start, size);
      if (amax < kMinNormalBits || amax >= kInfinityBits) break;
      const int exponent = int((amax + job.carry) >> 23) - 127 - job.e_max;
      Encoder moved = *job.cast.encoder;
      if (exponent < -127 || exponent > 127 || !detail::scale_grid(moved, exponent)) break;
      convert_block<R>(moved, random, job.cast.first_index + uint32_t(start), x + start, y + start, size);
    }
    return start;
  });
}

size_t quantize_scaled_blocks(const BlockJob& job, const float* x, float* y, size_t count) {
  if (job.block > kChunk) return 0;
  RandomRun random(job.cast.site, job.cast.encoder->random_bits);
  return with_rounding(job.cast.rounding, [&]<Rounding R>() -> size_t {
    double denominators[kChunk];
    float scales[kChunk];
    size_t start = 0;
    for (bool ordinary = true; ordinary && start < count;) {
      // the scales of as many blocks as a chunk holds
      size_t size = 0;
      while (ordinary && size + job.block <= kChunk && start + size < count) {
        const size_t rest = count - start - size;
        const size_t width = rest < job.block ? rest : job.block;
        const uint32_t amax = block_amax_bits(x + start + size, width);
        const float wanted = detail::narrow_to_odd(double(float_of(amax)) * job.max_scale / job.denominator);
        const float scale = float_of(detail::round_one<Rounding::TiesToEven>(*job.scale_encoder, bits_of(wanted), 0));
        ordinary = amax < kInfinityBits && scale != 0;
        if (!ordinary) break;
        for (size_t i = 0; i < width; ++i) denominators[size + i] = double(scale) * job.denominator;
        for (size_t i = 0; i < width; ++i) scales[size + i] = scale;
        size += width;
      }
      // and their elements
      const float* in = x + start;
      float* out = y + start;
      divide(in, job.numerator, denominators, out, size);
      loop<R>(*job.cast.encoder, random, job.cast.first_index + uint32_t(start), out, out, size);
      for (size_t i = 0; i < size; ++i) out[i] *= scales[i];
      start += size;
    }
    return start;
  });
}

}  // namespace halfulp::HALFULP_ISA
