// Captured outputs: files of both kinds, the units that they belong to, and the verb that replays them.

#include <bit>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "cli/capture.h"
#include "cuda/capture_file.h"
#include "cuda/tiles.h"
#include "tests/cli/command.h"
#include "tests/golden.h"

namespace halfulp {
namespace {

using cli::Capture;

// ---- captured outputs and units prove each other ----

/// "H100_E4M3 fp32": the pack, and one of its outputs.
struct PackFixture {
  std::string gpu, format, output;
};

/// Nothing where the fixture is a capture of our own.
std::optional<PackFixture> parse_pack_fixture(std::string_view text) {
  const size_t split = text.find('_'), space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  return PackFixture{std::string(text.substr(0, split)), std::string(text.substr(split + 1, space - split - 1)),
                     std::string(text.substr(space + 1))};
}

std::string stem_of(const std::string& path) { return std::filesystem::path(path).stem().string(); }

TEST(Fixtures, each_is_of_the_unit_that_names_it) {
  std::set<std::string_view> seen;
  for (const MatrixUnit& unit : matrix_units())
    for (const std::string_view text : unit.fixtures) {
      EXPECT_TRUE(seen.insert(text).second) << text << " twice";
      const std::optional<PackFixture> pack = parse_pack_fixture(text);
      if (!pack) continue;
      EXPECT_EQ(&cli::packed_unit(pack->gpu, pack->format, pack->output, size_t(unit.k)), &unit) << text;
    }
}

/// Expects that a capture replays through its unit, which names it.
void expect_proves_its_unit(const Capture& capture, const std::string& fixture) {
  EXPECT_EQ(cli::replay(capture, *capture.unit).matched, capture.d.size()) << fixture << ", " << capture.name;
  EXPECT_EQ(std::ranges::count(capture.unit->fixtures, fixture), 1) << fixture << " and " << capture.unit->name;
}

/// The fixtures of all units: packs, or captures of our own.
std::set<std::string> claimed(bool packs) {
  std::set<std::string> all;
  for (const MatrixUnit& unit : matrix_units())
    for (const std::string_view fixture : unit.fixtures)
      if (parse_pack_fixture(fixture).has_value() == packs) all.emplace(fixture);
  return all;
}

TEST(Fixtures, each_output_of_a_pack_replays_and_is_one) {
  const std::vector<std::string> packs = golden_packs();
  if (packs.empty()) GTEST_SKIP() << no_golden();
  std::set<std::string> replayed;
  for (const std::string& pack : packs)
    for (const Capture& capture : cli::read_captures(pack)) {
      const std::string fixture = stem_of(pack) + " " + capture.name;
      EXPECT_EQ(capture.d.size(), 5000u) << fixture;
      expect_proves_its_unit(capture, fixture);
      replayed.insert(fixture);
    }
  EXPECT_EQ(replayed, claimed(true));
}

TEST(Fixtures, each_capture_of_our_own_replays_and_is_one) {
  std::set<std::string> replayed;
  for (const std::string& path : own_captures()) {
    for (const Capture& capture : cli::read_captures(path)) expect_proves_its_unit(capture, stem_of(path));
    replayed.insert(stem_of(path));
  }
  EXPECT_EQ(replayed, claimed(false));
}

TEST(Fixtures, captures_of_our_own_say_where_they_are_from) {
  for (const std::string& path : own_captures()) {
    const cuda::Provenance from = cuda::parse_capture(read_file(path)).from;
    EXPECT_FALSE(from.instruction.empty() || from.date.empty()) << path;
    EXPECT_NE(from.device.find(path.ends_with(".epyc.bin") ? "AMD EPYC, family 25, model 17" : "NVIDIA"),
              std::string::npos)
        << path << ": " << from.device;
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

void expect_file_turned_down(const std::string& name, const std::string& bytes, const std::string& part) {
  const ScratchFolder scratch;
  write_file(scratch.file(name), bytes);
  expect_unusable({"validate", scratch.file(name)}, {name, part});
}

TEST(Packs, unusable_ones_are_turned_down) {
  const auto reject = [](Pack pack, const std::string& part, const std::string& name = "V100_fp16.bin") {
    expect_file_turned_down(name, pack.bytes(), part);
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

// ---- captures of our own; tests/cuda/capture_file_test.cc has the format ----

/// Two tiles of Volta's unit with what it computes: a seeded one and an explicit one.
cuda::CaptureFile small_capture() {
  const MatrixUnit& unit = find_matrix_unit("volta.mma.f16");
  cuda::CaptureFile capture = {unit.name, {3, 2, unit.k, unit.a, unit.b, unit.accumulator}, {}, {}};
  capture.from.sass_opcodes = {"HMMA.884"};
  for (const uint64_t number : {0, 1}) {
    const cuda::Tile tile = cuda::make_tile(capture.shape, cuda::StimulusFamily::Window, 7, number);
    capture.segments.push_back({"window", 7, {tile}, {cuda::expected_outputs(unit, capture.shape, tile)}});
  }
  capture.segments[0].stored = cuda::Stored::Seeded;
  return capture;
}

TEST(Captures, each_segment_is_a_capture_and_replays) {
  const ScratchFolder scratch;
  const std::string path = scratch.file("capture.bin");
  const cuda::CaptureFile written = small_capture();
  write_file(path, cuda::capture_bytes(written));
  const std::vector<Capture> read = cli::read_captures(path);
  ASSERT_EQ(read.size(), 2u);
  for (size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].name, "window");
    EXPECT_EQ(read[i].unit->name, "volta.mma.f16");
    EXPECT_EQ(read[i].a, written.segments[i].tiles[0].a);
    EXPECT_EQ(read[i].b, written.segments[i].tiles[0].b);
    EXPECT_EQ(read[i].c, written.segments[i].tiles[0].c);
    EXPECT_EQ(cli::replay(read[i], *read[i].unit).matched, 6u);
  }
  EXPECT_EQ(halfulp_command({"validate", path}).exit_code, 0);
}

TEST(Captures, outputs_are_those_of_their_row_and_column) {
  Capture capture{.unit = &find_matrix_unit("volta.mma.f16"), .m = 3, .n = 2, .tiles = 2};
  capture.a.resize(2 * 3 * 4);
  capture.b.resize(2 * 2 * 4);
  for (uint64_t i = 0; i < 12; ++i) capture.c.push_back(i);
  const DotInputs in = capture.inputs(6 + 2 * 2 + 1);  // tile 1, row 2, column 1
  EXPECT_EQ(in.a.data(), &capture.a[(3 + 2) * 4]);
  EXPECT_EQ(in.b.data(), &capture.b[(2 + 1) * 4]);
  EXPECT_EQ(in.c, 11u);
}

TEST(Captures, a_mismatch_is_shown_with_its_place) {
  const ScratchFolder scratch;
  cuda::CaptureFile capture = small_capture();
  capture.segments[1].outputs[0][3] ^= 1;
  write_file(scratch.file("capture.bin"), cuda::capture_bytes(capture));
  const CommandResult result = halfulp_command({"validate", scratch.file("capture.bin"), "--csv"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(csv_column(result.out, "matched"), (std::vector<std::string>{"6", "5"}));
  EXPECT_TRUE(csv_column(result.out, "first_mismatch")[1].starts_with("tile 0, row 1, column 1: captured "));
}

TEST(Captures, complaints_name_the_file) {
  expect_file_turned_down("capture.bin", "HALFULPM", "capture.bin: ends inside the version");
  cuda::CaptureFile capture = small_capture();
  capture.unit = "volta\n.mma.f16";
  expect_file_turned_down("capture.bin", cuda::capture_bytes(capture), "no matrix unit named 'volta?.mma.f16'");
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

TEST(Validate, all_captures_of_our_own_match) {
  std::vector<std::string> words = own_captures();
  words.insert(words.begin(), "validate");
  words.push_back("--csv");
  const std::string out = output_of(words);
  EXPECT_EQ(csv_column(out, "matched"), csv_column(out, "total"));
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
