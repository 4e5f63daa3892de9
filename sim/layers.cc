#include "sim/layers.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "sim/gemm.h"

namespace halfulp {
namespace {

// Uniform in [-bound, bound).
void fill_uniform(std::span<float> values, float bound, const RandomSite& site) {
  constexpr float kStep = 0x1p-23f;
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t word = random_word(site, uint32_t(i));
    values[i] = (float(word >> 8) * kStep - 1.0f) * bound;
  }
}

// The slice of a head from rows `first` on: columns [column, column + out.cols).
void gather(const Tensor& from, int first, int column, Tensor& out) {
  for (int r = 0; r < out.rows; ++r)
    std::ranges::copy(from.row(first + r).subspan(size_t(column), size_t(out.cols)), out.row(r).begin());
}

void scatter(const Tensor& from, int first, int column, Tensor& to) {
  for (int r = 0; r < from.rows; ++r) std::ranges::copy(from.row(r), to.row(first + r).begin() + column);
}

Tensor transposed(const Tensor& x) {
  Tensor y(x.cols, x.rows);
  transpose(x.data, y.data, x.rows, x.cols);
  return y;
}

// a (m, k) times b (n, k) transposed.
Tensor product(const Tensor& a, const Tensor& b) {
  Tensor c(a.rows, b.rows);
  gemm(a.data, b.data, c.data, a.rows, b.rows, a.cols);
  return c;
}

}  // namespace

RecipeCasts prepare(const Recipe& r) {
  return {OperandCast(r.fprop_x), OperandCast(r.fprop_w), OperandCast(r.dgrad_g),
          OperandCast(r.dgrad_w), OperandCast(r.wgrad_g), OperandCast(r.wgrad_x)};
}

Linear::Linear(const std::string& name, int in, int out, const RecipeCasts* casts, int index)
    : in_(in),
      out_(out),
      casts_(casts),
      index_(index),
      weight_(name + ".weight", size_t(in) * size_t(out), true),
      bias_(name + ".bias", size_t(out), false) {}

void Linear::initialize(const RandomSite& site) { fill_uniform(weight_.value, 1.0f / std::sqrt(float(in_)), site); }

void Linear::cast(Slot slot, std::span<const float> x, int outer, int reduction, const PassContext& pass,
                  Operand& result) {
  const RandomSite site{
      .seed = pass.seed, .stream = pass.stream, .step = pass.step, .site = uint32_t(index_ * kSlots + slot)};
  CastEvents* const events = pass.events == nullptr ? nullptr : &(*pass.events)[size_t(index_)][slot];
  (*casts_)[slot].apply(x, outer, reduction, site, result, events);
}

// The numbers a backward operand is cast from: the original ones, or those the forward cast left of them.
std::span<const float> Linear::backward_source(Slot slot, std::span<const float> original, const Operand& forward) {
  if ((*casts_)[slot].source() == OperandSource::Original) return original;
  dequantized_.resize(forward.data.size());
  for (size_t i = 0; i < dequantized_.size(); ++i) dequantized_[i] = forward.data[i] * forward.tensor_scale;
  return dequantized_;
}

void Linear::forward(const Tensor& x, Tensor& y, const PassContext& pass) {
  assert(x.cols == in_);
  x_ = x;
  y = Tensor(x.rows, out_);
  float scale = 1;
  if (casts_ == nullptr) {
    gemm(x.data, weight_.value, y.data, x.rows, out_, in_);
  } else {
    cast(FpropX, x.data, x.rows, in_, pass, x_forward_);
    cast(FpropW, weight_.value, out_, in_, pass, w_forward_);
    gemm(x_forward_.data, w_forward_.data, y.data, x.rows, out_, x_forward_.reduction);
    scale = x_forward_.tensor_scale * w_forward_.tensor_scale;
  }
  for (int r = 0; r < y.rows; ++r) {
    const std::span<float> row = y.row(r);
    for (size_t c = 0; c < row.size(); ++c) row[c] = row[c] * scale + bias_.value[c];
  }
}

