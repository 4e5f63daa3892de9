// The reference of matrix units: one output of one instruction, by definition.
//
// Slow and obvious: terms are exact integers, and every rounding is the reference cast of formats/codec.h. What the
// fields of a MatrixUnit mean is written here. Every function is total: NaNs, infinities and zeros have a defined
// result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "formats/matrix_unit.h"

namespace halfulp {

/// What one output is made of: k codes of each operand, those of their block scales (k / scale_block, ascending; none
/// where the unit has no scales), and the accumulator's code.
struct DotInputs {
  std::span<const uint64_t> a, b;
  uint64_t c = 0;
  std::span<const uint64_t> a_scales = {}, b_scales = {};
};

/// d = c + sum of a[k] · b[k], as the unit computes it: the accumulator's code.
uint64_t dot_product_add(const MatrixUnit& unit, const DotInputs& inputs);

/// The number that a code of int8, uint8, int4, uint4 or bit stands for; bits beyond the format have no say.
int64_t whole_number(std::string_view format, uint64_t code);

/// Bits of one operand in memory.
int operand_bits(std::string_view format);

/// 1, 2, 4 or 8: how many bytes one code has in files and streams.
size_t code_bytes(std::string_view format);

/// The largest code of the format; of tf32, which is a binary32 word with 13 idle bits, that of binary32.
uint64_t largest_code(std::string_view format);

}  // namespace halfulp
