// The fast way of matrix units of whole numbers: Integer, XorPopcount and AndPopcount. Internal to formats/.
#pragma once

#include <span>

#include "formats/matrix_multiply.h"

namespace halfulp {

/// Whether kernels have the unit's arithmetic.
bool is_whole_unit(const MatrixUnit& unit);

/// As multiply_matrices, of operands that have been found to fit.
void multiply_whole(const MatrixUnit& unit, const MatrixProduct<uint8_t, uint32_t>& in, std::span<uint32_t> d,
                    int threads);

}  // namespace halfulp
