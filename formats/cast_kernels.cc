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

// Calls use.template operator()<R>() for the rounding at hand.
template <class Use>
[[gnu::always_inline]] inline auto with_rounding(Rounding rounding, Use use) {
  switch (rounding) {
    case Rounding::TiesToEven: return use.template operator()<Rounding::TiesToEven>();
    case Rounding::TiesToAway: return use.template operator()<Rounding::TiesToAway>();
    case Rounding::TowardZero: return use.template operator()<Rounding::TowardZero>();
    case Rounding::TowardPositive: return use.template operator()<Rounding::TowardPositive>();
    case Rounding::TowardNegative: return use.template operator()<Rounding::TowardNegative>();
    case Rounding::ToOdd: return use.template operator()<Rounding::ToOdd>();
    case Rounding::StochasticA: return use.template operator()<Rounding::StochasticA>();
    case Rounding::StochasticB: return use.template operator()<Rounding::StochasticB>();
    case Rounding::StochasticC: break;
  }
  return use.template operator()<Rounding::StochasticC>();
}

template <class Result>
void choose_loop(const CastJob& job, const float* x, Result* y, size_t count) {
  with_rounding(job.rounding, [&]<Rounding R>() { loop<R>(job, x, y, count); });
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

[[gnu::always_inline]] inline void divide(const float* x, double numerator, double denominator, float* y,
                                          size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = narrow_to_odd(double(x[i]) * numerator / denominator);
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
  divide(x, numerator, denominator, y, count);
}

void multiply(const float* x, float factor, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = x[i] * factor;
}

size_t quantize_power_of_two_blocks(const BlockJob& job, const float* x, float* y, size_t count) {
  return with_rounding(job.cast.rounding, [&]<Rounding R>() -> size_t {
    CastJob cast = job.cast;
    size_t start = 0;
    for (size_t size; start < count; start += size) {
      size = count - start < job.block ? count - start : job.block;
      const uint32_t amax = amax_bits(x + start, size);
      if (amax < kMinNormalBits || amax >= kInfinityBits) break;
      const int exponent = int((amax + job.carry) >> 23) - 127 - job.e_max;
      Encoder moved = *job.cast.encoder;
      if (exponent < -127 || exponent > 127 || !detail::scale_grid(moved, exponent)) break;
      cast.encoder = &moved;
      cast.first_index = job.cast.first_index + uint32_t(start);
      loop<R>(cast, x + start, y + start, size);
    }
    return start;
  });
}

size_t quantize_scaled_blocks(const BlockJob& job, const float* x, float* y, size_t count) {
  return with_rounding(job.cast.rounding, [&]<Rounding R>() -> size_t {
    CastJob cast = job.cast;
    size_t start = 0;
    for (size_t size; start < count; start += size) {
      size = count - start < job.block ? count - start : job.block;
      const uint32_t amax = amax_bits(x + start, size);
      if (amax >= kInfinityBits) break;
      const float wanted = narrow_to_odd(double(float_of(amax)) * job.max_scale / job.denominator);
      const float scale =
          float_of(detail::round_one<Rounding::TiesToEven>(*job.scale_encoder, bits_of(wanted), 0));
      if (scale == 0) break;
      cast.first_index = job.cast.first_index + uint32_t(start);
      divide(x + start, job.numerator, double(scale) * job.denominator, y + start, size);
      loop<R>(cast, y + start, y + start, size);
      for (size_t i = 0; i < size; ++i) y[start + i] *= scale;
    }
    return start;
  });
}

}  // namespace halfulp::HALFULP_ISA
