#include "sim/tensor.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "tests/sim/double_reference.h"

namespace halfulp {
namespace {

using reference::expect_gradient;
using reference::expect_near;
using reference::Matrix;
using reference::random_numbers;
using reference::random_tensor;
using reference::Vector;
using reference::widen;

// --- orders of summation ---

// Lane i mod 16 adds up every sixteenth term; then neighbours are added until one is left.
template <class T>
T sum_by_lanes(const std::vector<T>& terms) {
  std::vector<T> level(16, T(0));
  for (size_t i = 0; i < terms.size(); ++i) level[i % 16] += terms[i];
  while (level.size() > 1) {
    std::vector<T> next;
    for (size_t i = 0; i < level.size(); i += 2) next.push_back(level[i] + level[i + 1]);
    level = next;
  }
  return level[0];
}

TEST(TensorSums, have_the_bits_of_sixteen_lanes_and_a_tree) {
  for (size_t count : {0, 1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 1000, 4099}) {
    const std::vector<float> a = random_numbers(count, 3.0f, 1), b = random_numbers(count, 5.0f, 2);
    std::vector<float> products;
    std::vector<double> squares;
    for (size_t i = 0; i < count; ++i) {
      products.push_back(a[i] * b[i]);
      squares.push_back(double(a[i]) * double(a[i]));
    }
    EXPECT_EQ(std::bit_cast<uint32_t>(sum(a)), std::bit_cast<uint32_t>(sum_by_lanes(a))) << count;
    EXPECT_EQ(std::bit_cast<uint32_t>(dot(a, b)), std::bit_cast<uint32_t>(sum_by_lanes(products))) << count;
    EXPECT_EQ(std::bit_cast<uint64_t>(sum_of_squares(a)), std::bit_cast<uint64_t>(sum_by_lanes(squares))) << count;
  }
}

TEST(TensorSums, the_order_shows) {
  const std::vector<float> x = random_numbers(1000, 1.0f, 3);
  float in_a_row = 0;
  for (float value : x) in_a_row += value;
  EXPECT_NE(sum(x), in_a_row);
}

TEST(TensorSums, columns_are_added_row_after_row) {
  const Tensor x = random_tensor(37, 19, 1.0f, 4);
  std::vector<float> sums(19, 123.0f);
  column_sums(x, sums);
  for (int c = 0; c < x.cols; ++c) {
    float want = 0;
    for (int r = 0; r < x.rows; ++r) want += x.row(r)[size_t(c)];
    EXPECT_EQ(sums[size_t(c)], want) << "column " << c;
  }
}

TEST(TensorSums, add_is_elementwise) {
  const std::vector<float> x = random_numbers(21, 1.0f, 5), before = random_numbers(21, 1.0f, 6);
  std::vector<float> y = before;
  add(x, y);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(y[i], before[i] + x[i]);
}

// --- activations ---

constexpr Activation kActivations[] = {Activation::Relu, Activation::Gelu, Activation::GeluTanh};

// From deep in the flat part to deep in the linear one.
Tensor activation_inputs() {
  Tensor x = random_tensor(9, 23, 6.0f, 7);
  constexpr std::array kMarks = {0.0f, 1.0f, -1.0f, 0.5f, -0.751f, 4.0f, -4.0f, 12.0f, -12.0f};
  std::ranges::copy(kMarks, x.data.begin());
  return x;
}

TEST(Activations, values_are_those_of_the_definition) {
  for (Activation kind : kActivations) {
    const Tensor x = activation_inputs();
    Tensor y, saved;
    activate(kind, x, y, saved);
    for (size_t i = 0; i < x.data.size(); ++i)
      EXPECT_NEAR(y.data[i], reference::activation(kind, x.data[i]), 3e-7 * std::max(1.0f, std::fabs(x.data[i])))
          << int(kind) << " at " << x.data[i];
  }
}

TEST(Activations, backward_is_the_derivative) {
  for (Activation kind : kActivations) {
    Tensor x = activation_inputs(), y, saved, dx;
    x.data[0] = 0.25f;  // zero is the corner of relu
    const Tensor dy = random_tensor(x.rows, x.cols, 1.0f, 8);
    activate(kind, x, y, saved);
    activate_backward(kind, x, saved, dy, dx);
    expect_gradient("dx", dx.data, widen(std::span<const float>(x.data)), [&](const Vector& at) {
      return reference::weighted_sum(reference::activation(kind, Matrix(x.rows, x.cols, at)), dy.data);
    });
  }
}

TEST(Activations, relu_has_no_slope_at_zero) {
  Tensor x(1, 2), y, saved, dy(1, 2), dx;
  x.data = {0.0f, -0.0f};
  dy.data = {1.0f, 1.0f};
  activate(Activation::Relu, x, y, saved);
  activate_backward(Activation::Relu, x, saved, dy, dx);
  EXPECT_EQ(y.data, (std::vector<float>{0, 0}));
  EXPECT_EQ(dx.data, (std::vector<float>{0, 0}));
}

TEST(Activations, a_nan_stays_one) {
  for (Activation kind : kActivations) {
    Tensor x(1, 1), y, saved;
    x.data = {std::numeric_limits<float>::quiet_NaN()};
    activate(kind, x, y, saved);
    EXPECT_TRUE(std::isnan(y.data[0])) << int(kind);
  }
}

// --- layer norm ---

struct Norm {
  Tensor x = random_tensor(5, 22, 2.0f, 10), dy = random_tensor(5, 22, 1.0f, 11), y, dx;
  std::vector<float> gain = random_numbers(22, 2.0f, 12), bias = random_numbers(22, 1.0f, 13);
  std::vector<float> d_gain = std::vector<float>(22), d_bias = std::vector<float>(22);
  LayerNormCache cache;

