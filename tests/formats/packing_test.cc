// Packed codes against bit positions written down one by one, against CUDA's host types and against what a kernel
// reads from them; scale layouts against the inverse map.
#include "formats/packing.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#ifdef HALFULP_HAS_CUDA_HEADERS
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>
#endif

#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "formats/codec.h"
#include "formats/philox.h"

namespace halfulp {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes random_bytes(size_t count, uint32_t site, int bits = 8) {
  Bytes bytes;
  for (uint32_t i = 0; i < count; ++i)
    bytes.push_back(uint8_t(random_bits({.seed = 5, .site = site}, i, 8) >> (8 - bits)));
  return bytes;
}

Bytes packed(std::string_view name, Extent extent, const Bytes& codes) {
  const Packing& packing = find_packing(name);
  Bytes bytes(packed_bytes(packing, extent), 0xa5);
  pack(packing, extent, codes, bytes);
  return bytes;
}

Bytes unpacked(std::string_view name, Extent extent, const Bytes& bytes) {
  Bytes codes(extent.rows * extent.cols, 0xa5);
  unpack(find_packing(name), extent, bytes, codes);
  return codes;
}

/// Bit `bit` of code `i` of a row stands in the row's byte position / 8 at its bit position % 8 (0: lowest).
using Position = std::function<size_t(size_t i, size_t bit)>;

/// Packings of single rows: bits of a code, bytes of a row of n codes, and where each bit goes.
struct Expected {
  int bits;
  std::function<size_t(size_t)> row_bytes;
  Position position;
};

const std::map<std::string, Expected> kExpected = {
    {"1bit", {1, [](size_t n) { return (n + 7) / 8; }, [](size_t i, size_t) { return i; }}},
    {"2bit", {2, [](size_t n) { return (n + 3) / 4; }, [](size_t i, size_t b) { return i * 2 + b; }}},
    {"3bit", {3, [](size_t n) { return (3 * n + 7) / 8; }, [](size_t i, size_t b) { return i * 3 + b; }}},
    {"4bit", {4, [](size_t n) { return (n + 1) / 2; }, [](size_t i, size_t b) { return i * 4 + b; }}},
    {"4bit_high_first",
     {4, [](size_t n) { return (n + 1) / 2; }, [](size_t i, size_t b) { return i / 2 * 8 + (i % 2 ? b : 4 + b); }}},
    {"4bit_byte", {4, [](size_t n) { return n; }, [](size_t i, size_t b) { return i * 8 + b; }}},
    {"4bit_middle", {4, [](size_t n) { return n; }, [](size_t i, size_t b) { return i * 8 + 2 + b; }}},
    {"16u4_align8b", {4, [](size_t n) { return n / 16 * 8; }, [](size_t i, size_t b) { return i * 4 + b; }}},
    {"16u4_align16b",
     {4, [](size_t n) { return n / 16 * 16; }, [](size_t i, size_t b) { return i / 16 * 128 + i % 16 * 4 + b; }}},
    {"6bit", {6, [](size_t n) { return (6 * n + 7) / 8; }, [](size_t i, size_t b) { return i * 6 + b; }}},
    {"6bit_high_first",
     {6, [](size_t n) { return (6 * n + 7) / 8; },
      [](size_t i, size_t b) {
        const size_t from_top = i * 6 + (5 - b);
        return from_top / 8 * 8 + (7 - from_top % 8);
      }}},
    {"6bit_byte", {6, [](size_t n) { return n; }, [](size_t i, size_t b) { return i * 8 + b; }}},
    {"16u6_align16b",
     {6, [](size_t n) { return n / 16 * 16; }, [](size_t i, size_t b) { return i / 16 * 128 + i % 16 * 6 + b; }}},
};

bool in_chunks(const std::string& name) { return name.starts_with("16u"); }

TEST(Packing, every_row_but_planes_has_its_bit_positions_here) {
  std::set<std::string> here, there;
  for (const auto& [name, expected] : kExpected) here.insert(name);
  for (const Packing& row : packings())
    if (row.placement != Placement::Planes) there.insert(std::string(row.name));
  EXPECT_EQ(here, there);
  for (const Packing& row : packings()) {
    EXPECT_FALSE(row.source.empty()) << row.name;
  }
}

TEST(Packing, bits_go_where_the_definition_says) {
  for (const auto& [name, expected] : kExpected) {
    for (const size_t cols : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 48, 64, 100, 129, 1000}) {
      if (in_chunks(name) && cols % 16 != 0) continue;
      const Extent extent{3, cols};
      const Bytes codes = random_bytes(3 * cols, 1);  // bits above the width are to be dropped
      const size_t row_bytes = expected.row_bytes(cols);
      ASSERT_EQ(packed_row_bytes(find_packing(name), cols), row_bytes) << name << " " << cols;
      Bytes want(3 * row_bytes);
      Bytes low(codes);
      for (size_t i = 0; i < codes.size(); ++i) {
        low[i] = uint8_t(codes[i] % (1 << expected.bits));
        for (size_t b = 0; b < size_t(expected.bits); ++b) {
          const size_t position = expected.position(i % cols, b);
          want[i / cols * row_bytes + position / 8] |= uint8_t((codes[i] >> b & 1) << position % 8);
        }
      }
      const Bytes got = packed(name, extent, codes);
      ASSERT_EQ(got, want) << name << ", rows of " << cols;
      ASSERT_EQ(unpacked(name, extent, got), low) << name << ", rows of " << cols;
    }
  }
}

