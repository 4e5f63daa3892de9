// Layers in float32: forward against double precision, backward against differences of that. What casts do to a linear
// layer is in linear_quantization_test.cc.
#include "sim/layers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/sim/double_reference.h"

namespace halfulp {
namespace {

using reference::expect_gradient;
using reference::expect_near;
using reference::Matrix;
using reference::random_numbers;
using reference::random_tensor;
using reference::Vector;
using reference::weighted_sum;
using reference::widen;

Vector widen_all(const std::vector<float>& x) { return widen(std::span<const float>(x)); }

template <class Layer>
std::vector<Parameter*> parameters_of(Layer& layer) {
  std::vector<Parameter*> parameters;
  parameters.reserve(2);  // else g++ 12 warns of an overflow that cannot be
  layer.collect(parameters);
  return parameters;
}

/// A fixed index by row: every id occurs, some more than once, some rows in between none.
std::vector<int32_t> some_ids(int rows, int count) {
  std::vector<int32_t> ids;
  for (int r = 0; r < rows; ++r) ids.push_back(r * r % count);
  return ids;
}

// --- linear ---

struct PlainLinear {
  static constexpr int kTokens = 7, kIn = 13, kOut = 5;
  Linear layer{"layer", kIn, kOut, nullptr, 0};
  Tensor x = random_tensor(kTokens, kIn, 1.0f, 40), dy = random_tensor(kTokens, kOut, 1.0f, 41), y, dx;
  Parameter& weight = *parameters_of(layer)[0];
  Parameter& bias = *parameters_of(layer)[1];

