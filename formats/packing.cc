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
constexpr std::string_view kFp6Llm = "fp6_llm weight_prepacking.h";

constexpr std::array kPackings = {
    Packing{.name = "1bit",
            .bits = 1,
            .placement = Placement::LowFirst,
            .source = kStream,
            .evidence = Evidence::ReadInSource},
    Packing{.name = "2bit",
            .bits = 2,
            .placement = Placement::LowFirst,
            .source = kStream,
            .evidence = Evidence::ReadInSource},
    Packing{.name = "3bit",
            .bits = 3,
            .placement = Placement::LowFirst,
            .source = "GPTQ quant.py",
            .evidence = Evidence::ReadInSource},
    Packing{.name = "4bit",
            .bits = 4,
            .placement = Placement::LowFirst,
            .source = "CUDA fp4x2, torch float4_e2m1fn_x2, CUTLASS",
            .evidence = Evidence::Verified},
    Packing{.name = "4bit_high_first",
            .bits = 4,
            .placement = Placement::HighFirst,
            .source = "bitsandbytes",
            .evidence = Evidence::ReadInSource},
    Packing{.name = "4bit_byte",
            .bits = 4,
            .placement = Placement::Byte,
            .source = "ml_dtypes",
            .evidence = Evidence::ReadInSource},
    Packing{.name = "4bit_middle",
            .bits = 4,
            .placement = Placement::Byte,
            .shift = 2,
            .source = "PTX ISA, e2m1 operands of mxf8f6f4",
            .evidence = Evidence::Specified},
    Packing{.name = "16u4_align8b",
            .bits = 4,
            .placement = Placement::LowFirst,
            .chunk_codes = 16,
            .chunk_bytes = 8,
            .source = kTensorMap,
            .evidence = Evidence::Specified},
    Packing{.name = "16u4_align16b",
            .bits = 4,
            .placement = Placement::LowFirst,
            .chunk_codes = 16,
            .chunk_bytes = 16,
            .source = kTensorMap,
            .evidence = Evidence::Specified},
    Packing{.name = "6bit",
            .bits = 6,
            .placement = Placement::LowFirst,
            .source = kStream,
            .evidence = Evidence::ReadInSource},
    Packing{.name = "6bit_high_first",
            .bits = 6,
            .placement = Placement::HighFirst,
            .source = "fp6_llm common.h, weights before they are split",
            .evidence = Evidence::ReadInSource},
    Packing{.name = "6bit_byte",
            .bits = 6,
            .placement = Placement::Byte,
            .source = "CUDA fp6x2 and fp6x4, ml_dtypes",
            .evidence = Evidence::Verified},
    Packing{.name = "16u6_align16b",
            .bits = 6,
            .placement = Placement::LowFirst,
            .chunk_codes = 16,
            .chunk_bytes = 16,
            .source = kTensorMap,
            .evidence = Evidence::Specified},
    Packing{.name = "5bit_planes",
            .bits = 5,
            .placement = Placement::Planes,
            .source = kFp6Llm,
            .evidence = Evidence::ReadInSource},
    Packing{.name = "6bit_planes",
            .bits = 6,
            .placement = Placement::Planes,
            .source = kFp6Llm,
            .evidence = Evidence::ReadInSource},
};

constexpr size_t kPlaneTile = 64;  // rows and columns of an array of Planes come in multiples of it

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