TEST(Packing, unpacking_reads_no_padding) {
  for (const auto& [name, expected] : kExpected) {
    const size_t cols = in_chunks(name) ? 32 : 13;
    const Bytes codes = random_bytes(2 * cols, 2, expected.bits);
    Bytes bytes = packed(name, {2, cols}, codes);
    Bytes used(bytes.size());
    for (size_t i = 0; i < codes.size(); ++i)
      for (size_t b = 0; b < size_t(expected.bits); ++b) {
        const size_t position = expected.position(i % cols, b);
        used[i / cols * expected.row_bytes(cols) + position / 8] |= uint8_t(1 << position % 8);
      }
    for (size_t i = 0; i < bytes.size(); ++i) {
      EXPECT_EQ(bytes[i] & ~used[i], 0) << name << ": padding is written as zeros";
      bytes[i] |= uint8_t(~used[i]);
    }
    EXPECT_EQ(unpacked(name, {2, cols}, bytes), codes) << name;
  }
}

TEST(Packing, published_examples) {
  // 1 and -6 as e2m1 are 0x2 and 0xf
  EXPECT_EQ(packed("4bit", {1, 2}, {0x2, 0xf}), Bytes{0xf2});
  EXPECT_EQ(packed("4bit_high_first", {1, 2}, {0x2, 0xf}), Bytes{0x2f});
  // 1 and -28 as e3m2 in a fp6x2: 0x3f0c
  EXPECT_EQ(packed("6bit_byte", {1, 2}, {0x0c, 0x3f}), (Bytes{0x0c, 0x3f}));
  // four 6-bit codes fill three bytes
  EXPECT_EQ(packed("6bit", {1, 4}, {0x01, 0x02, 0x03, 0x3f}), (Bytes{0x81, 0x30, 0xfc}));
  EXPECT_EQ(packed("6bit_high_first", {1, 4}, {0x01, 0x02, 0x03, 0x3f}), (Bytes{0x04, 0x20, 0xff}));
  EXPECT_EQ(packed("3bit", {1, 3}, {1, 2, 7}), (Bytes{0xd1, 0x01}));
  EXPECT_EQ(packed("4bit_middle", {1, 1}, {0xf}), Bytes{0x3c});
}

TEST(Packing, gptq_words_of_three_bit_codes) {
  // IST-DASLab/gptq fills 32-bit words with codes at shifts 0, 3, … 30 and goes on in the next word where one is cut
  const Bytes codes = random_bytes(32, 3, 3);
  uint32_t words[3] = {};
  for (uint32_t i = 0; i < 10; ++i) words[0] |= uint32_t(codes[i]) << 3 * i;
  words[0] |= uint32_t(codes[10]) << 30;
  words[1] |= uint32_t(codes[10]) >> 2;
  for (uint32_t i = 0; i < 10; ++i) words[1] |= uint32_t(codes[11 + i]) << (3 * i + 1);
  words[1] |= uint32_t(codes[21]) << 31;
  words[2] |= uint32_t(codes[21]) >> 1;
  for (uint32_t i = 0; i < 10; ++i) words[2] |= uint32_t(codes[22 + i]) << (3 * i + 2);
  Bytes want(12);
  std::memcpy(want.data(), words, 12);
  EXPECT_EQ(packed("3bit", {1, 32}, codes), want);
}

