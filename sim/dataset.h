// Real data for training: what sim/datasets.toml names and tools/fetch_data fetches, checked, split and scaled.
//
// What is loaded is a function of the files alone: splits go by index, and scaling is plain double arithmetic in index
// order, so every machine and compiler gets the same bits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace halfulp {

struct DataFile {
  std::string path;    // below the unpacked packages; the data folder has the file under its last part
  std::string sha256;  // 64 hexadecimal digits
};

/// One table of sim/datasets.toml, which explains the fields.
struct DatasetInfo {
  std::string name;
  std::string task;  // classification, regression or text
  std::string description;
  std::string licence;
  std::string source;
  std::string split;
  int revision;
  std::vector<std::string> packages;
  std::vector<DataFile> files;
};

/// All data sets, by name.
const std::vector<DatasetInfo>& datasets();
const DatasetInfo& find_dataset(std::string_view name);

/// Whether all files of a data set lie in the data folder: $HALFULP_DATA, or ./data.
bool is_fetched(std::string_view name);

/// Identifies what load_… returns without reading the data: the SHA-256 of the files' digests and the revision.
std::string data_digest(std::string_view name);

struct Examples {
  int features = 0;
  int classes = 0;              // 0: regression
  std::vector<float> inputs;    // (examples, features)
  std::vector<float> targets;   // regression only
  std::vector<int32_t> labels;  // classification only: 0 … classes - 1

  int count() const { return int(classes > 0 ? labels.size() : targets.size()); }
};

struct TabularData {
  Examples train, validation;
};

struct TextData {
  std::vector<uint8_t> train, validation;  // tokens: indices into the alphabet
  int vocabulary = 0;
  std::string alphabet;  // the bytes that occur, ascending
};

/// Reads a data set from $HALFULP_DATA, or ./data. Where it is missing, the exception tells the command that fetches
/// it.
TabularData load_tabular(std::string_view name);
TextData load_text(std::string_view name);

/// Entropy of the tokens' frequencies [nats]: the loss of the best model that looks at no context. For reports only.
double unigram_entropy(std::span<const uint8_t> tokens, int vocabulary);

}  // namespace halfulp
