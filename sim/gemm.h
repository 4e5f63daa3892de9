// Matrix products for training: one primitive, with one answer.
//
// Shapes: m rows of C, n columns of C, k terms per output. Every matrix is row-major and dense, and both operands keep
// the reduction dimension contiguous ("NT" form):
//
//   c[i * n + j] = sum over t = 0 … k-1 of a[i * k + t] * b[j * k + t]        a: (m, k)   b: (n, k)   c: (m, n)
//
// Order: each output is one chain of fused multiply-adds, t ascending, from +0: c = fma(a[t], b[t], c) (IEEE 754-2019
// section 5.4.1, fusedMultiplyAdd, ties to even). The reduction is never split, so an output depends on its own row
// and column only and has the same bits on every machine. IEEE 754 leaves the sign and payload of a NaN open; an
// output that is NaN is the code 0x7fc00000.
//
// Nothing here starts a thread: runs are what is parallel. The first call of a thread allocates its packing buffer.
#pragma once

#include <span>

namespace halfulp {

/// c = a b^T. `c` overlaps neither operand.
void gemm(std::span<const float> a, std::span<const float> b, std::span<float> c, int m, int n, int k);

/// c = c + a b^T: the chain of each output starts from the value that is there.
void gemm_accumulate(std::span<const float> a, std::span<const float> b, std::span<float> c, int m, int n, int k);

/// out[j * rows + i] = in[i * columns + j], every bit kept: how an operand comes into NT form. No overlap.
void transpose(std::span<const float> in, std::span<float> out, int rows, int columns);

}  // namespace halfulp
