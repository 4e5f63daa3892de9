#include "cuda/host.h"

#include <cpuid.h>
#include <fmt/format.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace halfulp::cuda {
namespace {

constexpr int kRows = 16, kColumns = 16;
constexpr int kGroupBytes = 4;                      // of a row of A, or of a column of B, that a lane takes at once
constexpr int kLineBytes = kColumns * kGroupBytes;  // of a row of C and D

// One tile, all pointers to its start.
using RunTile = void (*)(const uint8_t* a, const uint8_t* b, const uint8_t* c, uint8_t* d);

int group(const uint8_t* bytes) {
  int value = 0;
  std::memcpy(&value, bytes, kGroupBytes);
  return value;
}

// ---- AVX-512: a row of A in every lane, the columns of B in the lanes ----

__attribute__((target("avx512f,avx512bf16"))) void vdpbf16ps(const uint8_t* a, const uint8_t* b, const uint8_t* c,
                                                             uint8_t* d) {
  for (int row = 0; row < kRows; ++row) {
    const __m512bh x = (__m512bh)_mm512_set1_epi32(group(a + row * kGroupBytes)), y = (__m512bh)_mm512_loadu_si512(b);
    _mm512_storeu_ps(d + row * kLineBytes, _mm512_dpbf16_ps(_mm512_loadu_ps(c + row * kLineBytes), x, y));
  }
}

__attribute__((target("avx512f,avx512vnni"))) void vpdpbusd(const uint8_t* a, const uint8_t* b, const uint8_t* c,
                                                            uint8_t* d) {
  for (int row = 0; row < kRows; ++row) {
    const __m512i x = _mm512_set1_epi32(group(a + row * kGroupBytes)), y = _mm512_loadu_si512(b);
    _mm512_storeu_si512(d + row * kLineBytes, _mm512_dpbusd_epi32(_mm512_loadu_si512(c + row * kLineBytes), x, y));
  }
}

// ---- AMX: tiles of 16 rows of 64 bytes; B's rows are groups of k, its lines the columns ----

constexpr int kTileBytes = kRows * kLineBytes;

struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t line_bytes[16] = {kLineBytes, kLineBytes, kLineBytes};
  uint8_t rows[16] = {kRows, kRows, kRows};
};

// Columns of B, 16 groups each, to rows of groups.
void store_groups(const uint8_t* b, uint8_t* to) {
  for (int column = 0; column < kColumns; ++column)
    for (int row = 0; row < kRows; ++row)
      std::memcpy(to + row * kLineBytes + column * kGroupBytes, b + column * kLineBytes + row * kGroupBytes,
                  kGroupBytes);
}

// GCC 12 does not know that the tile instructions read and write memory.
#define HALFULP_AMX(name, feature, instruction)                                                                \
  __attribute__((target("amx-tile," feature))) void name(const uint8_t* a, const uint8_t* b, const uint8_t* c, \
                                                         uint8_t* d) {                                         \
    const TileConfiguration configuration;                                                                     \
    alignas(64) uint8_t b_rows[kTileBytes];                                                                    \
    store_groups(b, b_rows);                                                                                   \
    asm volatile("" : : "r"(b_rows), "r"(&configuration) : "memory");                                          \
    _tile_loadconfig(&configuration);                                                                          \
    _tile_loadd(0, c, kLineBytes);                                                                             \
    _tile_loadd(1, a, kLineBytes);                                                                             \
    _tile_loadd(2, b_rows, kLineBytes);                                                                        \
    instruction(0, 1, 2);                                                                                      \
    _tile_stored(0, d, kLineBytes);                                                                            \
    _tile_release();                                                                                           \
    asm volatile("" : : : "memory");                                                                           \
  }
HALFULP_AMX(tdpbf16ps, "amx-bf16", _tile_dpbf16ps)
HALFULP_AMX(tdpbssd, "amx-int8", _tile_dpbssd)
#undef HALFULP_AMX

// CPUID leaf 7, EDX: the bit of AMX-TILE and another; and Linux gives the registers to this process when asked.
bool has_amx(int feature_bit) {
  constexpr int kTileBit = 24, kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XTILEDATA
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx >> kTileBit & 1) == 0 || (edx >> feature_bit & 1) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

struct HostInstruction {
  RunTile run;
  bool (*is_present)();
};

constexpr HostInstruction kHost[] = {{vdpbf16ps, [] { return __builtin_cpu_supports("avx512bf16") != 0; }},
                                     {vpdpbusd, [] { return __builtin_cpu_supports("avx512vnni") != 0; }},
                                     {tdpbf16ps, [] { return has_amx(22); }},
                                     {tdpbssd, [] { return has_amx(25); }}};

std::vector<uint8_t> run_once(RunTile run, const PackedTiles& tiles) {
  std::vector<uint8_t> d(tiles.c.size());
  const size_t a_bytes = tiles.a.size() / tiles.count, b_bytes = tiles.b.size() / tiles.count;
#pragma omp parallel for
  for (size_t tile = 0; tile < tiles.count; ++tile)
    run(tiles.a.data() + tile * a_bytes, tiles.b.data() + tile * b_bytes, tiles.c.data() + tile * kTileBytes,
        d.data() + tile * kTileBytes);
  return d;
}

// What Linux says of the first processor, or "unknown".
std::string cpu_fact(std::string_view key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = std::min(line.find(':'), line.size());
    if (line.substr(0, line.find_last_not_of("\t ", colon - 1) + 1) == key)
      return line.substr(std::min(colon + 2, line.size()));
  }
  return "unknown";
}

}  // namespace

const std::vector<Instruction>& host_instructions() {
  static const std::vector<Instruction> all = {
      {"x86_vdpbf16ps", "VDPBF16PS", kRows, kColumns, 2, "bfloat16", "bfloat16", "binary32", "x86.vdpbf16ps",
       Recorded::AsGiven, 0},
      {"x86_vpdpbusd", "VPDPBUSD", kRows, kColumns, 4, "uint8", "int8", "int32", "x86.vpdpbusd", Recorded::AsGiven, 1},
      {"x86_tdpbf16ps", "TDPBF16PS", kRows, kColumns, 32, "bfloat16", "bfloat16", "binary32", "x86.tdpbf16ps",
       Recorded::AsGiven, 2},
      {"x86_tdpbssd", "TDPBSSD", kRows, kColumns, 64, "int8", "int8", "int32", "x86.tdpbssd", Recorded::AsGiven, 3}};
  return all;
}

DeviceInfo host_info() {
  return {fmt::format("{}, family {}, model {}, stepping {}", cpu_fact("model name"), cpu_fact("cpu family"),
                      cpu_fact("model"), cpu_fact("stepping")),
          0, "", "", ""};
}

std::vector<uint8_t> run_host_tiles(const Instruction& instruction, const PackedTiles& tiles, int repeats) {
  const HostInstruction& host = kHost[instruction.number];
  if (!host.is_present()) throw AbsentInstruction(std::string(instruction.name) + ": the processor lacks it");
  const std::vector<uint8_t> outputs = run_once(host.run, tiles);
  for (int i = 1; i < repeats; ++i)
    if (run_once(host.run, tiles) != outputs)
      throw std::runtime_error(std::string(instruction.name) + ": repeats differ");
  return outputs;
}

}  // namespace halfulp::cuda
