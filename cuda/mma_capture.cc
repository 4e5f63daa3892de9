// Captures what matrix instructions of a GPU or of this processor compute, and compares it with the library's models.
//
// Exit code 0: everything asked for was done, and no compared output differs; 1: outputs differ; 2: no device, or
// something that cannot be done.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "cuda/capture_file.h"
#include "cuda/host.h"
#include "cuda/mma.h"
#include "cuda/probes.h"
#include "cuda/sass.h"
#include "cuda/stimulus.h"
#include "cuda/tiles.h"
#include "formats/matrix_unit.h"

namespace halfulp::cuda {
namespace {

struct Settings {
  std::vector<std::string> names;  // of instructions; none: all
  std::string out = "captures";
  std::string sass;   // a file; "": none
  std::string tool;   // the commit of this program
  uint64_t live = 0;  // outputs to compare per instruction; 0: none
  uint64_t seed = 1;  // live mode starts its tiles from seed + 1
  int repeats = 3;    // of every captured tile
  bool only_list = false;
  bool on_host = false;  // this processor's instructions
};

constexpr size_t kOutputsOfFamily = 4608;  // 36 tiles of 16 x 8; half as many would not kill all mutants (9.5)
constexpr size_t kExplicitOutputs = 512;   // of these, those whose inputs are stored too
constexpr size_t kLiveBatchOutputs = 1 << 20;
constexpr size_t kKeptTiles = 16;  // mismatching ones of a family, per instruction

using Runner = std::vector<uint8_t> (*)(const Instruction& instruction, const PackedTiles& tiles, int repeats);

// An instruction on the device at hand, and the model that should compute the same; nullptr: there is none.
struct Task {
  const Instruction& instruction;
  Runner run;
  const MatrixUnit* unit;
  Shape shape = shape_of(instruction);

  std::string unit_name() const { return unit == nullptr ? "" : unit->name; }
  size_t outputs_of_tile() const { return size_t(shape.m) * size_t(shape.n); }
  /// The fewest tiles with so many outputs.
  size_t tiles_with(size_t outputs) const { return (outputs + outputs_of_tile() - 1) / outputs_of_tile(); }
};

Task task_of(const Instruction& instruction, Runner run, int sm) {
  const std::string name = unit_name(instruction, sm);
  const auto unit = std::ranges::find(matrix_units(), name, &MatrixUnit::name);
  return {instruction, run, unit != matrix_units().end() && unit->k == instruction.k ? &*unit : nullptr};
}

// ---- running ----

Segment run_segment(const Task& task, std::string family, uint64_t seed, std::vector<Tile> tiles, int repeats) {
  Segment segment{.family = std::move(family), .seed = seed};
  segment.outputs =
      unpack_outputs(task.instruction, task.run(task.instruction, pack(task.instruction, tiles), repeats));
  for (Tile& tile : tiles) segment.tiles.push_back(recorded(task.instruction, std::move(tile)));
  return segment;
}

// Tiles of a family by their numbers.
Segment run_family(const Task& task, StimulusFamily family, uint64_t seed, uint64_t first, size_t count, int repeats) {
  Segment segment =
      run_segment(task, std::string(name(family)), seed, make_tiles(task.shape, family, seed, first, count), repeats);
  segment.first = first;
  return segment;
}

// Tiles whose outputs are not all what the unit computes, in order.
std::vector<size_t> differing_tiles(const Task& task, const Segment& segment) {
  const int count = int(segment.tiles.size());
  std::vector<uint8_t> differs(segment.tiles.size());
#pragma omp parallel for schedule(dynamic)
  for (int i = 0; i < count; ++i)
    differs[size_t(i)] =
        expected_outputs(*task.unit, task.shape, segment.tiles[size_t(i)]) != segment.outputs[size_t(i)];
  std::vector<size_t> indices;
  for (size_t i = 0; i < differs.size(); ++i)
    if (differs[i] != 0) indices.push_back(i);
  return indices;
}

// ---- reports ----

// The first output of a tile that differs.
void print_difference(const Task& task, const Segment& segment, size_t tile) {
  const std::vector<uint64_t> want = expected_outputs(*task.unit, task.shape, segment.tiles[tile]);
  const std::vector<uint64_t>& got = segment.outputs[tile];
  const size_t at = size_t(std::ranges::mismatch(want, got).in1 - want.begin());
  fmt::print("  {} seed {} tile {}: row {}, column {}: c {:x} gives {:x}, {} {:x}\n", segment.family, segment.seed,
             segment.first + tile, at / size_t(task.shape.n), at % size_t(task.shape.n), segment.tiles[tile].c[at],
             got[at], task.unit->name, want[at]);
}

// How many tiles of a segment differ; prints the first.
size_t report(const Task& task, const Segment& segment) {
  if (task.unit == nullptr) return 0;
  const std::vector<size_t> differing = differing_tiles(task, segment);
  if (!differing.empty()) {
    fmt::print("  {}: {} of {} tiles differ\n", segment.family, differing.size(), segment.tiles.size());
    print_difference(task, segment, differing.front());
  }
  return differing.size();
}

std::string read_text(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string target_of(const DeviceInfo& device) { return device.sm == 0 ? "" : fmt::format("sm_{}", device.sm); }

Provenance provenance_of(const Settings& settings, const Task& task, const DeviceInfo& device,
                         const std::string& sass) {
  KernelCode code = kernel_code(sass, task.instruction.name, device.sm);
  if (code.opcodes.empty()) code.opcodes = {"not recorded"};
  return {.instruction = std::string(task.instruction.ptx),
          .device = device.name,
          .sm = target_of(device),
          .driver = device.driver,
          .cuda = device.cuda,
          .ptxas = device.ptxas,
          .date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr))),
          .tool = settings.tool,
          .sass_opcodes = std::move(code.opcodes),
          .sass_sha256 = std::move(code.sha256)};
}

