// Whole models in float32 against the same models in double precision.
#include "sim/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "sim/trainer.h"
#include "tests/sim/double_reference.h"

namespace halfulp {
namespace {

using reference::Matrix;
using reference::Vector;
using reference::widen;

/// Parameters by name, in double.
using Weights = std::map<std::string, Vector>;

constexpr int kFeatures = 6, kClasses = 5, kVocabulary = 7;

ModelSpec mlp(Activation activation, int layers) {
  return {.kind = ModelKind::Mlp, .layers = layers, .width = 9, .activation = activation};
}

ModelSpec transformer(int layers) {
  return {.kind = ModelKind::CharTransformer,
          .layers = layers,
          .width = 6,
          .heads = 2,
          .context = 5,
          .activation = Activation::GeluTanh};
}

Experiment experiment(const ModelSpec& model) {
  Experiment e;
  e.model = model;
  e.optimizer.clip = 0;
  e.steps = 4;
  return e;
}

Batch table_batch() {
  Batch batch{.rows = 8};
  batch.inputs = reference::random_numbers(8 * kFeatures, 1.5f, 60);
  batch.targets = reference::random_numbers(8, 1.5f, 61);
  for (int r = 0; r < batch.rows; ++r) batch.labels.push_back(r * r % kClasses);
  return batch;
}

Batch text_batch(const ModelSpec& model) {
  Batch batch{.rows = 2 * model.context};
  for (int r = 0; r < batch.rows; ++r) {
    batch.tokens.push_back(r * r % kVocabulary);
    batch.labels.push_back((r * r * r + 1) % kVocabulary);
  }
  return batch;
}

Matrix linear(const Matrix& x, const Weights& w, const std::string& name) {
  return reference::linear(x, w.at(name + ".weight"), w.at(name + ".bias"));
}

Matrix norm(const Matrix& x, const Weights& w, const std::string& name) {
  return reference::layer_norm(x, w.at(name + ".gain"), w.at(name + ".bias"));
}

Matrix sum(Matrix x, const Matrix& y) {
  for (size_t i = 0; i < x.data.size(); ++i) x.data[i] += y.data[i];
  return x;
}

Matrix mlp_outputs(const ModelSpec& spec, const Batch& batch, const Weights& w) {
  Matrix x(batch.rows, kFeatures, widen(batch.inputs));
  for (int i = 0; i < spec.layers; ++i)
    x = reference::activation(spec.activation, linear(x, w, "hidden" + std::to_string(i)));
  return linear(x, w, "head");
}

Matrix transformer_outputs(const ModelSpec& spec, const Batch& batch, const Weights& w) {
  Matrix x(batch.rows, spec.width);
  for (int r = 0; r < batch.rows; ++r)
    for (int c = 0; c < spec.width; ++c)
      x.at(r, c) = w.at("tokens")[size_t(batch.tokens[size_t(r)] * spec.width + c)] +
                   w.at("positions")[size_t(r % spec.context * spec.width + c)];
  for (int i = 0; i < spec.layers; ++i) {
    const std::string block = "block" + std::to_string(i);
    const Matrix mixed =
        reference::causal_attention(linear(norm(x, w, block + ".norm1"), w, block + ".qkv"), spec.heads, spec.context);
    x = sum(x, linear(mixed, w, block + ".projection"));
    const Matrix up = linear(norm(x, w, block + ".norm2"), w, block + ".up");
    x = sum(x, linear(reference::activation(spec.activation, up), w, block + ".down"));
  }
  return linear(norm(x, w, "norm"), w, "head");
}

double loss(const ModelSpec& spec, Target target, const Batch& batch, const Weights& w) {
  const Matrix outputs =
      spec.kind == ModelKind::Mlp ? mlp_outputs(spec, batch, w) : transformer_outputs(spec, batch, w);
  return target == Target::Number ? reference::mean_squared_error(outputs.data, batch.targets)
                                  : reference::cross_entropy(outputs, batch.labels);
}

/// Initial weights are small and biases zero: both would leave most of a gradient untested.
void spread_out(const Model& model) {
  uint32_t site = 70;
  for (Parameter* parameter : model.parameters)
    parameter->value = reference::random_numbers(parameter->value.size(), 0.7f, site++);
}

Weights weights_of(const Model& model) {
  Weights weights;
  for (const Parameter* parameter : model.parameters) weights[parameter->name] = widen(parameter->value);
  return weights;
}

void expect_loss_and_gradients(const ModelSpec& spec, Target target, const Batch& batch) {
  const int outputs = target == Target::Number ? 1 : target == Target::Class ? kClasses : kVocabulary;
  Trainer trainer(experiment(spec), target, target == Target::NextToken ? kVocabulary : kFeatures, outputs);
  spread_out(trainer.model());
  Weights weights = weights_of(trainer.model());
  EXPECT_NEAR(trainer.evaluate(batch, 0).mean, loss(spec, target, batch, weights), 3e-6);

  bool finite = false;
  EXPECT_NEAR(trainer.step(batch, 0, false, finite).mean, loss(spec, target, batch, weights), 3e-6);
  EXPECT_TRUE(finite);
  for (const Parameter* parameter : trainer.model().parameters) {
    const Vector center = weights.at(parameter->name);
    reference::expect_gradient(
        parameter->name, parameter->gradient, center,
        [&](const Vector& at) {
          weights[parameter->name] = at;
          return loss(spec, target, batch, weights);
        },
        3e-5);
    weights[parameter->name] = center;
  }
}

TEST(Mlp, loss_and_every_gradient_agree_with_double_precision) {
  for (Activation activation : {Activation::Relu, Activation::Gelu, Activation::GeluTanh})
    for (int layers : {1, 3}) {
      expect_loss_and_gradients(mlp(activation, layers), Target::Number, table_batch());
      expect_loss_and_gradients(mlp(activation, layers), Target::Class, table_batch());
    }
}

TEST(CharTransformer, loss_and_every_gradient_agree_with_double_precision) {
  for (int layers : {1, 2}) {
    const ModelSpec spec = transformer(layers);
    expect_loss_and_gradients(spec, Target::NextToken, text_batch(spec));
  }
}

TEST(CharTransformer, predictions_do_not_see_the_future) {
  const ModelSpec spec = transformer(2);
  const RecipeCasts casts = prepare({});
  const std::unique_ptr<Model> model = make_model(spec, kVocabulary, kVocabulary, casts, 1);
  spread_out(*model);
  const Batch batch = text_batch(spec);
  Tensor outputs, other_outputs;
  model->forward(batch, outputs, {});
  for (int changed = 0; changed < batch.rows; ++changed) {
    Batch other = batch;
    other.tokens[size_t(changed)] = (other.tokens[size_t(changed)] + 1) % kVocabulary;
    model->forward(other, other_outputs, {});
    for (int r = 0; r < batch.rows; ++r) {
      const bool sees = r >= changed && r / spec.context == changed / spec.context;
      EXPECT_EQ(std::ranges::equal(outputs.row(r), other_outputs.row(r)), !sees) << r << " after changing " << changed;
    }
  }
}

TEST(Models, gradients_start_from_zero_at_every_step) {
  const Batch batch = table_batch();
  Experiment e = experiment(mlp(Activation::Relu, 2));
  e.optimizer.lr = 0;
  Trainer trainer(e, Target::Class, kFeatures, kClasses);
  bool finite = false;
  trainer.step(batch, 0, false, finite);
  const std::vector<float> first = trainer.model().parameters[0]->gradient;
  trainer.step(batch, 1, false, finite);
  EXPECT_EQ(trainer.model().parameters[0]->gradient, first);
}

TEST(Models, initial_weights_are_a_function_of_seed_and_shape) {
  const auto digest = [](const ModelSpec& spec, uint64_t seed, std::string_view recipe) {
    Experiment e = experiment(spec);
    e.seed = seed;
    e.recipe = find_recipe(recipe);
    e.optimizer.lr = double(seed);
    const bool is_text = spec.kind == ModelKind::CharTransformer;
    return Trainer(e, is_text ? Target::NextToken : Target::Class, is_text ? kVocabulary : kFeatures, kClasses)
        .weights_digest();
  };
  for (const ModelSpec& spec : {mlp(Activation::Relu, 2), transformer(2)}) {
    EXPECT_EQ(digest(spec, 1, "fp32"), digest(spec, 1, "nvfp4-nvidia"));
    EXPECT_NE(digest(spec, 1, "fp32"), digest(spec, 2, "fp32"));
    EXPECT_NE(digest(spec, 1, "fp32"), digest(spec, uint64_t{1} << 32 | 1, "fp32")) << "high half of the seed";
  }
}

TEST(Models, no_two_matrices_start_alike) {
  for (const ModelSpec& spec : {mlp(Activation::Relu, 3), transformer(2)}) {
    const RecipeCasts casts = prepare({});
    const std::unique_ptr<Model> model = make_model(spec, kVocabulary, kVocabulary, casts, 1);
    std::map<int64_t, std::string> seen;  // by the first weight, scaled to its layer's range and rounded
    for (const Parameter* parameter : model->parameters) {
      if (!parameter->decays) continue;
      const float ratio = parameter->value[0] / parameter->value[1];
      const auto [at, is_new] = seen.emplace(std::llround(double(ratio) * 1e6), parameter->name);
      EXPECT_TRUE(is_new) << parameter->name << " starts like " << at->second;
    }
  }
}

TEST(Models, have_the_parameters_that_their_shape_says) {
  // hidden: 6·9 + 9, 9·9 + 9; head: 9·5 + 5
  EXPECT_EQ(Trainer(experiment(mlp(Activation::Relu, 2)), Target::Class, kFeatures, kClasses).parameter_count(),
            63 + 90 + 50);
  // embeddings (7 + 5)·6; a block: norms 4·6, qkv 6·18 + 18, projection 36 + 6, up 6·24 + 24, down 24·6 + 6;
  // last norm 12; head 6·7 + 7
  EXPECT_EQ(Trainer(experiment(transformer(2)), Target::NextToken, kVocabulary, kVocabulary).parameter_count(),
            72 + 2 * (24 + 126 + 42 + 168 + 150) + 12 + 49);
}

// With zero weights in the other linear layers their casts change nothing, so outputs and gradients are those of
// float32 unless the head, a norm, an embedding or the attention is cast.
TEST(Models, leave_everything_but_those_linear_layers_in_float32) {
  struct Pass {
    Tensor outputs;
    std::map<std::string, std::vector<float>> gradients;
  };
  const auto pass_with = [](const ModelSpec& spec, const Batch& batch, std::string_view recipe) {
    const RecipeCasts casts = prepare(find_recipe(recipe));
    const int features = spec.kind == ModelKind::Mlp ? kFeatures : kVocabulary;
    const std::unique_ptr<Model> model = make_model(spec, features, kVocabulary, casts, 1);
    spread_out(*model);
    for (Parameter* parameter : model->parameters)
      if (parameter->name.ends_with(".weight") && !parameter->name.starts_with("head"))
        std::ranges::fill(parameter->value, 0.0f);
    Pass pass;
    model->forward(batch, pass.outputs, {});
    model->backward(batch, reference::random_tensor(batch.rows, kVocabulary, 0.3f, 99), {});
    for (const Parameter* parameter : model->parameters)
      if (!parameter->name.ends_with(".weight") || parameter->name.starts_with("head"))
        pass.gradients[parameter->name] = parameter->gradient;
    return pass;
  };
  for (const ModelSpec& spec : {mlp(Activation::Gelu, 2), transformer(2)}) {
    const Batch batch = spec.kind == ModelKind::Mlp ? table_batch() : text_batch(spec);
    const Pass plain = pass_with(spec, batch, "fp32"), cast = pass_with(spec, batch, "mxfp4-ocp");
    EXPECT_EQ(cast.outputs.data, plain.outputs.data);
    EXPECT_EQ(cast.gradients, plain.gradients);
  }
}

TEST(Models, quantise_every_linear_layer_but_the_head) {
  const RecipeCasts casts = prepare({});
  EXPECT_EQ(make_model(mlp(Activation::Relu, 2), kFeatures, kClasses, casts, 1)->quantized_layers,
            (std::vector<std::string>{"hidden0", "hidden1"}));
  EXPECT_EQ(make_model(transformer(1), kVocabulary, kVocabulary, casts, 1)->quantized_layers,
            (std::vector<std::string>{"block0.qkv", "block0.projection", "block0.up", "block0.down"}));
}

}  // namespace
}  // namespace halfulp
