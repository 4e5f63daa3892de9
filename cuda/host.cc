#include "cuda/host.h"

#include <immintrin.h>

#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>

namespace halfulp::cuda {
namespace {

constexpr int kRows = 16, kLanes = 16;

// Each lane of 4 bytes: d = c + a · b, a the same in all.
using Step = void (*)(uint32_t a, const uint8_t* b, const uint8_t* c, uint8_t* d);

__attribute__((target("avx512f,avx512bf16"))) void vdpbf16ps(uint32_t a, const uint8_t* b, const uint8_t* c,
                                                             uint8_t* d) {
  const __m512bh x = (__m512bh)_mm512_set1_epi32(int(a)), y = (__m512bh)_mm512_loadu_si512(b);
  _mm512_storeu_ps(d, _mm512_dpbf16_ps(_mm512_loadu_ps(c), x, y));
}

__attribute__((target("avx512f,avx512vnni"))) void vpdpbusd(uint32_t a, const uint8_t* b, const uint8_t* c,
                                                            uint8_t* d) {
  const __m512i x = _mm512_set1_epi32(int(a)), y = _mm512_loadu_si512(b);
  _mm512_storeu_si512(d, _mm512_dpbusd_epi32(_mm512_loadu_si512(c), x, y));
}

struct HostInstruction {
  Step step;
  bool (*is_present)();
};

constexpr HostInstruction kHost[] = {{vdpbf16ps, [] { return __builtin_cpu_supports("avx512bf16") != 0; }},
                                     {vpdpbusd, [] { return __builtin_cpu_supports("avx512vnni") != 0; }}};

std::vector<uint8_t> run_once(Step step, const PackedTiles& tiles) {
  std::vector<uint8_t> d(tiles.c.size());
#pragma omp parallel for
  for (size_t tile = 0; tile < tiles.count; ++tile)
    for (size_t row = tile * kRows; row < (tile + 1) * kRows; ++row) {
      uint32_t a = 0;
      std::memcpy(&a, tiles.a.data() + row * sizeof a, sizeof a);
      const size_t lanes = kLanes * sizeof a;
      step(a, tiles.b.data() + tile * lanes, tiles.c.data() + row * lanes, d.data() + row * lanes);
    }
  return d;
}

}  // namespace

const std::vector<Instruction>& host_instructions() {
  static const std::vector<Instruction> all = {
      {"x86_vdpbf16ps", "VDPBF16PS", kRows, kLanes, 2, "bfloat16", "bfloat16", "binary32", "x86.vdpbf16ps",
       Recorded::AsGiven, 0},
      {"x86_vpdpbusd", "VPDPBUSD", kRows, kLanes, 4, "uint8", "int8", "int32", "x86.vpdpbusd", Recorded::AsGiven, 1}};
  return all;
}

DeviceInfo host_info() {
  constexpr std::string_view kKey = "model name";
  std::ifstream file("/proc/cpuinfo");
  std::string name = "unknown processor";
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(kKey)) {
      name = line.substr(std::min(line.find(": ") + 2, line.size()));
      break;
    }
  return {name, 0, "", "", ""};
}

std::vector<uint8_t> run_host_tiles(const Instruction& instruction, const PackedTiles& tiles, int repeats) {
  const HostInstruction& host = kHost[instruction.number];
  if (!host.is_present()) throw AbsentInstruction(std::string(instruction.name) + ": the processor lacks it");
  const std::vector<uint8_t> outputs = run_once(host.step, tiles);
  for (int i = 1; i < repeats; ++i)
    if (run_once(host.step, tiles) != outputs)
      throw std::runtime_error(std::string(instruction.name) + ": repeats differ");
  return outputs;
}

}  // namespace halfulp::cuda
