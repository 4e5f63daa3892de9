// `halfulp quantize` with --pack and --scale-layout: the same codes as without, elsewhere.
#include <fmt/format.h>

#include <cmath>

#include "formats/packing.h"
#include "tests/cli/command.h"

namespace halfulp {
namespace {

using Strings = std::vector<std::string>;

/// The shape in a written file's header, and its data.
struct Written {
  std::string shape, data;
};

Written read_written(const std::string& path) {
  const std::string bytes = read_file(path);
  const size_t end = bytes.find('\n');
  const size_t open = bytes.find('('), close = bytes.find(')');
  EXPECT_LT(close, end) << path;
  EXPECT_NE(bytes.find("'|u1'"), std::string::npos) << path;
  return {bytes.substr(open, close + 1 - open), bytes.substr(end + 1)};
}

/// Quantises and gives back codes and scales.
std::pair<Written, Written> quantized(const ScratchFolder& scratch, Strings more) {
  Strings words = {"quantize", scratch.file("in.npy"),    scratch.file("out.npy"), "--codes", scratch.file("codes.npy"),
                   "--scales", scratch.file("scales.npy")};
  words.insert(words.end(), more.begin(), more.end());
  output_of(words);
  return {read_written(scratch.file("codes.npy")), read_written(scratch.file("scales.npy"))};
}

std::vector<float> some_values(size_t count) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) values.push_back(std::ldexp(float((i * 37 + 11) % 101) - 50, int(i / 13 % 7) - 8));
  return values;
}

TEST(QuantizeLayout, a_pair_of_four_bit_codes_by_hand) {
  const ScratchFolder scratch;
  write_file(scratch.file("in.npy"), float_npy("(1, 2)", {1, -6}));
  const Strings mxfp4 = {"--block", "mxfp4", "--scale-rule", "floor"};
  for (const auto& [packing, bytes] : {std::pair{"4bit", "\xf2"}, std::pair{"4bit_high_first", "\x2f"}}) {
    Strings words = mxfp4;
    words.insert(words.end(), {"--pack", packing});
    const auto [codes, scales] = quantized(scratch, words);
    EXPECT_EQ(codes.shape, "(1, 1)");
    EXPECT_EQ(codes.data, bytes) << packing;
    EXPECT_EQ(scales.data, "\x7f");
  }
}

TEST(QuantizeLayout, packed_files_hold_the_codes_of_unpacked_ones) {
  struct Case {
    std::string block, packing, shape, packed_shape;
    size_t rows, cols;
  };
  for (const Case& c : std::vector<Case>{{"mxfp4", "4bit", "(2, 3, 33)", "(2, 3, 17)", 6, 33},
                                         {"mxfp6_e3m2", "6bit", "(5, 20)", "(5, 15)", 5, 20},
                                         {"mxfp6_e2m3", "16u6_align16b", "(3, 32)", "(3, 32)", 3, 32},
                                         {"mxfp6_e3m2", "6bit_planes", "(64, 128)", "(6144,)", 64, 128},
                                         {"mxfp4", "4bit", "(3, 0)", "(3, 0)", 0, 0}}) {
    const ScratchFolder scratch;
    const std::vector<float> x = some_values(c.rows * c.cols);
    write_file(scratch.file("in.npy"), float_npy(c.shape, x));
    const Strings block = {"--block", c.block, "--scale-rule", "floor"};
    const std::string plain = quantized(scratch, block).first.data;
    Strings words = block;
    words.insert(words.end(), {"--pack", c.packing});
    const Written packed = quantized(scratch, words).first;
    EXPECT_EQ(packed.shape, c.packed_shape);
    std::vector<uint8_t> codes(x.size());
    unpack(find_packing(c.packing), {c.rows, c.cols}, std::vector<uint8_t>(packed.data.begin(), packed.data.end()),
           codes);
    EXPECT_EQ(std::string(codes.begin(), codes.end()), plain) << c.packing;
  }
}

TEST(QuantizeLayout, tiled_scales_are_those_of_every_row) {
  const ScratchFolder scratch;
  write_file(scratch.file("in.npy"), float_npy("(40, 100)", some_values(4000)));
  for (const auto& [shape, block_rows] : {std::pair{"1x16", 1}, std::pair{"16x16", 16}}) {
    const Strings block = {"--block", "nvfp4", "--shape", shape};
    const std::string plain = quantized(scratch, block).second.data;
    Strings words = block;
    words.insert(words.end(), {"--scale-layout", "128x4"});
    const Written tiled = quantized(scratch, words).second;
    EXPECT_EQ(tiled.shape, "(1024,)");
    std::string want(1024, '\0');
    for (size_t row = 0; row < 40; ++row)
      for (size_t col = 0; col < 7; ++col)
        want[col / 4 * 512 + row % 32 * 16 + row / 32 * 4 + col % 4] = plain[row / size_t(block_rows) * 7 + col];
    EXPECT_TRUE(tiled.data == want) << shape;
  }
}

TEST(QuantizeLayout, what_does_not_fit_says_why) {
  const ScratchFolder scratch;
  write_file(scratch.file("in.npy"), float_npy("(2, 3)", {1, 2, 3, 4, 5, 6}));
  const auto refuse = [&](Strings words, const Strings& parts) {
    words.insert(words.begin(), {"quantize", "--block", "nvfp4", scratch.file("in.npy"), scratch.file("out.npy")});
    expect_unusable(words, parts);
  };
  const std::string codes = scratch.file("codes.npy");
  refuse({"--pack", "4bit"}, {"--pack: only with --codes"});
  refuse({"--scale-layout", "128x4"}, {"--scale-layout: only with --scales"});
  refuse({"--codes", codes, "--pack", "5bit"}, {"--pack: no packing named '5bit'"});
  refuse({"--codes", codes, "--pack", "6bit"}, {"--pack 6bit: it takes codes of 6 bits; these have 4"});
  refuse({"--codes", codes, "--pack", "16u4_align16b"}, {"16u4_align16b: rows of 3 codes; a multiple of 16"});
  refuse({"--scales", codes, "--scale-layout", "128x8"}, {"no scale layout named '128x8'"});
  EXPECT_EQ(scratch.file_count(), 1u);
}

}  // namespace
}  // namespace halfulp
