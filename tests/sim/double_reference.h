// What a model computes, written again in double precision straight from the definitions: the other side of the tests
// of tensors, layers and models. Gradients come from central differences of these functions, so that no derivation is
// shared with the code under test.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>  // pi
#include <span>
#include <string_view>
#include <vector>

#include "formats/philox.h"
#include "sim/tensor.h"

namespace halfulp::reference {

struct Matrix {
  int rows = 0, cols = 0;
  std::vector<double> data;  // (rows, cols)

  Matrix(int r, int c) : rows(r), cols(c), data(size_t(r) * size_t(c)) {}
  Matrix(int r, int c, std::vector<double> d) : rows(r), cols(c), data(std::move(d)) {}

  double& at(int r, int c) { return data[size_t(r) * size_t(cols) + size_t(c)]; }
  double at(int r, int c) const { return data[size_t(r) * size_t(cols) + size_t(c)]; }
};

using Vector = std::vector<double>;

inline Vector widen(std::span<const float> x) { return Vector(x.begin(), x.end()); }
inline Matrix widen(const Tensor& x) { return {x.rows, x.cols, widen(std::span<const float>(x.data))}; }

/// Numbers in [-bound, bound), a function of the site.
inline std::vector<float> random_numbers(size_t count, float bound, uint32_t site) {
  std::vector<float> x(count);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t word = random_word({.seed = 20, .stream = Stream::Data, .site = site}, uint32_t(i));
    x[i] = float(int32_t(word)) * 0x1p-31f * bound;
  }
  return x;
}

inline Tensor random_tensor(int rows, int cols, float bound, uint32_t site) {
  Tensor x(rows, cols);
  x.data = random_numbers(x.data.size(), bound, site);
  return x;
}

// --- forwards ---

inline double activation(Activation kind, double x) {
  switch (kind) {
    case Activation::Relu: return std::max(x, 0.0);
    case Activation::Gelu: return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::GeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  }
  return 0;
}

inline Matrix activation(Activation kind, Matrix x) {
  for (double& value : x.data) value = activation(kind, value);
  return x;
}

/// y = x w^T + b, w (out, in)
inline Matrix linear(const Matrix& x, const Vector& w, const Vector& b) {
  Matrix y(x.rows, int(b.size()));
  for (int r = 0; r < y.rows; ++r)
    for (int o = 0; o < y.cols; ++o) {
      y.at(r, o) = b[size_t(o)];
      for (int i = 0; i < x.cols; ++i) y.at(r, o) += x.at(r, i) * w[size_t(o) * size_t(x.cols) + size_t(i)];
    }
  return y;
}

inline Matrix layer_norm(const Matrix& x, const Vector& gain, const Vector& bias) {
  Matrix y(x.rows, x.cols);
  for (int r = 0; r < x.rows; ++r) {
    double mean = 0, variance = 0;
    for (int c = 0; c < x.cols; ++c) mean += x.at(r, c) / x.cols;
    for (int c = 0; c < x.cols; ++c) variance += (x.at(r, c) - mean) * (x.at(r, c) - mean) / x.cols;
    for (int c = 0; c < x.cols; ++c)
      y.at(r, c) = (x.at(r, c) - mean) / std::sqrt(variance + 1e-5) * gain[size_t(c)] + bias[size_t(c)];
  }
  return y;
}

inline Vector softmax(const Vector& x) {
  const double largest = *std::ranges::max_element(x);
  double sum = 0;
  for (double value : x) sum += std::exp(value - largest);
  Vector y;
  for (double value : x) y.push_back(std::exp(value - largest) / sum);
  return y;
}

/// Position t of a sequence sees the positions up to t.
inline Matrix causal_attention(const Matrix& qkv, int heads, int context) {
  const int width = qkv.cols / 3, head_width = width / heads;
  Matrix y(qkv.rows, width);
  for (int r = 0; r < qkv.rows; ++r)
    for (int h = 0; h < heads; ++h) {
      const int first = r / context * context;
      Vector scores;
      for (int seen = first; seen <= r; ++seen) {
        double score = 0;
        for (int c = h * head_width; c < (h + 1) * head_width; ++c) score += qkv.at(r, c) * qkv.at(seen, width + c);
        scores.push_back(score / std::sqrt(double(head_width)));
      }
      const Vector p = softmax(scores);
      for (int c = h * head_width; c < (h + 1) * head_width; ++c)
        for (int seen = first; seen <= r; ++seen) y.at(r, c) += p[size_t(seen - first)] * qkv.at(seen, 2 * width + c);
    }
  return y;
}

inline double cross_entropy(const Matrix& logits, std::span<const int32_t> labels) {
  double loss = 0;
  for (int r = 0; r < logits.rows; ++r) {
    double largest = logits.at(r, 0), sum = 0;
    for (int c = 0; c < logits.cols; ++c) largest = std::max(largest, logits.at(r, c));
    for (int c = 0; c < logits.cols; ++c) sum += std::exp(logits.at(r, c) - largest);
    loss += (largest + std::log(sum) - logits.at(r, labels[size_t(r)])) / logits.rows;
  }
  return loss;
}

inline double mean_squared_error(const Vector& prediction, std::span<const float> targets) {
  double loss = 0;
  for (size_t i = 0; i < targets.size(); ++i)
    loss += (prediction[i] - targets[i]) * (prediction[i] - targets[i]) / double(targets.size());
  return loss;
}

// --- comparisons ---

/// A fixed linear functional of an output; its gradient with respect to the output is `weights`.
inline double weighted_sum(const Matrix& y, std::span<const float> weights) {
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) sum += y.data[i] * weights[i];
  return sum;
}

/// Every element within `tolerance` of the wanted one, relative to the largest wanted magnitude.
inline void expect_near(std::string_view what, std::span<const float> got, const Vector& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double largest = 0;
  for (double value : want) largest = std::max(largest, std::fabs(value));
  ASSERT_GT(largest, 0) << what << ": nothing to compare";
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_LE(std::fabs(got[i] - want[i]), tolerance * largest)
        << what << " [" << i << "]: got " << got[i] << ", want " << want[i] << ", largest " << largest;
}

/// `got` is the gradient of f at `x`. f is smooth and its numbers are of order one: with a step of 1e-5 the difference
/// quotient is good to about 1e-10.
template <class Function>
void expect_gradient(std::string_view what, std::span<const float> got, Vector x, Function f, double tolerance = 1e-5) {
  constexpr double kStep = 1e-5;
  Vector want;
  for (double& value : x) {
    const double center = value;
    value = center + kStep;
    const double above = f(x);
    value = center - kStep;
    const double below = f(x);
    value = center;
    want.push_back((above - below) / (2 * kStep));
  }
  expect_near(what, got, want, tolerance);
}

}  // namespace halfulp::reference
