// Philox4x32-10: random bits as a pure function of a key and a counter (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011). No state, so a draw never depends on thread, tiling or order.
#pragma once

#include <cstdint>

namespace halfulp {

struct PhiloxCounter {
  uint32_t word[4];

  [[gnu::always_inline]] constexpr uint32_t operator[](uint32_t i) const { return word[i]; }
  bool operator==(const PhiloxCounter&) const = default;
};

struct PhiloxKey {
  uint32_t word[2];
};

/// Four words of 32 uniform bits.
[[gnu::always_inline]] inline constexpr PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {{uint32_t(product1 >> 32) ^ counter[1] ^ key.word[0], uint32_t(product1),
                uint32_t(product0 >> 32) ^ counter[3] ^ key.word[1], uint32_t(product0)}};
    key = {{key.word[0] + 0x9E3779B9, key.word[1] + 0xBB67AE85}};
  }
  return counter;
}

/// What random bits are for; the streams of one seed are independent.
enum class Stream : uint32_t { Init, Data, Rounding, Evaluation, Scales };

/// Where in a run a draw stands. The bits of element i are a function of (seed, stream, step, site, i) alone.
struct RandomSite {
  uint64_t seed = 0;
  Stream stream = Stream::Rounding;
  uint32_t step = 0;
  uint32_t site = 0;  // which tensor of the step, numbered by its user
};

/// 128 bits for draw number `index` of a site.
[[gnu::always_inline]] inline constexpr PhiloxCounter random_words(const RandomSite& at, uint32_t index) {
  return philox4x32({{index, at.step, at.site, uint32_t(at.stream)}}, {{uint32_t(at.seed), uint32_t(at.seed >> 32)}});
}

/// 32 bits for element `index` of a site.
[[gnu::always_inline]] inline constexpr uint32_t random_word(const RandomSite& at, uint32_t index) {
  return random_words(at, index / 4)[index % 4];
}

/// The width of the field of a draw that serves an element asking for `bits` random bits: 8, 16 or 32.
[[gnu::always_inline]] inline constexpr int random_field_bits(int bits) { return bits <= 8 ? 8 : bits <= 16 ? 16 : 32; }

/// `bits` (1 … 32) random bits for element `index` of a site: the highest ones of field index mod n of draw index / n,
/// where n = 128 / random_field_bits(bits) elements share a draw, lowest bits first.
[[gnu::always_inline]] inline constexpr uint32_t random_bits(const RandomSite& at, uint32_t index, int bits) {
  const uint32_t width = uint32_t(random_field_bits(bits));
  const uint32_t per_draw = 128 / width;
  const uint32_t offset = index % per_draw * width;
  const uint32_t field = random_words(at, index / per_draw)[offset / 32] >> offset % 32;
  return field << (32 - width) >> (32 - uint32_t(bits));
}

}  // namespace halfulp
