#include "cuda/tiles.h"

#include <algorithm>

#include "formats/dot_product.h"

namespace halfulp::cuda {
namespace {

// Appends codes of `bits` bits; together they fill whole bytes.
void append(std::vector<uint8_t>& bytes, std::span<const uint64_t> codes, int bits) {
  if (bits >= 8) {
    for (const uint64_t code : codes)
      for (int shift = 0; shift < bits; shift += 8) bytes.push_back(uint8_t(code >> shift));
    return;
  }
  const size_t in_byte = 8 / size_t(bits);
  for (size_t first = 0; first < codes.size(); first += in_byte) {
    uint64_t byte = 0;
    for (size_t i = 0; i < in_byte; ++i) byte |= codes[first + i] << (size_t(bits) * i);
    bytes.push_back(uint8_t(byte));
  }
}

}  // namespace

Shape shape_of(const Instruction& x) { return {x.m, x.n, x.k, x.a, x.b, x.accumulator}; }

PackedTiles pack(const Instruction& instruction, std::span<const Tile> tiles) {
  const int a_bits = code_fields(instruction.a).bits, b_bits = code_fields(instruction.b).bits,
            c_bits = code_fields(instruction.accumulator).bits;
  PackedTiles packed{.count = tiles.size()};
  for (const Tile& tile : tiles) {
    append(packed.a, tile.a, a_bits);
    append(packed.b, tile.b, b_bits);
    append(packed.c, tile.c, c_bits);
  }
  return packed;
}

std::vector<std::vector<uint64_t>> unpack_outputs(const Instruction& instruction, const std::vector<uint8_t>& outputs) {
  const size_t bytes = size_t(code_fields(instruction.accumulator).bits) / 8,
               codes = size_t(instruction.m * instruction.n);
  std::vector<std::vector<uint64_t>> tiles(outputs.size() / (bytes * codes), std::vector<uint64_t>(codes));
  size_t at = 0;
  for (std::vector<uint64_t>& tile : tiles)
    for (uint64_t& code : tile)
      for (size_t i = 0; i < bytes; ++i) code |= uint64_t{outputs[at++]} << (8 * i);
  return tiles;
}

Tile recorded(const Instruction& instruction, Tile tile) {
  const CodeFields a = code_fields(instruction.a);
  switch (instruction.recorded) {
    case Recorded::AsGiven: break;
    case Recorded::ZeroC: std::ranges::fill(tile.c, 0); break;
    case Recorded::MinusA:
      for (uint64_t& code : tile.a) code = a.negated(code);
      break;
  }
  return tile;
}

std::vector<uint64_t> expected_outputs(const MatrixUnit& unit, const Shape& shape, const Tile& tile) {
  const size_t n = size_t(shape.n), k = size_t(shape.k);
  std::vector<uint64_t> d(tile.c.size());
  for (size_t at = 0; at < d.size(); ++at)
    d[at] = dot_product_add(unit, {.a = std::span(tile.a).subspan(at / n * k, k),
                                   .b = std::span(tile.b).subspan(at % n * k, k),
                                   .c = tile.c[at]});
  return d;
}

}  // namespace halfulp::cuda
