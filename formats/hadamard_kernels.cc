#include "formats/hadamard_kernels.h"

#include <cstddef>
#include <cstdint>

#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {
namespace {

// What stays in registers; runs that are longer are put together from runs of this length.
constexpr int kInRegisters = 128;

template <int... kIndex>
struct Lanes {};
template <int kCount, int... kIndex>
struct Count : Count<kCount - 1, kCount - 1, kIndex...> {};
template <int... kIndex>
struct Count<0, kIndex...> {
  using Type = Lanes<kIndex...>;
};
using AllLanes = Count<int(kLanes)>::Type;

// Each lane gets the one that is kDistance away, and the sign with which its own number is added to that.
template <int kDistance, int... kIndex>
HALFULP_INLINE F32 partners(F32 x, Lanes<kIndex...>) {
  return __builtin_shufflevector(x, x, (kIndex ^ kDistance)...);
}
template <int kDistance, int... kIndex>
HALFULP_INLINE F32 own_signs(Lanes<kIndex...>) {
  return F32{((kIndex & kDistance) != 0 ? -1.0f : 1.0f)...};
}

template <int kDistance>
HALFULP_INLINE F32 stage(F32 x) {
  return multiply_add(x, own_signs<kDistance>(AllLanes{}), partners<kDistance>(x, AllLanes{}));
}

// The stages up to a distance of kSize / 2 of the kVectors vectors at `v`.
template <int kSize, int kVectors, int kDistance = 1>
HALFULP_INLINE void stages(F32* v) {
  if constexpr (kDistance < kSize) {
    if constexpr (kDistance < int(kLanes)) {
#pragma GCC unroll 32
      for (int i = 0; i < kVectors; ++i) v[i] = stage<kDistance>(v[i]);
    } else {
      constexpr int kApart = kDistance / int(kLanes);
#pragma GCC unroll 32
      for (int i = 0; i < kVectors; ++i) {
        if ((i & kApart) != 0) continue;
        const F32 a = v[i], b = v[i + kApart];
        v[i] = a + b;
        v[i + kApart] = a - b;
      }
    }
    stages<kSize, kVectors, 2 * kDistance>(v);
  }
}

HALFULP_INLINE F32 flipped(F32 x, const uint32_t* flips) { return float_of(bits_of(x) ^ load<I32>(flips)); }

// Runs of kSize numbers, `count` of these a multiple of the vector's and of the run's. The flips are those of
// max(kSize, kLanes) numbers.
template <int kSize, bool kFlips>
[[gnu::noinline]] void transform(const HadamardJob& job, const float* x, float* y, size_t count) {
  constexpr int kVectors = kSize > int(kLanes) ? kSize / int(kLanes) : 1;
  const F32 factor = float_of(splat(bits_of(job.factor)));
  for (size_t start = 0; start < count; start += kVectors * kLanes) {
    F32 v[kVectors];
#pragma GCC unroll 32
    for (int i = 0; i < kVectors; ++i) v[i] = load<F32>(x + start + size_t(i) * kLanes);
    if constexpr (kFlips)
#pragma GCC unroll 32
      for (int i = 0; i < kVectors; ++i) v[i] = flipped(v[i], job.flips_before + size_t(i) * kLanes);
    stages<kSize, kVectors>(v);
#pragma GCC unroll 32
    for (int i = 0; i < kVectors; ++i) v[i] = v[i] * factor;
    if constexpr (kFlips)
#pragma GCC unroll 32
      for (int i = 0; i < kVectors; ++i) v[i] = flipped(v[i], job.flips_after + size_t(i) * kLanes);
#pragma GCC unroll 32
    for (int i = 0; i < kVectors; ++i) store(y + start + size_t(i) * kLanes, v[i]);
  }
}

// `flips` for every number of kInRegisters, or zeros.
template <int kSize>
void spread(const uint32_t* flips, uint32_t (&spread_flips)[kInRegisters]) {
  for (int i = 0; i < kInRegisters; ++i) spread_flips[i] = flips == nullptr ? 0 : flips[i % kSize];
}

// Runs of kSize numbers. What does not fill a vector passes through one that zeros fill up.
template <int kSize>
void transform_runs(const HadamardJob& job, const float* x, float* y, size_t count) {
  constexpr size_t kStep = kSize > int(kLanes) ? kSize : kLanes;
  HadamardJob spread_job = job;
  uint32_t before[kInRegisters], after[kInRegisters];
  const bool flips = job.flips_before != nullptr || job.flips_after != nullptr;
  if (flips) {
    spread<kSize>(job.flips_before, before);
    spread<kSize>(job.flips_after, after);
    spread_job.flips_before = before;
    spread_job.flips_after = after;
  }
  const auto run = [&](const float* from, float* to, size_t size) {
    if (flips) return transform<kSize, true>(spread_job, from, to, size);
    return transform<kSize, false>(spread_job, from, to, size);
  };
  const size_t whole = count / kStep * kStep, rest = count - whole;
  run(x, y, whole);
  if (rest == 0) return;
  float tail[kStep] = {};
  __builtin_memcpy(tail, x + whole, rest * sizeof *x);
  run(tail, tail, kStep);
  __builtin_memcpy(y + whole, tail, rest * sizeof *x);
}

// Runs longer than kInRegisters: in memory from there on.
[[gnu::noinline]] void transform_long_runs(const HadamardJob& job, const float* x, float* y, size_t count) {
  const size_t size = size_t(job.size);
  HadamardJob part = job;
  part.factor = 1;
  part.flips_after = nullptr;
  for (size_t start = 0; start < count; start += size) {
    float* const run = y + start;
    for (size_t at = 0; at < size; at += kInRegisters) {
      if (job.flips_before != nullptr) part.flips_before = job.flips_before + at;
      transform_runs<kInRegisters>(part, x + start + at, run + at, kInRegisters);
    }
    for (size_t distance = kInRegisters; distance < size; distance *= 2)
      for (size_t group = 0; group < size; group += 2 * distance)
        for (size_t i = group; i < group + distance; i += kLanes) {
          const F32 a = load<F32>(run + i), b = load<F32>(run + i + distance);
          store(run + i, a + b);
          store(run + i + distance, a - b);
        }
    for (size_t i = 0; i < size; i += kLanes) {
      const F32 scaled = load<F32>(run + i) * job.factor;
      store(run + i, job.flips_after == nullptr ? scaled : flipped(scaled, job.flips_after + i));
    }
  }
}

}  // namespace

void hadamard_runs(const HadamardJob& job, const float* x, float* y, size_t count) {
  const FloatControl control;
  switch (job.size) {
    case 1: return transform_runs<1>(job, x, y, count);
    case 2: return transform_runs<2>(job, x, y, count);
    case 4: return transform_runs<4>(job, x, y, count);
    case 8: return transform_runs<8>(job, x, y, count);
    case 16: return transform_runs<16>(job, x, y, count);
    case 32: return transform_runs<32>(job, x, y, count);
    case 64: return transform_runs<64>(job, x, y, count);
    case 128: return transform_runs<128>(job, x, y, count);
    default: return transform_long_runs(job, x, y, count);
  }
}

}  // namespace halfulp::HALFULP_ISA
