// NumPy's .npy files, versions 1.0 and 2.0: one array in C order (numpy.lib.format describes them).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace halfulp::cli {

struct FloatArray {
  std::vector<size_t> shape;  // their product is the number of values
  std::vector<float> values;
};

/// Reads a file that holds one little-endian float32 array and nothing else. Trusts nothing it says.
/// Throws std::invalid_argument that names the file, std::system_error where it cannot be read.
FloatArray read_npy(const std::string& path);

/// Codes, or bytes that codes are packed into.
struct CodeArray {
  std::vector<size_t> shape;
  std::vector<uint32_t> codes;
};

/// The same for codes of `bits` bits, in the unsigned integers that npy_type names. A code may have higher bits.
CodeArray read_npy_codes(const std::string& path, int bits);

/// How NumPy spells the smallest unsigned integers that hold codes of `bits` bits: "|u1", "<u2" or "<u4".
std::string_view npy_type(int bits);

/// What stands before the raw data of an array; `type` as NumPy spells it ("<f4", "|u1").
std::string npy_header(std::string_view type, const std::vector<size_t>& shape);

}  // namespace halfulp::cli
