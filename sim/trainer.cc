#include "sim/trainer.h"

#include <algorithm>
#include <cmath>

#include "formats/digest.h"

namespace halfulp {
namespace {

double learning_rate(const Experiment& e, int step) {
  const OptimizerSpec& o = e.optimizer;
  if (step < o.warmup) return o.lr * (step + 1) / o.warmup;
  if (o.schedule == Schedule::Constant) return o.lr;
  return o.lr * (e.steps - step) / (e.steps - o.warmup);
}

}  // namespace

Trainer::Trainer(const Experiment& experiment, Target target, int features, int outputs)
    : experiment_(experiment),
      target_(target),
      casts_(prepare(experiment.recipe)),
      model_(make_model(experiment.model, features, outputs, casts_, experiment.seed)),
      events_(model_->quantized_layers.size()) {
  for (const Parameter* parameter : model_->parameters) {
    first_moment_.emplace_back(parameter->value.size());
    second_moment_.emplace_back(experiment.optimizer.kind == OptimizerKind::AdamW ? parameter->value.size() : 0);
  }
}

Loss Trainer::loss(const Tensor& outputs, const Batch& batch, Tensor& d_outputs) const {
  Loss result{.rows = batch.rows};
  if (target_ == Target::Number)
    result.mean = mean_squared_error(outputs, batch.targets, d_outputs);
  else
    result.mean = softmax_cross_entropy(outputs, batch.labels, d_outputs, result.correct);
  return result;
}

Loss Trainer::step(const Batch& batch, int step, bool count_events, bool& finite) {
  const PassContext pass{.seed = experiment_.seed,
                         .stream = Stream::Rounding,
                         .step = uint32_t(step),
                         .events = count_events ? &events_ : nullptr};
  for (Parameter* parameter : model_->parameters) std::ranges::fill(parameter->gradient, 0.0f);
  Tensor outputs, d_outputs;
  model_->forward(batch, outputs, pass);
  const Loss result = loss(outputs, batch, d_outputs);
  model_->backward(batch, d_outputs, pass);

  const double norm = gradient_norm();
  finite = std::isfinite(result.mean) && std::isfinite(norm);
  if (!finite) return result;
  const double clip = experiment_.optimizer.clip;
  update(step, clip > 0 && norm > clip ? float(clip / norm) : 1.0f);
  return result;
}

Loss Trainer::evaluate(const Batch& batch, int index) {
  const PassContext pass{.seed = experiment_.seed, .stream = Stream::Evaluation, .step = uint32_t(index)};
  Tensor outputs, d_outputs;
  model_->forward(batch, outputs, pass);
  return loss(outputs, batch, d_outputs);
}

double Trainer::gradient_norm() const {
  double squares = 0;
  for (const Parameter* parameter : model_->parameters) squares += sum_of_squares(parameter->gradient);
  return std::sqrt(squares);
}

void Trainer::update(int step, float gradient_scale) {
  const OptimizerSpec& o = experiment_.optimizer;
  const float lr = float(learning_rate(experiment_, step));
  beta1_power_ *= o.beta1;
  beta2_power_ *= o.beta2;
  const float beta1 = float(o.beta1), beta2 = float(o.beta2), epsilon = float(o.epsilon), momentum = float(o.momentum);
  const float rest1 = float(1 - o.beta1), rest2 = float(1 - o.beta2);
  const float correction1 = float(1 / (1 - beta1_power_)), correction2 = float(1 / (1 - beta2_power_));
  for (size_t p = 0; p < model_->parameters.size(); ++p) {
    Parameter& parameter = *model_->parameters[p];
    const float decay = parameter.decays ? float(o.weight_decay) : 0.0f;
    float* const w = parameter.value.data();
    const float* const g = parameter.gradient.data();
    float* const m = first_moment_[p].data();
    float* const v = second_moment_[p].data();
    const size_t count = parameter.value.size();
    switch (o.kind) {
      case OptimizerKind::AdamW:
        for (size_t i = 0; i < count; ++i) {
          const float gradient = g[i] * gradient_scale;
          m[i] = beta1 * m[i] + rest1 * gradient;
          v[i] = beta2 * v[i] + rest2 * (gradient * gradient);
          const float direction = m[i] * correction1 / (std::sqrt(v[i] * correction2) + epsilon);
          w[i] -= lr * (direction + decay * w[i]);
        }
        break;
      case OptimizerKind::Sgd:
        for (size_t i = 0; i < count; ++i) {
          m[i] = momentum * m[i] + (g[i] * gradient_scale + decay * w[i]);
          w[i] -= lr * m[i];
        }
        break;
    }
  }
}

std::string Trainer::weights_digest() const {
  std::vector<uint8_t> bytes;
  for (const Parameter* parameter : model_->parameters) {
    const auto* data = reinterpret_cast<const uint8_t*>(parameter->value.data());
    bytes.insert(bytes.end(), data, data + parameter->value.size() * sizeof(float));
  }
  return sha256_hex(bytes);
}

int64_t Trainer::parameter_count() const {
  int64_t count = 0;
  for (const Parameter* parameter : model_->parameters) count += int64_t(parameter->value.size());
  return count;
}

}  // namespace halfulp
