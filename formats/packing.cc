#include "formats/packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace halfulp {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kStream = "CUTLASS subbyte_reference: code i at bit i times its width";
constexpr std::string_view kTensorMap = "CUDA 13.0 cuda.h, CUtensorMapDataType";
constexpr std::string_view kFp6Llm = "fp6_llm weight_prepacking.h (arXiv 2401.14112)";
constexpr std::string_view kRead = "source read";
constexpr std::string_view kPeer = "source read; CUDA's host types agree";

constexpr std::array kPackings = {
    Packing{.name = "1bit", .bits = 1, .placement = Placement::LowFirst, .source = kStream, .evidence = kRead},
    Packing{.name = "2bit", .bits = 2, .placement = Placement::LowFirst, .source = kStream, .evidence = kRead},
    Packing{.name = "3bit", .bits = 3, .placement = Placement::LowFirst, .source = "GPTQ quant.py", .evidence = kRead},
    Packing{.name = "4bit",
            .bits = 4,
            .placement = Placement::LowFirst,
            .source = "CUDA fp4x2, torch float4_e2m1fn_x2, CUTLASS",
            .evidence = kPeer},
    Packing{.name = "4bit_high_first",
            .bits = 4,
            .placement = Placement::HighFirst,
            .source = "bitsandbytes",
            .evidence = kRead},
    Packing{.name = "4bit_byte", .bits = 4, .placement = Placement::Byte, .source = "ml_dtypes", .evidence = kRead},
    Packing{.name = "4bit_middle",
            .bits = 4,
            .placement = Placement::Byte,
            .shift = 2,
            .source = "PTX ISA, e2m1 operands of mxf8f6f4",
            .evidence = "specified"},
    Packing{.name = "16u4_align8b",
            .bits = 4,
            .placement = Placement::LowFirst,
            .chunk_codes = 16,
            .chunk_bytes = 8,
            .source = kTensorMap,
            .evidence = "specified"},
    Packing{.name = "16u4_align16b",
            .bits = 4,
            .placement = Placement::LowFirst,
            .chunk_codes = 16,
            .chunk_bytes = 16,
            .source = kTensorMap,
            .evidence = "specified"},
    Packing{.name = "6bit", .bits = 6, .placement = Placement::LowFirst, .source = kStream, .evidence = kRead},
    Packing{.name = "6bit_high_first",
            .bits = 6,
            .placement = Placement::HighFirst,
            .source = "fp6_llm common.h, weights before they are split",
            .evidence = kRead},
    Packing{.name = "6bit_byte",
            .bits = 6,
            .placement = Placement::Byte,
            .source = "CUDA fp6x2 and fp6x4, ml_dtypes",
            .evidence = kPeer},
    Packing{.name = "16u6_align16b",
            .bits = 6,
            .placement = Placement::LowFirst,
            .chunk_codes = 16,
            .chunk_bytes = 16,
            .source = kTensorMap,
            .evidence = "specified"},
    Packing{.name = "5bit_planes", .bits = 5, .placement = Placement::Planes, .source = kFp6Llm, .evidence = kRead},
    Packing{.name = "6bit_planes", .bits = 6, .placement = Placement::Planes, .source = kFp6Llm, .evidence = kRead},
};

constexpr size_t kGroup = 8;  // codes that fill `bits` whole bytes whatever their width

constexpr size_t divide_up(size_t size, size_t part) { return size / part + (size % part != 0); }

// A row that is no way to pack anything can only come from outside the table.
void require_sound(const Packing& packing) {
  const bool bits = packing.bits >= 1 && packing.bits <= 8 - (packing.placement == Placement::Planes);
  const bool shift = packing.shift >= 0 && packing.shift + packing.bits <= 8;
  const bool chunk = packing.chunk_codes >= 0 && packing.chunk_codes * packing.bits <= 8 * packing.chunk_bytes;
  if (!bits || !shift || !chunk)
    throw std::invalid_argument(fmt::format(
        "packing {}: codes of {} bits shifted by {}, {} of them in {} bytes; 1 to 8 bits, 7 in planes, that "
        "fit their byte and their chunk are wanted",
        packing.name, packing.bits, packing.shift, packing.chunk_codes, packing.chunk_bytes));
}

