#include "cuda/tiles.h"

#include <algorithm>

#include "formats/matrix_multiply.h"

namespace halfulp::cuda {
namespace {

// Writes codes of `bits` bits; together they fill whole bytes.
void store(std::span<const uint64_t> codes, int bits, uint8_t* bytes) {
  if (bits >= 8) {
    for (const uint64_t code : codes)
      for (int shift = 0; shift < bits; shift += 8) *bytes++ = uint8_t(code >> shift);
    return;
  }
  const size_t in_byte = 8 / size_t(bits);
  for (size_t first = 0; first < codes.size(); first += in_byte) {
    uint64_t byte = 0;
    for (size_t i = 0; i < in_byte; ++i) byte |= codes[first + i] << (size_t(bits) * i);
    *bytes++ = uint8_t(byte);
  }
}

// One of the arrays of all tiles.
std::vector<uint8_t> packed_codes(std::span<const Tile> tiles, std::vector<uint64_t> Tile::*codes,
                                  std::string_view format) {
  if (tiles.empty()) return {};
  const int bits = code_fields(format).bits;
  const size_t tile_bytes = (tiles[0].*codes).size() * size_t(bits) / 8;
  std::vector<uint8_t> bytes(tiles.size() * tile_bytes);
#pragma omp parallel for
  for (size_t i = 0; i < tiles.size(); ++i) store(tiles[i].*codes, bits, bytes.data() + i * tile_bytes);
  return bytes;
}

// The same as dot_product_add for every output.
template <class Code, class Accumulator>
std::vector<uint64_t> multiplied(const MatrixUnit& unit, const Shape& shape, const Tile& tile) {
  const std::vector<Code> a(tile.a.begin(), tile.a.end()), b(tile.b.begin(), tile.b.end());
  const std::vector<Accumulator> c(tile.c.begin(), tile.c.end());
  std::vector<Accumulator> d(c.size());
  multiply_matrices<Code, Accumulator>(unit, {shape.m, shape.n, shape.k, a, b, c}, d);
  return {d.begin(), d.end()};
}

template <class Code>
std::vector<uint64_t> multiplied(const MatrixUnit& unit, const Shape& shape, const Tile& tile) {
  return shape.accumulator == "binary16" ? multiplied<Code, uint16_t>(unit, shape, tile)
                                         : multiplied<Code, uint32_t>(unit, shape, tile);
}

}  // namespace

Shape shape_of(const Instruction& x) { return {x.m, x.n, x.k, x.a, x.b, x.accumulator}; }

PackedTiles pack(const Instruction& instruction, std::span<const Tile> tiles) {
  return {tiles.size(), packed_codes(tiles, &Tile::a, instruction.a), packed_codes(tiles, &Tile::b, instruction.b),
          packed_codes(tiles, &Tile::c, instruction.accumulator)};
}

std::vector<std::vector<uint64_t>> unpack_outputs(const Instruction& instruction, const std::vector<uint8_t>& outputs) {
  const size_t bytes = size_t(code_fields(instruction.accumulator).bits) / 8,
               codes = size_t(instruction.m * instruction.n);
  std::vector<std::vector<uint64_t>> tiles(outputs.size() / (bytes * codes));
#pragma omp parallel for
  for (size_t tile = 0; tile < tiles.size(); ++tile) {
    tiles[tile].resize(codes);
    for (size_t i = 0; i < codes * bytes; ++i)
      tiles[tile][i / bytes] |= uint64_t{outputs[tile * codes * bytes + i]} << (8 * (i % bytes));
  }
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
  const int bits = std::max(code_fields(shape.a).bits, code_fields(shape.b).bits);
  if (bits <= 8) return multiplied<uint8_t>(unit, shape, tile);
  if (bits <= 16) return multiplied<uint16_t>(unit, shape, tile);
  if (bits <= 32) return multiplied<uint32_t>(unit, shape, tile);
  return multiplied<uint64_t, uint64_t>(unit, shape, tile);
}

}  // namespace halfulp::cuda
