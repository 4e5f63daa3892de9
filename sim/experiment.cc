#include "sim/experiment.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "formats/digest.h"
#include "sim/dataset.h"
#include "sim/numerics.h"
#include "sim/task.h"

namespace halfulp {
namespace {

// Raised when the meaning of the canonical text changes.
constexpr std::string_view kSchema = "halfulp experiment 1";

template <class T>
void require_range(std::string_view key, T value, T least, T most) {
  if (value < least || value > most)
    throw std::invalid_argument(fmt::format("{}: {} is not in {} … {}", key, value, least, most));
}

void normalize(ModelSpec& m, Target target) {
  const bool is_text = target == Target::NextToken;
  if (is_text != (m.kind == ModelKind::CharTransformer))
    throw std::invalid_argument(fmt::format("model.kind: '{}' does not fit the task, which needs '{}'", name(m.kind),
                                            name(is_text ? ModelKind::CharTransformer : ModelKind::Mlp)));
  require_range("model.layers", m.layers, 1, 64);
  require_range("model.width", m.width, 1, 8192);
  if (!is_text) {
    m.heads = m.context = 0;
    return;
  }
  require_range("model.heads", m.heads, 1, m.width);
  require_range("model.context", m.context, 1, 4096);
  if (m.width % m.heads != 0)
    throw std::invalid_argument(fmt::format("model.heads: {} does not divide model.width {}", m.heads, m.width));
}

void normalize(OptimizerSpec& o, int steps) {
  require_range("optimizer.lr", o.lr, 0.0, 1e6);
  require_range("optimizer.weight_decay", o.weight_decay, 0.0, 1e6);
  require_range("optimizer.clip", o.clip, 0.0, 1e30);
  require_range("optimizer.warmup", o.warmup, 0, steps - 1);
  switch (o.kind) {
    case OptimizerKind::AdamW:
      require_range("optimizer.beta1", o.beta1, 0.0, 1 - 1e-9);
      require_range("optimizer.beta2", o.beta2, 0.0, 1 - 1e-9);
      require_range("optimizer.epsilon", o.epsilon, 1e-38, 1.0);
      o.momentum = 0;
      break;
    case OptimizerKind::Sgd:
      require_range("optimizer.momentum", o.momentum, 0.0, 1.0);
      o.beta1 = o.beta2 = o.epsilon = 0;
      break;
  }
}

void normalize(Experiment& e) {
  const Target target = find_task(e.task).target;
  require_range("steps", e.steps, 1, 100'000'000);
  require_range("batch", e.batch, 1, 1 << 20);
  require_range("evaluations", e.evaluations, 1, e.steps);
  normalize(e.model, target);
  normalize(e.optimizer, e.steps);
  normalize(e.recipe);
}

}  // namespace

Experiment with_settings(Experiment experiment, std::span<const Setting> changes) {
  if (const std::optional<std::string> recipe = last_value(changes, "recipe")) experiment.recipe = find_recipe(*recipe);
  for (const Setting& change : changes)
    if (change.key != "recipe") set(experiment, change);
  normalize(experiment);
  return experiment;
}

Experiment make_experiment(std::span<const Setting> given) {
  const std::optional<std::string> task = last_value(given, "task");
  if (!task)
    throw UnknownName("task", "", [] {
      std::vector<std::string_view> known;
      for (const TaskRow& row : tasks()) known.push_back(row.name);
      return known;
    }());
  Experiment experiment;
  experiment.task = *task;
  for (const Setting& setting : parse_settings(find_task(*task).defaults)) set(experiment, setting);
  return with_settings(std::move(experiment), given);
}

std::string canonical_text(const Experiment& experiment) {
  Experiment copy = experiment;
  std::string text;
  for_each_field(copy, [&]<class T>(const std::string& path, T& field) {
    const char* quote = std::is_arithmetic_v<T> ? "" : "\"";
    text += fmt::format("{} = {}{}{}\n", path, quote, detail::to_text(field), quote);
  });
  return text;
}

Experiment parse_experiment(std::string_view canonical) {
  Experiment experiment;
  for (const Setting& setting : parse_settings(canonical)) set(experiment, setting);
  normalize(experiment);
  return experiment;
}

std::string experiment_key(const Experiment& experiment) {
  return sha256_hex(fmt::format("{}\n{}\n{}\n{}", kSchema, numerics_version(),
                                data_digest(find_task(experiment.task).dataset), canonical_text(experiment)));
}

}  // namespace halfulp
