#include "sim/task.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <string>

#include "formats/names.h"
#include "sim/dataset.h"

namespace halfulp {
namespace {

constexpr std::string_view kMlpDefaults =
    "model.kind = mlp\n"
    "model.layers = 2\n"
    "model.width = 128\n"
    "model.activation = relu\n"
    "optimizer.lr = 0.003\n"
    "optimizer.warmup = 50\n"
    "steps = 1000\n"
    "batch = 128";

constexpr std::array kTasks = {
    TaskRow{"regression", "price of a diamond from its 26 measurements; mean squared error of the standardised price",
            "diamonds", Target::Number, kMlpDefaults},
    TaskRow{"vision", "class of a 28x28 picture of clothing; cross-entropy", "fashion_mnist", Target::Class,
            kMlpDefaults},
    TaskRow{"digits", "class of an 8x8 handwritten digit; cross-entropy", "digits", Target::Class, kMlpDefaults},
    TaskRow{"char_lm", "next character of the King James Bible; cross-entropy", "kjv", Target::NextToken,
            "model.kind = char_transformer\n"
            "model.layers = 2\n"
            "model.width = 64\n"
            "model.heads = 4\n"
            "model.context = 64\n"
            "model.activation = gelu_tanh\n"
            "optimizer.lr = 0.003\n"
            "optimizer.warmup = 50\n"
            "steps = 600\n"
            "batch = 16"},
};

// Rows of the validation part that an evaluation looks at, at most.
constexpr int kValidationRows = 4096;
constexpr int kValidationSequences = 256;

// A uniform index below `count`.
size_t random_index(const RandomSite& site, uint32_t i, size_t count) {
  return size_t(uint64_t{random_word(site, i)} * count >> 32);
}

class TabularTask : public TaskData {
 public:
  explicit TabularTask(std::string_view dataset) : data_(load_tabular(dataset)) {}

  Batch training_batch(int batch, int, const RandomSite& site) const override {
    Batch result;
    for (int i = 0; i < batch; ++i)
      append(data_.train, random_index(site, uint32_t(i), size_t(data_.train.count())), result);
    return result;
  }

  Batch validation_batch(int i, int batch, int) const override {
    Batch result;
    const int last = std::min(kValidationRows, data_.validation.count());
    for (int row = i * batch; row < std::min((i + 1) * batch, last); ++row)
      append(data_.validation, size_t(row), result);
    return result;
  }

  int features() const override { return data_.train.features; }
  int outputs() const override { return std::max(1, data_.train.classes); }

  double blind_loss() const override {
    if (data_.train.classes == 0) {
      double sum = 0, squares = 0;
      for (float y : data_.train.targets) {
        sum += y;
        squares += double(y) * y;
      }
      const double count = data_.train.count();
      return squares / count - sum / count * (sum / count);
    }
    const std::vector<uint8_t> labels(data_.train.labels.begin(), data_.train.labels.end());
    return unigram_entropy(labels, data_.train.classes);
  }

 private:
  static void append(const Examples& from, size_t row, Batch& batch) {
    const size_t features = size_t(from.features);
    const auto first = from.inputs.begin() + ptrdiff_t(row * features);
    batch.inputs.insert(batch.inputs.end(), first, first + ptrdiff_t(features));
    if (from.classes == 0)
      batch.targets.push_back(from.targets[row]);
    else
      batch.labels.push_back(from.labels[row]);
    ++batch.rows;
  }

  TabularData data_;
};

class TextTask : public TaskData {
 public:
  explicit TextTask(std::string_view dataset) : data_(load_text(dataset)) {}

  Batch training_batch(int batch, int context, const RandomSite& site) const override {
    Batch result;
    const size_t starts = data_.train.size() - size_t(context);
    for (int i = 0; i < batch; ++i) append(data_.train, random_index(site, uint32_t(i), starts), context, result);
    return result;
  }

  // Evenly spaced passages.
  Batch validation_batch(int i, int batch, int context) const override {
    Batch result;
    const size_t starts = data_.validation.size() - size_t(context);
    for (int s = i * batch; s < std::min((i + 1) * batch, kValidationSequences); ++s)
      append(data_.validation, starts * size_t(s) / kValidationSequences, context, result);
    return result;
  }

  int features() const override { return data_.vocabulary; }
  int outputs() const override { return data_.vocabulary; }
  double blind_loss() const override { return unigram_entropy(data_.train, data_.vocabulary); }

 private:
  static void append(const std::vector<uint8_t>& text, size_t start, int context, Batch& batch) {
    for (size_t t = start; t < start + size_t(context); ++t) {
      batch.tokens.push_back(text[t]);
      batch.labels.push_back(text[t + 1]);
    }
    batch.rows += context;
  }

  TextData data_;
};

}  // namespace

std::span<const TaskRow> tasks() { return kTasks; }

const TaskRow& find_task(std::string_view name) {
  std::vector<std::string_view> known;
  for (const TaskRow& row : kTasks) {
    if (row.name == name) return row;
    known.push_back(row.name);
  }
  throw UnknownName("task", name, known);
}

std::shared_ptr<const TaskData> task_data(std::string_view task) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const TaskData>, std::less<>> loaded;
  const TaskRow& row = find_task(task);
  const std::lock_guard lock(mutex);
  std::shared_ptr<const TaskData>& data = loaded[std::string(row.dataset)];
  if (data == nullptr) {
    if (row.target == Target::NextToken)
      data = std::make_shared<TextTask>(row.dataset);
    else
      data = std::make_shared<TabularTask>(row.dataset);
  }
  return data;
}

}  // namespace halfulp
