// Block quantisers and the Hadamard transform beside their peers and what only moving the data takes.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/block_peers.h"
#include "bench/cast_peers.h"
#include "bench/race.h"
#include "formats/block.h"
#include "formats/hadamard.h"

namespace halfulp {
namespace {

constexpr size_t kShift = 2048 + 64;  // between the places of an input and its output in their pages
constexpr int kCols = 4096;           // of the arrays; a race's shorter runs are whole rows too

/// The arrays of one race.
struct Arrays {
  size_t count;
  Buffer input, output, small;

  explicit Arrays(size_t bytes)
      : count(bytes / sizeof(float)), input(bytes, 0), output(bytes, kShift), small(bytes / 8 + 4096, kShift) {
    fill_with_exponents({x(), count}, -4, 3);
    std::fill_n(y(), count, 0.0f);
  }

  float* x() const { return input.as<float>(); }
  float* y() const { return output.as<float>(); }
};

/// A quantiser and its ways over the first numbers of arrays.
class Quantiser {
 public:
  Quantiser(const char* format, std::optional<ScaleRule> rule, Rounding rounding = Rounding::TiesToEven, int bits = 0)
      : quantizer_(make_block_format(format, rule), rounding, bits) {}

  void to_values(const Arrays& a, size_t n, const Hadamard* transform = nullptr) const {
    quantizer_.quantize({a.x(), n}, {a.y(), n}, rows(n), cols(n), {}, nullptr, transform);
  }
  void to_codes(const Arrays& a, size_t n) const {
    quantizer_.quantize_packed({a.x(), n}, {a.output.as<uint8_t>(), quantizer_.packed_codes(rows(n), cols(n))},
                               {a.small.as<uint8_t>(), quantizer_.packed_scales(rows(n), cols(n))}, rows(n), cols(n));
  }
  void from_codes(const Arrays& a, size_t n) const {
    quantizer_.unpack({a.input.as<uint8_t>(), quantizer_.packed_codes(rows(n), cols(n))},
                      {a.small.as<uint8_t>(), quantizer_.packed_scales(rows(n), cols(n))}, {a.y(), n}, rows(n),
                      cols(n));
  }

 private:
  static int cols(size_t n) { return int(std::min(n, size_t{kCols})); }
  static int rows(size_t n) { return int(n / size_t(cols(n))); }

