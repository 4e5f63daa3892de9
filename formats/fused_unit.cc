#include "formats/fused_unit.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace halfulp {
namespace {

constexpr int kNarrow = 100;  // binary exponents that leave room in binary32

bool floors_sums(const MatrixUnit& unit) {
  return unit.operation == DotOperation::TruncateThenFloor || unit.operation == DotOperation::SplitThenFloor;
}

std::optional<FusedResult> fused_result(const MatrixUnit& unit) {
  if (floors_sums(unit))
    return unit.accumulator == "binary32" && unit.rounding == Rounding::TiesToEven
               ? std::optional(FusedResult::Binary32)
               : std::nullopt;
  if (unit.accumulator == "binary16")
    return unit.result == "binary16" && unit.rounding == Rounding::TiesToEven ? std::optional(FusedResult::Binary16)
                                                                              : std::nullopt;
  if (unit.accumulator != "binary32" || unit.rounding != Rounding::TowardZero) return std::nullopt;
  if (unit.result == "binary32") return FusedResult::Binary32;
  if (unit.result == "e8m13") return FusedResult::E8M13;
  return std::nullopt;
}

bool has_fused_arithmetic(const MatrixUnit& unit) {
  if (unit.flushes_operands || unit.flushes_accumulator || unit.flushes_results) return false;
  if (unit.zero == ZeroSign::Ieee || unit.fraction < 1 || std::abs(unit.zero_exponent) > 1000) return false;
  const bool is_via_half = unit.operation == DotOperation::ViaHalf;
  const int k = is_via_half ? unit.k / 2 : unit.k;
  return unit.block >= 1 && k % unit.block == 0 && (!is_via_half || unit.k % 4 == 0);
}

bool is_plain_float(const Format& format) {
  return format.family == Family::Float && format.encoding == Encoding::SignMagnitude && format.has_zero &&
         format.subnormals && fits_binary32(format);
}

// Products of such formats are exact in binary32, and so are they times a power of two that makes them count.
bool is_narrow(const Format& a, const Format& b) {
  return a.min_quantum_exponent() + b.min_quantum_exponent() >= -kNarrow &&
         max_exponent(a) + max_exponent(b) <= kNarrow;
}

// Terms of a block fit the kernels' 32 bits, but for a quarter of their sum.
bool has_narrow_terms(const MatrixUnit& unit) {
  constexpr int64_t kMostTerms = int64_t{1} << 30;
  return unit.fraction <= FusedJob::kMostFraction && int64_t{unit.block} << unit.fraction <= kMostTerms;
}

// Scales that only move the point, one for each block.
bool has_powers_as_scales(const MatrixUnit& unit) {
  return parse_format(unit.scale).mantissa_bits == 0 && unit.scale_block % unit.block == 0;
}

// Exact in binary32: sums of groups, also times the significands of scales; in binary64: sums of what is cut.
bool has_small_groups(const MatrixUnit& unit, const Format& a, const Format& b) {
  if (unit.block % unit.group != 0 || unit.scale_block % unit.group != 0) return false;
  const size_t groups = size_t(unit.block / unit.group);
  if (groups > FusedJob::kMostGroups || size_t(unit.group) > FusedJob::kMostOfGroup) return false;
  const double largest = unit.group * std::ldexp(4, max_exponent(a) + max_exponent(b));
  const double steps = std::ldexp(largest, -(a.min_quantum_exponent() + b.min_quantum_exponent()));
  const int scale_bits = 2 * parse_format(unit.scale).precision();
  return std::ldexp(steps, scale_bits) <= 0x1p24 &&
         std::ldexp(4 * largest * double(groups) + 2, unit.fraction) <= 0x1p52;
}

// A block's terms fit 32 bits, and what is floored binary64.
bool has_small_floors(const MatrixUnit& unit) {
  constexpr int64_t kMostTerms = int64_t{1} << 29;
  constexpr int kMostSum = 45;
  return unit.fraction <= FusedJob::kMostFraction && int64_t{unit.block} << unit.fraction <= kMostTerms &&
         unit.sum_fraction >= unit.fraction && unit.sum_fraction <= kMostSum;
}

// Whether kernels have what the unit does with products of these formats.
bool is_kernels_work(const MatrixUnit& unit, const Format& a, const Format& b) {
  constexpr int kMinExponent32 = -126;
  const bool is_plain = is_narrow(a, b) && unit.zero_exponent <= kNarrow;
  const bool is_wide = a.min_exponent() == kMinExponent32 && b.min_exponent() == kMinExponent32;
  switch (unit.operation) {
    case DotOperation::ViaHalf: return is_plain && has_narrow_terms(unit);
    case DotOperation::GroupScaledFused: return is_plain && has_small_groups(unit, a, b);
    case DotOperation::TruncatedFused:
      if (!has_narrow_terms(unit)) return false;
      return unit.scale.empty() ? is_plain || is_wide : is_plain && has_powers_as_scales(unit);
    case DotOperation::TruncateThenFloor: return (is_narrow(a, b) || is_wide) && has_small_floors(unit);
    case DotOperation::SplitThenFloor: return is_narrow(a, b) && has_small_floors(unit) && unit.block % 2 == 0;
    default: return false;
  }
}

ScaleUnit scale_unit(const MatrixUnit& unit) {
  const Format format = parse_format(unit.scale);
  ScaleUnit result{.block = size_t(unit.scale_block), .step = size_t(unit.group > 0 ? unit.group : unit.block)};
  for (uint32_t code = 0; code < result.values.size(); ++code) {
    const double x = double(decode(format, code & ((uint32_t{1} << format.magnitude_bits()) - 1)));
    result.is_nan[code] = std::isnan(x);
    if (!(x > 0)) continue;
    const int exponent = std::max(std::ilogb(x), format.min_exponent());
    result.values[code] = {.significand = float(std::ldexp(x, -exponent)), .exponent = exponent};
  }
  return result;
}

}  // namespace

std::optional<FusedUnit> fused_unit(const MatrixUnit& unit) {
  const std::optional<FusedResult> result = fused_result(unit);
  if (!result || !has_fused_arithmetic(unit)) return std::nullopt;
  const Format a = parse_format(unit.a), b = parse_format(unit.b);
  if (!is_plain_float(a) || !is_plain_float(b) || a.precision() + b.precision() > 24) return std::nullopt;
  if (!is_kernels_work(unit, a, b)) return std::nullopt;
  const bool is_via_half = unit.operation == DotOperation::ViaHalf;
  return FusedUnit{.job = {.block = size_t(unit.block),
                           .group = size_t(unit.group),
                           .fraction = unit.fraction,
                           .zero_exponent = unit.zero_exponent,
                           .result = *result,
                           .keeps_underflow = unit.zero == ZeroSign::KeepUnderflow,
                           .has_wide_exponents = !is_narrow(a, b),
                           .is_scaled = !unit.scale.empty(),
                           .sum_fraction = floors_sums(unit) ? unit.sum_fraction : 0,
                           .splits_sum = unit.operation == DotOperation::SplitThenFloor},
                   .a_format = a,
                   .b_format = b,
                   .a_min_exponent = is_via_half ? kHalfMinExponent : a.min_exponent(),
                   .b_min_exponent = is_via_half ? kHalfMinExponent : b.min_exponent(),
                   .is_via_half = is_via_half,
                   .k = size_t(unit.k),
                   .scale = unit.scale.empty() ? ScaleUnit{} : scale_unit(unit)};
}

}  // namespace halfulp
