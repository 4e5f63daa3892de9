#include "sim/dataset.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <set>
#include <stdexcept>

#include "formats/digest.h"

namespace halfulp {
namespace {

template <class Exception>
std::string complaint(const std::function<void()>& act) {
  try {
    act();
  } catch (const Exception& error) {
    return error.what();
  }
  return "";
}

/// An empty data folder for the life of the object.
class EmptyDataFolder {
 public:
  EmptyDataFolder() : before_(std::getenv("HALFULP_DATA") ? std::getenv("HALFULP_DATA") : "") {
    std::filesystem::create_directories(path_);
    setenv("HALFULP_DATA", path_.c_str(), 1);
  }
  ~EmptyDataFolder() {
    setenv("HALFULP_DATA", before_.c_str(), 1);
    std::filesystem::remove_all(path_);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::string before_;
  std::filesystem::path path_ = testing::TempDir() + "halfulp_data_" + std::to_string(getpid());
};

// --- without data ---

TEST(Digest, agrees_with_the_examples_of_fips_180) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(std::vector<uint8_t>(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Manifest, every_data_set_says_all_about_itself) {
  ASSERT_FALSE(datasets().empty());
  for (const DatasetInfo& info : datasets()) {
    SCOPED_TRACE(info.name);
    EXPECT_TRUE((std::set<std::string>{"classification", "regression", "text"}).contains(info.task)) << info.task;
    for (const std::string* text : {&info.description, &info.licence, &info.source, &info.split}) EXPECT_NE(*text, "");
    EXPECT_GE(info.revision, 1);
    EXPECT_FALSE(info.packages.empty());
    ASSERT_FALSE(info.files.empty());
    for (const DataFile& file : info.files) {
      EXPECT_EQ(file.sha256.size(), 64u);
      EXPECT_EQ(file.sha256.find_first_not_of("0123456789abcdef"), std::string::npos);
    }
  }
}

TEST(Manifest, an_unknown_name_lists_the_known_ones) {
  EXPECT_EQ(complaint<std::invalid_argument>([] { find_dataset("mnist"); }),
            "no data set named 'mnist' (diabetes, diamonds, digits, fashion_mnist, kjv)");
}

TEST(Manifest, digests_differ_between_data_sets) {
  std::set<std::string> digests;
  for (const DatasetInfo& info : datasets()) digests.insert(data_digest(info.name));
  EXPECT_EQ(digests.size(), datasets().size());
}

TEST(Dataset, missing_data_tells_the_command_that_fetches_it) {
  const EmptyDataFolder folder;
  for (const DatasetInfo& info : datasets()) {
    EXPECT_FALSE(is_fetched(info.name));
    const std::string what = complaint<std::runtime_error>(
        [&] { info.task == "text" ? void(load_text(info.name)) : void(load_tabular(info.name)); });
    EXPECT_NE(what.find("`tools/fetch_data " + info.name + "`"), std::string::npos) << what;
    EXPECT_NE(what.find(folder.path()), std::string::npos) << what;
  }
}

TEST(Dataset, a_damaged_file_is_named_with_both_digests) {
  const EmptyDataFolder folder;
  std::filesystem::create_directories(folder.path() / "kjv");
  std::ofstream(folder.path() / "kjv" / "kjv.txt") << "abc";
  const std::string what = complaint<std::runtime_error>([] { load_text("kjv"); });
  for (const std::string& part : {(folder.path() / "kjv" / "kjv.txt").string(), sha256_hex("abc"),
                                  find_dataset("kjv").files[0].sha256, std::string("`tools/fetch_data kjv`")})
    EXPECT_NE(what.find(part), std::string::npos) << "'" << part << "' is not in: " << what;
}

TEST(Dataset, text_is_not_a_table_and_a_table_is_not_text) {
  EXPECT_EQ(complaint<std::invalid_argument>([] { load_tabular("kjv"); }),
            "data set kjv is text, not a table of examples");
  EXPECT_EQ(complaint<std::invalid_argument>([] { load_text("digits"); }),
            "data set digits is for classification, not text");
}

TEST(Entropy, of_known_frequencies) {
  EXPECT_EQ(unigram_entropy(std::vector<uint8_t>{2, 2, 2}, 3), 0);
  EXPECT_NEAR(unigram_entropy(std::vector<uint8_t>{0, 1, 2, 3}, 4), std::log(4.0), 1e-15);
  EXPECT_NEAR(unigram_entropy(std::vector<uint8_t>{0, 0, 0, 1}, 2), std::log(4.0) - 0.75 * std::log(3.0), 1e-15);
}

// --- with data: facts known about it from elsewhere, and what the manifest promises ---

#define SKIP_UNLESS_FETCHED(name) \
  if (!is_fetched(name)) GTEST_SKIP() << "no data: `tools/fetch_data " << (name) << "` fetches it"

/// Mean and deviation of column `column` of an array of rows.
std::pair<double, double> moments(const std::vector<float>& values, int columns, int column) {
  double sum = 0, squares = 0;
  const double rows = double(values.size()) / columns;
  for (size_t i = column; i < values.size(); i += columns) sum += values[i];
  for (size_t i = column; i < values.size(); i += columns)
    squares += (values[i] - sum / rows) * (values[i] - sum / rows);
  return {sum / rows, std::sqrt(squares / rows)};
}

void expect_standard(const std::vector<float>& values, int columns, int column) {
  const auto [mean, deviation] = moments(values, columns, column);
  EXPECT_NEAR(mean, 0, 1e-6) << "column " << column;
  EXPECT_NEAR(deviation, 1, 1e-6) << "column " << column;
}

void expect_shape(const Examples& examples, int count, int features, int classes) {
  EXPECT_EQ(examples.count(), count);
  EXPECT_EQ(examples.features, features);
  EXPECT_EQ(examples.classes, classes);
  EXPECT_EQ(examples.inputs.size(), size_t(count) * features);
  EXPECT_EQ(examples.labels.size(), classes > 0 ? size_t(count) : 0);
  EXPECT_EQ(examples.targets.size(), classes > 0 ? 0 : size_t(count));
  for (float input : examples.inputs) ASSERT_TRUE(std::isfinite(input));
}

/// `digest` was computed from the files by a separate program with exact sums (Python: gzip, zlib, math.fsum). Whoever
/// changes these bits raises the revision of the data set in the manifest.
void expect_bits(const DatasetInfo& info, const TabularData& data, int revision, std::string_view digest) {
  std::string digests;
  const auto add = [&](const auto& values) {
    digests += sha256_hex(std::span(reinterpret_cast<const uint8_t*>(values.data()), values.size() * 4));
  };
  for (const Examples* part : {&data.train, &data.validation}) {
    add(part->inputs);
    add(part->targets);
    add(part->labels);
  }
  EXPECT_EQ(info.revision, revision);
  EXPECT_EQ(sha256_hex(digests), digest);
}

std::vector<int> label_counts(const Examples& examples) {
  std::vector<int> counts(examples.classes);
  for (int32_t label : examples.labels) ++counts.at(label);
  return counts;
}

TEST(FashionMnist, has_the_published_shape_and_statistics) {
  SKIP_UNLESS_FETCHED("fashion_mnist");
  const TabularData data = load_tabular("fashion_mnist");
  expect_shape(data.train, 60000, 784, 10);
  expect_shape(data.validation, 10000, 784, 10);
  EXPECT_EQ(label_counts(data.train), std::vector<int>(10, 6000));
  EXPECT_EQ(label_counts(data.validation), std::vector<int>(10, 1000));
  expect_standard(data.train.inputs, 1, 0);
  // black and white, with the mean 0.2860 and deviation 0.3530 that are commonly given for these images
  const auto [black, white] = std::minmax_element(data.train.inputs.begin(), data.train.inputs.end());
  EXPECT_NEAR(*black, (0 - 0.2860) / 0.3530, 5e-4);
  EXPECT_NEAR(*white, (1 - 0.2860) / 0.3530, 5e-4);
  EXPECT_EQ(data.train.labels[0], 9);  // an ankle boot, first in both files
  EXPECT_EQ(data.validation.labels[0], 9);
  expect_bits(find_dataset("fashion_mnist"), data, 1,
              "3fc42e7ba1fe58b9f42504ea51721dce4d492f1c59997be5f20bbb68f0ebc6b3");
}

TEST(Digits, has_the_published_shape_and_rows) {
  SKIP_UNLESS_FETCHED("digits");
  const TabularData data = load_tabular("digits");
  expect_shape(data.train, 1438, 64, 10);
  expect_shape(data.validation, 359, 64, 10);
  expect_standard(data.train.inputs, 1, 0);
  // scikit-learn's load_digits().target starts 0 1 2 3 4 5 6 7 8 9; every fifth row validates
  EXPECT_EQ(std::vector<int32_t>(data.train.labels.begin(), data.train.labels.begin() + 8),
            (std::vector<int32_t>{0, 1, 2, 3, 5, 6, 7, 8}));
  EXPECT_EQ(std::vector<int32_t>(data.validation.labels.begin(), data.validation.labels.begin() + 2),
            (std::vector<int32_t>{4, 9}));
  // the counts of the classes that its description gives
  std::vector<int> counts = label_counts(data.train);
  for (int i = 0; i < 10; ++i) counts[i] += label_counts(data.validation)[i];
  EXPECT_EQ(counts, (std::vector{178, 182, 177, 183, 181, 182, 181, 179, 174, 180}));
  EXPECT_EQ((std::set<float>(data.train.inputs.begin(), data.train.inputs.end()).size()), 17u);
  expect_bits(find_dataset("digits"), data, 1, "52c95228ccdd05a12ed8e45342499571c0b54764ac6c999f5580cf0c8034f7fb");
}

TEST(Diabetes, has_the_published_shape) {
  SKIP_UNLESS_FETCHED("diabetes");
  const TabularData data = load_tabular("diabetes");
  expect_shape(data.train, 354, 10, 0);
  expect_shape(data.validation, 88, 10, 0);
  for (int column = 0; column < 10; ++column) expect_standard(data.train.inputs, 10, column);
  expect_standard(data.train.targets, 1, 0);
  // the file's first rows have the targets 151, 75, 141, 206, 135, 97: ratios of differences survive the scaling
  const std::vector<float>& t = data.train.targets;
  EXPECT_NEAR((t[0] - t[1]) / (t[2] - t[1]), (151. - 75.) / (141. - 75.), 1e-5);
  EXPECT_NEAR((t[3] - t[1]) / (t[4] - t[1]), (206. - 75.) / (97. - 75.), 1e-5);
  expect_bits(find_dataset("diabetes"), data, 1, "1a370031cf14dd5662ca65607dd54ef8db4be9563613806b0964f539431a54c6");
}

TEST(Diamonds, has_the_published_shape_and_first_rows) {
  SKIP_UNLESS_FETCHED("diamonds");
  const TabularData data = load_tabular("diamonds");
  expect_shape(data.train, 48546, 26, 0);
  expect_shape(data.validation, 5394, 26, 0);
  for (int column = 0; column < 6; ++column) expect_standard(data.train.inputs, 26, column);
  expect_standard(data.train.targets, 1, 0);
  // ggplot2's help shows the first row: 0.23 carat, Ideal, E, SI2, 326 dollars; then 0.21 carat, 326; 0.23 carat, 327;
  // 0.29 carat, 334
  const auto row = [&](int i) { return data.train.inputs.begin() + 26 * i; };
  EXPECT_EQ(std::vector<float>(row(0) + 6, row(1)),
            (std::vector<float>{0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(*row(0), *row(2));
  EXPECT_NEAR((*row(3) - *row(0)) / (*row(0) - *row(1)), (0.29 - 0.23) / (0.23 - 0.21), 1e-4);
  const std::vector<float>& t = data.train.targets;
  EXPECT_EQ(t[0], t[1]);
  EXPECT_NEAR((t[3] - t[0]) / (t[2] - t[0]), (334. - 326.) / (327. - 326.), 1e-2);
  // each factor has one level a row
  for (int i = 0; i < data.train.count(); ++i)
    for (auto [first, last] : {std::pair(6, 11), std::pair(11, 18), std::pair(18, 26)})
      ASSERT_EQ(std::accumulate(row(i) + first, row(i) + last, 0.f), 1) << "row " << i;
  expect_bits(find_dataset("diamonds"), data, 1, "30bdae4b686149bba5451a7365456b02ffb64a9ea501663ceca6ee2b2533b514");
}

TEST(Kjv, joins_to_the_text_again) {
  SKIP_UNLESS_FETCHED("kjv");
  const TextData data = load_text("kjv");
  EXPECT_EQ(data.vocabulary, 73);
  EXPECT_EQ(data.alphabet.size(), 73u);
  EXPECT_TRUE(std::is_sorted(data.alphabet.begin(), data.alphabet.end()));
  EXPECT_EQ(data.train.size() + data.validation.size(), 4404412u);
  EXPECT_EQ(data.train.size(), 4404412u * 9 / 10);
  std::string text;
  for (const std::vector<uint8_t>* part : {&data.train, &data.validation})
    for (uint8_t token : *part) text += data.alphabet.at(token);
  EXPECT_EQ(sha256_hex(text), find_dataset("kjv").files[0].sha256);
  EXPECT_TRUE(text.starts_with("Ge1:1 In the beginning God created the heaven and the earth.\n"));
  EXPECT_GT(unigram_entropy(data.train, data.vocabulary), 3.0);
  EXPECT_LT(unigram_entropy(data.train, data.vocabulary), std::log(73.0));
}

}  // namespace
}  // namespace halfulp