void require_size(std::string_view what, size_t got, size_t wanted) {
  if (got != wanted) throw std::invalid_argument(fmt::format("{}: {} bytes given, {} wanted", what, got, wanted));
}

// --- streams of bits

// `ones` low bits in each field of `field` bits of a word.
constexpr uint64_t field_mask(int ones, int field) {
  uint64_t mask = 0;
  for (int at = 0; at < 64; at += field) mask |= ((uint64_t{1} << ones) - 1) << at;
  return mask;
}

// Halves the fields of a word: two neighbours of w bits, at bits 0 and `field` of 2·field bits, become one of 2·w.
template <int w, int field>
constexpr uint64_t join(uint64_t x) {
  constexpr uint64_t low = field_mask(w, 2 * field);
  return (x & low) | (x >> (field - w) & low << w);
}
// Undoes join.
template <int w, int field>
constexpr uint64_t part(uint64_t x) {
  constexpr uint64_t low = field_mask(w, 2 * field);
  return (x & low) | (x & low << w) << (field - w);
}

// Eight codes of w bits from a byte each to one number, the first code lowest.
template <int w>
constexpr uint64_t close_up(uint64_t x) {
  return join<4 * w, 32>(join<2 * w, 16>(join<w, 8>(x)));
}
// The inverse.
template <int w>
constexpr uint64_t spread(uint64_t x) {
  return part<w, 8>(part<2 * w, 16>(part<4 * w, 32>(x)));
}

// Eight codes to w bytes. A stream that is filled from the top is the same with both ends exchanged.
template <int w, bool high_first>
void pack_group(const uint8_t* codes, uint8_t* bytes) {
  uint64_t x;
  std::memcpy(&x, codes, kGroup);
  if (high_first) x = __builtin_bswap64(x);
  x = close_up<w>(x);
  if (high_first) x = __builtin_bswap64(x << (64 - 8 * w));
  std::memcpy(bytes, &x, w);
}

template <int w, bool high_first>
void unpack_group(const uint8_t* bytes, uint8_t* codes) {
  uint64_t x = 0;
  std::memcpy(&x, bytes, w);
  if (high_first) x = __builtin_bswap64(x) >> (64 - 8 * w);
  x = spread<w>(x);
  if (high_first) x = __builtin_bswap64(x);
  std::memcpy(codes, &x, kGroup);
}

template <int w, bool high_first>
void pack_stream(const uint8_t* codes, size_t count, uint8_t* bytes) {
  const size_t groups = count / kGroup, rest = count % kGroup;
  for (size_t i = 0; i < groups; ++i) pack_group<w, high_first>(codes + i * kGroup, bytes + i * w);
  uint8_t last_codes[kGroup] = {}, last_bytes[w];
  std::copy_n(codes + groups * kGroup, rest, last_codes);
  pack_group<w, high_first>(last_codes, last_bytes);
  std::copy_n(last_bytes, divide_up(rest * w, 8), bytes + groups * w);
}

template <int w, bool high_first>
void unpack_stream(const uint8_t* bytes, uint8_t* codes, size_t count) {
  const size_t groups = count / kGroup, rest = count % kGroup;
  for (size_t i = 0; i < groups; ++i) unpack_group<w, high_first>(bytes + i * w, codes + i * kGroup);
  uint8_t last_bytes[w] = {}, last_codes[kGroup];
  std::copy_n(bytes + groups * w, divide_up(rest * w, 8), last_bytes);
  unpack_group<w, high_first>(last_bytes, last_codes);
  std::copy_n(last_codes, rest, codes + groups * kGroup);
}

