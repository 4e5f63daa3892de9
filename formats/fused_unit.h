// Matrix units that cut terms below the largest exponent, as the kernels of formats/matrix_multiply_kernels.h see them.
// Internal to formats/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "formats/format.h"
#include "formats/matrix_multiply_kernels.h"
#include "formats/matrix_unit.h"

namespace halfulp {

/// Smallest exponent of normal numbers of binary16.
inline constexpr int kHalfMinExponent = -14;

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

}  // namespace halfulp
