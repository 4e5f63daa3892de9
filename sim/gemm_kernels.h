// The copies of sim/gemm.h per instruction set, for the function that chooses one and for the test that compares them.
// Calling a copy whose instructions the machine lacks is undefined.
#pragma once

#include <cstddef>

namespace halfulp {

inline constexpr std::size_t kGemmWorkspace =
    std::size_t{512} * 256;  // [floats] packed columns of b times depth: 512 KiB, half an L2

/// Operands as in gemm(); `workspace` holds kGemmWorkspace floats, aligned to 64 bytes, with any content.
using GemmKernel = void(const float* a, const float* b, float* c, int m, int n, int k, bool accumulate,
                        float* workspace);
using TransposeKernel = void(const float* in, float* out, int rows, int columns);

namespace portable {
GemmKernel gemm;
TransposeKernel transpose;
}  // namespace portable

namespace avx2 {
GemmKernel gemm;
TransposeKernel transpose;
}  // namespace avx2

namespace avx512 {
GemmKernel gemm;
TransposeKernel transpose;
}  // namespace avx512

}  // namespace halfulp
