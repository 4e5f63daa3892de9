// What a cast from binary32 needs to know about its target, worked out once per array, and the branch-free step that
// uses it. Kernel files include this; everyone else wants formats/cast.h.
#pragma once

#include <cstdint>

#include "formats/rounding.h"

namespace halfulp {

/// The fast cast of binary32 numbers to one format under one projection. Pairs are indexed by the number's sign.
struct Encoder {
  int min_field;            // binary32 exponent field of the format's smallest normal
  int mantissa_bits;        // M of the format
  int random_bits;          // N of the stochastic modes
  uint32_t limit[2];        // binary32 bits: larger magnitudes round as this one does
  uint32_t max_index[2];    // indices above are overflow (see Format::max_index)
  uint32_t min_positive;    // binary32 bits of the format's smallest positive number
  uint32_t overflow[2];     // code of an overflowed number
  uint32_t infinity[2];     // code of an infinity
  uint32_t nan[2];          // code of a NaN
  uint32_t overflow_value[2], infinity_value[2], nan_value[2];  // binary32 bits of what those codes decode to
  uint32_t sign_code[2];    // what the sign adds to the code of a non-zero magnitude (sign-magnitude)
  uint32_t zero_code[2];    // code of a result that is zero
  uint32_t zero_value[2];   // binary32 bits of it
  uint32_t code_mask;       // two's complement: the code's bits; otherwise 0
  uint32_t sign_value[2];   // binary32 sign bit of the decoded result
};

namespace detail {

/// A magnitude rounded to the format: its index, and its binary32 bits.
struct Rounded {
  uint32_t index;
  uint32_t bits;
};

/// Rounds the magnitude with binary32 bits `x` (at most limit; sign apart). `random` is R of the stochastic modes.
template <Rounding R>
[[gnu::always_inline]] inline Rounded round_magnitude(const Encoder& e, uint32_t x, bool negative, uint32_t random) {
  // 1. Significand with its implicit bit, and the exponent field that goes with it (subnormals: 1).
  const int field = int(x >> 23) > 1 ? int(x >> 23) : 1;
  const uint32_t significand = x - (uint32_t(field - 1) << 23);

  // 2. The step is that of the format's binade: `drop` bits of the significand lie below it. From 25 on only the
  //    comparison with a half is left, which 25 answers as well as any more.
  const int target = field > e.min_field ? field : e.min_field;
  const int exact_drop = target - field + 23 - e.mantissa_bits;
  const int drop = exact_drop < 25 ? exact_drop : 25;
  const uint32_t base = uint32_t(target - e.min_field) << e.mantissa_bits;

  // 3. Round, with one guard bit below so that a drop of 0 needs no case of its own.
  const uint32_t guarded = significand << 1;
  const int shift = drop + 1;
  const uint32_t step = uint32_t{1} << shift;
  const uint32_t half = step >> 1;
  const uint32_t kept = guarded >> shift;
  const uint32_t odd = (base + kept) & 1;
  uint32_t rounded = kept;
  if constexpr (R == Rounding::TiesToEven) rounded = (guarded + (half - 1) + odd) >> shift;
  if constexpr (R == Rounding::TiesToAway) rounded = (guarded + half) >> shift;
  if constexpr (R == Rounding::TowardPositive) rounded = (guarded + (negative ? 0 : step - 1)) >> shift;
  if constexpr (R == Rounding::TowardNegative) rounded = (guarded + (negative ? step - 1 : 0)) >> shift;
  if constexpr (R == Rounding::ToOdd) rounded = kept + (uint32_t{(guarded & (step - 1)) != 0} & (odd ^ 1));
  if constexpr (is_stochastic(R)) {
    // nu · 2^n, with n one more than N for the half step that B and C look at. A drop of 63 leaves nothing of it.
    const int far = exact_drop < 63 ? exact_drop : 63;
    const int n = e.random_bits + (R == Rounding::StochasticA ? 0 : 1);
    const uint64_t below = uint64_t{significand} & ((uint64_t{1} << far) - 1);
    const uint64_t wide = far >= n ? below >> (far - n) : below << (n - far);
    const uint64_t lost = far >= n ? below & ((uint64_t{1} << (far - n)) - 1) : 0;
    uint64_t up = 0;
    if constexpr (R == Rounding::StochasticA) up = (wide + random) >> n;
    if constexpr (R == Rounding::StochasticB) up = (wide + 2 * uint64_t{random} + 1) >> n;
    if constexpr (R == Rounding::StochasticC) {
      const uint64_t even = wide >> 1;
      const uint64_t nearest = even + (wide & 1 & ((lost != 0) | (even & 1)));
      up = (nearest + random) >> (n - 1);
    }
    rounded = kept + uint32_t(up);
  }

  // 4. Back to binary32: the rounded significand in place of the old one, a carry going to the exponent by itself.
  const uint32_t in_place = (uint32_t(field - 1) << 23) + (rounded << drop);
  const uint32_t bits = rounded == 0 ? 0 : drop < 25 ? in_place : e.min_positive;
  return {base + rounded, bits};
}

template <Rounding R>
[[gnu::always_inline]] inline uint32_t encode_one(const Encoder& e, uint32_t x, uint32_t random) {
  const bool negative = x >> 31;
  const uint32_t magnitude = x & 0x7fffffff;
  const uint32_t limit = negative ? e.limit[1] : e.limit[0];
  const uint32_t limited = magnitude < limit ? magnitude : limit;
  const uint32_t index = round_magnitude<R>(e, limited, negative, random).index;
  const uint32_t sign = negative ? e.sign_code[1] : e.sign_code[0];
  uint32_t code = index | sign;
  code = negative && e.code_mask != 0 ? (0 - index) & e.code_mask : code;
  code = index == 0 ? (negative ? e.zero_code[1] : e.zero_code[0]) : code;
  code = index > (negative ? e.max_index[1] : e.max_index[0]) ? (negative ? e.overflow[1] : e.overflow[0]) : code;
  code = magnitude == 0x7f800000 ? (negative ? e.infinity[1] : e.infinity[0]) : code;
  return magnitude > 0x7f800000 ? (negative ? e.nan[1] : e.nan[0]) : code;
}

template <Rounding R>
[[gnu::always_inline]] inline uint32_t round_one(const Encoder& e, uint32_t x, uint32_t random) {
  const bool negative = x >> 31;
  const uint32_t magnitude = x & 0x7fffffff;
  const uint32_t limit = negative ? e.limit[1] : e.limit[0];
  const uint32_t limited = magnitude < limit ? magnitude : limit;
  const Rounded rounded = round_magnitude<R>(e, limited, negative, random);
  uint32_t value = rounded.bits | (negative ? e.sign_value[1] : e.sign_value[0]);
  value = rounded.index == 0 ? (negative ? e.zero_value[1] : e.zero_value[0]) : value;
  value = rounded.index > (negative ? e.max_index[1] : e.max_index[0])
              ? (negative ? e.overflow_value[1] : e.overflow_value[0])
              : value;
  value = magnitude == 0x7f800000 ? (negative ? e.infinity_value[1] : e.infinity_value[0]) : value;
  return magnitude > 0x7f800000 ? (negative ? e.nan_value[1] : e.nan_value[0]) : value;
}

}  // namespace detail
}  // namespace halfulp
