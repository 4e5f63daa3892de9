#include "sim/task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "sim/dataset.h"
#include "sim/experiment.h"

namespace halfulp {
namespace {

#define SKIP_UNLESS_FETCHED(name) \
  if (!is_fetched(name)) GTEST_SKIP() << "no data: `tools/fetch_data " << (name) << "` fetches it"

RandomSite data_site(uint64_t seed, uint32_t step) { return {.seed = seed, .stream = Stream::Data, .step = step}; }

Batch joined(const TaskData& data, int batch, int context) {
  Batch all;
  for (int i = 0;; ++i) {
    const Batch next = data.validation_batch(i, batch, context);
    if (next.rows == 0) return all;
    EXPECT_LE(next.rows, batch * std::max(1, context));
    all.rows += next.rows;
    all.inputs.insert(all.inputs.end(), next.inputs.begin(), next.inputs.end());
    all.targets.insert(all.targets.end(), next.targets.begin(), next.targets.end());
    all.labels.insert(all.labels.end(), next.labels.begin(), next.labels.end());
    all.tokens.insert(all.tokens.end(), next.tokens.begin(), next.tokens.end());
  }
}

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.inputs, b.inputs);
  EXPECT_EQ(a.targets, b.targets);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.tokens, b.tokens);
}

bool differ(const Batch& a, const Batch& b) { return a.inputs != b.inputs || a.tokens != b.tokens; }

TEST(Tasks, rows_name_known_data_and_their_defaults_make_an_experiment) {
  std::set<std::string_view> names;
  for (const TaskRow& row : tasks()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(&find_task(row.name), &row);
    EXPECT_NO_THROW(find_dataset(row.dataset)) << row.name;
    EXPECT_NO_THROW(make_experiment(std::vector<Setting>{{"task", std::string(row.name)}})) << row.name;
    EXPECT_FALSE(row.description.empty());
  }
}

