#include <cstddef>
#include <cstdint>

#include "formats/kernels.h"

namespace halfulp::HALFULP_ISA {
namespace {

// Elements whose random bits are drawn at once.
constexpr size_t kChunk = 256;

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

// The random values of kChunk elements; the one asked for stands at offset, since draws serve whole groups.
struct Draws {
  uint32_t value[kChunk];
  size_t offset;
};

// Random bits as random_bits() defines them, for a run of elements at once.
template <uint32_t kWidth>
void draw(const RandomSite& site, int bits, uint32_t first, Draws& draws) {
  constexpr uint32_t kPerDraw = 128 / kWidth, kDraws = kChunk / kPerDraw, kPerWord = 32 / kWidth;
  uint32_t words[4][kDraws];
  for (uint32_t j = 0; j < kDraws; ++j) {
    const PhiloxCounter drawn = random_words(site, first / kPerDraw + j);
    words[0][j] = drawn.word[0];
    words[1][j] = drawn.word[1];
    words[2][j] = drawn.word[2];
    words[3][j] = drawn.word[3];
  }
  for (uint32_t j = 0; j < kDraws; ++j)
    for (uint32_t lane = 0; lane < kPerDraw; ++lane)
      draws.value[j * kPerDraw + lane] =
          words[lane / kPerWord][j] >> lane % kPerWord * kWidth << (32 - kWidth) >> (32 - uint32_t(bits));
  draws.offset = first % kPerDraw;
}

void draw(const RandomSite& site, int bits, uint32_t first, Draws& draws) {
  switch (random_field_bits(bits)) {
    case 8: return draw<8>(site, bits, first, draws);
    case 16: return draw<16>(site, bits, first, draws);
    default: return draw<32>(site, bits, first, draws);
  }
}

template <Rounding R, class Result>
void convert_all(const Encoder& encoder, const float* x, Result* y, size_t count) {
  const Encoder e = encoder;
  for (size_t i = 0; i < count; ++i) convert<R>(e, x[i], 0, y[i]);
}

template <Rounding R, class Result>
void convert_all(const Encoder& encoder, const float* x, const uint32_t* random, Result* y, size_t count) {
  const Encoder e = encoder;
  for (size_t i = 0; i < count; ++i) convert<R>(e, x[i], random[i], y[i]);
}

template <Rounding R, class Result>
void loop(const CastJob& job, const float* x, Result* y, size_t count) {
  if constexpr (is_stochastic(R)) {
    Draws draws;
    for (size_t start = 0; start < count;) {
      draw(job.site, job.encoder->random_bits, job.first_index + uint32_t(start), draws);
      const size_t room = kChunk - draws.offset;
      const size_t size = count - start < room ? count - start : room;
      convert_all<R>(*job.encoder, x + start, draws.value + draws.offset, y + start, size);
      start += size;
    }
  } else {
    convert_all<R>(*job.encoder, x, y, count);
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
  uint64_t narrow = (magnitude >> 29 | uint64_t{lost != 0}) - kRebias;
  narrow = detail::select(magnitude >> 29 < kRebias + kSmallest, kSmallest, narrow);
  narrow = detail::select(magnitude >> 29 > kRebias + kLargest, kLargest, narrow);
  narrow = detail::select(magnitude == 0, uint64_t{0}, narrow);
  narrow = detail::select(magnitude == 0x7ff0'0000'0000'0000, uint64_t{0x7f80'0000}, narrow);
  narrow = detail::select(magnitude > 0x7ff0'0000'0000'0000, uint64_t{0x7fc0'0000}, narrow);
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
