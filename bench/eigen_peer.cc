#include "bench/eigen_peer.h"

#include <Eigen/Core>

namespace halfulp {

void eigen_gemm(const float* a, const float* b, float* c, int m, int n, int k) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Input = Eigen::Map<const Matrix>;
  Eigen::Map<Matrix>(c, m, n).noalias() = Input(a, m, k) * Input(b, n, k).transpose();
}

}  // namespace halfulp
