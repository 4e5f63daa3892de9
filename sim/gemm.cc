#include "sim/gemm.h"

#include <cassert>
#include <cstddef>
#include <memory>
#include <new>

#include "formats/isa.h"
#include "sim/gemm_kernels.h"

namespace halfulp {
namespace {

constexpr std::align_val_t kCacheLine{64};

struct Release {
  void operator()(float* block) const { ::operator delete[](block, kCacheLine); }
};

// One buffer per thread rather than an argument: a run is one thread, all its products share the same warm pages, and
// no layer has to hand a workspace down.
float* workspace() {
  thread_local const std::unique_ptr<float[], Release> block(
      static_cast<float*>(::operator new[](kGemmWorkspace * sizeof(float), kCacheLine)));
  return block.get();  // NOLINT(clang-analyzer-cplusplus.NewDelete): it lives as long as its thread
}

GemmKernel* gemm_kernel() {
  switch (active_isa()) {
    case Isa::Portable: return portable::gemm;
    case Isa::Avx2: return avx2::gemm;
    case Isa::Avx512: return avx512::gemm;
  }
  return nullptr;
}

TransposeKernel* transpose_kernel() {
  switch (active_isa()) {
    case Isa::Portable: return portable::transpose;
    case Isa::Avx2: return avx2::transpose;
    case Isa::Avx512: return avx512::transpose;
  }
  return nullptr;
}

// Whether `size` floats are a dense rows x columns matrix.
[[maybe_unused]] bool holds(std::size_t size, int rows, int columns) {
  return rows >= 0 && columns >= 0 && size == std::size_t(rows) * std::size_t(columns);
}

void run(std::span<const float> a, std::span<const float> b, std::span<float> c, int m, int n, int k, bool accumulate) {
  assert(holds(a.size(), m, k));
  assert(holds(b.size(), n, k));
  assert(holds(c.size(), m, n));
  static GemmKernel* const kernel = gemm_kernel();
  kernel(a.data(), b.data(), c.data(), m, n, k, accumulate, workspace());
}

}  // namespace

void gemm(std::span<const float> a, std::span<const float> b, std::span<float> c, int m, int n, int k) {
  run(a, b, c, m, n, k, false);
}

void gemm_accumulate(std::span<const float> a, std::span<const float> b, std::span<float> c, int m, int n, int k) {
  run(a, b, c, m, n, k, true);
}

void transpose(std::span<const float> in, std::span<float> out, int rows, int columns) {
  assert(holds(in.size(), rows, columns));
  assert(out.size() == in.size());
  static TransposeKernel* const kernel = transpose_kernel();
  kernel(in.data(), out.data(), rows, columns);
}

}  // namespace halfulp
