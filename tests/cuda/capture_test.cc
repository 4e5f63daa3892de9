// Captures without a GPU: inputs are frozen and tell models apart, and the program says why it cannot run.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "cuda/capture_file.h"
#include "cuda/instruction.h"
#include "cuda/probes.h"
#include "cuda/sass.h"
#include "cuda/stimulus.h"
#include "cuda/tiles.h"
#include "formats/digest.h"
#include "formats/dot_product.h"
#include "formats/format.h"
#include "tests/cli/command.h"

namespace halfulp::cuda {
namespace {

constexpr int kSm = 90;  // of the units that the tests ask for

Shape shape_named(std::string_view instruction) { return shape_of(find_instruction(instruction)); }

const MatrixUnit& unit_of(std::string_view instruction) {
  return find_matrix_unit(unit_name(find_instruction(instruction), kSm));
}

// FNV-1a over all codes.
uint64_t digest(const Tile& tile) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::vector<uint64_t>* codes : {&tile.a, &tile.b, &tile.c})
    for (const uint64_t code : *codes) hash = (hash ^ code) * 0x100000001b3;
  return hash;
}

std::vector<Tile> probe_tiles(std::string_view instruction, std::string_view probe) {
  const std::vector<Probe> probes = directed_probes(shape_named(instruction), unit_of(instruction).fraction);
  return std::ranges::find(probes, probe, &Probe::name)->tiles;
}

// The largest t for which output t of a tile is c.
int largest_kept(const std::vector<uint64_t>& d, const std::vector<uint64_t>& c) {
  int largest = -1;
  for (size_t t = 0; t < d.size(); ++t)
    if (d[t] == c[t] && c[t] != 0) largest = int(t);
  return largest;
}

// ---- instructions ----

TEST(Capture, names_of_instructions_are_unique) {
  std::set<std::string_view> names;
  for (const Instruction& each : instructions()) names.insert(each.name);
  EXPECT_EQ(names.size(), instructions().size());
  EXPECT_THROW(find_instruction("mma"), std::invalid_argument);
}

TEST(Capture, units_of_instructions_have_their_shapes_and_formats) {
  for (const int sm : {80, 90, 100}) {
    for (const Instruction& each : instructions()) {
      const std::string name = unit_name(each, sm);
      const bool has_fp8 = each.a != "e4m3fn" && each.a != "e5m2";
      if (name.empty() || (sm == 80 && !has_fp8)) continue;
      const MatrixUnit& unit = find_matrix_unit(name);
      EXPECT_EQ(unit.k, each.k) << each.name;
      EXPECT_EQ(unit.a, each.a) << each.name;
      EXPECT_EQ(unit.b, each.b) << each.name;
      EXPECT_EQ(unit.accumulator, each.accumulator) << each.name;
    }
  }
}

// ---- random tiles ----

TEST(Capture, tiles_are_frozen) {
  const auto digest_of = [](std::string_view instruction, StimulusFamily family) {
    return digest(make_tile(shape_named(instruction), family, 1, 2));
  };
  using enum StimulusFamily;
  EXPECT_EQ(kGeneratorVersion, 1u) << "captures of other versions do not read back";
  EXPECT_EQ(digest_of("mma_m16n8k16_f32_f16_f16", Normal), 0x4626d4f21d9d6032u);
  EXPECT_EQ(digest_of("mma_m16n8k16_f32_f16_f16", Bits), 0x643f8d12f75589dcu);
  EXPECT_EQ(digest_of("mma_m16n8k8_f32_tf32_tf32", FiniteBits), 0x27c6c41b3be4789cu);
  EXPECT_EQ(digest_of("mma_m16n8k16_f16_f16_f16", Window), 0xdc83d2200c9e260du);
  EXPECT_EQ(digest_of("wgmma_m64n8k32_f32_e4m3_e5m2", Cancel), 0x2eb5d49f512a04f2u);
  EXPECT_EQ(digest_of("mma_m16n8k16_f32_bf16_bf16", Tiny), 0x8516e4db6459e4d1u);
  EXPECT_EQ(digest_of("mma_m16n8k64_s32_s4_u4_satfinite", Window), 0xff786d0f0637ac11u);
  EXPECT_EQ(digest_of("mma_m8n8k4_f64_f64_f64", Normal), 0xde15b8f69bfebbfcu);
}

