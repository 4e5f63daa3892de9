#include "formats/place.h"

#include <algorithm>
#include <cassert>

#include "formats/logarithm.h"
#include "formats/tapered.h"

namespace halfulp {
namespace {

__extension__ using Uint128 = unsigned __int128;

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

// |x| in steps of 2^step_exponent, which are at most 2^62.
Steps in_steps(const Real& x, int step_exponent) {
  return split(x.significand, x.sticky, 63 - (x.exponent - step_exponent));
}

// Far beyond the range every number fares as this one does: x, but no larger than the number with this exponent.
Real limited(const Real& x, int exponent) {
  return x.exponent <= exponent ? x : Real::dyadic(1, exponent).with_sign(x.negative);
}

Place float_place(const Format& format, const Real& real) {
  // 1. The index has room for a few binades above the largest number.
  const Real x = limited(real, max_exponent(format) + 2);

  // 2. The step at this magnitude. An integer format has one step everywhere, and without subnormals the first step
  //    reaches from zero to the smallest normal.
  const int lowest = format.min_exponent();
  const int exponent = format.exponent_bits == 0 ? lowest : std::max(x.exponent, lowest);
  const bool flushed = !format.subnormals && format.has_zero && format.exponent_bits > 0 && x.exponent < lowest;
  const int step_exponent = flushed ? lowest : exponent - format.mantissa_bits;
  Steps steps = in_steps(x, step_exponent);

  // 3. Count from the smallest number: a carry out of the mantissa lands in the exponent field by itself. Without a
  //    zero nothing lies below the smallest number.
  const uint64_t implicit = uint64_t{1} << format.mantissa_bits;
  if (!format.has_zero && steps.whole < implicit) steps = {implicit, 0, false};
  const uint64_t index =
      (uint64_t(exponent - lowest) << format.mantissa_bits) + steps.whole - (format.has_zero ? 0 : implicit);
  return {int64_t(index), int64_t(index + (flushed ? implicit : 1)), steps.fraction, steps.sticky};
}

// Number i is i + 1/2 steps. Half a step added, and every place is a whole number and a fraction.
Place mid_rise_place(const Format& format, const Real& real) {
  const Real x = limited(real, format.width - format.bias + 1);
  const Steps halves = in_steps(x, -format.bias - 1);
  const uint64_t raised = halves.whole + 1;
  const uint64_t fraction = raised % 2 << 63 | halves.fraction >> 1;
  const bool sticky = halves.sticky || halves.fraction % 2 != 0;
  const int64_t next = int64_t(raised / 2);
  return {next - 1, next, fraction, sticky};
}

// Equal steps of the logarithm, in which zero takes the place of one more number.
Place logarithm_place(const LogarithmicScale& scale, const Real& x) {
  const Position at = log2_position(x, scale.denominator, scale.numerator);
  const int64_t index = at.whole - (scale.lowest - 1);
  if (index < 0) return {0, 1, 0, true};
  return {index, index + 1, at.fraction, at.sticky};
}

// floor(log2) of number `index`.
int exponent_of(const LogarithmicScale& scale, uint32_t index) {
  const int64_t power = (int64_t{scale.lowest} + index - 1) * scale.numerator;
  const int64_t rounded_down = power < 0 ? power - scale.denominator + 1 : power;
  return int(rounded_down / scale.denominator);
}

Place logarithmic_place(const Format& format, const Real& real) {
  const LogarithmicScale& scale = format.scale;
  const Real x = limited(real, exponent_of(scale, format.max_index()) + 2);
  const bool is_tiny = x.exponent < exponent_of(scale, 1) - 128;  // no more than above zero, on either scale
  if (is_tiny) return {0, 1, 0, true};
  const Place by_logarithm = logarithm_place(scale, x);
  if (format.domain == Domain::Logarithm) return by_logarithm;

  const int64_t index = by_logarithm.index;
  const int64_t power = (scale.lowest + index - 1) * scale.numerator;
  const bool is_below_smallest = index == 0;
  const Position at = position_between_powers(x, is_below_smallest, power, power + scale.numerator, scale.denominator);
  return {index, index + 1, at.fraction, at.sticky};
}

Place table_place(const Format& format, const Real& real) {
  const std::span<const Level> levels = format.table->levels[format.encoding == Encoding::Listed && real.negative];
  const Steps x = in_steps(limited(real, max_exponent(format) + 2), LevelTable::kStepExponent);
  const auto above = std::ranges::upper_bound(levels, x.whole, {}, &Level::steps);
  const int64_t next = above - levels.begin();
  if (above == levels.end()) return {next - 1, next, 0, false};
  const uint64_t below = levels[size_t(next - 1)].steps;
  const uint64_t gap = above->steps - below;
  const Uint128 distance = Uint128{x.whole - below} << 64 | x.fraction;
  return {next - 1, next, uint64_t(distance / gap), x.sticky || distance % gap != 0};
}

}  // namespace

Place place(const Format& format, const Real& x) {
  switch (format.family) {
    case Family::Float: return float_place(format, x);
    case Family::MidRise: return mid_rise_place(format, x);
    case Family::Posit:
    case Family::LinearTakum:
    case Family::LogarithmicTakum: return tapered_place(format, x);
    case Family::Logarithmic: return logarithmic_place(format, x);
    case Family::Table: break;
  }
  return table_place(format, x);
}

}  // namespace halfulp
