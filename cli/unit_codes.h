// Codes of operands of matrix units, of formats that need not be number formats: also binary64, whole numbers and bits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "cli/table.h"

namespace halfulp::cli {

/// 1, 2, 4 or 8: how many bytes one code has in files and streams.
size_t code_bytes(std::string_view format);

/// The largest code of the format; of tf32, which is a binary32 word with 13 idle bits, that of binary32.
uint64_t largest_code(std::string_view format);

/// In hexadecimal, with the digits of the largest code.
std::string code_text(std::string_view format, uint64_t code);

/// Several of them, a space between two.
std::string code_texts(std::string_view format, std::span<const uint64_t> codes);

/// The number that the code is.
Cell code_value(std::string_view format, uint64_t code);

}  // namespace halfulp::cli