// A file that is there only when it is complete.
void write_file(const std::string& path, std::string_view bytes) {
  const std::string incomplete = path + ".part";
  std::ofstream file(incomplete, std::ios::binary);
  file << bytes;
  file.close();
  if (file && std::rename(incomplete.c_str(), path.c_str()) == 0) return;
  std::remove(incomplete.c_str());
  throw std::runtime_error(path + ": cannot be written");
}

void write_capture(const Settings& settings, const Task& task, const DeviceInfo& device, const std::string& sass,
                   std::string_view ending, std::vector<Segment> segments) {
  const std::string target = device.sm == 0 ? "" : "." + target_of(device);
  const std::string path = fmt::format("{}/{}{}{}", settings.out, task.instruction.name, target, ending);
  std::filesystem::create_directories(settings.out);
  write_file(path, capture_bytes({task.unit_name(), task.shape, provenance_of(settings, task, device, sass),
                                  std::move(segments)}));
  fmt::print("  wrote {}\n", path);
}

// ---- the two modes ----

// Enough random tiles of a family. All but the first are seeded where what is recorded is what was made.
void capture_family(const Settings& settings, const Task& task, StimulusFamily family, std::vector<Segment>& segments) {
  const size_t tiles = task.tiles_with(kOutputsOfFamily);
  const bool has_seeds = task.instruction.recorded == Recorded::AsGiven;
  const size_t stored = has_seeds ? std::min(task.tiles_with(kExplicitOutputs), tiles) : tiles;
  segments.push_back(run_family(task, family, settings.seed, 0, stored, settings.repeats));
  if (stored == tiles) return;
  segments.push_back(run_family(task, family, settings.seed, stored, tiles - stored, settings.repeats));
  segments.back().stored = Stored::Seeded;
}

// Directed probes and a set of tiles of each family, as a file.
size_t capture(const Settings& settings, const Task& task, const DeviceInfo& device, const std::string& sass) {
  std::vector<Segment> segments;
  for (Probe& probe : directed_probes(task.shape, task.unit == nullptr ? 0 : task.unit->fraction))
    segments.push_back(run_segment(task, probe.name, 0, std::move(probe.tiles), settings.repeats));
  for (const StimulusFamily family : kStimulusFamilies) capture_family(settings, task, family, segments);
  size_t differing = 0;
  for (const Segment& segment : segments) differing += report(task, segment);
  write_capture(settings, task, device, sass, ".bin", std::move(segments));
  return differing;
}

