// The training GEMM beside its peers and the machine's limit.
//
// Every round runs ours, each peer and a register-only FMA loop once, one after the other, so that all of them meet
// the same clock and the same neighbours; the best of all rounds counts. The counters are
// GFLOP/s and ratios: `of_peer` to the fastest peer of this shape, `of_peak` to the FMA loop. The reported time is
// ours.
#include "sim/gemm.h"

#include <benchmark/benchmark.h>
#include <fmt/core.h>
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "formats/isa.h"
#include "formats/philox.h"

#ifdef HALFULP_HAS_EIGEN
#include "bench/eigen_peer.h"
#endif
#ifdef HALFULP_HAS_OPENBLAS
#include <cblas.h>
#endif

namespace halfulp {
namespace {

struct Shape {
  int m, n, k;
  double flops() const { return 2.0 * m * n * k; }
};

constexpr Shape kCubes[] = {{64, 64, 64}, {128, 128, 128}, {256, 256, 256}, {512, 512, 512}, {1024, 1024, 1024}};

// What the tasks multiply: forward, input-gradient and weight-gradient products of small MLPs and transformers.
constexpr Shape kTraining[] = {{256, 64, 32},  {256, 64, 64},    {64, 10, 128},    {128, 10, 128},  {10, 128, 128},
                               {128, 128, 10}, {128, 128, 784},  {128, 784, 128},  {32, 128, 784},  {1024, 64, 64},
                               {64, 64, 1024}, {2048, 128, 512}, {2048, 512, 128}, {128, 512, 2048}};

// Products with hardly anything to reuse.
constexpr Shape kThin[] = {{256, 1, 64}, {4096, 1, 256}, {1, 64, 256}, {1, 4096, 256}, {2048, 3, 128}, {256, 64, 1}};

std::vector<float> matrix(int rows, int columns, uint32_t site) {
  std::vector<float> values(std::size_t(rows) * columns);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = float(int32_t(random_word({.stream = Stream::Data, .site = site}, uint32_t(i)))) * 0x1p-31f;
  return values;
}

constexpr int kRounds = 100;

// Sixteen independent chains of multiply-adds: enough to fill two units of latency four. Return GFLOP done.
constexpr int kPeakSteps = 4096;

[[gnu::target("avx512f")]] double fma_loop_avx512() {
  __m512 sum[16];
  for (__m512& x : sum) x = _mm512_set1_ps(1.0f);
  const __m512 factor = _mm512_set1_ps(0.5f);
  for (int step = 0; step < kPeakSteps; ++step) {
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) sum[i] = _mm512_fmadd_ps(sum[i], factor, factor);
  }
  for (__m512& x : sum) benchmark::DoNotOptimize(x);
  return 2e-9 * kPeakSteps * 16 * 16;
}

[[gnu::target("avx2,fma")]] double fma_loop_avx2() {
  __m256 sum[12];
  for (__m256& x : sum) x = _mm256_set1_ps(1.0f);
  const __m256 factor = _mm256_set1_ps(0.5f);
  for (int step = 0; step < kPeakSteps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = _mm256_fmadd_ps(sum[i], factor, factor);
  }
  for (__m256& x : sum) benchmark::DoNotOptimize(x);
  return 2e-9 * kPeakSteps * 12 * 8;
}

double fma_loop() { return __builtin_cpu_supports("avx512f") ? fma_loop_avx512() : fma_loop_avx2(); }

// The shortest time of one call of `work`, measured in batches that last long enough for the clock.
class Stopwatch {
 public:
  explicit Stopwatch(int batch) : batch_(batch) {}

  template <class Work>
  double measure(Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < batch_; ++i) work();
    const std::chrono::duration<double> batch = std::chrono::steady_clock::now() - start;
    const double seconds = batch.count() / batch_;
    best_ = std::min(best_, seconds);
    return seconds;
  }

  double best() const { return best_; }

 private:
  int batch_;
  double best_ = std::numeric_limits<double>::infinity();
};

void run(benchmark::State& state, Shape s) {
  const std::vector<float> a = matrix(s.m, s.k, 0), b = matrix(s.n, s.k, 1);
  std::vector<float> c(std::size_t(s.m) * s.n);
  const int batch = 1 + int(4e6 / s.flops());
  Stopwatch ours(batch), peak(16);
  double peak_gflop = 0.0;
#ifdef HALFULP_HAS_EIGEN
  Stopwatch eigen(batch);
#endif
#ifdef HALFULP_HAS_OPENBLAS
  Stopwatch openblas(batch);
  openblas_set_num_threads(1);
#endif
  for (auto _ : state) {
    state.SetIterationTime(ours.measure([&] { gemm(a, b, c, s.m, s.n, s.k); }));
#ifdef HALFULP_HAS_EIGEN
    eigen.measure([&] { eigen_gemm(a.data(), b.data(), c.data(), s.m, s.n, s.k); });
#endif
#ifdef HALFULP_HAS_OPENBLAS
    openblas.measure([&] {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, s.m, s.n, s.k, 1.0f, a.data(), s.k, b.data(), s.k, 0.0f,
                  c.data(), s.n);
    });
#endif
    peak.measure([&] { peak_gflop = fma_loop(); });
  }
  const double gflop = 1e-9 * s.flops();
  double best_peer = 0.0;
  state.counters["ours"] = gflop / ours.best();
#ifdef HALFULP_HAS_EIGEN
  state.counters["eigen"] = gflop / eigen.best();
  best_peer = std::max(best_peer, gflop / eigen.best());
#endif
#ifdef HALFULP_HAS_OPENBLAS
  state.counters["openblas"] = gflop / openblas.best();
  best_peer = std::max(best_peer, gflop / openblas.best());
#endif
  if (best_peer > 0.0) state.counters["of_peer"] = gflop / ours.best() / best_peer;
  state.counters["of_peak"] = gflop / ours.best() / (peak_gflop / peak.best());
}

void run_transpose(benchmark::State& state, int rows, int columns) {
  const std::vector<float> in = matrix(rows, columns, 0);
  std::vector<float> out(in.size());
  const int batch = 1 + int(1'000'000 / in.size());
  Stopwatch ours(batch), copy(batch);
  for (auto _ : state) {
    state.SetIterationTime(ours.measure([&] { transpose(in, out, rows, columns); }));
    copy.measure([&] {
      std::copy(in.begin(), in.end(), out.begin());
      benchmark::ClobberMemory();
    });
  }
  state.counters["ns_per_element"] = 1e9 * ours.best() / double(in.size());
  state.counters["of_copy"] = copy.best() / ours.best();
}

void add(const char* group, std::span<const Shape> shapes) {
  for (const Shape& s : shapes)
    benchmark::RegisterBenchmark(fmt::format("gemm/{}/{}x{}x{}", group, s.m, s.n, s.k).c_str(), run, s)
        ->UseManualTime()
        ->Iterations(kRounds);
}

}  // namespace
}  // namespace halfulp

int main(int argc, char** argv) {
  using namespace halfulp;
  benchmark::AddCustomContext("halfulp_isa", name(active_isa()));
#ifdef HALFULP_HAS_OPENBLAS
  benchmark::AddCustomContext("openblas_core", openblas_get_corename());
#endif
  add("cube", kCubes);
  add("training", kTraining);
  add("thin", kThin);
  for (int size : {64, 128, 500, 512, 1024})
    benchmark::RegisterBenchmark(fmt::format("transpose/{0}x{0}", size).c_str(), run_transpose, size, size)
        ->UseManualTime()
        ->Iterations(kRounds);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
