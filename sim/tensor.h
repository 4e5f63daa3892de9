// Dense row-major float32 matrices and the layers' elementary pieces, each forward beside its backward.
//
// Everything is a fixed sequence of IEEE operations: sums have a stated order, and exp, tanh, … are those of
// sim/elementary.h. So the bits depend on the inputs alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace halfulp {

struct Tensor {
  int rows = 0, cols = 0;
  std::vector<float> data;  // (rows, cols)

  Tensor() = default;
  Tensor(int r, int c) : rows(r), cols(c), data(size_t(r) * size_t(c)) {}

  std::span<float> row(int r) { return {data.data() + size_t(r) * size_t(cols), size_t(cols)}; }
  std::span<const float> row(int r) const { return {data.data() + size_t(r) * size_t(cols), size_t(cols)}; }
};

/// Sum of x: 16 running sums over the elements i, i + 16, …, then adjacent pairs, pairs of pairs, ….
float sum(std::span<const float> x);
/// Sum of a[i]·b[i], in the same order.
float dot(std::span<const float> a, std::span<const float> b);
/// Sum of x[i]^2 in double, in the same order.
double sum_of_squares(std::span<const float> x);

/// y += x
void add(std::span<const float> x, std::span<float> y);

/// sums[c] = sum over rows of x[r][c], r ascending.
void column_sums(const Tensor& x, std::span<float> sums);

enum class Activation { Relu, Gelu, GeluTanh };  // Gelu: x Φ(x) with erf; GeluTanh: its tanh approximation

/// y = f(x). `saved` gets what the backward needs.
void activate(Activation activation, const Tensor& x, Tensor& y, Tensor& saved);
/// dx = dy · f'(x)
void activate_backward(Activation activation, const Tensor& x, const Tensor& saved, const Tensor& dy, Tensor& dx);

/// Normalises every row to mean 0 and variance 1, then scales and shifts: y = (x - mean) / sqrt(var + 1e-5) · gain +
/// bias.
struct LayerNormCache {
  Tensor normalized;
  std::vector<float> inverse_deviation;  // per row
};
void layer_norm(const Tensor& x, std::span<const float> gain, std::span<const float> bias, Tensor& y,
                LayerNormCache& cache);
/// Adds to d_gain and d_bias.
void layer_norm_backward(const Tensor& dy, std::span<const float> gain, const LayerNormCache& cache, Tensor& dx,
                         std::span<float> d_gain, std::span<float> d_bias);

/// y[c] = exp(x[c] - max) / sum for the first `count` columns of a row, 0 for the others.
void softmax_row(std::span<const float> x, int count, std::span<float> y);
/// dx = y · (dy - sum(y · dy))
void softmax_row_backward(std::span<const float> y, std::span<const float> dy, std::span<float> dx);

/// Mean over rows of -log softmax(logits)[label]; d_logits is its gradient. `correct` counts rows whose largest logit
/// (the first of equals) is the label's.
double softmax_cross_entropy(const Tensor& logits, std::span<const int32_t> labels, Tensor& d_logits, int64_t& correct);

/// Mean of (prediction - target)^2 over rows of one column; d_prediction is its gradient.
double mean_squared_error(const Tensor& prediction, std::span<const float> targets, Tensor& d_prediction);

/// In place on every run of `size` (a power of two) numbers: the Sylvester Hadamard matrix over sqrt(size).
void hadamard(std::span<float> x, int size);

}  // namespace halfulp