TEST(Tasks, unknown_ones_are_named_with_the_known) {
  try {
    find_task("digit");
    FAIL();
  } catch (const UnknownName& error) {
    EXPECT_NE(std::string(error.what()).find("no task named 'digit'; nearest: digits"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(task_data("digit"), UnknownName);
}

TEST(TaskBatches, have_the_shapes_that_the_task_tells) {
  for (const TaskRow& row : tasks()) {
    SKIP_UNLESS_FETCHED(row.dataset);
    SCOPED_TRACE(row.name);
    const auto data = task_data(row.name);
    const int context = row.target == Target::NextToken ? 11 : 0;
    for (const Batch& batch :
         {data->training_batch(5, context, data_site(1, 0)), data->validation_batch(0, 5, context)}) {
      const size_t rows = row.target == Target::NextToken ? 55 : 5;
      EXPECT_EQ(size_t(batch.rows), rows);
      EXPECT_EQ(batch.inputs.size(), row.target == Target::NextToken ? 0 : rows * size_t(data->features()));
      EXPECT_EQ(batch.targets.size(), row.target == Target::Number ? rows : 0);
      EXPECT_EQ(batch.labels.size(), row.target == Target::Number ? 0 : rows);
      EXPECT_EQ(batch.tokens.size(), row.target == Target::NextToken ? rows : 0);
      for (int32_t label : batch.labels) EXPECT_TRUE(label >= 0 && label < data->outputs()) << label;
      for (int32_t token : batch.tokens) EXPECT_TRUE(token >= 0 && token < data->features()) << token;
    }
  }
}

TEST(TaskBatches, are_a_function_of_the_site) {
  for (const TaskRow& row : tasks()) {
    SKIP_UNLESS_FETCHED(row.dataset);
    SCOPED_TRACE(row.name);
    const auto data = task_data(row.name);
    const Batch batch = data->training_batch(6, 8, data_site(1, 3));
    EXPECT_TRUE(differ(data->training_batch(6, 8, data_site(1, 4)), batch));
    EXPECT_TRUE(differ(data->training_batch(6, 8, data_site(2, 3)), batch));
    expect_equal(data->training_batch(6, 8, data_site(1, 3)), batch);
    // a larger batch begins with the smaller one
    Batch larger = data->training_batch(9, 8, data_site(1, 3));
    larger.inputs.resize(batch.inputs.size());
    larger.tokens.resize(batch.tokens.size());
    EXPECT_FALSE(differ(larger, batch));
  }
}

TEST(TaskBatches, draw_every_training_example_about_equally_often) {
  SKIP_UNLESS_FETCHED("digits");
  const auto data = task_data("digits");
  const Examples train = load_tabular("digits").train;
  std::map<std::vector<float>, int> drawn;
  for (int r = 0; r < train.count(); ++r)
    drawn[{train.inputs.begin() + r * 64, train.inputs.begin() + (r + 1) * 64}] = 0;
  const size_t distinct = drawn.size();
  constexpr int kDraws = 100 * 500;
  for (uint32_t step = 0; step < 100; ++step) {
    const Batch batch = data->training_batch(500, 0, data_site(1, step));
    for (int r = 0; r < batch.rows; ++r) ++drawn[{batch.inputs.begin() + r * 64, batch.inputs.begin() + (r + 1) * 64}];
  }
  EXPECT_EQ(drawn.size(), distinct) << "rows that are not of the training part";
  const double mean = double(kDraws) / train.count();
  for (const auto& [row, times] : drawn) {
    EXPECT_GT(times, mean - 6 * std::sqrt(mean));
    EXPECT_LT(times, mean + 6 * std::sqrt(mean));
  }
}

TEST(TaskBatches, labels_stay_with_their_inputs) {
  SKIP_UNLESS_FETCHED("digits");
  const Examples train = load_tabular("digits").train;
  std::map<std::vector<float>, int> label_of;
  for (int r = 0; r < train.count(); ++r)
    label_of[{train.inputs.begin() + r * 64, train.inputs.begin() + (r + 1) * 64}] = train.labels[size_t(r)];
  const Batch batch = task_data("digits")->training_batch(300, 0, data_site(4, 2));
  for (int r = 0; r < batch.rows; ++r) {
    const std::vector<float> input(batch.inputs.begin() + r * 64, batch.inputs.begin() + (r + 1) * 64);
    EXPECT_EQ(label_of.at(input), batch.labels[size_t(r)]);
  }
}

TEST(ValidationBatches, are_the_validation_part_in_order_once_whatever_the_batch) {
  for (const char* name : {"digits", "regression", "vision"}) {
    const TaskRow& row = find_task(name);
    SKIP_UNLESS_FETCHED(row.dataset);
    SCOPED_TRACE(name);
    const Examples validation = load_tabular(row.dataset).validation;
    const int rows = std::min(4096, validation.count());
    for (int batch : {100, 128, 5000}) {
      const Batch all = joined(*task_data(name), batch, 0);
      ASSERT_EQ(all.rows, rows);
      EXPECT_TRUE(std::equal(all.inputs.begin(), all.inputs.end(), validation.inputs.begin()));
      EXPECT_TRUE(std::equal(all.targets.begin(), all.targets.end(), validation.targets.begin()));
      EXPECT_TRUE(std::equal(all.labels.begin(), all.labels.end(), validation.labels.begin()));
    }
  }
}

/// The tokens of sequence s and the one to be guessed last.
std::vector<int32_t> passage_of(const Batch& batch, int s, int context) {
  std::vector<int32_t> passage(size_t(context) + 1);
  std::copy_n(batch.tokens.begin() + s * context, context, passage.begin());
  passage.back() = batch.labels[size_t((s + 1) * context - 1)];
  return passage;
}

TEST(ValidationBatches, of_text_are_passages_that_do_not_overlap_spread_over_the_whole_part) {
  SKIP_UNLESS_FETCHED("kjv");
  constexpr int kContext = 64, kSequences = 256;
  const std::vector<uint8_t> text = load_text("kjv").validation;
  const Batch all = joined(*task_data("char_lm"), 10, kContext);
  ASSERT_EQ(all.rows, kSequences * kContext);
  expect_equal(joined(*task_data("char_lm"), 300, kContext), all);
  const size_t spacing = text.size() / kSequences;
  ASSERT_GT(spacing, size_t(kContext) + 1);
  size_t from = 0;  // passages are looked for behind the one before
  for (int s = 0; s < kSequences; ++s) {
    const std::vector<int32_t> passage = passage_of(all, s, kContext);
    const auto found = std::search(text.begin() + ptrdiff_t(from), text.end(), passage.begin(), passage.end());
    ASSERT_NE(found, text.end()) << "passage " << s;
    const size_t at = size_t(found - text.begin());
    EXPECT_NEAR(double(at), double(spacing) * s, double(kContext) + kSequences) << "passage " << s;
    from = at + kContext;
    for (int t = 0; t + 1 < kContext; ++t)
      ASSERT_EQ(all.labels[size_t(s * kContext + t)], all.tokens[size_t(s * kContext + t + 1)]);
  }
}

TEST(TextBatches, are_passages_of_the_training_part_with_the_next_character_as_label) {
  SKIP_UNLESS_FETCHED("kjv");
  constexpr int kContext = 40;
  const TextData text = load_text("kjv");
  const auto data = task_data("char_lm");
  EXPECT_EQ(data->features(), text.vocabulary);
  EXPECT_EQ(data->outputs(), text.vocabulary);
  const Batch batch = data->training_batch(4, kContext, data_site(1, 0));
  for (int s = 0; s < 4; ++s) {
    const std::vector<int32_t> passage = passage_of(batch, s, kContext);
    EXPECT_NE(std::search(text.train.begin(), text.train.end(), passage.begin(), passage.end()), text.train.end());
    for (int t = 0; t + 1 < kContext; ++t)
      EXPECT_EQ(batch.labels[size_t(s * kContext + t)], batch.tokens[size_t(s * kContext + t + 1)]);
  }
}

/// Entropy of the frequencies [nats].
template <class Symbols>
double entropy(const Symbols& symbols) {
  std::map<int, double> counts;
  for (auto symbol : symbols) ++counts[int(symbol)];
  double sum = 0;
  for (const auto& [symbol, count] : counts) sum -= count * std::log(count / double(symbols.size()));
  return sum / double(symbols.size());
}

TEST(BlindLoss, is_the_variance_of_numbers_and_the_entropy_of_classes_and_characters) {
  SKIP_UNLESS_FETCHED("diamonds");
  EXPECT_NEAR(task_data("regression")->blind_loss(), 1.0, 1e-6);  // standardised
  SKIP_UNLESS_FETCHED("digits");
  EXPECT_NEAR(task_data("digits")->blind_loss(), entropy(load_tabular("digits").train.labels), 1e-12);
  SKIP_UNLESS_FETCHED("fashion_mnist");
  EXPECT_NEAR(task_data("vision")->blind_loss(), std::log(10.0), 1e-12);  // 6000 of each
  SKIP_UNLESS_FETCHED("kjv");
  const TextData text = load_text("kjv");
  EXPECT_NEAR(task_data("char_lm")->blind_loss(), entropy(text.train), 1e-9);
  EXPECT_NEAR(task_data("char_lm")->blind_loss(), unigram_entropy(text.train, text.vocabulary), 1e-12);
}

TEST(TaskDataLoading, is_shared_and_safe_from_two_threads) {
  SKIP_UNLESS_FETCHED("digits");
  std::shared_ptr<const TaskData> loaded[4];
  {
    std::vector<std::jthread> threads;
    for (auto& data : loaded) threads.emplace_back([&data] { data = task_data("digits"); });
  }
  for (const auto& data : loaded) EXPECT_EQ(data, task_data("digits"));
}

}  // namespace
}  // namespace halfulp
