// One operand's pipeline, prepared once per run: transform, then cast.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "formats/block.h"
#include "formats/cast.h"
#include "sim/recipe.h"

namespace halfulp {

/// A GEMM operand as the product sees it: `data` holds element · block scale, the tensor scale stays apart until the
/// epilogue.
struct Operand {
  std::vector<float> data;  // (outer, reduction)
  int outer = 0, reduction = 0;
  float tensor_scale = 1;
};

class OperandCast {
 public:
  /// `spec` is normalised.
  explicit OperandCast(const CastSpec& spec);

  /// Casts x (outer, reduction), the reduced dimension contiguous. A transform pads it with zeros to a multiple of its
  /// size, which leaves the product of two such operands as it was. `events` counts what the cast did to the
  /// (transformed) numbers, where given.
  void apply(std::span<const float> x, int outer, int reduction, const RandomSite& site, Operand& result,
             CastEvents* events) const;

  bool is_identity() const { return !caster_ && !quantizer_ && transform_size_ == 0; }
  OperandSource source() const { return source_; }

 private:
  std::optional<Caster> caster_;             // scalar formats
  std::optional<BlockQuantizer> quantizer_;  // block formats
  int transform_size_;                       // 0: none
  OperandSource source_;
};

}  // namespace halfulp
