// The fast way of matrix units whose every step is an operation of binary32 or binary64: FmaChain, OddFirstChain,
// TwoChains and FlushedPairs. Internal to formats/.
#pragma once

#include <optional>
#include <span>

#include "formats/format.h"
#include "formats/matrix_multiply.h"
#include "formats/matrix_multiply_ways.h"
#include "formats/step_product_kernels.h"

namespace halfulp {

/// A unit as kernels see it.
struct StepUnit {
  StepJob job;
  Rounding rounding;                         // of every step
  std::optional<Format> a_format, b_format;  // none of binary64
  bool flushes_operands;                     // to +0 or with their sign, as the accumulator
};

/// Nothing where kernels do not have the unit's arithmetic.
std::optional<StepUnit> step_unit(const MatrixUnit& unit);

/// As multiply_matrices without promotion and splits, of operands that have been found to fit. NaNs are computed by
/// definition.
template <class Code, class Accumulator>
void multiply_steps(const StepUnit& unit, const MatrixProduct<Code, Accumulator>& in,
                    const OutputByDefinition<Accumulator>& by_definition, std::span<Accumulator> d, int threads);

}  // namespace halfulp
