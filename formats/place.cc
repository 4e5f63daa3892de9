#include "formats/place.h"

#include <algorithm>
#include <cassert>

namespace halfulp {
namespace {

// A magnitude as a whole number of steps and the fraction of one, as in Place.
struct Steps {
  uint64_t whole;
  uint64_t fraction;
  bool sticky;
};

// `shift` bits of the significand are below the step.
Steps split(uint64_t significand, bool sticky, int shift) {
  assert(shift >= 1);
  if (shift < 64) return {significand >> shift, significand << (64 - shift), sticky};
  if (shift == 64) return {0, significand, sticky};
  const int lost = std::min(shift - 64, 63);
  const bool rest = shift - 64 > 63 || significand << (64 - lost) != 0;
  return {0, shift - 64 > 63 ? 0 : significand >> lost, sticky || rest};
}

}  // namespace

Place place(const Format& format, const Real& real) {
  // 1. Far beyond the range every number fares as this one does.
  Real x = real;
  const int beyond = max_exponent(format) + 2;
  if (x.exponent > beyond)
    x = {.kind = x.kind, .negative = x.negative, .exponent = beyond, .significand = uint64_t{1} << 63};

  // 2. The step at this magnitude. An integer format has one step everywhere, and without subnormals the first step
  //    reaches from zero to the smallest normal.
  const int lowest = format.min_exponent();
  const int exponent = format.exponent_bits == 0 ? lowest : std::max(x.exponent, lowest);
  const bool flushed = !format.subnormals && format.has_zero && format.exponent_bits > 0 && x.exponent < lowest;
  const int step_exponent = flushed ? lowest : exponent - format.mantissa_bits;
  Steps steps = split(x.significand, x.sticky, 63 - (x.exponent - step_exponent));

  // 3. Count from the smallest number: a carry out of the mantissa lands in the exponent field by itself. Without a
  //    zero nothing lies below the smallest number.
  const uint64_t implicit = uint64_t{1} << format.mantissa_bits;
  if (!format.has_zero && steps.whole < implicit) steps = {implicit, 0, false};
  const uint64_t index =
      (uint64_t(exponent - lowest) << format.mantissa_bits) + steps.whole - (format.has_zero ? 0 : implicit);
  return {index, index + (flushed ? implicit : 1), steps.fraction, steps.sticky};
}

}  // namespace halfulp
