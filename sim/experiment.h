// An experiment: everything a run depends on. Its canonical text gives its key.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/recipe.h"
#include "sim/settings.h"
#include "sim/tensor.h"

namespace halfulp {

enum class ModelKind { Mlp, CharTransformer };
enum class OptimizerKind { AdamW, Sgd };
enum class Schedule { Constant, Linear };

struct ModelSpec {
  ModelKind kind = ModelKind::Mlp;
  int layers = 2;  // mlp: hidden layers; char_transformer: blocks
  int width = 128;
  int heads = 0;    // char_transformer only
  int context = 0;  // char_transformer only [tokens]
  Activation activation = Activation::Relu;

  bool operator==(const ModelSpec&) const = default;
};

struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::AdamW;
  double lr = 1e-3;
  double beta1 = 0.9;                    // adamw
  double beta2 = 0.99;                   // adamw
  double epsilon = 1e-8;                 // adamw
  double momentum = 0.9;                 // sgd
  double weight_decay = 0.0;             // decoupled for adamw, added to the gradient for sgd; matrices only
  double clip = 1.0;                     // largest norm of the whole gradient; 0: no clipping
  Schedule schedule = Schedule::Linear;  // linear: falling as if to zero one step after the last
  int warmup = 0;                        // steps of linear warm-up

  bool operator==(const OptimizerSpec&) const = default;
};

struct Experiment {
  std::string task;  // a row of tasks()
  ModelSpec model;
  OptimizerSpec optimizer;
  int steps = 0;
  int batch = 0;         // examples, or sequences of model.context tokens
  int evaluations = 10;  // of the validation loss, evenly spaced, the last one after the last step
  Recipe recipe;
  uint64_t seed = 1;  // of initial weights, data order and stochastic rounding

  bool operator==(const Experiment&) const = default;
};

template <class Visitor>
void visit(Visitor& v, ModelSpec& m) {
  auto& [kind, layers, width, heads, context, activation] = m;
  v("kind", kind);
  v("layers", layers);
  v("width", width);
  v("heads", heads);
  v("context", context);
  v("activation", activation);
}

template <class Visitor>
void visit(Visitor& v, OptimizerSpec& o) {
  auto& [kind, lr, beta1, beta2, epsilon, momentum, weight_decay, clip, schedule, warmup] = o;
  v("kind", kind);
  v("lr", lr);
  v("beta1", beta1);
  v("beta2", beta2);
  v("epsilon", epsilon);
  v("momentum", momentum);
  v("weight_decay", weight_decay);
  v("clip", clip);
  v("schedule", schedule);
  v("warmup", warmup);
}

template <class Visitor>
void visit(Visitor& v, Experiment& e) {
  auto& [task, model, optimizer, steps, batch, evaluations, recipe, seed] = e;
  v("task", task);
  v.group("model", model);
  v.group("optimizer", optimizer);
  v("steps", steps);
  v("batch", batch);
  v("evaluations", evaluations);
  v.group("recipe", recipe);
  v("seed", seed);
}

/// The normalised experiment that the settings ask for: the task's defaults, then `recipe` where one is named, then the
/// other settings in their order. Throws std::invalid_argument naming the key and what is allowed.
Experiment make_experiment(std::span<const Setting> settings);

/// The normalised experiment that differs from another in these settings: a recipe where one is named, then the rest.
Experiment with_settings(Experiment experiment, std::span<const Setting> changes);

/// One line `key = value` per field, in the order of `visit`, readable as TOML.
std::string canonical_text(const Experiment& experiment);

/// The inverse of canonical_text.
Experiment parse_experiment(std::string_view canonical);

/// SHA-256 of the canonical text, the numerics version and the digest of the task's data: 64 hexadecimal digits.
std::string experiment_key(const Experiment& experiment);

template <>
struct EnumNames<ModelKind> {
  static constexpr std::string_view kind = "model";
  static constexpr NamedValue<ModelKind> values[] = {{ModelKind::Mlp, "mlp"},
                                                     {ModelKind::CharTransformer, "char_transformer"}};
};
template <>
struct EnumNames<OptimizerKind> {
  static constexpr std::string_view kind = "optimizer";
  static constexpr NamedValue<OptimizerKind> values[] = {{OptimizerKind::AdamW, "adamw"}, {OptimizerKind::Sgd, "sgd"}};
};
template <>
struct EnumNames<Schedule> {
  static constexpr std::string_view kind = "schedule";
  static constexpr NamedValue<Schedule> values[] = {{Schedule::Constant, "constant"}, {Schedule::Linear, "linear"}};
};
template <>
struct EnumNames<Activation> {
  static constexpr std::string_view kind = "activation";
  static constexpr NamedValue<Activation> values[] = {
      {Activation::Relu, "relu"}, {Activation::Gelu, "gelu"}, {Activation::GeluTanh, "gelu_tanh"}};
};

}  // namespace halfulp