  BlockQuantizer quantizer_;
};

const Quantiser kMxfp4("mxfp4", ScaleRule::Floor), kNvfp4("nvfp4", {}), kMxfp8("mxfp8_e4m3", ScaleRule::Rceil),
    kMxint8("mxint8", ScaleRule::Floor), kMxfp4Random("mxfp4", ScaleRule::Floor, Rounding::StochasticA, 8),
    kNvfp4Random("nvfp4", {}, Rounding::StochasticA, 8);

void race_values(benchmark::State& state, size_t bytes) {
  const Arrays a(bytes);
  Race race(a.count);
  race.add(Role::Limit, "copy", [&](size_t n) { stream_copy(a.x(), a.y(), n); });
  race.add(Role::Ours, "mxfp4", [&](size_t n) { kMxfp4.to_values(a, n); });
  race.add(Role::Variant, "nvfp4", [&](size_t n) { kNvfp4.to_values(a, n); });
  race.add(Role::Variant, "mxfp8_e4m3", [&](size_t n) { kMxfp8.to_values(a, n); });
  race.add(Role::Variant, "mxint8", [&](size_t n) { kMxint8.to_values(a, n); });
  race.add(Role::Variant, "mxfp4 stochastic/8", [&](size_t n) { kMxfp4Random.to_values(a, n); });
  race.add(Role::Variant, "nvfp4 stochastic/8", [&](size_t n) { kNvfp4Random.to_values(a, n); });
  run_race(state, race);
}

void race_codes(benchmark::State& state, size_t bytes) {
  const Arrays a(bytes);
  Race race(a.count);
  race.add(Role::Limit, "stream to bytes", [&](size_t n) { stream_to_bytes(a.x(), a.output.as<uint8_t>(), n); });
  race.add(Role::Ours, "mxfp4", [&](size_t n) { kMxfp4.to_codes(a, n); });
  race.add(Role::Variant, "nvfp4", [&](size_t n) { kNvfp4.to_codes(a, n); });
  race.add(Role::Variant, "mxfp8_e4m3", [&](size_t n) { kMxfp8.to_codes(a, n); });
  if (__builtin_cpu_supports("avx2"))
    race.add(Role::Peer, "int8 rows, AVX2",
             [&](size_t n) { quantize_int8_rows(a.x(), a.output.as<int8_t>(), a.small.as<float>(), n); });
  run_race(state, race);
}

void race_unpacked(benchmark::State& state, size_t bytes) {
  const Arrays a(bytes);
  kMxfp4.to_codes(a, a.count);
  std::copy_n(a.output.as<uint8_t>(), a.count / 2, a.input.as<uint8_t>());
  Race race(a.count);
  race.add(Role::Limit, "stream from bytes", [&](size_t n) { stream_from_bytes(a.input.as<uint8_t>(), a.y(), n); });
  race.add(Role::Ours, "mxfp4", [&](size_t n) { kMxfp4.from_codes(a, n); });
  run_race(state, race);
}

void race_hadamard(benchmark::State& state, size_t bytes) {
  const Arrays a(bytes);
  const Hadamard of_16(16), of_32(32), of_128(128);
  const auto apply = [&a](const Hadamard& hadamard) {
    return [&](size_t n) { hadamard.apply({a.x(), n}, {a.y(), n}); };
  };
  Race race(a.count);
  race.add(Role::Limit, "copy", [&](size_t n) { stream_copy(a.x(), a.y(), n); });
  race.add(Role::Ours, "16 points", apply(of_16));
  race.add(Role::Variant, "32 points", apply(of_32));
  race.add(Role::Variant, "128 points", apply(of_128));
  race.add(Role::Peer, "loop, 16 points", [&](size_t n) { hadamard_loop(a.x(), a.y(), 16, n); });
  run_race(state, race);
}

void race_transformed(benchmark::State& state, size_t bytes) {
  const Arrays a(bytes);
  const Hadamard of_16(16), of_32(32);
  Race race(a.count);
  race.add(Role::Limit, "mxfp4 alone", [&](size_t n) { kMxfp4.to_values(a, n); });
  race.add(Role::Ours, "32 points, then mxfp4", [&](size_t n) { kMxfp4.to_values(a, n, &of_32); });
  race.add(Role::Variant, "16 points, then nvfp4", [&](size_t n) { kNvfp4.to_values(a, n, &of_16); });
  race.add(Role::Variant, "nvfp4 alone", [&](size_t n) { kNvfp4.to_values(a, n); });
  run_race(state, race);
}

using Work = std::function<void(benchmark::State&, size_t bytes)>;

void add(const std::string& name, const Work& work, size_t bytes) {
  benchmark::RegisterBenchmark(fmt::format("{}/{}", name, size_text(bytes)).c_str(), work, bytes)
      ->UseManualTime()
      ->Iterations(race_rounds(bytes));
}

void add_all() {
  for (const size_t bytes : kRaceBytes) {
    add("quantize", race_values, bytes);
    add("quantize_packed", race_codes, bytes);
    add("unpack", race_unpacked, bytes);
    add("transform_and_quantize", race_transformed, bytes);
    add("hadamard", race_hadamard, bytes);
  }
  add("hadamard", race_hadamard, size_t{256} << 10);  // level 2 cache
}

}  // namespace
}  // namespace halfulp

int main(int argc, char** argv) {
  halfulp::add_all();
  return halfulp::run_races(argc, argv);
}