// The two directions for one width and order.
struct Stream {
  void (*pack)(const uint8_t* codes, size_t count, uint8_t* bytes);
  void (*unpack)(const uint8_t* bytes, uint8_t* codes, size_t count);
};

template <bool high_first, int... width_less_1>
constexpr std::array<Stream, 8> make_streams(std::integer_sequence<int, width_less_1...>) {
  return {Stream{pack_stream<width_less_1 + 1, high_first>, unpack_stream<width_less_1 + 1, high_first>}...};
}

const Stream& stream(const Packing& packing) {
  static constexpr std::array<Stream, 8> low_first = make_streams<false>(std::make_integer_sequence<int, 8>());
  static constexpr std::array<Stream, 8> high_first = make_streams<true>(std::make_integer_sequence<int, 8>());
  return (packing.placement == Placement::HighFirst ? high_first : low_first)[size_t(packing.bits - 1)];
}

// Calls visit(first code, number of codes, first byte) for each run of codes without a gap. Rows of whole bytes are
// one.
template <class Visitor>
void for_each_run(const Packing& packing, Extent extent, Visitor visit) {
  if (packing.chunk_codes == 0 && extent.cols * size_t(packing.bits) % 8 == 0)
    return visit(size_t{0}, extent.rows * extent.cols, size_t{0});
  const size_t row_bytes = packed_row_bytes(packing, extent.cols);
  const size_t run = packing.chunk_codes == 0 ? extent.cols : size_t(packing.chunk_codes);
  for (size_t row = 0; row < extent.rows; ++row)
    for (size_t i = 0; i * run < extent.cols; ++i)
      visit(row * extent.cols + i * run, run, row * row_bytes + i * size_t(packing.chunk_bytes));
}

// --- planes

// fp6_llm: a warp of 32 threads multiplies fragments of 16 x 16 weights, 4 one below the other before the next 16
// columns. Of each, thread t has rows t/4 and t/4 + 8 and columns 2·(t mod 4), the one after, and both + 8: eight
// codes. A code's bits are cut, highest first, into pieces of 1, 2 and 4 bits as its width has them, one plane each. A
// 32-bit word of a plane holds as many pieces as it can of one thread's successive codes; words of the 32 threads
// alternate. Within a word pieces are not in order but so that one mask gets four of them, two for each 16-bit half.
constexpr size_t kPlaneTile = 64;
constexpr size_t kWarp = 32;

// Piece number i of a word, counted from the top, is that of code piece_order(i, …) of the word's codes.
constexpr size_t piece_order(size_t i, size_t pieces) {
  constexpr size_t kLane[] = {1, 3, 0, 2};
  return i % (pieces / 4) * 4 + kLane[i / (pieces / 4)];
}

// The place in the array of thread t's code number n.
size_t place_of_thread_code(Extent extent, size_t t, size_t n) {
  const size_t fragment = n / 8, j = n % 8;
  const size_t columns_of_fragments = extent.cols / 16;
  const size_t row = (fragment / 4 / columns_of_fragments) * kPlaneTile + fragment % 4 * 16 + j / 2 % 2 * 8 + t / 4;
  const size_t col = fragment / 4 % columns_of_fragments * 16 + j / 4 * 8 + t % 4 * 2 + j % 2;
  return row * extent.cols + col;
}

// Calls visit(place of the code, lowest of the piece's bits in it, width of the piece, byte offset of the word, shift
// of the piece in it) for every piece of every code.
template <class Visitor>
void for_each_piece(const Packing& packing, Extent extent, Visitor visit) {
  const size_t codes_per_thread = extent.rows * extent.cols / kWarp;
  size_t plane = 0;  // byte offset
  int below = packing.bits;
  for (const int width : {1, 2, 4}) {
    if ((packing.bits & width) == 0) continue;
    below -= width;
    const size_t pieces = size_t(32 / width);
    for (size_t word = 0; word < codes_per_thread / pieces; ++word)
      for (size_t t = 0; t < kWarp; ++t)
        for (size_t i = 0; i < pieces; ++i) {
          const size_t place = place_of_thread_code(extent, t, word * pieces + piece_order(i, pieces));
          visit(place, below, width, plane + (word * kWarp + t) * 4, 32 - width * int(i + 1));
        }
    plane += extent.rows * extent.cols * size_t(width) / 8;
  }
}