// Compares outputs until there are enough of them, the families taking turns; keeps tiles that differ.
size_t compare_live(const Settings& settings, const Task& task, const DeviceInfo& device, const std::string& sass) {
  if (task.unit == nullptr) {
    fmt::print("  no model to compare with\n");
    return 0;
  }
  const uint64_t seed = settings.seed + 1;
  const size_t batch = kLiveBatchOutputs / task.outputs_of_tile();
  std::vector<Segment> kept;
  for (const StimulusFamily family : kStimulusFamilies)
    kept.push_back({.family = std::string(name(family)), .seed = seed});
  uint64_t done = 0;
  size_t differing = 0;
  for (uint64_t turn = 0; done < settings.live; ++turn) {
    const size_t number = turn % std::size(kStimulusFamilies);
    const uint64_t first = turn / std::size(kStimulusFamilies) * batch;
    const Segment all = run_family(task, kStimulusFamilies[number], seed, first, batch, 1);
    for (const size_t tile : differing_tiles(task, all)) {
      if (differing++ == 0) print_difference(task, all, tile);
      if (kept[number].tiles.size() == kKeptTiles) continue;
      kept[number].tiles.push_back(all.tiles[tile]);
      kept[number].outputs.push_back(all.outputs[tile]);
    }
    done += batch * task.outputs_of_tile();
  }
  fmt::print("  {} outputs compared, {} tiles differ\n", done, differing);
  std::erase_if(kept, [](const Segment& segment) { return segment.tiles.empty(); });
  if (!kept.empty()) write_capture(settings, task, device, sass, ".differing.bin", std::move(kept));
  return differing;
}

const std::vector<Instruction>& rows(const Settings& settings) {
  return settings.on_host ? host_instructions() : instructions();
}

std::vector<const Instruction*> chosen(const Settings& settings) {
  std::vector<const Instruction*> all;
  for (const std::string& name : settings.names) all.push_back(&find_instruction(name, rows(settings)));
  if (all.empty())
    for (const Instruction& each : rows(settings)) all.push_back(&each);
  return all;
}

void list(const Settings& settings) {
  for (const Instruction& each : rows(settings)) fmt::print("{:<40} {}\n", each.name, each.ptx);
}

void print(const DeviceInfo& device) {
  fmt::print("{}", device.name);
  if (device.sm != 0) fmt::print(", sm_{}, {}, CUDA {}, ptxas {}", device.sm, device.driver, device.cuda, device.ptxas);
  fmt::print("\n");
}

int run(const Settings& settings) {
  const std::vector<const Instruction*> all = chosen(settings);
  const DeviceInfo device = settings.on_host ? host_info() : device_info();
  const std::string sass = read_text(settings.sass);
  print(device);
  size_t differing = 0;
  for (const Instruction* instruction : all) {
    const Task task = task_of(*instruction, settings.on_host ? run_host_tiles : run_tiles, device.sm);
    fmt::print("{} ({})\n", instruction->name, task.unit == nullptr ? "no unit" : task.unit->name);
    try {
      differing +=
          settings.live > 0 ? compare_live(settings, task, device, sass) : capture(settings, task, device, sass);
    } catch (const AbsentInstruction& absent) {
      fmt::print("  absent: {}\n", absent.what());
    }
  }
  return differing == 0 ? 0 : 1;
}

}  // namespace
}  // namespace halfulp::cuda

int main(int count, char** arguments) {
  using namespace halfulp::cuda;
  Settings settings;
  CLI::App app("Captures what matrix instructions compute, and compares it with the library's models.");
  app.add_flag("--list", settings.only_list, "list the instructions");
  app.add_flag("--host", settings.on_host, "instructions of this processor instead of a GPU's");
  app.add_option("--instruction", settings.names, "instructions to run; all unless given");
  app.add_option("--out", settings.out, "folder for captures")->capture_default_str();
  app.add_option("--sass", settings.sass,
                 "what `cuobjdump -sass` prints of this program: opcodes and a digest are recorded from it");
  app.add_option("--tool", settings.tool, "this program's commit, to be recorded");
  app.add_option("--live", settings.live, "compare this many outputs per instruction, and keep tiles that differ");
  app.add_option("--seed", settings.seed, "of the random tiles")->capture_default_str();
  app.add_option("--repeats", settings.repeats, "times each captured tile is run; all must agree")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, count, arguments);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // lines are seen as they come, also by pipes
  try {
    if (settings.only_list) {
      list(settings);
      return 0;
    }
    return run(settings);
  } catch (const std::exception& error) {
    fmt::print(stderr, "mma_capture: {}\n", error.what());
    return 2;
  }
}
