// How the codes of an array stand in bytes: sub-byte elements, and block scales.
//
// A packing is a row of facts; every function here serves all rows. Arrays are row-major, and a row of codes starts on
// a byte of its own, so that rows of whole bytes (the usual case) make one uninterrupted stream. Functions take one
// byte per unpacked code. They throw std::invalid_argument where an array does not suit the packing or a span has the
// wrong size, and are total otherwise: bits of a code above the packing's width are dropped, padding is written as
// zeros and not read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "formats/evidence.h"
#include "formats/names.h"

namespace halfulp {

/// Where a code's bits go.
enum class Placement {
  LowFirst,   // one stream of bits, filled from the lowest bit of each byte upwards
  HighFirst,  // one stream of bits, filled from the highest bit of each byte downwards
  Byte,       // a byte each
  Planes,     // 64 x 64 tiles cut into planes of 1, 2 and 4 bits in the order in which a warp's threads read them
};

/// A way to pack codes.
struct Packing {
  std::string_view name;
  int bits;  // of a code
  Placement placement;
  int shift = 0;        // Byte: from the byte's lowest bit to the code's
  int chunk_codes = 0;  // codes between two gaps, which a row must fill; 0: no gaps
  int chunk_bytes = 0;  // of such a chunk and its gap
  std::string_view source;
  Evidence evidence;
};

std::span<const Packing> packings();

/// Throws UnknownName.
const Packing& find_packing(std::string_view name);

/// The extent of a row-major array.
struct Extent {
  size_t rows, cols;
};

/// Bytes that one row of codes takes; of Planes, its share.
size_t packed_row_bytes(const Packing& packing, size_t cols);

/// Bytes that all codes take.
size_t packed_bytes(const Packing& packing, Extent extent);

void pack(const Packing& packing, Extent extent, std::span<const uint8_t> codes, std::span<uint8_t> bytes);
void unpack(const Packing& packing, Extent extent, std::span<const uint8_t> bytes, std::span<uint8_t> codes);

/// How block scales, one byte each, stand in memory.
enum class ScaleLayout {
  RowMajor,
  Tiles128x4,  // what block-scaled tensor cores read: cuBLASLt VEC16_UE4M3 and VEC32_UE8M0, CUTLASS SfAtom, torchao
};

/// Tiles128x4: rows are padded to a multiple of 128, columns of scales to one of 4. A tile of 128 x 4 scales takes 512
/// bytes; tiles follow each other row-major. Within one, row r and column c stand at (r mod 32)·16 + (r div 32)·4 + c.
size_t scale_bytes(ScaleLayout layout, Extent scales);

/// `padding` is the scale of rows and columns that are not there: it must be a number, since the tensor core reads it.
void arrange_scales(ScaleLayout layout, Extent extent, uint8_t padding, std::span<const uint8_t> scales,
                    std::span<uint8_t> bytes);
void restore_scales(ScaleLayout layout, Extent extent, std::span<const uint8_t> bytes, std::span<uint8_t> scales);

/// Scales of blocks of `block_rows` rows, written once for each of the array's `extent.rows` rows: how the scales of
/// 16 x 16 blocks are stored for NVFP4 weights, so that a weight and its transpose have the same values.
void replicate_scale_rows(size_t block_rows, Extent extent, std::span<const uint8_t> scales, std::span<uint8_t> rows);

template <>
struct EnumNames<Placement> {
  static constexpr std::string_view kind = "placement";
  static constexpr NamedValue<Placement> values[] = {{Placement::LowFirst, "low_first"},
                                                     {Placement::HighFirst, "high_first"},
                                                     {Placement::Byte, "byte"},
                                                     {Placement::Planes, "planes"}};
};
template <>
struct EnumNames<ScaleLayout> {
  static constexpr std::string_view kind = "scale layout";
  static constexpr NamedValue<ScaleLayout> values[] = {{ScaleLayout::RowMajor, "row_major"},
                                                       {ScaleLayout::Tiles128x4, "128x4"}};
};

}  // namespace halfulp
