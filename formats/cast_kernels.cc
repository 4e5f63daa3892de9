#include <cstddef>
#include <cstdint>

#include "formats/kernels.h"

namespace halfulp::HALFULP_ISA {
namespace {

// Elements whose random bits are drawn at once.
constexpr size_t kChunk = 128;

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

// The random bits of elements first … first + count - 1, as random_bits() defines them, a draw at a time.
[[gnu::always_inline]] inline void draw(const RandomSite& site, int bits, uint32_t first, size_t count,
                                        uint32_t* random) {
  const uint32_t width = uint32_t(random_field_bits(bits));
  const uint32_t per_draw = 128 / width;
  for (size_t i = 0; i < count;) {
    const uint32_t index = first + uint32_t(i);
    const PhiloxCounter words = random_words(site, index / per_draw);
    for (uint32_t lane = index % per_draw; lane < per_draw && i < count; ++lane, ++i) {
      const uint32_t offset = lane * width;
      random[i] = words[offset / 32] >> offset % 32 << (32 - width) >> (32 - uint32_t(bits));
    }
  }
}

template <Rounding R, class Result>
void loop(const CastJob& job, const float* x, Result* y, size_t count) {
  const Encoder e = *job.encoder;
  if constexpr (is_stochastic(R)) {
    uint32_t random[kChunk];
    for (size_t start = 0; start < count; start += kChunk) {
      const size_t size = count - start < kChunk ? count - start : kChunk;
      draw(job.site, e.random_bits, job.first_index + uint32_t(start), size, random);
      for (size_t i = 0; i < size; ++i) convert<R>(e, x[start + i], random[i], y[start + i]);
    }
  } else {
    for (size_t i = 0; i < count; ++i) convert<R>(e, x[i], 0, y[i]);
  }
}

template <class Result>
void choose_loop(const CastJob& job, const float* x, Result* y, size_t count) {
  switch (job.rounding) {
    case Rounding::TiesToEven: return loop<Rounding::TiesToEven>(job, x, y, count);
    case Rounding::TiesToAway: return loop<Rounding::TiesToAway>(job, x, y, count);
    case Rounding::TowardZero: return loop<Rounding::TowardZero>(job, x, y, count);
    case Rounding::TowardPositive: return loop<Rounding::TowardPositive>(job, x, y, count);
    case Rounding::TowardNegative: return loop<Rounding::TowardNegative>(job, x, y, count);
    case Rounding::ToOdd: return loop<Rounding::ToOdd>(job, x, y, count);
    case Rounding::StochasticA: return loop<Rounding::StochasticA>(job, x, y, count);
    case Rounding::StochasticB: return loop<Rounding::StochasticB>(job, x, y, count);
    case Rounding::StochasticC: return loop<Rounding::StochasticC>(job, x, y, count);
  }
}

// binary64 to binary32, to odd: the exact value when it fits, otherwise the neighbour whose last bit is 1. Magnitudes
// outside binary32's normal range go to its ends, which the casts that follow do not tell apart.
[[gnu::always_inline]] inline float narrow_to_odd(double x) {
  const uint64_t bits = __builtin_bit_cast(uint64_t, x);
  const uint64_t magnitude = bits & 0x7fff'ffff'ffff'ffff;
  const uint64_t lost = magnitude & 0x1fff'ffff;
  constexpr uint64_t kRebias = uint64_t{1023 - 127} << 23;
  constexpr uint64_t kSmallest = 0x0080'0001, kLargest = 0x7f7f'ffff;
  uint64_t narrow = (magnitude >> 29 | (lost != 0 ? 1 : 0)) - kRebias;
  narrow = magnitude >> 29 < kRebias + kSmallest ? kSmallest : narrow;
  narrow = magnitude >> 29 > kRebias + kLargest ? kLargest : narrow;
  narrow = magnitude == 0 ? 0 : narrow;
  narrow = magnitude == 0x7ff0'0000'0000'0000 ? 0x7f80'0000 : narrow;
  narrow = magnitude > 0x7ff0'0000'0000'0000 ? 0x7fc0'0000 : narrow;
  return float_of(uint32_t(bits >> 63 << 31 | narrow));
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

uint32_t largest_magnitude(const float* x, size_t count) {
  uint32_t largest = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t magnitude = bits_of(x[i]) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

void quotients(const float* x, double numerator, double denominator, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = narrow_to_odd(double(x[i]) * numerator / denominator);
}

void multiply(const float* x, float factor, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = x[i] * factor;
}

}  // namespace halfulp::HALFULP_ISA
