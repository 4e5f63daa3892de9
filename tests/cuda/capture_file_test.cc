// Files of captures: what is written reads back, and whatever is wrong with a file is said.

#include "cuda/capture_file.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "cuda/tiles.h"
#include "formats/dot_product.h"
#include "tests/cli/command.h"

namespace halfulp::cuda {
namespace {

using Json = nlohmann::ordered_json;

const Provenance kFrom = {"mma.sync",         "a GPU", "sm_90", "1", "13.0", "13.0.1", "2026-01-01", "0123abc",
                          {"HMMA.16816.F32"}, "ffff"};

Segment segment_of(const MatrixUnit& unit, const Shape& shape, StimulusFamily family, size_t tiles, Stored stored) {
  const uint64_t seed = 7, first = stored == Stored::Seeded ? 5 : 0;
  Segment segment = {.family = std::string(name(family)),
                     .seed = seed,
                     .tiles = make_tiles(shape, family, seed, first, tiles),
                     .stored = stored,
                     .first = first};
  for (const Tile& tile : segment.tiles) segment.outputs.push_back(expected_outputs(unit, shape, tile));
  return segment;
}

/// Tiles of 3 x 2: two explicit ones and a seeded one.
CaptureFile small_capture(std::string_view unit_name) {
  const MatrixUnit& unit = find_matrix_unit(unit_name);
  const Shape shape = {3, 2, unit.k, unit.a, unit.b, unit.accumulator};
  return {unit.name,
          shape,
          kFrom,
          {segment_of(unit, shape, StimulusFamily::Bits, 2, Stored::Explicit),
           segment_of(unit, shape, StimulusFamily::Window, 1, Stored::Seeded)}};
}

TEST(CaptureFile, what_is_written_reads_back) {
  for (const MatrixUnit& unit : matrix_units()) {
    if (!unit.scale.empty()) continue;
    SCOPED_TRACE(unit.name);
    const CaptureFile written = small_capture(unit.name), read = parse_capture(capture_bytes(written));
    EXPECT_EQ(read.unit, written.unit);
    EXPECT_EQ(read.shape.m, 3);
    EXPECT_EQ(read.shape.n, 2);
    EXPECT_EQ(read.shape.a, written.shape.a);
    EXPECT_EQ(read.from.device, "a GPU");
    EXPECT_EQ(read.from.sass_opcodes, kFrom.sass_opcodes);
    EXPECT_EQ(read.from.sass_sha256, kFrom.sass_sha256);
    EXPECT_EQ(read.from.tool, kFrom.tool);
    ASSERT_EQ(read.segments.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(read.segments[i].family, written.segments[i].family);
      EXPECT_EQ(read.segments[i].seed, written.segments[i].seed);
      EXPECT_EQ(read.segments[i].tiles, written.segments[i].tiles);
      EXPECT_EQ(read.segments[i].outputs, written.segments[i].outputs);
      EXPECT_EQ(read.segments[i].stored, written.segments[i].stored);
      EXPECT_EQ(read.segments[i].first, written.segments[i].first);
    }
  }
}

/// A file's parts, each of which a test may spoil.
struct Parts {
  std::string start;  // magic number and version
  Json header;
  std::string data;