TEST(Capture, codes_fit_their_formats) {
  for (const Instruction& each : instructions())
    for (const StimulusFamily family : kStimulusFamilies) {
      const Tile tile = make_tile(shape_of(each), family, 3, 4);
      const auto fits = [](const std::vector<uint64_t>& codes, std::string_view format) {
        return std::ranges::all_of(codes, [&](uint64_t code) { return code <= code_fields(format).mask(); });
      };
      EXPECT_EQ(tile.a.size(), size_t(each.m * each.k));
      EXPECT_TRUE(fits(tile.a, each.a) && fits(tile.b, each.b) && fits(tile.c, each.accumulator)) << each.name;
    }
}

TEST(Capture, all_families_but_bits_are_finite) {
  for (const std::string_view name : {"mma_m16n8k16_f16_f16_f16", "wgmma_m64n8k32_f32_e4m3_e5m2"})
    for (const StimulusFamily family : kStimulusFamilies) {
      if (family == StimulusFamily::Bits) continue;
      const Shape shape = shape_named(name);
      const Tile tile = make_tile(shape, family, 1, 1);
      const auto is_finite = [](std::string_view format) {
        return [known = parse_format(format)](uint64_t code) {
          const CodeClass its_class = classify(known, uint32_t(code));
          return its_class != CodeClass::Nan && its_class != CodeClass::Infinity;
        };
      };
      EXPECT_TRUE(std::ranges::all_of(tile.a, is_finite(shape.a)));
      EXPECT_TRUE(std::ranges::all_of(tile.b, is_finite(shape.b)));
      EXPECT_TRUE(std::ranges::all_of(tile.c, is_finite(shape.accumulator)));
    }
}

TEST(Capture, normal_numbers_have_variance_one) {
  const Format format = parse_format("binary16");
  double sum = 0, squares = 0;
  int count = 0;
  for (uint64_t number = 0; number < 100; ++number)
    for (const uint64_t code :
         make_tile(shape_named("mma_m16n8k16_f32_f16_f16"), StimulusFamily::Normal, 1, number).a) {
      const double x = decode(format, uint32_t(code));
      sum += x;
      squares += x * x;
      ++count;
    }
  EXPECT_NEAR(sum / count, 0, 0.03);
  EXPECT_NEAR(squares / count, 1, 0.03);
}

// What a wrong model of the unit would be: the random tiles of one capture must show it.
TEST(Capture, random_tiles_show_wrong_models) {
  for (const std::string_view name :
       {"mma_m16n8k16_f32_f16_f16", "mma_m16n8k16_f16_f16_f16", "mma_m16n8k16_f32_bf16_bf16",
        "wgmma_m64n8k32_f32_e4m3_e4m3", "mma_m16n8k32_f32_e4m3_e5m2"}) {
    const MatrixUnit& unit = unit_of(name);
    MatrixUnit wider = unit, narrower = unit, shorter = unit, flushing = unit;
    ++wider.fraction;
    --narrower.fraction;
    shorter.block /= 2;
    flushing.flushes_operands = true;
    for (const MatrixUnit& wrong : {wider, narrower, shorter, flushing}) {
      int differing = 0;
      for (const StimulusFamily family : kStimulusFamilies)
        for (uint64_t number = 0; number < 9 && differing == 0; ++number) {
          const Shape shape = shape_named(name);
          const Tile tile = make_tile(shape, family, 1, number);
          differing += expected_outputs(unit, shape, tile) != expected_outputs(wrong, shape, tile);
        }
      EXPECT_GT(differing, 0) << name << ", fraction " << wrong.fraction << ", block " << wrong.block << ", flushes "
                              << wrong.flushes_operands;
    }
  }
}

TEST(Capture, tiles_go_by_their_numbers) {
  const Shape shape = shape_named("mma_m16n8k16_f32_f16_f16");
  const std::vector<Tile> tiles = make_tiles(shape, StimulusFamily::Cancel, 5, 3, 2);
  ASSERT_EQ(tiles.size(), 2u);
  EXPECT_EQ(tiles[1], make_tile(shape, StimulusFamily::Cancel, 5, 4));
}

// ---- directed probes ----