  PlainLinear() {
    weight.value = random_numbers(weight.value.size(), 1.0f, 42);
    bias.value = random_numbers(bias.value.size(), 1.0f, 43);
    layer.forward(x, y, {});
  }
};

TEST(PlainLinearLayer, forward_is_x_times_w_transposed_plus_bias) {
  PlainLinear l;
  expect_near("y", l.y.data, reference::linear(widen(l.x), widen(l.weight.value), widen(l.bias.value)).data, 1e-6);
}

TEST(PlainLinearLayer, backward_is_the_derivative_by_input_weight_and_bias) {
  PlainLinear l;
  l.layer.backward(l.dy, &l.dx, {});
  const Vector x = widen_all(l.x.data), w = widen(l.weight.value), b = widen(l.bias.value);
  const auto loss = [&](const Vector& input, const Vector& weight, const Vector& bias) {
    return weighted_sum(reference::linear(Matrix(l.x.rows, l.x.cols, input), weight, bias), l.dy.data);
  };
  expect_gradient("dx", l.dx.data, x, [&](const Vector& at) { return loss(at, w, b); });
  expect_gradient("weight", l.weight.gradient, w, [&](const Vector& at) { return loss(x, at, b); });
  expect_gradient("bias", l.bias.gradient, b, [&](const Vector& at) { return loss(x, w, at); });
}

TEST(PlainLinearLayer, gradients_are_added_to_and_do_not_depend_on_whether_dx_is_asked_for) {
  PlainLinear l;
  l.layer.backward(l.dy, nullptr, {});
  const std::vector<float> weight_once = l.weight.gradient, bias_once = l.bias.gradient;
  l.layer.backward(l.dy, &l.dx, {});
  for (size_t i = 0; i < weight_once.size(); ++i) EXPECT_EQ(l.weight.gradient[i], 2 * weight_once[i]);
  for (size_t i = 0; i < bias_once.size(); ++i) EXPECT_EQ(l.bias.gradient[i], 2 * bias_once[i]);
}

TEST(PlainLinearLayer, starts_uniform_within_one_over_the_root_of_its_inputs_and_without_bias) {
  Linear layer("layer", 64, 256, nullptr, 0);
  layer.initialize({.seed = 1, .stream = Stream::Init});
  const std::vector<Parameter*> parameters = parameters_of(layer);
  double squares = 0, sum = 0, largest = 0;
  for (float w : parameters[0]->value) {
    sum += w;
    squares += double(w) * w;
    largest = std::max(largest, std::fabs(double(w)));
  }
  const double count = 64 * 256;
  EXPECT_LE(largest, 0.125);
  EXPECT_GT(largest, 0.1249);
  EXPECT_NEAR(sum / count, 0.0, 4 * 0.125 / std::sqrt(3 * count));
  EXPECT_NEAR(squares / count, 0.125 * 0.125 / 3, 0.03 * 0.125 * 0.125 / 3);
  for (float b : parameters[1]->value) EXPECT_EQ(b, 0.0f);
  EXPECT_TRUE(parameters[0]->decays);
  EXPECT_FALSE(parameters[1]->decays);
}

// --- layer norm, embedding ---

TEST(LayerNormLayer, starts_as_plain_normalisation_and_its_parameters_do_not_decay) {
  LayerNorm layer("norm", 11);
  const Tensor x = random_tensor(4, 11, 2.0f, 44);
  Tensor y;
  layer.forward(x, y);
  expect_near("y", y.data, reference::layer_norm(widen(x), Vector(11, 1.0), Vector(11, 0.0)).data, 1e-6);
  for (const Parameter* parameter : parameters_of(layer)) EXPECT_FALSE(parameter->decays) << parameter->name;
}

TEST(LayerNormLayer, backward_uses_its_own_gain) {
  LayerNorm layer("norm", 11);
  const std::vector<Parameter*> parameters = parameters_of(layer);
  parameters[0]->value = random_numbers(11, 2.0f, 45);
  parameters[1]->value = random_numbers(11, 1.0f, 46);
  const Tensor x = random_tensor(4, 11, 2.0f, 44), dy = random_tensor(4, 11, 1.0f, 47);
  Tensor y, dx;
  layer.forward(x, y);
  layer.backward(dy, dx);
  const Vector at_x = widen_all(x.data), gain = widen(parameters[0]->value), bias = widen(parameters[1]->value);
  const auto loss = [&](const Vector& input, const Vector& g, const Vector& b) {
    return weighted_sum(reference::layer_norm(Matrix(4, 11, input), g, b), dy.data);
  };
  expect_gradient("dx", dx.data, at_x, [&](const Vector& at) { return loss(at, gain, bias); });
  expect_gradient("gain", parameters[0]->gradient, gain, [&](const Vector& at) { return loss(at_x, at, bias); });
  expect_gradient("bias", parameters[1]->gradient, bias, [&](const Vector& at) { return loss(at_x, gain, at); });
}

TEST(EmbeddingLayer, adds_the_rows_of_the_ids) {
  Embedding layer("table", 7, 5);
  Parameter& table = *parameters_of(layer)[0];
  table.value = random_numbers(35, 1.0f, 48);
  const Tensor before = random_tensor(12, 5, 1.0f, 49);
  const std::vector<int32_t> ids = some_ids(12, 7);
  Tensor y = before;
  layer.add_forward(ids, y);
  for (int r = 0; r < 12; ++r)
    for (int c = 0; c < 5; ++c)
      EXPECT_EQ(y.row(r)[size_t(c)], before.row(r)[size_t(c)] + table.value[size_t(ids[size_t(r)] * 5 + c)]);
}

TEST(EmbeddingLayer, backward_is_the_derivative_by_the_table) {
  Embedding layer("table", 7, 5);
  Parameter& table = *parameters_of(layer)[0];
  const std::vector<int32_t> ids = some_ids(12, 7);
  const Tensor dy = random_tensor(12, 5, 1.0f, 50);
  layer.backward(ids, dy);
  Vector want(35);
  for (int r = 0; r < 12; ++r)
    for (int c = 0; c < 5; ++c) want[size_t(ids[size_t(r)] * 5 + c)] += dy.row(r)[size_t(c)];
  expect_near("table", table.gradient, want, 1e-6);
  layer.backward(ids, dy);
  for (double& value : want) value *= 2;
  expect_near("table twice", table.gradient, want, 1e-6);
}

TEST(EmbeddingLayer, starts_with_a_standard_deviation_of_a_fiftieth) {
  Embedding layer("table", 100, 100);
  layer.initialize({.seed = 3, .stream = Stream::Init});
  const Parameter& table = *parameters_of(layer)[0];
  double squares = 0;
  for (float value : table.value) squares += double(value) * value;
  EXPECT_NEAR(std::sqrt(squares / 10000), 0.02, 0.0004);
  EXPECT_TRUE(table.decays);
}

// --- attention ---

struct AttentionCase {
  int sequences, context, heads, head_width;

