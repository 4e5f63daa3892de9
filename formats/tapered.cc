#include "formats/tapered.h"

#include <bit>

#include "formats/logarithm.h"

namespace halfulp {
namespace {

__extension__ using Uint128 = unsigned __int128;

// The bits of a code after its sign, from the highest of 64.
uint64_t bits_after_sign(const Format& format, uint32_t index) { return uint64_t{index} << (65 - format.width); }

// The first `count` < 64 of 64 bits.
uint64_t first(uint64_t bits, int count) { return count == 0 ? 0 : bits >> (64 - count); }

Real posit_number(const Format& format, uint32_t index) {
  const uint64_t bits = bits_after_sign(format, index);
  const int es = format.exponent_bits;
  const bool grows = bits >> 63 != 0;
  const int run = grows ? std::countl_one(bits) : std::countl_zero(bits);
  const int regime = grows ? run - 1 : -run;
  const uint64_t rest = bits << run << 1;
  const int exponent = regime * (1 << es) + int(first(rest, es));
  return Real::dyadic(uint64_t{1} << 63 | rest << es >> 1, exponent - 63);
}

// The exponent or half logarithm of a takum, c + fraction / 2^64.
struct Characteristic {
  int c;
  uint64_t fraction;
};

Characteristic takum_characteristic(const Format& format, uint32_t index) {
  const uint64_t bits = bits_after_sign(format, index);
  const bool direction = bits >> 63 != 0;
  const int three = int(first(bits << 1, 3));
  const int length = direction ? three : 7 - three;
  const uint64_t rest = bits << 4;
  const int stored = int(first(rest, length));
  return {direction ? (1 << length) - 1 + stored : 1 - (2 << length) + stored, rest << length};
}

Real takum_number(const Format& format, uint32_t index) {
  const auto [c, fraction] = takum_characteristic(format, index);
  if (format.family == Family::LinearTakum) return Real::dyadic(uint64_t{1} << 63 | fraction >> 1, c - 63);
  constexpr int kFractionBits = 27;  // of 32 bits, 5 are sign, direction and length
  return power_of_sqrt_e(int64_t{c} * (1 << kFractionBits) + int64_t(first(fraction, kFractionBits)), kFractionBits);
}

// On a number.
Place at(uint32_t index) { return {index, int64_t{index} + 1, 0, false}; }
Place at_smallest() { return at(1); }
Place at_largest(const Format& format) { return at(format.max_index()); }

// The place of the number whose infinite code, after the sign, starts with `head` of `length` bits and goes on with
// `tail`.
Place cut(const Format& format, uint64_t head, int length, uint64_t tail, bool sticky) {
  const Uint128 bits = Uint128{head} << 64 | tail;
  const int dropped = length + 64 - format.magnitude_bits();
  const uint32_t index = uint32_t(bits >> dropped);
  if (index == 0) return at_smallest();
  if (index == format.max_index()) return at_largest(format);
  const Uint128 rest = bits << (128 - dropped);
  return {index, int64_t{index} + 1, uint64_t(rest >> 64), sticky || uint64_t(rest) != 0};
}

Place posit_place(const Format& format, const Real& x) {
  const int es = format.exponent_bits;
  const int regime = x.exponent >> es;
  const int longest = format.width - 2;
  if (regime >= longest) return at_largest(format);
  if (regime < -longest) return at_smallest();
  const bool grows = regime >= 0;
  const uint64_t run = grows ? (uint64_t{2} << regime) - 1 : 0;
  const int run_length = grows ? regime + 1 : -regime;
  const uint64_t exponent = uint64_t(x.exponent - regime * (1 << es));
  const uint64_t head = (run << 1 | !grows) << es | exponent;
  return cut(format, head, run_length + 1 + es, x.significand << 1, x.sticky);
}

Place takum_place(const Format& format, const Real& x) {
  // 1. c and what follows it. No takum lies beyond 2^±255, and sqrt(e)^255 is less than that.
  if (x.exponent >= 255) return at_largest(format);
  if (x.exponent < -255) return at_smallest();
  const bool linear = format.family == Family::LinearTakum;
  const Position where = linear ? Position{x.exponent, x.significand << 1, x.sticky} : twice_ln_position(x);
  if (where.whole >= 255) return at_largest(format);
  if (where.whole < -255) return at_smallest();

  // 2. c is 2^length - 1 + stored upwards of 0, and 1 - 2^(length + 1) + stored below.
  const int c = int(where.whole);
  const bool direction = c >= 0;
  const int length = std::bit_width(uint32_t(direction ? c + 1 : -c)) - 1;
  const uint64_t stored = uint64_t(direction ? c + 1 - (1 << length) : c - 1 + (2 << length));
  const uint64_t three = uint64_t(direction ? length : 7 - length);
  const uint64_t head = (uint64_t{direction} << 3 | three) << length | stored;
  return cut(format, head, 4 + length, where.fraction, where.sticky);
}

}  // namespace

Real tapered_number(const Format& format, uint32_t index) {
  return format.family == Family::Posit ? posit_number(format, index) : takum_number(format, index);
}

Place tapered_place(const Format& format, const Real& x) {
  return format.family == Family::Posit ? posit_place(format, x) : takum_place(format, x);
}

}  // namespace halfulp