TEST(Capture, probes_read_off_alignment_widths) {
  for (const std::string_view name : {"mma_m16n8k16_f32_f16_f16", "mma_m16n8k16_f16_f16_f16",
                                      "mma_m16n8k8_f32_tf32_tf32", "wgmma_m64n8k32_f32_e4m3_e4m3"}) {
    const MatrixUnit& unit = unit_of(name);
    const Shape shape = shape_named(name);
    const Tile tile = probe_tiles(name, "P1")[0];
    std::vector<uint64_t> d = expected_outputs(unit, shape, tile), c = tile.c;
    d.resize(128);
    c.resize(128);
    EXPECT_EQ(largest_kept(d, c), unit.fraction) << name;
  }
}

TEST(Capture, probes_tell_lowest_exponents_of_half_accumulators_apart) {
  constexpr std::string_view kName = "mma_m16n8k16_f16_f16_f16";
  const Shape shape = shape_named(kName);
  MatrixUnit unit = unit_of(kName), other = unit;
  ++other.zero_exponent;
  const Tile tile = probe_tiles(kName, "P9")[0];
  EXPECT_NE(expected_outputs(unit, shape, tile), expected_outputs(other, shape, tile));
}

TEST(Capture, probes_tell_signs_of_zero_apart) {
  for (const std::string_view name : {"mma_m16n8k16_f32_bf16_bf16", "mma_m16n8k16_f16_f16_f16"}) {
    const Shape shape = shape_named(name);
    std::set<std::vector<uint64_t>> outcomes;
    for (const ZeroSign zero : {ZeroSign::Positive, ZeroSign::KeepUnderflow, ZeroSign::Ieee}) {
      MatrixUnit unit = unit_of(name);
      unit.zero = zero;
      std::vector<uint64_t> all;
      for (const Tile& tile : probe_tiles(name, "P10"))
        for (const uint64_t code : expected_outputs(unit, shape, tile)) all.push_back(code);
      outcomes.insert(all);
    }
    EXPECT_EQ(outcomes.size(), 3u) << name;
  }
}

TEST(Capture, probes_of_every_instruction_fill_whole_tiles) {
  for (const Instruction& each : instructions())
    for (const Probe& probe : directed_probes(shape_of(each), 25))
      for (const Tile& tile : probe.tiles) {
        EXPECT_EQ(tile.a.size(), size_t(each.m * each.k)) << each.name << " " << probe.name;
        EXPECT_EQ(tile.b.size(), size_t(each.n * each.k)) << each.name << " " << probe.name;
        EXPECT_EQ(tile.c.size(), size_t(each.m * each.n)) << each.name << " " << probe.name;
        EXPECT_LE(std::ranges::max(tile.c), code_fields(each.accumulator).mask()) << each.name << " " << probe.name;
        EXPECT_LE(std::ranges::max(tile.a), code_fields(each.a).mask()) << each.name << " " << probe.name;
        EXPECT_LE(std::ranges::max(tile.b), code_fields(each.b).mask()) << each.name << " " << probe.name;
      }
}

// ---- memory and opcodes ----

TEST(Capture, outputs_unpack_as_they_are_packed) {
  const Instruction& instruction = find_instruction("mma_m16n8k16_f16_f16_f16");
  const std::vector<Tile> tiles = {make_tile(shape_of(instruction), StimulusFamily::Bits, 1, 0),
                                   make_tile(shape_of(instruction), StimulusFamily::Bits, 1, 1)};
  const PackedTiles packed = pack(instruction, tiles);
  EXPECT_EQ(packed.count, 2u);
  EXPECT_EQ(packed.a.size(), size_t{2 * 16 * 16 * 2});
  const auto unpacked = unpack_outputs(instruction, packed.c);
  ASSERT_EQ(unpacked.size(), 2u);
  EXPECT_EQ(unpacked[0], tiles[0].c);
  EXPECT_EQ(unpacked[1], tiles[1].c);
}

TEST(Capture, narrow_codes_share_bytes) {
  const Instruction& instruction = find_instruction("mma_m16n8k64_s32_s4_s4");
  const Tile tile = make_tile(shape_of(instruction), StimulusFamily::Bits, 1, 0);
  const PackedTiles packed = pack(instruction, std::vector{tile});
  EXPECT_EQ(packed.a.size(), size_t{16 * 32});
  EXPECT_EQ(packed.a[1], tile.a[2] | tile.a[3] << 4);
}