  int rows() const { return sequences * context; }
  int width() const { return heads * head_width; }
};

constexpr AttentionCase kAttentionCases[] = {{1, 1, 1, 4}, {1, 6, 1, 5}, {3, 5, 2, 3}, {2, 9, 3, 1}, {2, 17, 2, 8}};

TEST(CausalAttentionLayer, forward_is_the_definition) {
  for (const AttentionCase& shape : kAttentionCases) {
    CausalAttention attention(shape.width(), shape.heads, shape.context);
    const Tensor qkv = random_tensor(shape.rows(), 3 * shape.width(), 2.0f, 51);
    Tensor y;
    attention.forward(qkv, y);
    expect_near("y", y.data, reference::causal_attention(widen(qkv), shape.heads, shape.context).data, 2e-6);
  }
}

TEST(CausalAttentionLayer, backward_is_the_derivative_by_queries_keys_and_values) {
  for (const AttentionCase& shape : kAttentionCases) {
    CausalAttention attention(shape.width(), shape.heads, shape.context);
    const Tensor qkv = random_tensor(shape.rows(), 3 * shape.width(), 2.0f, 52);
    const Tensor dy = random_tensor(shape.rows(), shape.width(), 1.0f, 53);
    Tensor y, d_qkv;
    attention.forward(qkv, y);
    attention.backward(dy, d_qkv);
    expect_gradient("d_qkv", d_qkv.data, widen_all(qkv.data), [&](const Vector& at) {
      return weighted_sum(reference::causal_attention(Matrix(qkv.rows, qkv.cols, at), shape.heads, shape.context),
                          dy.data);
    });
  }
}

TEST(CausalAttentionLayer, outputs_do_not_depend_on_what_comes_later_or_on_other_sequences) {
  constexpr AttentionCase kShape = {2, 9, 2, 4};
  CausalAttention attention(kShape.width(), kShape.heads, kShape.context);
  const Tensor qkv = random_tensor(kShape.rows(), 3 * kShape.width(), 2.0f, 54);
  Tensor y;
  attention.forward(qkv, y);
  for (int changed = 0; changed < kShape.rows(); ++changed) {
    Tensor other = qkv, y_other;
    for (float& value : other.row(changed)) value += 1.0f;
    attention.forward(other, y_other);
    for (int r = 0; r < kShape.rows(); ++r) {
      const bool sees = r >= changed && r / kShape.context == changed / kShape.context;
      const bool same = std::ranges::equal(y.row(r), y_other.row(r));
      EXPECT_EQ(same, !sees) << "output " << r << " when position " << changed << " changes";
    }
  }
}

TEST(CausalAttentionLayer, gradients_do_not_reach_later_positions) {
  constexpr AttentionCase kShape = {1, 7, 2, 4};
  CausalAttention attention(kShape.width(), kShape.heads, kShape.context);
  const Tensor qkv = random_tensor(kShape.rows(), 3 * kShape.width(), 2.0f, 55);
  Tensor y, d_qkv, dy(kShape.rows(), kShape.width());
  attention.forward(qkv, y);
  std::ranges::fill(dy.row(3), 1.0f);
  attention.backward(dy, d_qkv);
  for (int r = 0; r < kShape.rows(); ++r)
    EXPECT_EQ(std::ranges::all_of(d_qkv.row(r), [](float value) { return value == 0; }), r > 3) << r;
}

}  // namespace
}  // namespace halfulp
