// Codes of operands of matrix units, of formats that need not be number formats: also binary64, whole numbers and bits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "cli/table.h"

namespace halfulp::cli {

/// In hexadecimal, with the digits of the largest code.
std::string code_text(std::string_view format, uint64_t code);

/// Several of them, a space between two.
std::string code_texts(std::string_view format, std::span<const uint64_t> codes);

/// The number that the code is.
Cell code_value(std::string_view format, uint64_t code);

}  // namespace halfulp::cli
