// What a cast from binary32 needs to know about its target, worked out once per array, and the branch-free step that
// uses it. Kernel files include this; everyone else wants formats/cast.h.
#pragma once

#include <cstdint>

#include "formats/rounding.h"

namespace halfulp {

/// What a cast must look after besides rounding; each value includes those before it.
enum class Care {
  Nan,         // magnitudes beyond limit, which is the largest number, become that; zeros and signs need nothing
  Overflow,    // all that rounds beyond the largest number, infinities too, becomes one code with the number's sign
  Everything,  // every field of the Encoder
};

/// The fast cast of binary32 numbers to one format under one projection. Pairs are indexed by the number's sign.
struct Encoder {
  Care care;
  int min_field;          // binary32 exponent field of the format's smallest normal
  int mantissa_bits;      // M of the format
  int random_bits;        // N of the stochastic modes
  uint32_t limit[2];      // binary32 bits: larger magnitudes round as this one does
  uint32_t max_index[2];  // indices above are overflow (see Format::max_index)
  uint32_t min_positive;  // binary32 bits of the format's smallest positive number
  uint32_t overflow[2];   // code of an overflowed number
  uint32_t infinity[2];   // code of an infinity
  uint32_t nan[2];        // code of a NaN
  uint32_t overflow_value[2], infinity_value[2], nan_value[2];  // binary32 bits of what those codes decode to
  uint32_t sign_code[2];   // what the sign adds to the code of a non-zero magnitude (sign-magnitude)
  uint32_t zero_code[2];   // code of a result that is zero
  uint32_t zero_value[2];  // binary32 bits of it
  uint32_t code_mask;      // two's complement: the code's bits; otherwise 0
  uint32_t sign_value[2];  // binary32 sign bit of the decoded result
};

/// What turning codes of one format into binary32 numbers needs to know.
struct Decoder {
  uint32_t magnitude_bits;  // of a code
  uint32_t first_normal;    // index of the first number that is built from its bits; smaller ones are index · step
  float step;
  int field_drop;  // index << field_drop plus lowest_bits is the number from first_normal on
  uint32_t lowest_bits;
  uint32_t max_index;      // indices above are NaN but for infinity
  uint32_t infinity;       // its index; out of reach where there is none
  uint32_t sign_code;      // 0 where codes have no sign
  uint32_t negative_zero;  // binary32 bits of what the code of sign and zero magnitude means
  int sign_extension;      // two's complement: how many bits a code lacks to 32; otherwise -1
};

namespace detail {

/// c ? a : b with both evaluated, so that a loop around it has no branch.
template <class T>
[[gnu::always_inline]] inline T select(bool c, T a, T b) {
  return c ? a : b;
}
/// The entry of a pair that belongs to the sign.
[[gnu::always_inline]] inline uint32_t pick(const uint32_t (&pair)[2], bool negative) {
  return select(negative, pair[1], pair[0]);
}

/// A magnitude rounded to the format: its index, and its binary32 bits.
struct Rounded {
  uint32_t index;
  uint32_t bits;
};

/// Rounds the magnitude with binary32 bits `x` (at most limit; sign apart). `random` is R of the stochastic modes.
template <Rounding R>
[[gnu::always_inline]] inline Rounded round_magnitude(const Encoder& e, uint32_t x, bool negative, uint32_t random) {
  // 1. Significand with its implicit bit, and the exponent field that goes with it (subnormals: 1).
  const int field = select(int(x >> 23) > 1, int(x >> 23), 1);
  const uint32_t significand = x - (uint32_t(field - 1) << 23);

  // 2. The step is that of the format's binade: `drop` bits of the significand lie below it. From 25 on only the
  //    comparison with a half is left, which 25 answers as well as any more.
  const int target = select(field > e.min_field, field, e.min_field);
  const int exact_drop = target - field + 23 - e.mantissa_bits;
  const int drop = select(exact_drop < 25, exact_drop, 25);
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
  if constexpr (R == Rounding::TiesToZero) rounded = (guarded + (half - 1)) >> shift;
  if constexpr (R == Rounding::TiesToOdd) rounded = (guarded + half - odd) >> shift;
  if constexpr (R == Rounding::TiesTowardPositive) rounded = (guarded + half - select(negative, 1u, 0u)) >> shift;
  if constexpr (R == Rounding::TiesTowardNegative) rounded = (guarded + half - select(negative, 0u, 1u)) >> shift;
  if constexpr (R == Rounding::TowardPositive) rounded = (guarded + select(negative, 0u, step - 1)) >> shift;
  if constexpr (R == Rounding::TowardNegative) rounded = (guarded + select(negative, step - 1, 0u)) >> shift;
  if constexpr (R == Rounding::AwayFromZero) rounded = (guarded + (step - 1)) >> shift;
  if constexpr (R == Rounding::ToOdd) rounded = kept + (uint32_t{(guarded & (step - 1)) != 0} & (odd ^ 1));
  if constexpr (R == Rounding::ToEven) rounded = kept + (uint32_t{(guarded & (step - 1)) != 0} & odd);
  if constexpr (R == Rounding::StochasticEqual)
    rounded = kept + (uint32_t{(guarded & (step - 1)) != 0} & random >> (e.random_bits - 1));
  if constexpr (is_stochastic(R) && R != Rounding::StochasticEqual) {
    // nu · 2^N in whole, the half step below it, and whether anything is lost below that. No significand has bits
    // left after a shift by 31.
    const int n = e.random_bits;
    const int far = select(exact_drop < 63, exact_drop, 63);
    const int left = select(far < n, select(n - far < 31, n - far, 31), 0);
    const int right = select(far > n, select(far - n < 31, far - n, 31), 0);
    const int below_half = select(right > 0, right - 1, 0);
    const uint32_t below = significand & ((uint32_t{1} << select(far < 31, far, 31)) - 1);
    const uint32_t whole = below << left >> right;
    const uint32_t half_bit = select(right > 0, below >> below_half & 1, 0u);
    const uint32_t lost = below & ((uint32_t{1} << below_half) - 1);
    uint32_t more = 0;  // what B and C add for it: the condition of B is that whole + R + half_bit reaches 2^N
    if constexpr (R == Rounding::StochasticB) more = half_bit;
    if constexpr (R == Rounding::StochasticC) more = half_bit & select(lost != 0, 1u, whole);
    // Aligned to the highest bit, reaching 2^N is a carry out of the word.
    const uint32_t aligned = whole << (32 - n);
    const uint32_t nearest = aligned + (more << (32 - n));
    const uint32_t sum = nearest + (random << (32 - n));
    const uint32_t up = select(nearest < aligned, 1u, select(sum < nearest, 1u, 0u));
    rounded = kept + up;
  }

  // 4. Back to binary32: the rounded significand in place of the old one, a carry going to the exponent by itself.
  const uint32_t in_place = (uint32_t(field - 1) << 23) + (rounded << drop);
  const uint32_t bits = select(rounded == 0, 0u, select(drop < 25, in_place, e.min_positive));
  return {base + rounded, bits};
}

/// The magnitude of `x` rounded, larger ones than limit as limit.
template <Rounding R>
[[gnu::always_inline]] inline Rounded round_limited(const Encoder& e, uint32_t x, uint32_t random) {
  const bool negative = x >> 31;
  const uint32_t magnitude = x & 0x7fffffff;
  const uint32_t limit = pick(e.limit, negative);
  return round_magnitude<R>(e, select(magnitude < limit, magnitude, limit), negative, random);
}

/// The code of the binary32 number with bits `x`.
template <Rounding R>
[[gnu::always_inline]] inline uint32_t encode_one(const Encoder& e, uint32_t x, uint32_t random) {
  const bool negative = x >> 31;
  const uint32_t magnitude = x & 0x7fffffff;
  const uint32_t index = round_limited<R>(e, x, random).index;
  const uint32_t complement = (0 - index) & e.code_mask;
  uint32_t code = index | pick(e.sign_code, negative);
  code = select(negative & (e.code_mask != 0), complement, code);
  code = select(index == 0, pick(e.zero_code, negative), code);
  code = select(index > pick(e.max_index, negative), pick(e.overflow, negative), code);
  code = select(magnitude == 0x7f800000, pick(e.infinity, negative), code);
  return select(magnitude > 0x7f800000, pick(e.nan, negative), code);
}

/// The binary32 bits of what that code decodes to.
template <Rounding R>
[[gnu::always_inline]] inline uint32_t round_one(const Encoder& e, uint32_t x, uint32_t random) {
  const bool negative = x >> 31;
  const uint32_t magnitude = x & 0x7fffffff;
  const Rounded rounded = round_limited<R>(e, x, random);
  uint32_t value = rounded.bits | pick(e.sign_value, negative);
  value = select(rounded.index == 0, pick(e.zero_value, negative), value);
  value = select(rounded.index > pick(e.max_index, negative), pick(e.overflow_value, negative), value);
  value = select(magnitude == 0x7f800000, pick(e.infinity_value, negative), value);
  return select(magnitude > 0x7f800000, pick(e.nan_value, negative), value);
}

/// Adds `power` to the exponent of finite non-zero binary32 `bits`; false when it leaves the normal range.
[[gnu::always_inline]] inline bool shift_exponent(uint32_t& bits, int power) {
  const uint32_t field = bits >> 23 & 0xff;
  const bool moves = (bits & 0x7fffffff) != 0 && field != 255;
  const int moved = int(field) + power;
  bits += select(moves, uint32_t(power) << 23, 0u);
  return (!moves) | ((field >= 1) & (moved >= 1) & (moved <= 254));
}

/// Turns `e` into the same cast on the format's grid times 2^power. False where that grid leaves binary32's normal
/// range.
[[gnu::always_inline]] inline bool scale_grid(Encoder& e, int power) {
  e.min_field += power;
  bool inside = (e.min_field >= 1) & shift_exponent(e.min_positive, power);
  for (int sign = 0; sign < 2; ++sign) {
    inside &= shift_exponent(e.limit[sign], power);
    inside &= shift_exponent(e.overflow_value[sign], power);
    inside &= shift_exponent(e.infinity_value[sign], power);
    inside &= shift_exponent(e.nan_value[sign], power);
  }
  return inside;
}

}  // namespace detail
}  // namespace halfulp