// What a thread of fp6_llm's kernel makes of its words: 4 codes at a time, masked out of each plane's word, which is
// then shifted; bytes 3 and 1 are the upper and lower half of one register of a m16n8k16 fragment, 2 and 0 of the next.
Bytes codes_the_kernel_sees(int bits, Extent extent, const Bytes& bytes) {
  Bytes codes(extent.rows * extent.cols, 0xff);
  const size_t threads = 32, fragments = codes.size() / 256;
  for (size_t t = 0; t < threads; ++t)
    for (size_t step = 0; step < 2 * fragments; ++step) {
      uint32_t four = 0;
      size_t plane = 0;
      int above = 0;
      for (const size_t width : {1, 2, 4}) {
        if ((size_t(bits) & width) == 0) continue;
        const size_t steps_per_word = 8 / width;
        uint32_t word;
        std::memcpy(&word, bytes.data() + plane + (step / steps_per_word * threads + t) * 4, 4);
        const uint32_t mask = 0x01010101u * (0xffu & (0xff00u >> width));
        four |= (word << step % steps_per_word * width & mask) >> above;
        above += int(width);
        plane += codes.size() * width / 8;
      }
      const size_t fragment = step / 2;
      for (const size_t byte : {0, 1, 2, 3}) {
        const size_t reg = step % 2 * 2 + (byte % 2 == 0), upper_half = byte / 2;
        const size_t row = fragment / 4 / (extent.cols / 16) * 64 + fragment % 4 * 16 + t / 4 + 8 * (reg % 2);
        const size_t col = fragment / 4 % (extent.cols / 16) * 16 + t % 4 * 2 + upper_half + 8 * (reg / 2);
        codes[row * extent.cols + col] = uint8_t((four >> 8 * byte & 0xff) >> (8 - bits));
      }
    }
  return codes;
}

TEST(Packing, planes_are_what_the_kernel_reads) {
  for (const int bits : {5, 6})
    for (const Extent extent : {Extent{64, 64}, Extent{128, 64}, Extent{64, 192}, Extent{0, 64}}) {
      const std::string name = fmt::format("{}bit_planes", bits);
      const Bytes codes = random_bytes(extent.rows * extent.cols, 4, bits);
      const Bytes bytes = packed(name, extent, codes);
      EXPECT_EQ(bytes.size(), codes.size() * size_t(bits) / 8);
      EXPECT_EQ(codes_the_kernel_sees(bits, extent, bytes), codes) << name;
      EXPECT_EQ(unpacked(name, extent, bytes), codes) << name;
    }
}

TEST(Packing, planes_start_as_the_published_orders_say) {
  // thread 0's first 16 codes fill word 0 of the 2-bit plane in the order 2, 6, 10, 14, 4, 8, … and its first 8 codes
  // word 0 of the 4-bit plane in the order 2, 6, 4, 8, 1, 5, 3, 7, counted from 1
  const Extent extent{64, 64};
  Bytes codes(64 * 64);
  const size_t row_of[] = {0, 0, 8, 8, 0, 0, 8, 8}, col_of[] = {0, 1, 0, 1, 8, 9, 8, 9};
  for (size_t n = 0; n < 16; ++n)
    codes[(row_of[n % 8] + n / 8 * 16) * 64 + col_of[n % 8]] = uint8_t((n % 4) << 4 | (n % 8));
  const Bytes bytes = packed("6bit_planes", extent, codes);
  uint32_t two, four;
  std::memcpy(&two, bytes.data(), 4);
  std::memcpy(&four, bytes.data() + 64 * 64 * 2 / 8, 4);
  const size_t order_two[] = {2, 6, 10, 14, 4, 8, 12, 16, 1, 5, 9, 13, 3, 7, 11, 15};
  const size_t order_four[] = {2, 6, 4, 8, 1, 5, 3, 7};
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(two >> (30 - 2 * i) & 3, (order_two[i] - 1) % 4) << i;
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(four >> (28 - 4 * i) & 15, order_four[i] - 1) << i;
}

#ifdef HALFULP_HAS_CUDA_HEADERS

Bytes bytes_of(const auto& storage) {
  Bytes bytes(sizeof storage);
  std::memcpy(bytes.data(), &storage, sizeof storage);
  return bytes;
}

TEST(Packing, four_bit_pairs_are_cudas_host_types) {
  for (int a = 0; a < 16; ++a)
    for (int b = 0; b < 16; ++b) {
      const Format e2m1 = parse_format("e2m1");
      const float x = float(decode(e2m1, uint32_t(a))), y = float(decode(e2m1, uint32_t(b)));
      const Bytes two = packed("4bit", {1, 2}, {uint8_t(a), uint8_t(b)});
      EXPECT_EQ(two, bytes_of(__nv_fp4x2_e2m1(float2{x, y}).__x)) << a << " " << b;
      const Bytes four = packed("4bit", {1, 4}, {uint8_t(a), uint8_t(b), 0x3, uint8_t(a)});
      EXPECT_EQ(four, bytes_of(__nv_fp4x4_e2m1(float4{x, y, 1.5f, x}).__x)) << a << " " << b;
    }
}

