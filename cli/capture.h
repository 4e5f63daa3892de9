// Captured outputs of matrix units: what hardware made of given operands, to be held against the models.
//
// Two kinds of files are read, told apart by their first bytes.
//
// Packs, "MMAG", one of a GPU and an operand format, which their names tell: GPU_FORMAT.bin, such as H100_E4M3.bin;
// integers and arrays are little-endian.
//
//     char[4] "MMAG"   uint16 version, 1   uint16 bytes of an operand   uint32 K   uint32 n   uint16 outputs
//     char[16] name of each output, padded with zeros
//     A[n][K], B[n][K] codes   C[n] binary32   D[n] binary32 of each output
//
// Of an output of binary16, c is C rounded to nearest even and D its numbers as binary32. Outputs of wgmma have c = 0.
//
// Captures of our own, "HALFULPM": cuda/capture_file.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/dot_product.h"
#include "formats/matrix_unit.h"

namespace halfulp::cli {

/// Tiles of one unit, or single outputs as tiles of 1 x 1. Codes are those of the unit's formats.
struct Capture {
  std::string name;        // of the output of a pack, of a segment's family
  const MatrixUnit* unit;  // of matrix_units()
  size_t m = 1, n = 1;     // rows and columns of a tile
  size_t tiles = 0;
  std::vector<uint64_t> a;  // (tiles, m, k)
  std::vector<uint64_t> b;  // (tiles, n, k): a column of B after the other
  std::vector<uint64_t> c;  // (tiles, m, n)
  std::vector<uint64_t> d;  // (tiles, m, n)

  /// What output `index` of d was computed from.
  DotInputs inputs(size_t index) const;
};

/// How many outputs a unit computes as the hardware did.
struct Replay {
  size_t matched = 0;
  std::optional<size_t> first_mismatch;  // an index into d
  uint64_t computed = 0;                 // there
};

/// `unit` may be another than the capture's, of the same k and formats.
Replay replay(const Capture& capture, const MatrixUnit& unit);

/// Reads all outputs, or segments, of a file of either kind. Trusts nothing it says.
/// Throws std::invalid_argument that names the file, what is wrong and what is allowed, std::system_error where the
/// file cannot be read.
std::vector<Capture> read_captures(const std::string& path);

/// The same of a file that goes by another name: one of a pack says what is in it.
std::vector<Capture> read_captures(const std::string& path, std::string_view name);

/// The unit that computed an output of a pack, such as "H100", "E4M3", "fp32_mmasync" and 32.
/// Throws std::invalid_argument with what is known.
const MatrixUnit& packed_unit(std::string_view gpu, std::string_view format, std::string_view output, size_t k);

}  // namespace halfulp::cli
