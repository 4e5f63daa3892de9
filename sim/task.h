// Tasks: what is learned from which data, and the experiment that a task stands for when nothing else is said.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "formats/philox.h"

namespace halfulp {

enum class Target { Number, Class, NextToken };

/// A catalogue row.
struct TaskRow {
  std::string_view name;
  std::string_view description;
  std::string_view dataset;  // of sim/datasets.toml
  Target target;
  std::string_view defaults;  // lines `key = value` of an experiment
};

std::span<const TaskRow> tasks();

/// Throws UnknownName.
const TaskRow& find_task(std::string_view name);

/// What one step sees. Tokens and labels are by row of the model's output: (sequences · context) for text.
struct Batch {
  int rows = 0;
  std::vector<float> inputs;    // (rows, features); tables
  std::vector<float> targets;   // rows; Number
  std::vector<int32_t> labels;  // rows; Class and NextToken
  std::vector<int32_t> tokens;  // rows; NextToken
};

/// A task's data, loaded once and shared by all runs.
class TaskData {
 public:
  virtual ~TaskData() = default;

  /// Training examples for a step, drawn with replacement; a function of the site alone.
  virtual Batch training_batch(int batch, int context, const RandomSite& site) const = 0;
  /// The i-th batch of the fixed validation examples; no rows after the last one.
  virtual Batch validation_batch(int i, int batch, int context) const = 0;

  virtual int features() const = 0;  // inputs per row; of text, the size of the alphabet
  virtual int outputs() const = 0;   // columns of the model's output
  /// Validation loss of the best guess that sees no input: the targets' variance, or the entropy of the class or
  /// character frequencies [nats], measured on the training part. For reports only.
  virtual double blind_loss() const = 0;
};

/// Loads at the first use, then returns the same object; any thread may call it. Throws as load_tabular does.
std::shared_ptr<const TaskData> task_data(std::string_view task);

}  // namespace halfulp