// The inverse; all 8 bytes can be read.
template <int w, bool high_first>
void unpack_group(const uint8_t* bytes, uint8_t* codes) {
  uint64_t x;
  std::memcpy(&x, bytes, sizeof x);
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
  const size_t size = divide_up(count * w, 8);
  // groups with 8 bytes ahead of them, then the others
  const size_t groups = size < 8 ? 0 : std::min(count / kGroup, (size - 8) / w + 1);
  for (size_t i = 0; i < groups; ++i) unpack_group<w, high_first>(bytes + i * w, codes + i * kGroup);
  for (size_t i = groups; i * kGroup < count; ++i) {
    uint8_t last_bytes[8] = {}, last_codes[kGroup];
    std::copy_n(bytes + i * w, std::min(size_t{w}, size - i * w), last_bytes);
    unpack_group<w, high_first>(last_bytes, last_codes);
    std::copy_n(last_codes, std::min(kGroup, count - i * kGroup), codes + i * kGroup);
  }
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

// fp6_llm: a warp of 32 threads multiplies fragments of 16 x 16 weights; four of them, one below the other, make a
// strip, and strips follow each other row-major. Of a fragment, thread t has rows t/4 and t/4 + 8 and columns
// 2·(t mod 4), the next one, and both + 8: eight codes. A code's bits are cut, highest first, into pieces of 1, 2 and 4
// bits as its width has them, one plane each. A 32-bit word of a plane holds pieces of one thread's successive codes;
// words of the 32 threads alternate. Within a word pieces are so ordered that one mask gets four of them, two for each
// of two registers.
constexpr Extent kStrip = {64, 16};
constexpr size_t kWarp = 32;
constexpr size_t kCodesOfThread = kStrip.rows * kStrip.cols / kWarp;

// Which of a word's codes gives piece i, counted from the top.
constexpr size_t code_of_piece(size_t i, size_t pieces) {
  constexpr size_t lane[] = {1, 3, 0, 2};
  return i % (pieces / 4) * 4 + lane[i / (pieces / 4)];
}

// Where thread t's code number n stands from the first code of the strip.
constexpr size_t place_in_strip(size_t cols, size_t t, size_t n) {
  const size_t row = n / 8 * 16 + n / 2 % 2 * 8 + t / 4;
  const size_t col = n / 4 % 2 * 8 + t % 4 * 2 + n % 2;
  return row * cols + col;
}

// One 32-bit word: from the top, pieces of the codes at place[0], place[1], …, each `width` bits from bit `lowest_bit`.
struct PlaneWord {
  size_t byte;  // where it stands
  const size_t* place;
  int width, lowest_bit;
  size_t pieces() const { return size_t(32 / width); }
  // Of the piece in the word.
  int shift(size_t piece) const { return 32 - width * int(piece + 1); }
};

// Calls visit(place of the strip's first code, word) for every word of every plane; word.place counts from the former.
template <class Visitor>
void for_each_plane_word(const Packing& packing, Extent extent, Visitor visit) {
  std::array<size_t, kWarp * kCodesOfThread> places;
  PlaneWord word{};
  word.lowest_bit = packing.bits;
  for (const int width : {1, 2, 4}) {
    if ((packing.bits & width) == 0) continue;
    word.width = width;
    word.lowest_bit -= width;
    for (size_t t = 0; t < kWarp; ++t)
      for (size_t i = 0; i < kCodesOfThread; ++i) {
        const size_t first = i / word.pieces() * word.pieces();
        const size_t n = first + code_of_piece(i - first, word.pieces());
        places[t * kCodesOfThread + i] = place_in_strip(extent.cols, t, n);
      }
    for (size_t row = 0; row < extent.rows; row += kStrip.rows)
      for (size_t col = 0; col < extent.cols; col += kStrip.cols)
        for (size_t first = 0; first < kCodesOfThread; first += word.pieces())
          for (size_t t = 0; t < kWarp; ++t) {
            word.place = &places[t * kCodesOfThread + first];
            visit(row * extent.cols + col, word);
            word.byte += sizeof(uint32_t);
          }
  }
}

void pack_planes(const Packing& packing, Extent extent, std::span<const uint8_t> codes, std::span<uint8_t> bytes) {
  for_each_plane_word(packing, extent, [&](size_t strip, const PlaneWord& word) {
    const uint32_t mask = (1u << word.width) - 1;
    uint32_t bits = 0;
    for (size_t i = 0; i < word.pieces(); ++i) {
      const uint32_t code = codes[strip + word.place[i]];
      bits |= (code >> word.lowest_bit & mask) << word.shift(i);
    }
    std::memcpy(bytes.data() + word.byte, &bits, sizeof bits);
  });
}

void unpack_planes(const Packing& packing, Extent extent, std::span<const uint8_t> bytes, std::span<uint8_t> codes) {
  std::ranges::fill(codes, uint8_t{0});
  for_each_plane_word(packing, extent, [&](size_t strip, const PlaneWord& word) {
    const uint32_t mask = (1u << word.width) - 1;
    uint32_t bits;
    std::memcpy(&bits, bytes.data() + word.byte, sizeof bits);
    for (size_t i = 0; i < word.pieces(); ++i)
      codes[strip + word.place[i]] |= uint8_t((bits >> word.shift(i) & mask) << word.lowest_bit);
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
  if (extent.rows * extent.cols == 0) return;
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

// Most runs are a tile's width: a copy of fixed size needs no call.
void copy_scales(const uint8_t* from, size_t count, uint8_t* to) {
  if (count == kScaleTile.cols)
    std::memcpy(to, from, kScaleTile.cols);
  else
    std::copy_n(from, count, to);
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
    copy_scales(&scales[place], count, &bytes[offset]);
  });
}

void restore_scales(ScaleLayout layout, Extent extent, std::span<const uint8_t> bytes, std::span<uint8_t> scales) {
  require_fit(layout, extent, scales, bytes);
  for_each_scale_run(layout, extent, [&](size_t place, size_t offset, size_t count) {
    copy_scales(&bytes[offset], count, &scales[place]);
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