void pack_planes(const Packing& packing, Extent extent, std::span<const uint8_t> codes, std::span<uint8_t> bytes) {
  std::ranges::fill(bytes, uint8_t{0});
  for_each_piece(packing, extent, [&](size_t place, int below, int width, size_t word, int shift) {
    const uint32_t piece = uint32_t(codes[place]) >> below & ((1u << width) - 1);
    bytes[word + size_t(shift / 8)] |= uint8_t(piece << shift % 8);
  });
}

void unpack_planes(const Packing& packing, Extent extent, std::span<const uint8_t> bytes, std::span<uint8_t> codes) {
  std::ranges::fill(codes, uint8_t{0});
  for_each_piece(packing, extent, [&](size_t place, int below, int width, size_t word, int shift) {
    const uint32_t piece = uint32_t(bytes[word + size_t(shift / 8)]) >> shift % 8 & ((1u << width) - 1);
    codes[place] |= uint8_t(piece << below);
  });
}

void require_fit(const Packing& packing, Extent extent, std::span<const uint8_t> codes,
                 std::span<const uint8_t> bytes) {
  require_size(fmt::format("packing {}, packed codes", packing.name), bytes.size(), packed_bytes(packing, extent));
  require_size(fmt::format("packing {}, unpacked codes", packing.name), codes.size(), extent.rows * extent.cols);
}

// --- scales

constexpr Extent kScaleTile = {128, 4};
constexpr size_t kScaleTileBytes = kScaleTile.rows * kScaleTile.cols;

// Calls visit(place in the row-major array, byte offset, number of scales) for each run of scales.
template <class Visitor>
void for_each_scale_run(ScaleLayout layout, Extent extent, Visitor visit) {
  if (layout == ScaleLayout::RowMajor) return visit(size_t{0}, size_t{0}, extent.rows * extent.cols);
  const size_t tile_cols = divide_up(extent.cols, kScaleTile.cols);
  for (size_t row = 0; row < extent.rows; ++row) {
    const size_t r = row % kScaleTile.rows;
    const size_t first = row / kScaleTile.rows * tile_cols * kScaleTileBytes + r % 32 * 16 + r / 32 * 4;
    for (size_t col = 0; col < extent.cols; col += kScaleTile.cols)
      visit(row * extent.cols + col, first + col / kScaleTile.cols * kScaleTileBytes,
            std::min(kScaleTile.cols, extent.cols - col));
  }
}

void require_fit(ScaleLayout layout, Extent extent, std::span<const uint8_t> scales, std::span<const uint8_t> bytes) {
  require_size(fmt::format("scale layout {}, arranged scales", name(layout)), bytes.size(),
               scale_bytes(layout, extent));
  require_size(fmt::format("scale layout {}, row-major scales", name(layout)), scales.size(),
               extent.rows * extent.cols);
}

}  // namespace

std::span<const Packing> packings() { return kPackings; }

const Packing& find_packing(std::string_view text) {
  const auto row = std::ranges::find(kPackings, text, &Packing::name);
  if (row != kPackings.end()) return *row;
  std::vector<std::string_view> known;
  for (const Packing& each : kPackings) known.push_back(each.name);
  throw UnknownName("packing", text, known);
}

size_t packed_row_bytes(const Packing& packing, size_t cols) {
  if (packing.placement == Placement::Byte) return cols;
  if (packing.chunk_codes == 0) return divide_up(cols * size_t(packing.bits), 8);
  return cols / size_t(packing.chunk_codes) * size_t(packing.chunk_bytes);
}