  Norm() {
    for (float& value : x.row(3)) value = value * 0.01f + 30.0f;  // a mean far above the deviation
    layer_norm(x, gain, bias, y, cache);
    layer_norm_backward(dy, gain, cache, dx, d_gain, d_bias);
  }
};

TEST(LayerNormPieces, values_are_those_of_the_definition) {
  const Norm n;
  const Matrix want = reference::layer_norm(widen(n.x), widen(n.gain), widen(n.bias));
  // float leaves 30 ± 0.01 about 17 bits below the mean: row 3 is good to 1e-4, the others to 1e-6
  expect_near("y", n.y.data, want.data, 3e-4);
  for (int r : {0, 1, 2, 4}) {
    const auto first = want.data.begin() + r * want.cols;
    expect_near("row", n.y.row(r), Vector(first, first + want.cols), 1e-6);
  }
}

TEST(LayerNormPieces, backward_is_the_derivative_by_input_gain_and_bias) {
  Norm n;
  for (float& value : n.x.row(3)) value -= 30.0f;
  std::ranges::fill(n.d_gain, 0.0f);
  std::ranges::fill(n.d_bias, 0.0f);
  layer_norm(n.x, n.gain, n.bias, n.y, n.cache);
  layer_norm_backward(n.dy, n.gain, n.cache, n.dx, n.d_gain, n.d_bias);
  const Vector x = widen(std::span<const float>(n.x.data)), gain = widen(n.gain), bias = widen(n.bias);
  const auto loss = [&](const Vector& input, const Vector& g, const Vector& b) {
    return reference::weighted_sum(reference::layer_norm(Matrix(n.x.rows, n.x.cols, input), g, b), n.dy.data);
  };
  expect_gradient(
      "dx", n.dx.data, x, [&](const Vector& at) { return loss(at, gain, bias); }, 3e-5);
  expect_gradient("d_gain", n.d_gain, gain, [&](const Vector& at) { return loss(x, at, bias); });
  expect_gradient("d_bias", n.d_bias, bias, [&](const Vector& at) { return loss(x, gain, at); });
}

TEST(LayerNormPieces, gain_and_bias_gradients_are_added_to) {
  Norm n;
  const std::vector<float> gain_once = n.d_gain, bias_once = n.d_bias;
  layer_norm_backward(n.dy, n.gain, n.cache, n.dx, n.d_gain, n.d_bias);
  Vector gain_twice, bias_twice;
  for (size_t c = 0; c < gain_once.size(); ++c) {
    gain_twice.push_back(2.0 * gain_once[c]);
    bias_twice.push_back(2.0 * bias_once[c]);
  }
  expect_near("d_gain", n.d_gain, gain_twice, 1e-6);
  expect_near("d_bias", n.d_bias, bias_twice, 1e-6);
}

TEST(LayerNormPieces, a_constant_row_gives_the_bias) {
  Tensor x(1, 4), y;
  x.data = {3, 3, 3, 3};
  LayerNormCache cache;
  const std::vector<float> gain = {1, 2, 3, 4}, bias = {5, 6, 7, 8};
  layer_norm(x, gain, bias, y, cache);
  EXPECT_EQ(y.data, bias);
}

// --- softmax and losses ---

TEST(Softmax, values_are_those_of_the_definition) {
  const std::vector<float> x = random_numbers(33, 8.0f, 20);
  std::vector<float> y(x.size());
  softmax_row(x, int(x.size()), y);
  expect_near("y", y, reference::softmax(widen(x)), 5e-7);
}

TEST(Softmax, columns_past_the_count_are_zero_and_not_looked_at) {
  std::vector<float> x = random_numbers(10, 2.0f, 21);
  std::fill(x.begin() + 6, x.end(), std::numeric_limits<float>::quiet_NaN());
  std::vector<float> y(x.size(), 9.0f);
  softmax_row(x, 6, y);
  expect_near("y", std::span(y).first(6), reference::softmax(widen(std::span(x).first(6))), 5e-7);
  for (size_t c = 6; c < y.size(); ++c) EXPECT_EQ(y[c], 0.0f);
}

TEST(Softmax, large_inputs_do_not_overflow) {
  const std::vector<float> x = {3e38f, 3e38f, -3e38f};
  std::vector<float> y(3);
  softmax_row(x, 3, y);
  EXPECT_EQ(y, (std::vector<float>{0.5f, 0.5f, 0.0f}));
}

TEST(Softmax, backward_is_the_derivative) {
  const std::vector<float> x = random_numbers(21, 3.0f, 22), dy = random_numbers(21, 1.0f, 23);
  std::vector<float> y(x.size()), dx(x.size());
  softmax_row(x, int(x.size()), y);
  softmax_row_backward(y, dy, dx);
  expect_gradient("dx", dx, widen(x), [&](const Vector& at) {
    return reference::weighted_sum(Matrix(1, int(at.size()), reference::softmax(at)), dy);
  });
}

TEST(CrossEntropy, value_gradient_and_count_of_right_answers) {
  const Tensor logits = random_tensor(12, 7, 4.0f, 24);
  std::vector<int32_t> labels;
  int64_t right = 5;  // counts go on from what is there
  for (int r = 0; r < logits.rows; ++r) {
    labels.push_back(r % 7);
    right += std::ranges::max_element(logits.row(r)) - logits.row(r).begin() == labels.back();
  }
  Tensor d_logits;
  int64_t correct = 5;
  const double loss = softmax_cross_entropy(logits, labels, d_logits, correct);
  EXPECT_NEAR(loss, reference::cross_entropy(widen(logits), labels), 2e-6);
  EXPECT_EQ(correct, right);
  expect_gradient("d_logits", d_logits.data, widen(std::span<const float>(logits.data)), [&](const Vector& at) {
    return reference::cross_entropy(Matrix(logits.rows, logits.cols, at), labels);
  });
}

TEST(CrossEntropy, of_equal_logits_the_first_is_the_answer) {
  Tensor logits(3, 4), d_logits;
  const std::vector<int32_t> labels = {0, 1, 3};
  int64_t correct = 0;
  EXPECT_NEAR(softmax_cross_entropy(logits, labels, d_logits, correct), std::log(4.0), 1e-6);
  EXPECT_EQ(correct, 1);
}

TEST(CrossEntropy, a_hopeless_label_has_a_finite_loss) {
  Tensor logits(1, 2), d_logits;
  for (float lead : {50.0f, 100.0f, 200.0f, 1e6f}) {
    logits.data = {0.0f, lead};
    int64_t correct = 0;
    const double loss = softmax_cross_entropy(logits, std::vector<int32_t>{0}, d_logits, correct);
    EXPECT_NEAR(loss, lead, 1e-6 * lead) << "the label's logit is " << lead << " below the other";
  }
}

TEST(CrossEntropy, a_certain_label_keeps_its_small_loss) {
  Tensor logits(1, 2), d_logits;
  logits.data = {12.0f, 0.0f};
  int64_t correct = 0;
  const double want = std::log1p(std::exp(-12.0));
  EXPECT_NEAR(softmax_cross_entropy(logits, std::vector<int32_t>{0}, d_logits, correct), want, 1e-7);
}

TEST(MeanSquaredError, value_and_gradient) {
  const Tensor prediction = random_tensor(17, 1, 2.0f, 25);
  const std::vector<float> targets = random_numbers(17, 2.0f, 26);
  Tensor d_prediction;
  const double loss = mean_squared_error(prediction, targets, d_prediction);
  EXPECT_NEAR(loss, reference::mean_squared_error(widen(prediction.data), targets), 1e-6);
  expect_gradient("d_prediction", d_prediction.data, widen(prediction.data),
                  [&](const Vector& at) { return reference::mean_squared_error(at, targets); });
}

// --- Hadamard ---

TEST(Hadamard, is_the_sylvester_matrix_over_the_root_of_its_size) {
  for (int size : {1, 2, 4, 8, 16, 32, 128}) {
    const std::vector<float> x = random_numbers(size_t(3 * size), 1.0f, 30);
    std::vector<float> y = x;
    hadamard(y, size);
    Vector want;
    for (int run = 0; run < 3; ++run)
      for (int i = 0; i < size; ++i) {
        double out = 0;
        for (int j = 0; j < size; ++j)
          out += (std::popcount(unsigned(i & j)) % 2 == 0 ? 1.0 : -1.0) * x[size_t(run * size + j)];
        want.push_back(out / std::sqrt(double(size)));
      }
    expect_near("hadamard", y, want, 1e-6);
  }
}

TEST(Hadamard, of_small_whole_numbers_and_a_size_of_four_to_some_power_is_exact_and_its_own_inverse) {
  for (int size : {4, 16, 64}) {
    std::vector<float> x;
    for (int i = 0; i < 2 * size; ++i) x.push_back(float(i * i % 31 - 15));
    std::vector<float> y = x;
    hadamard(y, size);
    EXPECT_NE(x, y);
    hadamard(y, size);
    EXPECT_EQ(x, y) << size;
  }
}

}  // namespace
}  // namespace halfulp
