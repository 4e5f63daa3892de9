// The fast way of matrix units that cut terms below the largest exponent: TruncatedFused, GroupScaledFused, ViaHalf,
// TruncateThenFloor and SplitThenFloor. Internal to formats/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "formats/format.h"
#include "formats/matrix_multiply.h"
#include "formats/matrix_multiply_kernels.h"
#include "formats/matrix_multiply_ways.h"

namespace halfulp {

/// Block scales as kernels take them.
struct ScaleUnit {
  size_t block = 0;  // products that share a code
  size_t step = 0;   // products that kernels scale at a time
  std::array<RowScale, 256> values = {};
  std::array<bool, 256> is_nan = {};
};

/// A unit as kernels see it.
struct FusedUnit {
  FusedJob job;
  Format a_format, b_format;
  int a_min_exponent, b_min_exponent;
  bool is_via_half;
  size_t k;  // of an instruction
  ScaleUnit scale;
};

/// Nothing where kernels do not have the unit's arithmetic.
std::optional<FusedUnit> fused_unit(const MatrixUnit& unit);

/// As multiply_matrices, of operands that have been found to fit.
template <class Code, class Accumulator>
void multiply_fused(const FusedUnit& unit, const MatrixProduct<Code, Accumulator>& in, const Accumulation& accumulation,
                    const OutputByDefinition<Accumulator>& by_definition, std::span<Accumulator> d, int threads);

}  // namespace halfulp
