#include "sim/model.h"

#include <fmt/format.h>

#include <utility>

namespace halfulp {
namespace {

RandomSite initial_site(uint64_t seed, uint32_t parameter) {
  return {.seed = seed, .stream = Stream::Init, .step = 0, .site = parameter};
}

// A linear layer whose casts, and whose place in the event counts, are those of the model's next quantised layer.
Linear quantized_linear(Model& model, const std::string& name, int in, int out, const RecipeCasts& casts) {
  model.quantized_layers.push_back(name);
  return Linear(name, in, out, &casts, int(model.quantized_layers.size()) - 1);
}

// Hidden layers of one width with an activation each, then the head.
class Mlp : public Model {
 public:
  Mlp(const ModelSpec& spec, int features, int outputs, const RecipeCasts& casts, uint64_t seed)
      : activation_(spec.activation), activations_(size_t(spec.layers)) {
    for (int i = 0; i < spec.layers; ++i)
      linears_.push_back(
          quantized_linear(*this, fmt::format("hidden{}", i), i == 0 ? features : spec.width, spec.width, casts));
    linears_.emplace_back("head", spec.width, outputs, nullptr, 0);
    for (size_t i = 0; i < linears_.size(); ++i) {
      linears_[i].initialize(initial_site(seed, uint32_t(i)));
      linears_[i].collect(parameters);
    }
  }

  void forward(const Batch& batch, Tensor& outputs, const PassContext& pass) override {
    Tensor x(batch.rows, int(batch.inputs.size()) / batch.rows);
    x.data = batch.inputs;
    for (size_t i = 0; i < activations_.size(); ++i) {
      Cache& cache = activations_[i];
      linears_[i].forward(x, cache.input, pass);
      activate(activation_, cache.input, x, cache.saved);
    }
    linears_.back().forward(x, outputs, pass);
  }

  void backward(const Batch&, const Tensor& d_outputs, const PassContext& pass) override {
    Tensor dy, dx;
    linears_.back().backward(d_outputs, &dy, pass);
    for (size_t i = activations_.size(); i-- > 0;) {
      activate_backward(activation_, activations_[i].input, activations_[i].saved, dy, dx);
      linears_[i].backward(dx, i == 0 ? nullptr : &dy, pass);
    }
  }

 private:
  struct Cache {
    Tensor input, saved;
  };

  Activation activation_;
  std::vector<Linear> linears_;
  std::vector<Cache> activations_;
};

// x + attention(norm(x)), then x + mlp(norm(x)).
class Block {
 public:
  Block(Model& model, const std::string& name, const ModelSpec& spec, const RecipeCasts& casts)
      : activation_(spec.activation),
        norm1_(name + ".norm1", spec.width),
        qkv_(quantized_linear(model, name + ".qkv", spec.width, 3 * spec.width, casts)),
        attention_(spec.width, spec.heads, spec.context),
        projection_(quantized_linear(model, name + ".projection", spec.width, spec.width, casts)),
        norm2_(name + ".norm2", spec.width),
        up_(quantized_linear(model, name + ".up", spec.width, 4 * spec.width, casts)),
        down_(quantized_linear(model, name + ".down", 4 * spec.width, spec.width, casts)) {}

  std::array<Linear*, 4> linears() { return {&qkv_, &projection_, &up_, &down_}; }

  void collect(std::vector<Parameter*>& parameters) {
    norm1_.collect(parameters);
    norm2_.collect(parameters);
    for (Linear* linear : linears()) linear->collect(parameters);
  }

  void forward(Tensor& x, const PassContext& pass) {
    Tensor a, b;
    norm1_.forward(x, a);
    qkv_.forward(a, b, pass);
    attention_.forward(b, a);
    projection_.forward(a, b, pass);
    add(b.data, x.data);
    norm2_.forward(x, a);
    up_.forward(a, activation_input_, pass);
    activate(activation_, activation_input_, a, activation_saved_);
    down_.forward(a, b, pass);
    add(b.data, x.data);
  }

  void backward(Tensor& d, const PassContext& pass) {
    Tensor a, b;
    down_.backward(d, &a, pass);
    activate_backward(activation_, activation_input_, activation_saved_, a, b);
    up_.backward(b, &a, pass);
    norm2_.backward(a, b);
    add(b.data, d.data);
    projection_.backward(d, &a, pass);
    attention_.backward(a, b);
    qkv_.backward(b, &a, pass);
    norm1_.backward(a, b);
    add(b.data, d.data);
  }

 private:
  Activation activation_;
  LayerNorm norm1_;
  Linear qkv_;
  CausalAttention attention_;
  Linear projection_;
  LayerNorm norm2_;
  Linear up_, down_;
  Tensor activation_input_, activation_saved_;
};

// Pre-norm GPT: token and position embeddings, blocks, a last norm, the head.
class CharTransformer : public Model {
 public:
  CharTransformer(const ModelSpec& spec, int vocabulary, const RecipeCasts& casts, uint64_t seed)
      : context_(spec.context),
        tokens_("tokens", vocabulary, spec.width),
        positions_("positions", spec.context, spec.width),
        norm_("norm", spec.width),
        head_("head", spec.width, vocabulary, nullptr, 0) {
    for (int i = 0; i < spec.layers; ++i) blocks_.emplace_back(*this, fmt::format("block{}", i), spec, casts);
    uint32_t site = 0;
    tokens_.initialize(initial_site(seed, site++));
    positions_.initialize(initial_site(seed, site++));
    head_.initialize(initial_site(seed, site++));
    tokens_.collect(parameters);
    positions_.collect(parameters);
    for (Block& block : blocks_) {
      for (Linear* linear : block.linears()) linear->initialize(initial_site(seed, site++));
      block.collect(parameters);
    }
    norm_.collect(parameters);
    head_.collect(parameters);
  }

  void forward(const Batch& batch, Tensor& outputs, const PassContext& pass) override {
    position_ids_.resize(size_t(batch.rows));
    for (int r = 0; r < batch.rows; ++r) position_ids_[size_t(r)] = r % context_;
    Tensor x(batch.rows, width()), normalized;
    tokens_.add_forward(batch.tokens, x);
    positions_.add_forward(position_ids_, x);
    for (Block& block : blocks_) block.forward(x, pass);
    norm_.forward(x, normalized);
    head_.forward(normalized, outputs, pass);
  }

  void backward(const Batch& batch, const Tensor& d_outputs, const PassContext& pass) override {
    Tensor a, d;
    head_.backward(d_outputs, &a, pass);
    norm_.backward(a, d);
    for (size_t i = blocks_.size(); i-- > 0;) blocks_[i].backward(d, pass);
    tokens_.backward(batch.tokens, d);
    positions_.backward(position_ids_, d);
  }

 private:
  int width() const { return tokens_.width(); }

  int context_;
  Embedding tokens_, positions_;
  std::vector<Block> blocks_;
  LayerNorm norm_;
  Linear head_;
  std::vector<int32_t> position_ids_;
};

}  // namespace

std::unique_ptr<Model> make_model(const ModelSpec& spec, int features, int outputs, const RecipeCasts& casts,
                                  uint64_t seed) {
  switch (spec.kind) {
    case ModelKind::Mlp: return std::make_unique<Mlp>(spec, features, outputs, casts, seed);
    case ModelKind::CharTransformer: break;
  }
  return std::make_unique<CharTransformer>(spec, features, casts, seed);
}

}  // namespace halfulp