size_t packed_bytes(const Packing& packing, Extent extent) {
  require_sound(packing);
  const bool planes = packing.placement == Placement::Planes;
  if (planes && (extent.rows % kPlaneTile != 0 || extent.cols % kPlaneTile != 0))
    throw std::invalid_argument(fmt::format("packing {}: {} rows of {} codes; both must be multiples of {}",
                                            packing.name, extent.rows, extent.cols, kPlaneTile));
  if (packing.chunk_codes != 0 && extent.cols % size_t(packing.chunk_codes) != 0)
    throw std::invalid_argument(fmt::format("packing {}: rows of {} codes; a multiple of {} is wanted", packing.name,
                                            extent.cols, packing.chunk_codes));
  return extent.rows * packed_row_bytes(packing, extent.cols);
}

void pack(const Packing& packing, Extent extent, std::span<const uint8_t> codes, std::span<uint8_t> bytes) {
  require_fit(packing, extent, codes, bytes);
  if (packing.placement == Placement::Planes) return pack_planes(packing, extent, codes, bytes);
  if (packing.placement == Placement::Byte) {
    const unsigned mask = (1u << packing.bits) - 1;
    for (size_t i = 0; i < codes.size(); ++i) bytes[i] = uint8_t((codes[i] & mask) << packing.shift);
    return;
  }
  if (packing.chunk_codes != 0) std::ranges::fill(bytes, uint8_t{0});
  for_each_run(packing, extent, [&, to = stream(packing)](size_t code, size_t count, size_t byte) {
    to.pack(codes.data() + code, count, bytes.data() + byte);
  });
}

void unpack(const Packing& packing, Extent extent, std::span<const uint8_t> bytes, std::span<uint8_t> codes) {
  require_fit(packing, extent, codes, bytes);
  if (packing.placement == Placement::Planes) return unpack_planes(packing, extent, bytes, codes);
  if (packing.placement == Placement::Byte) {
    const unsigned mask = (1u << packing.bits) - 1;
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = uint8_t(bytes[i] >> packing.shift & mask);
    return;
  }
  for_each_run(packing, extent, [&, from = stream(packing)](size_t code, size_t count, size_t byte) {
    from.unpack(bytes.data() + byte, codes.data() + code, count);
  });
}

size_t scale_bytes(ScaleLayout layout, Extent scales) {
  if (layout == ScaleLayout::RowMajor) return scales.rows * scales.cols;
  return divide_up(scales.rows, kScaleTile.rows) * divide_up(scales.cols, kScaleTile.cols) * kScaleTileBytes;
}

void arrange_scales(ScaleLayout layout, Extent extent, uint8_t padding, std::span<const uint8_t> scales,
                    std::span<uint8_t> bytes) {
  require_fit(layout, extent, scales, bytes);
  std::ranges::fill(bytes, padding);
  for_each_scale_run(layout, extent, [&](size_t place, size_t offset, size_t count) {
    std::copy_n(scales.begin() + place, count, bytes.begin() + offset);
  });
}

void restore_scales(ScaleLayout layout, Extent extent, std::span<const uint8_t> bytes, std::span<uint8_t> scales) {
  require_fit(layout, extent, scales, bytes);
  for_each_scale_run(layout, extent, [&](size_t place, size_t offset, size_t count) {
    std::copy_n(bytes.begin() + offset, count, scales.begin() + place);
  });
}

void replicate_scale_rows(size_t block_rows, Extent extent, std::span<const uint8_t> scales, std::span<uint8_t> rows) {
  if (block_rows == 0) throw std::invalid_argument("replicated scale rows: blocks of 0 rows; at least 1 is wanted");
  require_size("replicated scale rows, one row per block", scales.size(),
               divide_up(extent.rows, block_rows) * extent.cols);
  require_size("replicated scale rows, one row per array row", rows.size(), extent.rows * extent.cols);
  for (size_t row = 0; row < extent.rows; ++row)
    std::copy_n(scales.begin() + row / block_rows * extent.cols, extent.cols, rows.begin() + row * extent.cols);
}

}  // namespace halfulp