void Linear::backward(const Tensor& dy, Tensor* dx, const PassContext& pass) {
  const int tokens = dy.rows;
  std::vector<float>& bias_sums = product_;
  bias_sums.resize(size_t(out_));
  column_sums(dy, bias_sums);
  add(bias_sums, bias_.gradient);

  // dX = G W, reduced over `out`: W comes as its transpose
  if (dx != nullptr) {
    *dx = Tensor(tokens, in_);
    transposed_.resize(weight_.value.size());
    if (casts_ == nullptr) {
      transpose(weight_.value, transposed_, out_, in_);
      gemm(dy.data, transposed_, dx->data, tokens, in_, out_);
    } else {
      transpose(backward_source(DgradW, weight_.value, w_forward_), transposed_, out_, in_);
      cast(DgradG, dy.data, tokens, out_, pass, first_);
      cast(DgradW, transposed_, in_, out_, pass, second_);
      gemm(first_.data, second_.data, dx->data, tokens, in_, first_.reduction);
      const float scale = first_.tensor_scale * second_.tensor_scale;
      for (float& value : dx->data) value *= scale;
    }
  }

  // dW = G^T X, reduced over tokens: both come as their transposes
  product_.resize(weight_.value.size());
  std::vector<float> g_transposed(dy.data.size());
  transpose(dy.data, g_transposed, tokens, out_);
  transposed_.resize(x_.data.size());
  float scale = 1;
  if (casts_ == nullptr) {
    transpose(x_.data, transposed_, tokens, in_);
    gemm(g_transposed, transposed_, product_, out_, in_, tokens);
  } else {
    transpose(backward_source(WgradX, x_.data, x_forward_), transposed_, tokens, in_);
    cast(WgradG, g_transposed, out_, tokens, pass, first_);
    cast(WgradX, transposed_, in_, tokens, pass, second_);
    gemm(first_.data, second_.data, product_, out_, in_, first_.reduction);
    scale = first_.tensor_scale * second_.tensor_scale;
  }
  for (size_t i = 0; i < product_.size(); ++i) weight_.gradient[i] += product_[i] * scale;
}

LayerNorm::LayerNorm(const std::string& name, int width)
    : gain_(name + ".gain", size_t(width), false), bias_(name + ".bias", size_t(width), false) {
  std::ranges::fill(gain_.value, 1.0f);
}

Embedding::Embedding(std::string name, int count, int width)
    : width_(width), table_(std::move(name), size_t(count) * size_t(width), true) {}

void Embedding::initialize(const RandomSite& site) {
  constexpr float kSqrt3 = 1.7320508075688772f;  // a uniform number in ±b has standard deviation b / sqrt 3
  fill_uniform(table_.value, 0.02f * kSqrt3, site);
}

void Embedding::add_forward(std::span<const int32_t> ids, Tensor& y) const {
  for (int r = 0; r < y.rows; ++r)
    add(std::span(table_.value).subspan(size_t(ids[size_t(r)]) * size_t(width_), size_t(width_)), y.row(r));
}

void Embedding::backward(std::span<const int32_t> ids, const Tensor& dy) {
  for (int r = 0; r < dy.rows; ++r)
    add(dy.row(r), std::span(table_.gradient).subspan(size_t(ids[size_t(r)]) * size_t(width_), size_t(width_)));
}

void CausalAttention::forward(const Tensor& qkv, Tensor& y) {
  qkv_ = qkv;
  y = Tensor(qkv.rows, width_);
  const int head_width = width_ / heads_, sequences = qkv.rows / context_;
  const float factor = 1.0f / std::sqrt(float(head_width));
  probabilities_.resize(size_t(sequences) * size_t(heads_));
  Tensor q(context_, head_width), k = q, v = q;
  for (int s = 0; s < sequences; ++s) {
    for (int h = 0; h < heads_; ++h) {
      gather(qkv, s * context_, h * head_width, q);
      gather(qkv, s * context_, width_ + h * head_width, k);
      gather(qkv, s * context_, 2 * width_ + h * head_width, v);
      Tensor scores = product(q, k);
      for (float& score : scores.data) score *= factor;
      for (int t = 0; t < context_; ++t) softmax_row(scores.row(t), t + 1, scores.row(t));
      scatter(product(scores, transposed(v)), s * context_, h * head_width, y);
      probabilities_[size_t(s) * size_t(heads_) + size_t(h)] = std::move(scores);
    }
  }
}

void CausalAttention::backward(const Tensor& dy, Tensor& d_qkv) {
  d_qkv = Tensor(qkv_.rows, qkv_.cols);
  const int head_width = width_ / heads_, sequences = qkv_.rows / context_;
  const float factor = 1.0f / std::sqrt(float(head_width));
  Tensor q(context_, head_width), k = q, v = q, d_head = q;
  for (int s = 0; s < sequences; ++s) {
    for (int h = 0; h < heads_; ++h) {
      gather(qkv_, s * context_, h * head_width, q);
      gather(qkv_, s * context_, width_ + h * head_width, k);
      gather(qkv_, s * context_, 2 * width_ + h * head_width, v);
      gather(dy, s * context_, h * head_width, d_head);
      const Tensor& p = probabilities_[size_t(s) * size_t(heads_) + size_t(h)];
      // y = p v
      scatter(product(transposed(p), transposed(d_head)), s * context_, 2 * width_ + h * head_width, d_qkv);
      Tensor d_scores = product(d_head, v);
      for (int t = 0; t < context_; ++t) softmax_row_backward(p.row(t), d_scores.row(t), d_scores.row(t));
      for (float& score : d_scores.data) score *= factor;
      // scores = q k^T
      scatter(product(d_scores, transposed(k)), s * context_, h * head_width, d_qkv);
      scatter(product(transposed(d_scores), transposed(q)), s * context_, width_ + h * head_width, d_qkv);
    }
  }
}

}  // namespace halfulp
