#include "sim/tensor.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "formats/hadamard.h"
#include "sim/elementary.h"

namespace halfulp {
namespace {

constexpr size_t kLanes = 16;

// Adjacent lanes first, then pairs of pairs, ….
template <class T>
T tree_sum(T (&lanes)[kLanes]) {
  for (size_t width = kLanes / 2; width > 0; width /= 2)
    for (size_t i = 0; i < width; ++i) lanes[i] = lanes[2 * i] + lanes[2 * i + 1];
  return lanes[0];
}

// Sums term(i) over 0 … count - 1 in the order that tensor.h states.
template <class T, class Term>
T lane_sum(size_t count, Term term) {
  T lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  for (size_t lane = 0; i + lane < count; ++lane) lanes[lane] += term(i + lane);
  return tree_sum(lanes);
}

constexpr float kSqrtHalf = 0.70710678118654752440f;
constexpr float kInverseSqrtTwoPi = 0.39894228040143267794f;
constexpr float kSqrtTwoOverPi = 0.79788456080286535588f;
constexpr float kGeluCubic = 0.044715f;
constexpr float kLayerNormEpsilon = 1e-5f;

}  // namespace

float sum(std::span<const float> x) {
  return lane_sum<float>(x.size(), [&](size_t i) { return x[i]; });
}

float dot(std::span<const float> a, std::span<const float> b) {
  assert(a.size() == b.size());
  return lane_sum<float>(a.size(), [&](size_t i) { return a[i] * b[i]; });
}

double sum_of_squares(std::span<const float> x) {
  return lane_sum<double>(x.size(), [&](size_t i) { return double(x[i]) * double(x[i]); });
}

void add(std::span<const float> x, std::span<float> y) {
  assert(x.size() == y.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] += x[i];
}

void column_sums(const Tensor& x, std::span<float> sums) {
  std::ranges::fill(sums, 0.0f);
  for (int r = 0; r < x.rows; ++r) add(x.row(r), sums);
}

void activate(Activation activation, const Tensor& x, Tensor& y, Tensor& saved) {
  y = Tensor(x.rows, x.cols);
  const size_t count = x.data.size();
  switch (activation) {
    case Activation::Relu:
      for (size_t i = 0; i < count; ++i) y.data[i] = x.data[i] <= 0 ? 0.0f : x.data[i];  // a NaN stays
      break;
    case Activation::Gelu:
      saved = Tensor(x.rows, x.cols);
      for (size_t i = 0; i < count; ++i) saved.data[i] = x.data[i] * kSqrtHalf;
      erf_array(saved.data, saved.data);
      for (size_t i = 0; i < count; ++i) y.data[i] = 0.5f * x.data[i] * (1.0f + saved.data[i]);
      break;
    case Activation::GeluTanh:
      saved = Tensor(x.rows, x.cols);
      for (size_t i = 0; i < count; ++i)
        saved.data[i] = kSqrtTwoOverPi * (x.data[i] + kGeluCubic * (x.data[i] * x.data[i] * x.data[i]));
      tanh_array(saved.data, saved.data);
      for (size_t i = 0; i < count; ++i) y.data[i] = 0.5f * x.data[i] * (1.0f + saved.data[i]);
      break;
  }
}

void activate_backward(Activation activation, const Tensor& x, const Tensor& saved, const Tensor& dy, Tensor& dx) {
  dx = Tensor(x.rows, x.cols);
  const size_t count = x.data.size();
  switch (activation) {
    case Activation::Relu:
      for (size_t i = 0; i < count; ++i) dx.data[i] = x.data[i] > 0 ? dy.data[i] : 0.0f;
      break;
    case Activation::Gelu:
      // y = x Φ(x), so dy/dx = Φ(x) + x φ(x)
      for (size_t i = 0; i < count; ++i) dx.data[i] = -0.5f * (x.data[i] * x.data[i]);
      exp_array(dx.data, dx.data);
      for (size_t i = 0; i < count; ++i) {
        const float density = kInverseSqrtTwoPi * dx.data[i];
        dx.data[i] = dy.data[i] * (0.5f * (1.0f + saved.data[i]) + x.data[i] * density);
      }
      break;
    case Activation::GeluTanh:
      // y = x/2 (1 + t), t = tanh(u(x)), so dy/dx = (1 + t)/2 + x/2 (1 - t^2) u'(x)
      for (size_t i = 0; i < count; ++i) {
        const float t = saved.data[i];
        const float slope = kSqrtTwoOverPi * (1.0f + 3.0f * kGeluCubic * (x.data[i] * x.data[i]));
        dx.data[i] = dy.data[i] * (0.5f * (1.0f + t) + 0.5f * x.data[i] * (1.0f - t * t) * slope);
      }
      break;
  }
}

void layer_norm(const Tensor& x, std::span<const float> gain, std::span<const float> bias, Tensor& y,
                LayerNormCache& cache) {
  y = Tensor(x.rows, x.cols);
  cache.normalized = Tensor(x.rows, x.cols);
  cache.inverse_deviation.assign(size_t(x.rows), 0.0f);
  const float inverse_count = 1.0f / float(x.cols);
  for (int r = 0; r < x.rows; ++r) {
    const std::span<const float> in = x.row(r);
    const std::span<float> normalized = cache.normalized.row(r), out = y.row(r);
    const float mean = sum(in) * inverse_count;
    for (size_t c = 0; c < in.size(); ++c) normalized[c] = in[c] - mean;
    const float variance = dot(normalized, normalized) * inverse_count;
    const float inverse_deviation = 1.0f / std::sqrt(variance + kLayerNormEpsilon);
    cache.inverse_deviation[size_t(r)] = inverse_deviation;
    for (size_t c = 0; c < in.size(); ++c) {
      normalized[c] *= inverse_deviation;
      out[c] = normalized[c] * gain[c] + bias[c];
    }
  }
}

void layer_norm_backward(const Tensor& dy, std::span<const float> gain, const LayerNormCache& cache, Tensor& dx,
                         std::span<float> d_gain, std::span<float> d_bias) {
  dx = Tensor(dy.rows, dy.cols);
  const float inverse_count = 1.0f / float(dy.cols);
  for (int r = 0; r < dy.rows; ++r) {
    const std::span<const float> in = dy.row(r), normalized = cache.normalized.row(r);
    const std::span<float> out = dx.row(r);
    for (size_t c = 0; c < in.size(); ++c) {
      d_gain[c] += in[c] * normalized[c];
      d_bias[c] += in[c];
      out[c] = in[c] * gain[c];
    }
    // with n = (x - mean)/deviation: dx = (dn - mean(dn) - n mean(n dn)) / deviation
    const float mean = sum(out) * inverse_count;
    const float projection = dot(out, normalized) * inverse_count;
    for (size_t c = 0; c < in.size(); ++c)
      out[c] = (out[c] - mean - normalized[c] * projection) * cache.inverse_deviation[size_t(r)];
  }
}

float softmax_row(std::span<const float> x, int count, std::span<float> y) {
  const std::span<const float> in = x.first(size_t(count));
  const std::span<float> out = y.first(size_t(count));
  float largest = -std::numeric_limits<float>::infinity();
  for (float value : in) largest = value > largest ? value : largest;
  for (size_t c = 0; c < in.size(); ++c) out[c] = in[c] - largest;
  exp_array(out, out);
  const float total = sum(out), inverse = 1.0f / total;
  for (float& value : out) value *= inverse;
  std::ranges::fill(y.subspan(size_t(count)), 0.0f);
  return total;
}

void softmax_row_backward(std::span<const float> y, std::span<const float> dy, std::span<float> dx) {
  const float projection = dot(y, dy);
  for (size_t c = 0; c < y.size(); ++c) dx[c] = y[c] * (dy[c] - projection);
}

double softmax_cross_entropy(const Tensor& logits, std::span<const int32_t> labels, Tensor& d_logits,
                             int64_t& correct) {
  assert(size_t(logits.rows) == labels.size());
  d_logits = Tensor(logits.rows, logits.cols);
  std::vector<float> losses(labels.size()), distances(labels.size());
  const float inverse_rows = 1.0f / float(logits.rows);
  for (int r = 0; r < logits.rows; ++r) {
    const std::span<const float> in = logits.row(r);
    const std::span<float> out = d_logits.row(r);
    const size_t label = size_t(labels[size_t(r)]);
    const auto largest = std::ranges::max_element(in);
    correct += size_t(largest - in.begin()) == label;
    // -log p[label] = log(sum) + max - x[label]; p itself may underflow
    losses[size_t(r)] = softmax_row(in, logits.cols, out);
    distances[size_t(r)] = *largest - in[label];
    // d(-log p[label]) / d logit[c] = p[c] - [c = label]
    out[label] -= 1.0f;
    for (float& value : out) value *= inverse_rows;
  }
  log_array(losses, losses);
  add(distances, losses);
  return double(sum(losses)) / logits.rows;
}

double mean_squared_error(const Tensor& prediction, std::span<const float> targets, Tensor& d_prediction) {
  assert(prediction.data.size() == targets.size());
  d_prediction = Tensor(prediction.rows, prediction.cols);
  for (size_t i = 0; i < targets.size(); ++i) d_prediction.data[i] = prediction.data[i] - targets[i];
  const double loss = sum_of_squares(d_prediction.data) / double(targets.size());
  const float factor = 2.0f / float(targets.size());
  for (float& value : d_prediction.data) value *= factor;
  return loss;
}

void hadamard(std::span<float> x, int size) { Hadamard(size).apply(x, x); }

}  // namespace halfulp
