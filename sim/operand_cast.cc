#include "sim/operand_cast.h"

#include <algorithm>
#include <cassert>

#include "sim/tensor.h"

namespace halfulp {

OperandCast::OperandCast(const CastSpec& spec) : transform_size_(spec.transform_size), source_(spec.source) {
  if (names_block_format(spec.format))
    quantizer_.emplace(make_block_format(spec.format, spec.scale_rule, spec.block), spec.rounding, spec.random_bits);
  else if (spec.format != "binary32")
    caster_.emplace(parse_format(spec.format), Projection{.rounding = spec.rounding,
                                                          .random_bits = spec.random_bits,
                                                          .policies = {.overflow = spec.overflow}});
}

void OperandCast::apply(std::span<const float> x, int outer, int reduction, const RandomSite& site, Operand& result,
                        CastEvents* events) const {
  assert(x.size() == size_t(outer) * size_t(reduction));
  const int size = transform_size_;
  const int padded = size == 0 ? reduction : (reduction + size - 1) / size * size;
  result.outer = outer;
  result.reduction = padded;
  result.tensor_scale = 1;
  result.data.resize(size_t(outer) * size_t(padded));
  for (int r = 0; r < outer; ++r) {
    float* const row = result.data.data() + size_t(r) * size_t(padded);
    std::copy_n(x.data() + size_t(r) * size_t(reduction), reduction, row);
    std::fill(row + reduction, row + padded, 0.0f);
  }
  if (size > 0) hadamard(result.data, size);
  if (quantizer_) result.tensor_scale = quantizer_->quantize(result.data, result.data, outer, padded, site, events);
  if (caster_) {
    const std::vector<float> before = events == nullptr ? std::vector<float>() : result.data;
    caster_->round(result.data, result.data, site);
    if (events != nullptr) count_events(before, result.data, 1.0, range_of(caster_->format()), *events);
  }
}

}  // namespace halfulp