TEST(Packing, six_bit_bytes_are_cudas_host_types) {
  for (int a = 0; a < 64; ++a)
    for (int b = 0; b < 64; ++b) {
      const Bytes codes = {uint8_t(a), uint8_t(b)};
      const Bytes bytes = packed("6bit_byte", {1, 2}, codes);
      const auto value = [](const char* format, int code) {
        return float(decode(parse_format(format), uint32_t(code)));
      };
      EXPECT_EQ(bytes, bytes_of(__nv_fp6x2_e3m2(float2{value("e3m2", a), value("e3m2", b)}).__x));
      EXPECT_EQ(bytes, bytes_of(__nv_fp6x2_e2m3(float2{value("e2m3", a), value("e2m3", b)}).__x));
    }
  const Bytes four = packed("6bit_byte", {1, 4}, {0x0c, 0x3f, 0x00, 0x14});
  EXPECT_EQ(four, bytes_of(__nv_fp6x4_e3m2(float4{1, -28, 0, 4}).__x));
}

TEST(Packing, scales_in_memory_order_are_cudas_pairs) {
  for (const int a : {0, 1, 126, 127, 128, 254})
    for (const int b : {0, 1, 126, 127, 128, 254}) {
      const Format e8m0 = parse_format("e8m0");
      const float2 pair = {float(decode(e8m0, uint32_t(a))), float(decode(e8m0, uint32_t(b)))};
      Bytes bytes(2);
      arrange_scales(ScaleLayout::RowMajor, {1, 2}, 0, Bytes{uint8_t(a), uint8_t(b)}, bytes);
      EXPECT_EQ(bytes, bytes_of(__nv_fp8x2_e8m0(pair).__x)) << a << " " << b;
    }
}

#endif