  std::string bytes() const {
    const std::string text = header.dump();
    return start + bytes_of(std::vector{uint32_t(text.size())}) + text + data;
  }
};

Parts parts_of(const CaptureFile& capture) {
  const std::string bytes = capture_bytes(capture);
  const size_t size = values_of<uint32_t>(bytes.substr(12, 4))[0];
  return {bytes.substr(0, 12), Json::parse(bytes.substr(16, size)), bytes.substr(16 + size)};
}

TEST(CaptureFile, arrays_lie_where_the_header_says) {
  const CaptureFile capture = small_capture("hopper.mma.f16");
  const Parts parts = parts_of(capture);
  const size_t output_bytes = 4 * 3 * 2, tile_bytes = 2 * (3 * 16 + 2 * 16) + 2 * output_bytes;
  EXPECT_EQ(parts.start, std::string("HALFULPM\3\0\0\0", 12));
  EXPECT_EQ(parts.header["segments"][1]["offset"], 2 * tile_bytes);
  EXPECT_EQ(parts.data.size(), 2 * tile_bytes + output_bytes);
  const std::vector<uint16_t> codes = values_of<uint16_t>(parts.data);
  EXPECT_EQ(codes[0], capture.segments[0].tiles[0].a[0]);
  EXPECT_EQ(codes[48], capture.segments[0].tiles[1].a[0]);
  EXPECT_EQ(codes[96], capture.segments[0].tiles[0].b[0]);
}

void expect_turned_down(const std::string& bytes, const std::string& reason) {
  try {
    parse_capture(bytes);
    ADD_FAILURE() << "taken; expected: " << reason;
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what() << "; expected: " << reason;
  }
}

void expect_header_turned_down(const std::function<void(Json&)>& change, const std::string& reason) {
  Parts parts = parts_of(small_capture("volta.mma.f16"));
  change(parts.header);
  expect_turned_down(parts.bytes(), reason);
}

TEST(CaptureFile, unusable_headers_are_turned_down) {
  const auto reject = expect_header_turned_down;
  reject([](Json& x) { x["unit"] = "volta.mma.f61"; }, "header, \"unit\": no matrix unit named 'volta.mma.f61'");
  reject([](Json& x) { x["unit"] = "blackwell.mxf4.e2m1"; }, "captures of units with block scales are not read");
  reject([](Json& x) { x["unit"] = 1; }, "header, \"unit\": a text is expected");
  reject([](Json& x) { x.erase("device"); }, "header has 19 members; 20 are known");
  reject([](Json& x) { x["more"] = 1; }, "header has 21 members; 20 are known");
  reject([](Json& x) { x.erase("device"), x["gpu"] = ""; }, "header has no \"device\"");
  reject([](Json& x) { x["sass_opcodes"] = {1}; }, "header, \"sass_opcodes\": texts are expected");
  reject([](Json& x) { x["k"] = 8; }, "header, \"k\": volta.mma.f16 has 4");
  reject([](Json& x) { x["a"] = "bfloat16"; }, "header, \"a\": volta.mma.f16 has binary16");
  reject([](Json& x) { x["m"] = 0; }, "header, \"m\": a whole number from 1 is expected");
  reject([](Json& x) { x["m"] = -1; }, "header, \"m\": a whole number from 1 is expected");
  reject([](Json& x) { x["n"] = 65537; }, "header, \"n\": 65537; a tile has at most 65536");
  reject([](Json& x) { x["segments"] = Json::array(); }, "header, \"segments\": a list that is not empty is expected");
  reject([](Json& x) { x["segments"] = {3}; }, "header, segment 0: a JSON object is expected");
  reject([](Json& x) { x["segments"][0]["more"] = 3; }, "header, segment 0 has 6 members; 5 are known");
  reject([](Json& x) { x["segments"][1]["more"] = 3; }, "header, segment 1 has 9 members; 8 are known");
  reject([](Json& x) { x["segments"][0]["stored"] = "tersely"; },
         "header, segment 0, \"stored\": no way of storing named 'tersely'; nearest: ");
  reject([](Json& x) { x["segments"][1]["seed"] = "8"; }, "header, segment 1, \"seed\": a whole number from 0");
  reject([](Json& x) { x["segments"][1]["offset"] = 1; }, "header, segment 1, \"offset\": 176 is expected");
  reject([](Json& x) { x["sha256"] = std::string(64, '0'); }, "header, \"sha256\": the data has ");
  reject([](Json& x) { x = 1; }, "header: a JSON object is expected");
}

TEST(CaptureFile, starts_of_other_files_are_turned_down) {
  expect_turned_down("HALFULPS", "no capture: it does not begin with HALFULPM");
  expect_turned_down(std::string("HALFULPM\0\0\0\0\0\0\0\0", 16), "version 0 of captures; only 3 is read");
  expect_turned_down(std::string("HALFULPM\3\0\0\0\xff\xff\xff\x7f", 16), "a header of 2147483647 bytes; at most");
  expect_turned_down(std::string("HALFULPM\3\0\0\0\2\0\0\0{]", 18), "its header is not JSON");
}

TEST(CaptureFile, inputs_that_the_generator_does_not_make_are_turned_down) {
  const auto reject = [](const char* key, const Json& value, const std::string& reason) {
    expect_header_turned_down([&](Json& x) { x["segments"][1][key] = value; }, "header, segment 1, " + reason);
  };
  const std::string differ = "\"inputs_sha256\": the inputs that the generator makes have ";
  reject("seed", 8, differ);
  reject("first", 6, differ);
  reject("family", "cancel", differ);
  reject("inputs_sha256", std::string(64, '0'), differ);
  reject("family", "P1", "\"family\": no family of tiles named 'P1'; nearest: ");
  reject("generator", kGeneratorVersion + 1, "\"generator\": version 2; only 1 is known");
  reject("generator", "1", "\"generator\": a whole number from 0 is expected");
  reject("first", -1, "\"first\": a whole number from 0 is expected");
  reject("inputs_sha256", 1, "\"inputs_sha256\": a text is expected");
}

// Two explicit tiles of 88 bytes and a seeded one of 24.
TEST(CaptureFile, more_or_fewer_tiles_than_the_data_has_are_turned_down) {
  const auto reject = [](size_t segment, uint64_t tiles, const std::string& reason) {
    expect_header_turned_down([&](Json& x) { x["segments"][segment]["tiles"] = tiles; }, reason);
  };
  reject(1, 2, "ends after 200 bytes of data; its header says 224");
  reject(1, uint64_t{1} << 18, "ends after 200 bytes of data; its header says 6291632");
  reject(1, uint64_t{1} << 32, "header, segment 1, \"tiles\": 4294967296 of 32 codes; all tiles together have at most");
  reject(0, ~uint64_t{0}, "header, segment 0, \"tiles\": 18446744073709551615 of 32 codes");
  reject(0, 1, "header, segment 1, \"offset\": 88 is expected");
  reject(1, 0, "header, segment 1, \"tiles\": a whole number from 1 is expected");
  const Json one_segment = parts_of(small_capture("volta.mma.f16")).header["segments"][0];
  expect_header_turned_down([&](Json& x) { x["segments"] = {one_segment}; }, "goes on after the last segment");
}

TEST(CaptureFile, every_cut_every_longer_one_and_every_flipped_bit_of_the_data_is_turned_down) {
  const Parts parts = parts_of(small_capture("volta.mma.f16"));
  const std::string bytes = parts.bytes();
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(parse_capture(bytes.substr(0, size)), std::invalid_argument) << size;
  EXPECT_THROW(parse_capture(bytes + '\0'), std::invalid_argument);
  for (size_t bit = 0; bit < parts.data.size() * 8; ++bit) {
    Parts flipped = parts;
    flipped.data[bit / 8] ^= char(1 << bit % 8);
    EXPECT_THROW(parse_capture(flipped.bytes()), std::invalid_argument) << bit;
  }
}

// A pattern of int4 above its four bits is no code.
TEST(CaptureFile, codes_out_of_range_are_turned_down) {
  CaptureFile capture = small_capture("ampere.mma.s4");
  capture.segments[0].tiles[1].b[3] = 16;
  expect_turned_down(capture_bytes(capture), "segment 0, tile 1, B: 10 is not a code of int4, the largest is f");
}

}  // namespace
}  // namespace halfulp::cuda