TEST(Capture, opcodes_are_those_of_the_kernel_and_target) {
  constexpr std::string_view kText =
      "arch = sm_80\n\t\tFunction : _Z10run_kernelI24mma_m16n8k16_f32_f16_f16EvT_\n"
      "        /*0000*/                   HMMA.1688 R4 ;  /* 0x0 */\n"
      "arch = sm_90a\n\t\tFunction : _Z10run_kernelI24mma_m16n8k16_f32_f16_f16EvT_\n"
      "        /*0000*/                   LDG.E R2, desc[UR4][R2.64] ;  /* 0x0 */\n"
      "        /*0010*/                   HMMA.16816.F32 R4, R4, R6, RZ ;  /* 0x0 */\n"
      "        /*0020*/              @!P0 FADD R4, R4, R6 ;  /* 0x0 */\n"
      "\t\tFunction : _Z10run_kernelI23mma_m16n8k8_f32_f16_f16EvT_\n"
      "        /*0000*/                   HMMA.1688.F32 R4, R4, R6, RZ ;  /* 0x0 */\n";
  const KernelCode code = kernel_code(kText, "mma_m16n8k16_f32_f16_f16", 90);
  EXPECT_EQ(code.opcodes, (std::vector<std::string>{"HMMA.16816.F32", "FADD"}));
  EXPECT_EQ(code.sha256, sha256_hex("        /*0000*/                   LDG.E R2, desc[UR4][R2.64] ;  /* 0x0 */\n"
                                    "        /*0010*/                   HMMA.16816.F32 R4, R4, R6, RZ ;  /* 0x0 */\n"
                                    "        /*0020*/              @!P0 FADD R4, R4, R6 ;  /* 0x0 */\n"));
  const KernelCode none = kernel_code(kText, "mma_m16n8k16_f32_f16_f16", 100);
  EXPECT_TRUE(none.opcodes.empty());
  EXPECT_TRUE(none.sha256.empty());
}

// ---- the program ----

TEST(CaptureProgram, lists_instructions_without_a_device) {
  const CommandResult result = run_program(HALFULP_MMA_CAPTURE, {"--list"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(lines_of(result.out).size(), instructions().size());
}

TEST(CaptureProgram, says_why_it_cannot_run) {
  const CommandResult result =
      run_program(HALFULP_MMA_CAPTURE, {"--live", "1", "--instruction", "mma_m16n8k16_f32_f16_f16"});
  if (result.exit_code == 0) GTEST_SKIP() << "there is a device";
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.starts_with("mma_capture: built without CUDA") ||
              result.err.starts_with("mma_capture: no usable device"))
      << result.err;
}

// Where the processor has them; the others are said to be absent.
TEST(CaptureProgram, this_processor_computes_as_its_units_do) {
  const CommandResult result = run_program(HALFULP_MMA_CAPTURE, {"--host", "--live", "200000"});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
}

// Files of the instructions that it has.
TEST(CaptureProgram, captures_of_this_processor_have_enough_outputs_of_every_family) {
  const ScratchFolder scratch;
  const std::string folder = scratch.file("captures");
  EXPECT_EQ(run_program(HALFULP_MMA_CAPTURE, {"--host", "--out", folder}).exit_code, 0);
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "the processor has none of the instructions";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const CaptureFile capture = parse_capture(read_file(entry.path()));
    std::map<std::string, size_t> outputs;
    std::set<std::string> stored, seeded;
    for (const Segment& segment : capture.segments) {
      outputs[segment.family] += segment.tiles.size() * segment.tiles[0].c.size();
      (segment.stored == Stored::Seeded ? seeded : stored).insert(segment.family);
    }
    for (const std::string_view family : names<StimulusFamily>()) {
      EXPECT_GE(outputs[std::string(family)], 4608u) << entry.path() << " " << family;
      EXPECT_TRUE(stored.contains(std::string(family)) && seeded.contains(std::string(family))) << family;
    }
    EXPECT_EQ(seeded.size(), names<StimulusFamily>().size()) << "probes are stored as they are";
  }
}

TEST(CaptureProgram, names_unknown_instructions) {
  const CommandResult result = run_program(HALFULP_MMA_CAPTURE, {"--instruction", "mma"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("no instruction named 'mma' (mma_m16n8k16_f32_f16_f16, "), std::string::npos) << result.err;
}

}  // namespace
}  // namespace halfulp::cuda
