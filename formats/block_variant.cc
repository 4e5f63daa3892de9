#include "formats/block_variant.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "formats/codec.h"

namespace halfulp {
namespace {

constexpr float kLargest = std::numeric_limits<float>::max();

float max_element(const BlockFormat& format) { return float(max_finite(format.element)); }

float add_error(Metric metric, float sum, float difference) {
  switch (metric) {
    case Metric::Mse: return sum + difference * difference;
    case Metric::Mae: return sum + std::fabs(difference);
    case Metric::MaxAbs: return std::max(sum, std::fabs(difference));
  }
  return sum;
}

}  // namespace

VariantUnit variant_unit(const BlockFormat& format, float amax) {
  const float whole = max_element(format) * format.scale_target();
  if (amax == 0) return {amax, 1, 1};
  switch (format.variant) {
    case Variant::Torchao:
    case Variant::Modelopt: return {amax, whole / amax, amax / whole};
    default: break;
  }
  const float encode = std::min(whole / amax, kLargest);
  return encode == 0 ? VariantUnit{amax, 1, 1} : VariantUnit{amax, encode, 1 / encode};
}

uint32_t variant_scale(const BlockFormat& format, const VariantUnit& unit, float amax, float more) {
  const float max = max_element(format);
  float scale = 0, lowest = 0;
  switch (format.variant) {
    case Variant::Te: scale = amax * (unit.encode * (1 / max)); break;
    case Variant::Torchao:
      scale = (amax / max) / unit.decode;
      lowest = float(min_normal(format.scale));
      break;
    case Variant::Modelopt:
      scale = amax / (max * unit.decode);
      lowest = float(min_positive(format.scale));
      break;
    case Variant::Cublas: scale = (amax * unit.encode) / max; break;
    case Variant::Exact:
    case Variant::Paper:
    case Variant::Te4over6: scale = (amax / max) * unit.encode; break;
  }
  scale = std::clamp(scale * more, lowest, float(max_finite(format.scale)));
  return encode(format.scale, {.policies = {.overflow = Overflow::Saturate}}, Real::of(double(scale)));
}

float variant_quotient(const BlockFormat& format, const VariantUnit& unit, float scale, float x) {
  switch (format.variant) {
    case Variant::Torchao: return x * ((1 / unit.decode) / scale);
    case Variant::Modelopt: return x / (scale * unit.decode);
    case Variant::Cublas: return (x * unit.encode) * std::min(1 / scale, kLargest);
    default: return x * std::min(1 / (scale * unit.decode), kLargest);
  }
}

float variant_row_error(const BlockFormat& format, const VariantUnit& unit, float scale, std::span<const float> x,
                        std::span<const float> values) {
  const float whole = max_element(format) * format.scale_target();
  float error = 0;
  for (size_t i = 0; i < x.size(); ++i)
    error = add_error(format.metric, error, ((values[i] * scale) * unit.amax) / whole - x[i]);
  return error;
}

float variant_block_error(const BlockFormat& format, std::span<float> rows) {
  // the lower half of the rows is added to the upper half until one is left; rows that are missing count nothing
  for (size_t half = std::bit_ceil(rows.size()) / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half && i + half < rows.size(); ++i)
      rows[i] = format.metric == Metric::MaxAbs ? std::max(rows[i], rows[i + half]) : rows[i] + rows[i + half];
  return rows[0];
}

}  // namespace halfulp
