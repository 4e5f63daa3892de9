// Captured outputs: files of both kinds, the units that they belong to, and the verb that replays them.

#include <bit>
#include <map>
#include <set>

#include <fmt/format.h>

#include "cli/capture.h"
#include "tests/cli/command.h"
#include "tests/golden.h"

namespace halfulp {
namespace {

using cli::Capture;

// ---- packs and units prove each other ----

/// "H100_E4M3 fp32": the pack, and one of its outputs.
struct Fixture {
  std::string gpu, format, output;
};

Fixture parse_fixture(std::string_view text) {
  const size_t split = text.find('_'), space = text.find(' ');
  return {std::string(text.substr(0, split)), std::string(text.substr(split + 1, space - split - 1)),
          std::string(text.substr(space + 1))};
}

TEST(Fixtures, each_is_of_the_unit_that_names_it) {
  std::set<std::string_view> seen;
  for (const MatrixUnit& unit : matrix_units())
    for (const std::string_view text : unit.fixtures) {
      const Fixture fixture = parse_fixture(text);
      EXPECT_EQ(&cli::packed_unit(fixture.gpu, fixture.format, fixture.output, size_t(unit.k)), &unit) << text;
      EXPECT_TRUE(seen.insert(text).second) << text << " twice";
    }
}

TEST(Fixtures, each_replays_bit_for_bit_and_each_output_is_one) {
  const std::vector<std::string> packs = golden_packs();
  if (packs.empty()) GTEST_SKIP() << no_golden();
  std::set<std::string> replayed;
  for (const std::string& pack : packs)
    for (const Capture& capture : cli::read_captures(pack)) {
      const std::string fixture = std::filesystem::path(pack).stem().string() + " " + capture.name;
      EXPECT_EQ(capture.d.size(), 5000u) << fixture;
      EXPECT_EQ(cli::replay(capture, *capture.unit).matched, capture.d.size()) << fixture;
      EXPECT_EQ(std::ranges::count(capture.unit->fixtures, fixture), 1) << fixture << " and " << capture.unit->name;
      replayed.insert(fixture);
    }
  for (const MatrixUnit& unit : matrix_units()) {
    if (unit.evidence != Evidence::Hardware) continue;
    for (const std::string_view fixture : unit.fixtures)
      EXPECT_TRUE(replayed.contains(std::string(fixture))) << unit.name << " claims " << fixture;
  }
}

TEST(Fixtures, gpus_and_outputs_have_their_units) {
  const auto unit = [](const char* gpu, const char* format, const char* output, size_t k) {
    return cli::packed_unit(gpu, format, output, k).name;
  };
  EXPECT_EQ(unit("V100", "fp16", "fp16", 4), "volta.mma.f16.f16");
  EXPECT_EQ(unit("A2", "fp16", "fp32", 8), "ampere.mma.f16.k8");
  EXPECT_EQ(unit("A2", "fp16", "fp32", 16), "ampere.mma.f16");
  EXPECT_EQ(unit("L40S", "E4M3", "fp32", 32), "ada.mma.e4m3");
  EXPECT_EQ(unit("H200", "E5M2", "fp32", 32), "hopper.wgmma.e5m2");
  EXPECT_EQ(unit("H200", "E5M2", "fp32_mmasync", 32), "hopper.mma.e5m2");
  EXPECT_EQ(unit("H200", "E5M2", "fp16", 32), "hopper.mma.e5m2.f16");
  EXPECT_EQ(unit("B200", "E5M2", "fp32", 32), "blackwell.mma.e5m2");
  EXPECT_EQ(unit("B200", "tf32", "fp32", 4), "blackwell.mma.tf32.k4");
}

// ---- packs ----

/// The parts of a pack of V100_fp16, each of which a test may spoil.
struct Pack {
  std::string magic = "MMAG";
  uint16_t version = 1, operand_bytes = 2;
  uint32_t k = 4, n = 1;
  std::vector<std::string> outputs = {"fp32", "fp16"};
  std::vector<uint16_t> a = {0x3c00, 0x4000, 0, 0}, b = {0x3c00, 0x3c00, 0, 0};  // 1 · 1 + 2 · 1
  uint32_t c = 0x3f801000;                                                       // 1 + 2^-11, in binary16 1
  std::vector<uint32_t> d = {0x40800400, 0x40800000};                            // 4 + 2^-11, 4

