// SHA-256, the identity of data and of experiments.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace halfulp {

/// The SHA-256 of `bytes` in 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const uint8_t> bytes);
std::string sha256_hex(std::string_view text);

}  // namespace halfulp
