// The random bits of formats/philox.h for runs of elements, several draws at a time. Internal to kernel files.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/philox.h"
#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {

/// Products of the lower halves of 64-bit lanes.
HALFULP_INLINE U64 multiply_halves(U64 a, U64 b) {
#if defined(__AVX512F__)
  return (U64)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (U64)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
  return (U64)_mm_mul_epu32((__m128i)a, (__m128i)b);
#endif
}

namespace packs {

/// Even 64-bit lanes of a and b in turn, and odd ones.
HALFULP_INLINE U64 even_lanes(U64 a, U64 b) {
#if defined(__AVX512F__)
  return (U64)_mm512_unpacklo_epi64((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (U64)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b);
#else
  return (U64)_mm_unpacklo_epi64((__m128i)a, (__m128i)b);
#endif
}
HALFULP_INLINE U64 odd_lanes(U64 a, U64 b) {
#if defined(__AVX512F__)
  return (U64)_mm512_unpackhi_epi64((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (U64)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b);
#else
  return (U64)_mm_unpackhi_epi64((__m128i)a, (__m128i)b);
#endif
}

}  // namespace packs

/// A draw per 64-bit lane; each word in the lower half of its lane, anything above.
struct Draws {
  U64 word[4];
};

/// The keys of the rounds.
struct PhiloxKeys {
  U64 word[10][2];

  HALFULP_INLINE explicit PhiloxKeys(uint64_t seed) {
    for (uint32_t round = 0; round < 10; ++round) {
      word[round][0] = U64{} + (uint32_t(seed) + round * 0x9E3779B9);
      word[round][1] = U64{} + (uint32_t(seed >> 32) + round * 0xBB67AE85);
    }
  }
};

HALFULP_INLINE void philox_round(Draws& d, const U64 (&key)[2]) {
  const U64 product0 = multiply_halves(d.word[0], U64{} + 0xD2511F53);
  const U64 product1 = multiply_halves(d.word[2], U64{} + 0xCD9E8D57);
  d = {{(product1 >> 32) ^ d.word[1] ^ key[0], product1, (product0 >> 32) ^ d.word[3] ^ key[1], product0}};
}

/// Draws that are worked out side by side: as many vectors as registers hold, so that each fills the others' waits.
inline constexpr size_t kDrawVectors = kVectorBytes == 64 ? 4 : 2;
inline constexpr size_t kDrawsPerVector = kVectorBytes / 8, kDrawsAtOnce = kDrawVectors * kDrawsPerVector;

/// Stores the words of draws first, first + 1, …, each & mask.
HALFULP_INLINE void store_draws(const RandomSite& at, const PhiloxKeys& keys, uint32_t first, uint32_t mask,
                                uint32_t* words) {
  // Lanes in the order in which even_lanes and odd_lanes bring them back: 0, n/2, 1, n/2 + 1, …
  U64 offset;
  for (size_t lane = 0; lane < kDrawsPerVector; ++lane) offset[lane] = lane % 2 * (kDrawsPerVector / 2) + lane / 2;
  Draws draws[kDrawVectors];
  for (size_t v = 0; v < kDrawVectors; ++v)
    draws[v] = {{offset + (first + uint32_t(v * kDrawsPerVector)), U64{} + at.step, U64{} + at.site,
                 U64{} + uint32_t(at.stream)}};
  for (size_t round = 0; round < 10; ++round)
    for (Draws& d : draws) philox_round(d, keys.word[round]);
  const U64 lower = U64{} + 0xffffffff, kept = U64{} + (uint64_t{mask} << 32 | mask);
  for (size_t v = 0; v < kDrawVectors; ++v) {
    const U64 words01 = (draws[v].word[0] & lower) | draws[v].word[1] << 32;
    const U64 words23 = (draws[v].word[2] & lower) | draws[v].word[3] << 32;
    uint32_t* to = words + v * kDrawsPerVector * 4;
    store(to, packs::even_lanes(words01, words23) & kept);
    store(to + kLanes, packs::odd_lanes(words01, words23) & kept);
  }
}

/// The random bits of a run of elements, as random_bits() defines them, a window of draws at a time.
class RandomRun {
 public:
  RandomRun(const RandomSite& site, int bits)
      : site_(site),
        bits_(bits),
        width_(random_field_bits(bits)),
        mask_((~uint32_t{0} << (width_ - bits) & ~uint32_t{0} >> (32 - width_)) * (~0u / (~0u >> (32 - width_)))) {}

  /// The fields of elements first … first + count - 1, with count cut to what the window holds. A field's highest bits
  /// are the element's random bits, the others 0. A vector may be read from wherever a field stands.
  Fields fields(uint32_t first, size_t& count) {
    if (first - window_ >= filled_) fill(first, count);
    const size_t offset = first - window_;
    count = count < filled_ - offset ? count : filled_ - offset;
    return Fields{reinterpret_cast<const uint8_t*>(words_), width_}.from(offset);
  }

  /// The same of all of `count` elements, at most 1000, that do not cross the last index.
  Fields all_fields(uint32_t first, size_t count) {
    if (first - window_ >= filled_ || filled_ - (first - window_) < count) fill(first, ~size_t{0} >> 8);
    return fields(first, count);
  }

  /// The random bits of element i of such a run.
  HALFULP_INLINE uint32_t value(Fields fields, size_t i) const {
    const uint8_t* field = fields.from(i).first;
    if (width_ == 8) return uint32_t{*field} >> (8 - bits_);
    if (width_ == 16) return uint32_t{load<uint16_t>(field)} >> (16 - bits_);
    return load<uint32_t>(field) >> (32 - bits_);
  }

 private:
  static constexpr size_t kDraws = 256;
  static_assert(kDraws % kDrawsAtOnce == 0);

  [[gnu::noinline]] void fill(uint32_t first, size_t count) {
    const uint32_t per_draw = uint32_t(128 / width_), draw = first / per_draw;
    window_ = draw * per_draw;
    // No more than is asked for, and not across the last index, after which comes the first.
    const size_t wanted = (first - window_ + count + per_draw - 1) / per_draw;
    const PhiloxKeys keys(site_.seed);
    size_t draws = 0;
    for (; draws < kDraws && draws < wanted; draws += kDrawsAtOnce)
      store_draws(site_, keys, draw + uint32_t(draws), mask_, words_ + 4 * draws);
    filled_ = draws * per_draw;
    const size_t left = (uint64_t{1} << 32) - window_;
    filled_ = filled_ < left ? filled_ : left;
  }

  RandomSite site_;
  int bits_, width_;
  uint32_t mask_;        // of a word
  uint32_t window_ = 0;  // the element whose field is the first
  size_t filled_ = 0;    // elements
  alignas(kVectorBytes) uint32_t words_[4 * kDraws + 16];
};

}  // namespace halfulp::HALFULP_ISA
