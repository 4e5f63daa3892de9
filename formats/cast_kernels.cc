#include <cstddef>
#include <cstdint>

#include "formats/kernels.h"

namespace halfulp::HALFULP_ISA {
namespace {

// Elements whose random bits are drawn at once.
constexpr size_t kChunk = 256;

constexpr uint32_t kMinNormalBits = 0x00800000, kInfinityBits = 0x7f800000;

[[gnu::always_inline]] inline uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
[[gnu::always_inline]] inline float float_of(uint32_t bits) { return __builtin_bit_cast(float, bits); }

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

template <class Result>
void choose_loop(const CastJob& job, const float* x, Result* y, size_t count) {
  RandomRun random(job.site, job.encoder->random_bits);
  with_rounding(job.rounding, [&]<Rounding R>() { loop<R>(*job.encoder, random, job.first_index, x, y, count); });
}

// binary64 to binary32, to odd: the exact value when it fits, otherwise the neighbour whose last bit is 1. Magnitudes
// outside binary32's normal range go to its ends, which the casts that follow do not tell apart.
[[gnu::always_inline]] inline float narrow_to_odd(double x) {
  const uint64_t bits = __builtin_bit_cast(uint64_t, x);
  const uint64_t magnitude = bits & 0x7fff'ffff'ffff'ffff;
  const uint64_t lost = magnitude & 0x1fff'ffff;
  constexpr uint64_t kRebias = uint64_t{1023 - 127} << 23;
  constexpr uint64_t kSmallest = 0x0080'0001, kLargest = 0x7f7f'ffff;
  uint64_t narrow = (magnitude >> 29 | uint64_t{lost != 0}) - kRebias;
  narrow = detail::select(magnitude >> 29 < kRebias + kSmallest, kSmallest, narrow);
  narrow = detail::select(magnitude >> 29 > kRebias + kLargest, kLargest, narrow);
  narrow = detail::select(magnitude == 0, uint64_t{0}, narrow);
  narrow = detail::select(magnitude == 0x7ff0'0000'0000'0000, uint64_t{0x7f80'0000}, narrow);
  narrow = detail::select(magnitude > 0x7ff0'0000'0000'0000, uint64_t{0x7fc0'0000}, narrow);
  return float_of(uint32_t(bits >> 63 << 31 | narrow));
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
  for (size_t i = 0; i < count; ++i) y[i] = narrow_to_odd(double(x[i]) * numerator / denominators[i]);
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
  for (size_t i = 0; i < count; ++i) y[i] = narrow_to_odd(double(x[i]) * numerator / denominator);
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
        const float wanted = narrow_to_odd(double(float_of(amax)) * job.max_scale / job.denominator);
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
