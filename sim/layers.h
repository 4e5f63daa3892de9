// Layers with parameters: what they keep from the forward for the backward, and the quantised GEMMs.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/philox.h"
#include "sim/operand_cast.h"
#include "sim/recipe.h"
#include "sim/tensor.h"

namespace halfulp {

/// A trained array and its gradient. Master weights are float32.
struct Parameter {
  std::string name;
  std::vector<float> value, gradient;
  bool decays = false;  // takes part in weight decay: matrices do, biases and gains do not

  Parameter(std::string n, size_t size, bool d) : name(std::move(n)), value(size), gradient(size), decays(d) {}
};

/// The casts of a recipe, prepared, in the order of kSlotNames.
using RecipeCasts = std::array<OperandCast, kSlots>;
RecipeCasts prepare(const Recipe& recipe);

/// What a pass through the model needs besides its input.
struct PassContext {
  uint64_t seed = 0;
  Stream stream = Stream::Rounding;
  uint32_t step = 0;
  std::vector<std::array<CastEvents, kSlots>>* events = nullptr;  // by linear layer; null: do not count
};

/// y = x W^T + b with W (out, in), through the six casts of a recipe.
class Linear {
 public:
  /// `casts` null: float32 throughout. `index` numbers the quantised layers of a model, from 0.
  Linear(const std::string& name, int in, int out, const RecipeCasts* casts, int index);

  /// Uniform in ±1/sqrt(in); biases zero.
  void initialize(const RandomSite& site);

  void forward(const Tensor& x, Tensor& y, const PassContext& pass);
  /// Adds to the gradients. `dx` null: the input needs none.
  void backward(const Tensor& dy, Tensor* dx, const PassContext& pass);

  void collect(std::vector<Parameter*>& parameters) { parameters.insert(parameters.end(), {&weight_, &bias_}); }
  const std::string& name() const { return weight_.name; }

 private:
  enum Slot { FpropX, FpropW, DgradG, DgradW, WgradG, WgradX };

  void cast(Slot slot, std::span<const float> x, int outer, int reduction, const PassContext& pass, Operand& result);
  std::span<const float> backward_source(Slot slot, std::span<const float> original, const Operand& forward);

  int in_, out_;
  const RecipeCasts* casts_;
  int index_;
  Parameter weight_, bias_;
  Tensor x_;  // input of the last forward
  Operand x_forward_, w_forward_;
  Operand first_, second_;  // of the GEMM at hand
  std::vector<float> transposed_, product_, dequantized_;
};

class LayerNorm {
 public:
  LayerNorm(const std::string& name, int width);

  void forward(const Tensor& x, Tensor& y) { layer_norm(x, gain_.value, bias_.value, y, cache_); }
  void backward(const Tensor& dy, Tensor& dx) {
    layer_norm_backward(dy, gain_.value, cache_, dx, gain_.gradient, bias_.gradient);
  }
  void collect(std::vector<Parameter*>& parameters) { parameters.insert(parameters.end(), {&gain_, &bias_}); }

 private:
  Parameter gain_, bias_;
  LayerNormCache cache_;
};

/// y[r] = table[ids[r]]
class Embedding {
 public:
  Embedding(std::string name, int count, int width);

  /// Uniform with standard deviation 0.02.
  void initialize(const RandomSite& site);
  /// y += table[ids]
  void add_forward(std::span<const int32_t> ids, Tensor& y) const;
  void backward(std::span<const int32_t> ids, const Tensor& dy);
  void collect(std::vector<Parameter*>& parameters) { parameters.push_back(&table_); }
  int width() const { return width_; }

 private:
  int width_;
  Parameter table_;
};

/// Causal self-attention without its projections: qkv (sequences · context, 3 · width) to (sequences · context, width),
/// softmax(q k^T / sqrt(head width)) v for every head and sequence, in float32.
class CausalAttention {
 public:
  CausalAttention(int width, int heads, int context) : width_(width), heads_(heads), context_(context) {}

  void forward(const Tensor& qkv, Tensor& y);
  void backward(const Tensor& dy, Tensor& d_qkv);

 private:
  int width_, heads_, context_;
  Tensor qkv_;
  std::vector<Tensor> probabilities_;  // per sequence and head: (context, context)
};

}  // namespace halfulp
