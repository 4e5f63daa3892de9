// Captures as files: what a matrix instruction made of given tiles, D = C + A·B. Integers and arrays are little-endian.
//
//     char[8] "HALFULPM"   uint32 version, 3   uint32 bytes of the header   the header, JSON
//     for each segment A[tiles][m][k], B[tiles][n][k], C[tiles][m][n], D[tiles][m][n], or D alone where it is seeded:
//     codes, each in the fewest of 1, 2, 4 and 8 bytes that hold its format
//
// The header is an object with exactly these members:
//
//     "unit"         a name that `halfulp units` lists
//     "instruction", "device", "sm", "driver", "cuda", "ptxas", "date", "tool"   texts: where the outputs are from;
//     "sm"
//                    to "ptxas" are empty where that is no GPU; "tool" is the commit of the program that asked for them
//     "sass_opcodes" texts: what ptxas made of the instruction, in order
//     "sass_sha256"  of all of the kernel's code, as cuobjdump prints it; empty where it is not recorded
//     "m", "n", "k"  of a tile; k is the unit's
//     "a", "b", "c", "d"   formats, those of the unit
//     "segments"     objects, in the order of their data
//     "sha256"       of all bytes after the header, in hexadecimal
//
// Segments have exactly these members:
//
//     "family"       a text
//     "seed", "tiles"   whole numbers
//     "stored"       "explicit" or "seeded"
//     "offset"       bytes between the header's end and the segment's data; segments lie one after the other
//
// A seeded one is of a family of cuda/stimulus.h, whose generator makes A, B and C again, and has three members more:
//
//     "generator"    version of the generator
//     "first"        number of the first tile
//     "inputs_sha256"   of A, B and C as an explicit segment would store them, in hexadecimal
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/stimulus.h"
#include "formats/names.h"

namespace halfulp::cuda {

/// The first bytes of a capture.
inline constexpr std::string_view kCaptureMagic = "HALFULPM";

/// Codes of all arrays of a capture, at most.
inline constexpr uint64_t kMostCodes = uint64_t{1} << 24;

/// A capture is no longer than this.
inline constexpr size_t kMostCaptureBytes = 8 * kMostCodes + (size_t{1} << 21);

enum class Stored {
  Explicit,  // inputs and outputs
  Seeded,    // outputs; inputs are what make_tile makes
};

/// Tiles of one family or probe.
struct Segment {
  std::string family;
  uint64_t seed;                               // of the family's generator
  std::vector<Tile> tiles;                     // as recorded
  std::vector<std::vector<uint64_t>> outputs;  // of each tile
  Stored stored = Stored::Explicit;
  uint64_t first = 0;  // number of the first tile; files keep it where it is seeded
};

/// Where outputs are from; members of the header.
struct Provenance {
  std::string instruction, device, sm, driver, cuda, ptxas, date, tool;
  std::vector<std::string> sass_opcodes;
  std::string sass_sha256;
};

/// What a file holds.
struct CaptureFile {
  std::string unit;  // the row that computes the same; "" where there is none, which can be written but not read
  Shape shape;
  Provenance from;
  std::vector<Segment> segments;
};

/// The whole file.
std::string capture_bytes(const CaptureFile& capture);

/// Reads a whole file, of which it trusts nothing. Throws std::invalid_argument that names the place, what is wrong and
/// what is allowed.
CaptureFile parse_capture(std::string_view bytes);

}  // namespace halfulp::cuda

template <>
struct halfulp::EnumNames<halfulp::cuda::Stored> {
  static constexpr std::string_view kind = "way of storing";
  static constexpr NamedValue<cuda::Stored> values[] = {{cuda::Stored::Explicit, "explicit"},
                                                        {cuda::Stored::Seeded, "seeded"}};
};
