// The same product by Eigen, in a file of its own because it is compiled for the machine that measures.
#pragma once

namespace halfulp {

/// c = a b^T for row-major a (m, k), b (n, k), c (m, n), on one thread.
void eigen_gemm(const float* a, const float* b, float* c, int m, int n, int k);

}  // namespace halfulp
