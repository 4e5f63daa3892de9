#include "sim/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "formats/isa.h"
#include "sim/numerics.h"
#include "sim/trainer.h"

namespace halfulp {
namespace {

constexpr int kEventSamples = 10;     // steps whose events are counted
constexpr double kMeanWeight = 0.05;  // of the newest loss in the running mean
constexpr double kTooFarAbove = 3;    // times the first loss
constexpr double kRising = 1.5;       // times the running mean's minimum
constexpr int kRisingEvaluations = 3;

// Watches the running mean of the training loss.
class DivergenceWatch {
 public:
  void add(double loss) {
    if (!started_) first_ = mean_ = lowest_ = loss;
    started_ = true;
    mean_ += kMeanWeight * (loss - mean_);
    lowest_ = std::min(lowest_, mean_);
  }

  // Why the run counts as diverged; empty when it does not.
  std::string at_step() const {
    if (mean_ <= kTooFarAbove * first_) return "";
    return fmt::format("running training loss {:.4g} above {} times the first loss {:.4g}", mean_, kTooFarAbove,
                       first_);
  }
  std::string at_evaluation() {
    rising_ = mean_ > kRising * lowest_ ? rising_ + 1 : 0;
    if (rising_ < kRisingEvaluations) return "";
    return fmt::format("running training loss {:.4g} above {} times its minimum {:.4g} for {} evaluations", mean_,
                       kRising, lowest_, kRisingEvaluations);
  }

  double first() const { return first_; }
  double mean() const { return mean_; }

 private:
  bool started_ = false;
  double first_ = 0, mean_ = 0, lowest_ = 0;
  int rising_ = 0;
};

Loss validate(Trainer& trainer, const TaskData& data, const Experiment& e) {
  Loss total;
  double sum = 0;
  for (int i = 0;; ++i) {
    const Batch batch = data.validation_batch(i, e.batch, e.model.context);
    if (batch.rows == 0) break;
    const Loss loss = trainer.evaluate(batch, i);
    sum += loss.mean * double(loss.rows);
    total.rows += loss.rows;
    total.correct += loss.correct;
  }
  total.mean = sum / double(total.rows);
  return total;
}

nlohmann::json to_json(const CastEvents& e) {
  nlohmann::json json = {{"elements", e.elements},
                         {"saturated", e.saturated},
                         {"flushed", e.flushed},
                         {"subnormal", e.subnormal},
                         {"nonfinite", e.nonfinite}};
  json["signal_squares"] = e.signal_squares;
  json["error_squares"] = e.error_squares;
  return json;
}

std::string counters_json(const Trainer& trainer) {
  nlohmann::ordered_json json;
  for (size_t layer = 0; layer < trainer.events().size(); ++layer)
    for (int slot = 0; slot < kSlots; ++slot)
      json["events"][trainer.model().quantized_layers[layer]][std::string(kSlotNames[slot])] =
          to_json(trainer.events()[layer][size_t(slot)]);
  json["weights_sha256"] = trainer.weights_digest();
  json["parameters"] = trainer.parameter_count();
  return json.dump();
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

std::optional<RunRecord> run_experiment(const Experiment& e, const RunControl& control) {
  const auto start = std::chrono::steady_clock::now();
  const std::shared_ptr<const TaskData> data = task_data(e.task);
  const Target target = find_task(e.task).target;
  Trainer trainer(e, target, data->features(), data->outputs());

  RunRecord record{.key = experiment_key(e), .experiment = canonical_text(e), .numerics = numerics_version()};
  DivergenceWatch watch;
  nlohmann::json curve = nlohmann::json::array();
  const int count_every = std::max(1, e.steps / kEventSamples);
  int evaluations = 0;
  Loss validation;
  int step = 0;
  for (; step < e.steps && record.reason.empty(); ++step) {
    if (control.cancelled != nullptr && control.cancelled->load(std::memory_order_relaxed)) return std::nullopt;
    const Batch batch = data->training_batch(
        e.batch, e.model.context, {.seed = e.seed, .stream = Stream::Data, .step = uint32_t(step), .site = 0});
    bool finite = true;
    const Loss loss = trainer.step(batch, step, step % count_every == 0, finite);
    if (!finite) {
      record.reason = "training loss or gradient not finite";
      break;
    }
    watch.add(loss.mean);
    record.reason = watch.at_step();

    const int64_t due = int64_t(step + 1) * e.evaluations / e.steps;
    if (record.reason.empty() && due > evaluations) {
      evaluations = int(due);
      validation = validate(trainer, *data, e);
      record.reason = std::isfinite(validation.mean) ? watch.at_evaluation() : "validation loss not finite";
      curve.push_back({step + 1, watch.mean(), validation.mean});
      if (control.on_evaluation) control.on_evaluation({step + 1, watch.mean(), validation.mean});
    }
  }

  record.steps = step;
  if (record.reason.empty()) {
    record.metrics["validation_loss"] = validation.mean;
    if (target != Target::Number) record.metrics["accuracy"] = double(validation.correct) / double(validation.rows);
  } else {
    record.status = RunStatus::Diverged;
    record.diverged_step = step;
  }
  record.metrics["train_loss"] = watch.mean();
  record.metrics["initial_loss"] = watch.first();
  record.curve = curve.dump();
  record.counters = counters_json(trainer);
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  record.finished_at = now_utc();
  record.host_info = name(active_isa());
  return record;
}

}  // namespace halfulp
