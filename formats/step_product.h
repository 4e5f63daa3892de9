// The fast way of matrix units whose every step is an operation of binary32 or binary64: FmaChain, OddFirstChain,
// TwoChains and FlushedPairs. Internal to formats/.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "formats/format.h"
#include "formats/matrix_multiply.h"
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

/// As multiply_matrices without promotion and splits, of operands that have been found to fit. Outputs that are NaN are
/// whatever nan says that they are; it is called before c, which may be d, is overwritten there.
template <class Code, class Accumulator>
void multiply_steps(const StepUnit& unit, const MatrixProduct<Code, Accumulator>& in,
                    const std::function<Accumulator(size_t row, size_t column)>& nan, std::span<Accumulator> d,
                    int threads);

}  // namespace halfulp
