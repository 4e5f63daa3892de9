// The fast way of matrix units that cut terms below the largest exponent: TruncatedFused, GroupScaledFused, ViaHalf,
// TruncateThenFloor and SplitThenFloor. Internal to formats/.
#pragma once

#include <span>

#include "formats/fused_unit.h"
#include "formats/matrix_multiply.h"
#include "formats/matrix_multiply_ways.h"

namespace halfulp {

/// As multiply_matrices, of operands that have been found to fit.
template <class Code, class Accumulator>
void multiply_fused(const FusedUnit& unit, const MatrixProduct<Code, Accumulator>& in, const Accumulation& accumulation,
                    const OutputByDefinition<Accumulator>& by_definition, std::span<Accumulator> d, int threads);

}  // namespace halfulp