std::string message(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(Packing, what_does_not_fit_is_refused) {
  Bytes codes(33), bytes(16);
  const auto pack_as = [&](std::string_view name, Extent extent) {
    return message([&] { pack(find_packing(name), extent, codes, bytes); });
  };
  EXPECT_EQ(pack_as("4bit", {1, 33}), "packing 4bit, packed codes: 16 bytes given, 17 wanted");
  EXPECT_EQ(pack_as("4bit", {1, 32}), "packing 4bit, unpacked codes: 33 bytes given, 32 wanted");
  EXPECT_EQ(pack_as("16u6_align16b", {1, 33}), "packing 16u6_align16b: rows of 33 codes; a multiple of 16 is wanted");
  EXPECT_EQ(pack_as("6bit_planes", {3, 11}), "packing 6bit_planes: 3 rows of 11 codes; both must be multiples of 64");
  EXPECT_EQ(message([&] {
              unpack(find_packing("4bit"), {1, 33}, bytes, codes);
            }),
            "packing 4bit, packed codes: 16 bytes given, 17 wanted");
  EXPECT_EQ(message([] { find_packing("4bits"); }).substr(0, 36), "no packing named '4bits'; nearest: 4");
  for (const Packing& impossible :
       {Packing{.name = "mine", .bits = 0, .placement = Placement::LowFirst},
        Packing{.name = "mine", .bits = 9, .placement = Placement::LowFirst},
        Packing{.name = "mine", .bits = 8, .placement = Placement::Planes},
        Packing{.name = "mine", .bits = 6, .placement = Placement::Byte, .shift = 3},
        Packing{.name = "mine", .bits = 6, .placement = Placement::LowFirst, .chunk_codes = 16, .chunk_bytes = 11}})
    EXPECT_EQ(message([&] { packed_bytes(impossible, {1, 16}); }).substr(0, 13), "packing mine:");
}

TEST(Packing, rows_of_ones_own_work_for_every_width) {
  for (int bits = 1; bits <= 8; ++bits)
    for (const Placement placement : {Placement::LowFirst, Placement::HighFirst}) {
      const Packing own{.name = "own", .bits = bits, .placement = placement};
      const Bytes codes = random_bytes(29, 6, bits);
      Bytes bytes(packed_bytes(own, {1, 29})), back(29), want(bytes.size());
      pack(own, {1, 29}, codes, bytes);
      for (size_t k = 0; k < 29 * size_t(bits); ++k) {
        const size_t i = k / size_t(bits), b = k % size_t(bits);
        const bool low_first = placement == Placement::LowFirst;
        const int bit = codes[i] >> (low_first ? b : size_t(bits) - 1 - b) & 1;
        want[k / 8] |= uint8_t(bit << (low_first ? k % 8 : 7 - k % 8));
      }
      EXPECT_EQ(bytes, want) << bits;
      unpack(own, {1, 29}, bytes, back);
      EXPECT_EQ(back, codes) << bits;
    }
}

TEST(ScaleLayout, tiles_hold_what_the_inverse_map_says) {
  for (const Extent extent : {Extent{1, 1}, Extent{128, 4}, Extent{129, 5}, Extent{300, 9}, Extent{31, 3},
                              Extent{256, 16}, Extent{0, 4}, Extent{5, 0}}) {
    const Bytes scales = random_bytes(extent.rows * extent.cols, 7);
    const size_t tile_cols = (extent.cols + 3) / 4, tile_rows = (extent.rows + 127) / 128;
    ASSERT_EQ(scale_bytes(ScaleLayout::Tiles128x4, extent), tile_rows * tile_cols * 512);
    Bytes bytes(tile_rows * tile_cols * 512, 0x11);
    arrange_scales(ScaleLayout::Tiles128x4, extent, 0x7f, scales, bytes);
    for (size_t at = 0; at < bytes.size(); ++at) {
      // 32 lines of 16 bytes, each four groups of four scales of rows that are 32 apart
      const size_t tile = at / 512, line = at % 512 / 16, group = at % 16 / 4;
      const size_t row = tile / tile_cols * 128 + group * 32 + line, col = tile % tile_cols * 4 + at % 4;
      const bool is_padding = row >= extent.rows || col >= extent.cols;
      ASSERT_EQ(bytes[at], is_padding ? 0x7f : scales[row * extent.cols + col]) << at;
    }
    Bytes back(scales.size());
    restore_scales(ScaleLayout::Tiles128x4, extent, bytes, back);
    EXPECT_EQ(back, scales);
  }
}

TEST(ScaleLayout, one_tile_by_hand) {
  Bytes scales(512), bytes(512);
  for (size_t i = 0; i < 512; ++i) scales[i] = uint8_t(i / 4);  // its row
  arrange_scales(ScaleLayout::Tiles128x4, {128, 4}, 0, scales, bytes);
  EXPECT_EQ(Bytes(bytes.begin(), bytes.begin() + 20),
            (Bytes{0, 0, 0, 0, 32, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 96, 1, 1, 1, 1}));
  EXPECT_EQ(bytes[511], 127);
}

TEST(ScaleLayout, rows_of_a_square_block_share_its_scale) {
  const Bytes tiles = {1, 2, 3, 4, 5, 6};  // 2 x 3 blocks of 16 x 16
  Bytes rows(20 * 3);
  replicate_scale_rows(16, {20, 3}, tiles, rows);
  for (size_t row = 0; row < 20; ++row)
    for (size_t col = 0; col < 3; ++col) EXPECT_EQ(rows[row * 3 + col], (row < 16 ? 1 : 4) + col);
}

TEST(ScaleLayout, what_does_not_fit_is_refused) {
  Bytes scales(20), bytes(512), rows(60);
  EXPECT_EQ(message([&] {
              arrange_scales(ScaleLayout::Tiles128x4, {4, 5}, 0, scales, bytes);
            }),
            "scale layout 128x4, arranged scales: 512 bytes given, 1024 wanted");
  EXPECT_EQ(message([&] {
              arrange_scales(ScaleLayout::Tiles128x4, {4, 4}, 0, scales, bytes);
            }),
            "scale layout 128x4, row-major scales: 20 bytes given, 16 wanted");
  EXPECT_EQ(message([&] {
              restore_scales(ScaleLayout::RowMajor, {4, 5}, bytes, scales);
            }),
            "scale layout row_major, arranged scales: 512 bytes given, 20 wanted");
  EXPECT_EQ(message([&] {
              replicate_scale_rows(0, {20, 3}, scales, rows);
            }),
            "replicated scale rows: blocks of 0 rows; at least 1 is wanted");
  EXPECT_EQ(message([&] {
              replicate_scale_rows(16, {20, 3}, scales, rows);
            }),
            "replicated scale rows, one row per block: 20 bytes given, 6 wanted");
}

}  // namespace
}  // namespace halfulp