  std::string bytes() const {
    const auto of = [](auto value) { return bytes_of(std::vector{value}); };
    std::string all = magic + of(version) + of(operand_bytes) + of(k) + of(n) + of(uint16_t(outputs.size()));
    for (std::string name : outputs) {
      name.resize(16);
      all += name;
    }
    return all + bytes_of(a) + bytes_of(b) + of(c) + bytes_of(d);
  }
};

TEST(Packs, a_small_one_replays) {
  const ScratchFolder scratch;
  const std::string path = scratch.file("V100_fp16.bin");
  write_file(path, Pack().bytes());
  const std::vector<Capture> captures = cli::read_captures(path);
  ASSERT_EQ(captures.size(), 2u);
  EXPECT_EQ(captures[0].unit->name, "volta.mma.f16");
  EXPECT_EQ(captures[1].c, std::vector<uint64_t>{0x3c00});
  EXPECT_EQ(captures[1].d, std::vector<uint64_t>{0x4400});
  for (const Capture& capture : captures) EXPECT_EQ(cli::replay(capture, *capture.unit).matched, 1u) << capture.name;
}

TEST(Packs, a_mismatch_is_shown_in_full_with_exit_code_1) {
  const ScratchFolder scratch;
  const std::string path = scratch.file("V100_fp16.bin");
  Pack pack;
  pack.d[1] = 0x40802000;
  write_file(path, pack.bytes());
  const CommandResult result = halfulp_command({"validate", path, "--csv"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(csv_column(result.out, "output"), (std::vector<std::string>{"fp32", "fp16"}));
  EXPECT_EQ(csv_column(result.out, "matched"), (std::vector<std::string>{"1", "0"}));
  EXPECT_EQ(csv_column(result.out, "total"), (std::vector<std::string>{"1", "1"}));
  EXPECT_EQ(
      csv_column(result.out, "first_mismatch")[1],
      "tile 0, row 0, column 0: captured 4401, computed 4400; a 3c00 4000 0000 0000; b 3c00 3c00 0000 0000; c 3c00");
}

void expect_pack_turned_down(const std::string& name, const std::string& bytes, const std::string& part) {
  const ScratchFolder scratch;
  write_file(scratch.file(name), bytes);
  expect_unusable({"validate", scratch.file(name)}, {name, part});
}

TEST(Packs, unusable_ones_are_turned_down) {
  const auto reject = [](Pack pack, const std::string& part, const std::string& name = "V100_fp16.bin") {
    expect_pack_turned_down(name, pack.bytes(), part);
  };
  reject({.magic = "MMAX"}, "it begins neither with MMAG nor with HALFULPM");
  reject({.version = 2}, "version 2 of packs; only 1 is read");
  reject({.operand_bytes = 4}, "operands of 4 bytes; those of fp16 have 2");
  reject({.k = 5}, "K = 5: volta.mma.f16 has K = 4");
  reject({.k = 0xffffffff, .n = 0xffffffff}, "K = 4294967295");
  reject({.n = 0xffffffff}, "ends after 28 bytes of A, which take 34359738360");
  reject({.n = 2}, "ends after 12 bytes of B, which take 16");
  reject({.outputs = {"fp32"}}, "goes on after the last D");
  reject({.outputs = {"fp32", "fp32"}}, "output fp32 twice");
  reject({.outputs = {"fp32", "fp64"}}, "no output named 'fp64'; nearest: fp32");
  reject({.outputs = {}}, "0 outputs; a pack has 1 to 3");
  reject({.outputs = {"fp32_mmasync"}}, "output fp32_mmasync is one of FP8 on Hopper, not of V100 fp16");
  reject({.d = {0, 0x3f800001}}, "output fp16, D 0 is 3f800001; a number of binary16 is expected there");
  reject({}, "no GPU named 'X100'; nearest: V100, A100, H100", "X100_fp16.bin");
  reject({}, "no format named 'fp61'; nearest: fp16", "V100_fp61.bin");
  reject({}, "the name of a pack is GPU_FORMAT.bin", "fp16.bin");
  reject({}, "the name of a pack is GPU_FORMAT.bin", "V100_fp16.dat");
  reject({}, "there is no matrix unit volta.mma.bf16", "V100_bf16.bin");
}

TEST(Packs, every_cut_and_every_longer_one_is_turned_down) {
  const std::string bytes = Pack().bytes();
  const ScratchFolder scratch;
  const std::string path = scratch.file("V100_fp16.bin");
  for (size_t size = 0; size < bytes.size(); ++size) {
    write_file(path, bytes.substr(0, size));
    EXPECT_THROW(cli::read_captures(path), std::invalid_argument) << size;
  }
  write_file(path, bytes + '\0');
  EXPECT_THROW(cli::read_captures(path), std::invalid_argument);
}

// ---- captures of our own ----

Capture small_capture(const std::string& unit_name, size_t m, size_t n, size_t tiles) {
  Capture capture{.name = "bits", .seed = 7, .unit = &find_matrix_unit(unit_name), .m = m, .n = n, .tiles = tiles};
  const size_t k = size_t(capture.unit->k);
  const auto fill = [](std::vector<uint64_t>& codes, size_t count, uint64_t largest) {
    for (size_t i = 0; i < count; ++i) codes.push_back(i * 0x9e3779b97f4a7c15 >> 8 & largest);
  };
  const auto largest = [](std::string_view format) { return ~uint64_t{0} >> (64 - operand_bits(format)); };
  fill(capture.a, tiles * m * k, largest(capture.unit->a));
  fill(capture.b, tiles * n * k, largest(capture.unit->b));
  fill(capture.c, tiles * m * n, largest(capture.unit->accumulator));
  capture.d.resize(tiles * m * n);
  for (size_t i = 0; i < capture.d.size(); ++i) capture.d[i] = dot_product_add(*capture.unit, capture.inputs(i));
  return capture;
}

const cli::Provenance kProvenance = {"mma.sync", "a GPU",  "90",         "1",
                                     "13.0",     "13.0.1", "2026-01-01", {"HMMA.16816.F32"}};

TEST(Captures, what_is_written_reads_back_and_replays) {
  const ScratchFolder scratch;
  for (const char* unit : {"hopper.mma.f16", "hopper.mma.tf32", "hopper.wgmma.e4m3.f16", "ampere.mma.f64",
                           "ampere.mma.s8.u8", "ampere.mma.s4", "ampere.mma.b1.xor"}) {
    SCOPED_TRACE(unit);
    const std::vector<Capture> written = {small_capture(unit, 3, 2, 2), small_capture(unit, 3, 2, 1)};
    const std::string path = scratch.file("capture");
    cli::write_captures(path, kProvenance, written);
    const std::vector<Capture> read = cli::read_captures(path);
    ASSERT_EQ(read.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(read[i].unit, written[i].unit);
      EXPECT_EQ(read[i].name, "bits");
      EXPECT_EQ(read[i].seed, 7u);
      EXPECT_EQ(read[i].tiles, written[i].tiles);
      EXPECT_TRUE(read[i].a == written[i].a && read[i].b == written[i].b && read[i].c == written[i].c &&
                  read[i].d == written[i].d);
      EXPECT_EQ(cli::replay(read[i], *read[i].unit).matched, read[i].d.size());
    }
    EXPECT_EQ(halfulp_command({"validate", path}).exit_code, 0);
  }
}

TEST(Captures, outputs_are_those_of_their_row_and_column) {
  const Capture capture = small_capture("volta.mma.f16", 3, 2, 2);
  const DotInputs in = capture.inputs(6 + 2 * 2 + 1);  // tile 1, row 2, column 1
  EXPECT_EQ(in.a.data(), &capture.a[(3 + 2) * 4]);
  EXPECT_EQ(in.b.data(), &capture.b[(2 + 1) * 4]);
  EXPECT_EQ(in.c, capture.c[11]);
}

/// The bytes with a header that `change` spoils.
template <class Change>
std::string spoiled(Change change) {
  const std::vector<Capture> written = {small_capture("volta.mma.f16", 1, 1, 2)};
  const std::string bytes = cli::capture_bytes(kProvenance, written);
  uint32_t size = 0;
  bytes.copy(reinterpret_cast<char*>(&size), 4, 12);
  auto json = nlohmann::ordered_json::parse(bytes.substr(16, size));
  change(json);
  const std::string header = json.dump();
  return bytes.substr(0, 12) + bytes_of(std::vector{uint32_t(header.size())}) + header + bytes.substr(16 + size);
}

TEST(Captures, unusable_ones_are_turned_down) {
  using Json = nlohmann::ordered_json;
  const auto reject = [](auto change, const std::string& part) {
    expect_pack_turned_down("capture", spoiled(change), part);
  };
  reject([](Json& json) { json["unit"] = "volta.mma.f61"; }, "header, \"unit\": no matrix unit named 'volta.mma.f61'");
  reject([](Json& json) { json["unit"] = "blackwell.mxf4.e2m1"; }, "captures of units with block scales are not read");
  reject([](Json& json) { json["unit"] = 1; }, "header, \"unit\": a text is expected");
  reject([](Json& json) { json.erase("gpu"); }, "header has 17 members; 18 are known");
  reject([](Json& json) { json["more"] = 1; }, "header has 19 members; 18 are known");
  reject([](Json& json) { json.erase("gpu"), json["gpus"] = ""; }, "header has no \"gpu\"");
  reject([](Json& json) { json["sass_opcodes"] = {1}; }, "header, \"sass_opcodes\": texts are expected");
  reject([](Json& json) { json["k"] = 8; }, "header, \"k\": volta.mma.f16 has 4");
  reject([](Json& json) { json["a"] = "bfloat16"; }, "header, \"a\": volta.mma.f16 has binary16");
  reject([](Json& json) { json["m"] = 0; }, "header, \"m\": a whole number from 1 is expected");
  reject([](Json& json) { json["m"] = -1; }, "header, \"m\": a whole number from 1 is expected");
  reject([](Json& json) { json["n"] = 65537; }, "at most 65536 rows or columns");
  reject([](Json& json) { json["segments"] = Json::array(); }, "header, \"segments\": a list that is not empty");
  reject([](Json& json) { json["segments"] = {3}; }, "header, segment: a JSON object is expected");
  reject([](Json& json) { json["segments"][0]["tiles"] = uint64_t{1} << 60; }, "\"tiles\": at most 4294967296");
  reject([](Json& json) { json["segments"][0]["tiles"] = uint64_t{1} << 32; }, "its header says 34359738368");
  reject([](Json& json) { json["segments"][0]["tiles"] = 3; },
         "segment bits, C ends after 0 bytes; its header says 12");
  reject([](Json& json) { json["segments"][0]["tiles"] = 1; }, "goes on after the last segment");
  reject([](Json& json) { json["segments"][0]["offset"] = 1; }, "header, segment, \"offset\": 0 is expected");
  reject([](Json& json) { json["sha256"] = std::string(64, '0'); }, "header, \"sha256\": the data has ");
  reject([](Json& json) { json = 1; }, "header: a JSON object is expected");
  expect_pack_turned_down("capture", std::string("HALFULPM\2\0\0\0\0\0\0\0", 16), "version 2 of captures; only 1");
  expect_pack_turned_down("capture", std::string("HALFULPM\1\0\0\0\xff\xff\xff\x7f", 16),
                          "a header of 2147483647 bytes");
  expect_pack_turned_down("capture", std::string("HALFULPM\1\0\0\0\2\0\0\0{]", 18), "its header is not JSON");
}

TEST(Captures, every_cut_every_longer_one_and_every_flipped_bit_of_the_data_is_turned_down) {
  const std::string bytes = spoiled([](auto&) {});
  const ScratchFolder scratch;
  const std::string path = scratch.file("capture");
  for (size_t size = 0; size < bytes.size(); ++size) {
    write_file(path, bytes.substr(0, size));
    EXPECT_THROW(cli::read_captures(path), std::invalid_argument) << size;
  }
  write_file(path, bytes + '\0');
  EXPECT_THROW(cli::read_captures(path), std::invalid_argument);
  for (size_t bit = 0; bit < 48 * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bytes.size() - 48 + bit / 8] ^= char(1 << bit % 8);
    write_file(path, flipped);
    EXPECT_THROW(cli::read_captures(path), std::invalid_argument) << bit;
  }
}

// A pattern of int4 above its four bits is no code.
TEST(Captures, codes_out_of_range_are_turned_down) {
  Capture capture = small_capture("ampere.mma.s4", 1, 1, 1);
  capture.a[3] = 16;
  const std::string bytes = cli::capture_bytes(kProvenance, std::vector{capture});
  expect_pack_turned_down("capture", bytes, "segment bits, A, code 3: 10 is not a code of int4");
}

// ---- the verb ----

TEST(Validate, all_packs_match) {
  std::vector<std::string> words = golden_packs();
  if (words.empty()) GTEST_SKIP() << no_golden();
  words.insert(words.begin(), "validate");
  words.push_back("--csv");
  const std::string out = output_of(words);
  EXPECT_EQ(csv_column(out, "matched"), std::vector<std::string>(24, "5000"));
  EXPECT_EQ(csv_column(out, "total"), std::vector<std::string>(24, "5000"));
  EXPECT_EQ(csv_column(out, "first_mismatch"), std::vector<std::string>(24, ""));
}

TEST(Validate, another_unit_may_be_tried) {
  const ScratchFolder scratch;
  const std::string path = scratch.file("V100_fp16.bin");
  write_file(path, Pack().bytes());
  EXPECT_EQ(halfulp_command({"validate", path, "--unit", "volta.mma.f16:fraction=3"}).exit_code, 1);
  const std::string out = output_of({"validate", path, "--unit", "volta.mma.f16:fraction=24", "--csv"});
  EXPECT_EQ(csv_column(out, "unit"), std::vector<std::string>{"volta.mma.f16:fraction=24"});
  expect_unusable({"validate", path, "--unit", "hopper.mma.f16"}, {"--unit", "V100_fp16.bin has no outputs of the k"});
  expect_unusable({"validate", path, "--unit", "volta.mma.f61"}, {"no matrix unit named 'volta.mma.f61'"});
}

TEST(Validate, forms_carry_the_same_facts) {
  const ScratchFolder scratch;
  write_file(scratch.file("V100_fp16.bin"), Pack().bytes());
  expect_same_facts({"validate", scratch.file("V100_fp16.bin")});
}

TEST(Validate, files_are_needed) {
  expect_unusable({"validate"}, {"FILE is missing"});
  expect_unusable({"validate", "/nonexistent"}, {"/nonexistent: No such file"});
  expect_unusable({"validate", "/"}, {"/: Is a directory"});
}

}  // namespace
}  // namespace halfulp
