#include "sim/dataset.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "formats/digest.h"
#include "sim/data_files.h"
#include "sim/datasets_toml.h"  // generated from sim/datasets.toml

namespace halfulp {
namespace {

// --- the manifest ---

[[noreturn]] void bad_manifest(std::string_view where, std::string_view key) {
  throw std::runtime_error(fmt::format("sim/datasets.toml: {}.{}: missing or of the wrong type", where, key));
}

template <class Value>
Value required(const toml::table& table, std::string_view where, std::string_view key) {
  if (const auto value = table[key].value<Value>()) return *value;
  bad_manifest(where, key);
}

const toml::array& required_list(const toml::table& table, std::string_view where, std::string_view key) {
  if (const toml::array* list = table[key].as_array()) return *list;
  bad_manifest(where, key);
}

DatasetInfo parse_dataset(const std::string& name, const toml::table& table) {
  DatasetInfo info{.name = name,
                   .task = required<std::string>(table, name, "task"),
                   .description = required<std::string>(table, name, "description"),
                   .licence = required<std::string>(table, name, "licence"),
                   .source = required<std::string>(table, name, "source"),
                   .split = required<std::string>(table, name, "split"),
                   .revision = required<int>(table, name, "revision"),
                   .packages = {},
                   .files = {}};
  for (const toml::node& package : required_list(table, name, "packages"))
    info.packages.push_back(package.value_or(std::string()));
  for (const toml::node& node : required_list(table, name, "files")) {
    if (!node.is_table()) bad_manifest(name, "files");
    const toml::table& file = *node.as_table();
    info.files.push_back(
        {.path = required<std::string>(file, name, "path"), .sha256 = required<std::string>(file, name, "sha256")});
  }
  return info;
}

// --- files ---

std::filesystem::path data_folder() {
  const char* folder = std::getenv("HALFULP_DATA");
  return folder && *folder ? folder : "data";
}

std::filesystem::path data_path(const DatasetInfo& info, const DataFile& file) {
  return data_folder() / info.name / std::filesystem::path(file.path).filename();
}

struct LoadedFile {
  std::string name;  // for messages
  std::vector<uint8_t> bytes;
};

/// File number `index` of a data set, after its digest has been checked.
LoadedFile load_file(const DatasetInfo& info, size_t index) {
  const DataFile& file = info.files[index];
  const std::filesystem::path path = data_path(info, file);
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  if (!stream)
    throw std::runtime_error(
        fmt::format("data set {}: no file {}; `tools/fetch_data {}` fetches it into $HALFULP_DATA or ./data", info.name,
                    path.string(), info.name));
  LoadedFile loaded{.name = path.string(), .bytes = std::vector<uint8_t>(size_t(stream.tellg()))};
  stream.seekg(0).read(reinterpret_cast<char*>(loaded.bytes.data()), std::streamsize(loaded.bytes.size()));
  const std::string got = sha256_hex(loaded.bytes);
  if (got != file.sha256)
    throw std::runtime_error(
        fmt::format("{}: damaged: sha256 {} expected, got {}; `tools/fetch_data {}` fetches it again", loaded.name,
                    file.sha256, got, info.name));
  return loaded;
}

// --- scaling and splitting ---

/// Maps values to mean 0 and standard deviation 1.
struct Scale {
  double mean = 0;
  double deviation = 1;

  float operator()(double value) const { return float((value - mean) / deviation); }
};

/// The scale of value(0) … value(count - 1): two sums in this order, so it has the same bits everywhere.
template <class Value>
Scale scale_of(size_t count, Value value) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += value(i);
  const double mean = sum / double(count);
  double squares = 0;
  for (size_t i = 0; i < count; ++i) squares += (value(i) - mean) * (value(i) - mean);
  return {.mean = mean, .deviation = std::sqrt(squares / double(count))};
}

/// Every `stride`-th row validates, the first of them row stride - 1.
bool validates(int row, int stride) { return row % stride == stride - 1; }

struct Images {
  std::vector<uint8_t> pixels;  // (images, pixels of one)
  std::vector<int32_t> labels;
};

TabularData scale_images(const Images& train, const Images& validation, int classes) {
  const Scale scale = scale_of(train.pixels.size(), [&](size_t i) { return double(train.pixels[i]); });
  std::array<float, 256> scaled;
  for (size_t pixel = 0; pixel < scaled.size(); ++pixel) scaled[pixel] = scale(double(pixel));

  const auto examples = [&](const Images& images) {
    Examples result{.features = int(images.pixels.size() / images.labels.size()),
                    .classes = classes,
                    .inputs = std::vector<float>(images.pixels.size()),
                    .targets = {},
                    .labels = images.labels};
    std::transform(images.pixels.begin(), images.pixels.end(), result.inputs.begin(),
                   [&](uint8_t p) { return scaled[p]; });
    return result;
  };
  return {.train = examples(train), .validation = examples(validation)};
}

struct Column {
  std::vector<double> values;
  bool scaled = true;  // false: as it is
};

TabularData split_regression(std::vector<Column> columns, const std::vector<double>& target, int stride) {
  columns.push_back({.values = target});
  const int rows = int(target.size());
  TabularData data;
  data.train.features = data.validation.features = int(columns.size()) - 1;

  // 1. The scale of every column comes from its train rows alone.
  std::vector<Scale> scales;
  for (const Column& column : columns) {
    std::vector<double> train;
    for (int row = 0; row < rows; ++row)
      if (!validates(row, stride)) train.push_back(column.values[row]);
    scales.push_back(column.scaled ? scale_of(train.size(), [&](size_t i) { return train[i]; }) : Scale{});
  }

  // 2. The last column is the target, the others are the inputs.
  for (int row = 0; row < rows; ++row) {
    Examples& examples = validates(row, stride) ? data.validation : data.train;
    for (size_t i = 0; i + 1 < columns.size(); ++i) examples.inputs.push_back(scales[i](columns[i].values[row]));
    examples.targets.push_back(scales.back()(target[row]));
  }
  return data;
}

// --- the data sets ---

/// A whole number in 0 … limit - 1 out of a table, or an error that says where it stood.
int index_at(const LoadedFile& file, const NumberTable& table, int row, int column, int limit) {
  const double value = table.at(row, column);
  if (value < 0 || value >= limit || value != std::floor(value))
    throw std::runtime_error(fmt::format("{}: line {}, column {}: a whole number from 0 to {} expected, got {}",
                                         file.name, row + 1, column + 1, limit - 1, value));
  return int(value);
}

constexpr int kClothes = 10;  // classes of fashion_mnist

Images fashion_images(const DatasetInfo& info, size_t images_file, size_t labels_file) {
  const LoadedFile images = load_file(info, images_file);
  const LoadedFile labels = load_file(info, labels_file);
  IdxArray pixels = parse_idx(images.name, gunzip(images.name, images.bytes), 3);
  const IdxArray classes = parse_idx(labels.name, gunzip(labels.name, labels.bytes), 1);
  if (classes.extents[0] != pixels.extents[0])
    throw std::runtime_error(
        fmt::format("{}: {} labels expected, got {}", labels.name, pixels.extents[0], classes.extents[0]));
  const auto wrong =
      std::find_if(classes.values.begin(), classes.values.end(), [](uint8_t c) { return c >= kClothes; });
  if (wrong != classes.values.end())
    throw std::runtime_error(fmt::format("{}: label {}: a class from 0 to {} expected, got {}", labels.name,
                                         wrong - classes.values.begin(), kClothes - 1, *wrong));
  return {.pixels = std::move(pixels.values), .labels = {classes.values.begin(), classes.values.end()}};
}

TabularData load_fashion_mnist(const DatasetInfo& info) {
  return scale_images(fashion_images(info, 0, 1), fashion_images(info, 2, 3), kClothes);
}

TabularData load_digits(const DatasetInfo& info) {
  constexpr int kPixels = 64, kWhite = 16, kClasses = 10;
  const LoadedFile file = load_file(info, 0);
  const NumberTable table = parse_csv(file.name, gunzip(file.name, file.bytes), ',', kPixels + 1);
  Images train, validation;
  for (int row = 0; row < table.rows(); ++row) {
    Images& images = validates(row, 5) ? validation : train;
    for (int i = 0; i < kPixels; ++i) images.pixels.push_back(uint8_t(index_at(file, table, row, i, kWhite + 1)));
    images.labels.push_back(index_at(file, table, row, kPixels, kClasses));
  }
  return scale_images(train, validation, kClasses);
}

TabularData load_diabetes(const DatasetInfo& info) {
  constexpr int kMeasurements = 10;
  const LoadedFile data = load_file(info, 0);
  const LoadedFile target = load_file(info, 1);
  const NumberTable measured = parse_csv(data.name, gunzip(data.name, data.bytes), ' ', kMeasurements);
  const NumberTable progress = parse_csv(target.name, gunzip(target.name, target.bytes), ' ', 1);
  if (progress.rows() != measured.rows())
    throw std::runtime_error(
        fmt::format("{}: line {}: {} rows expected", target.name, progress.rows(), measured.rows()));

  std::vector<Column> columns(kMeasurements);
  for (int row = 0; row < measured.rows(); ++row)
    for (int i = 0; i < kMeasurements; ++i) columns[i].values.push_back(measured.at(row, i));
  return split_regression(std::move(columns), progress.values, 5);
}

TabularData load_diamonds(const DatasetInfo& info) {
  const LoadedFile file = load_file(info, 0);
  const std::vector<RColumn> frame = find_r_data_frame(file.name, file.bytes, "carat");
  const auto column = [&](std::string_view name) -> const RColumn& {
    const auto found = std::find_if(frame.begin(), frame.end(), [&](const RColumn& c) { return c.name == name; });
    const size_t rows = frame.front().values.size();
    if (found == frame.end() || found->values.size() != rows)
      throw std::runtime_error(fmt::format("{}: diamonds: {} numbers expected in column '{}'", file.name, rows, name));
    return *found;
  };

  std::vector<Column> columns;
  for (const char* name : {"carat", "depth", "table", "x", "y", "z"})
    columns.push_back({.values = column(name).values});
  for (const char* name : {"cut", "color", "clarity"}) {
    const RColumn& factor = column(name);
    for (size_t level = 1; level <= factor.levels.size(); ++level) {
      Column& is_level = columns.emplace_back(Column{.values = {}, .scaled = false});
      for (double value : factor.values) is_level.values.push_back(value == double(level));
    }
  }
  // the file is in runs of rising price, so a stride gives both parts the same mixture of prices
  return split_regression(std::move(columns), column("price").values, 10);
}

struct TabularLoader {
  std::string_view name;
  TabularData (*load)(const DatasetInfo&);
};

constexpr std::array kTabularLoaders = {
    TabularLoader{"fashion_mnist", load_fashion_mnist},
    TabularLoader{"digits", load_digits},
    TabularLoader{"diabetes", load_diabetes},
    TabularLoader{"diamonds", load_diamonds},
};

}  // namespace

const std::vector<DatasetInfo>& datasets() {
  static const std::vector<DatasetInfo> all = [] {
    std::vector<DatasetInfo> list;
    for (const auto& [name, table] : toml::parse(kDatasetsToml))
      list.push_back(parse_dataset(std::string(name.str()), *table.as_table()));
    return list;
  }();
  return all;
}

const DatasetInfo& find_dataset(std::string_view name) {
  std::string known;
  for (const DatasetInfo& info : datasets()) {
    if (info.name == name) return info;
    known += (known.empty() ? "" : ", ") + info.name;
  }
  throw std::invalid_argument(fmt::format("no data set named '{}' ({})", name, known));
}

bool is_fetched(std::string_view name) {
  const DatasetInfo& info = find_dataset(name);
  return std::all_of(info.files.begin(), info.files.end(),
                     [&](const DataFile& file) { return std::filesystem::exists(data_path(info, file)); });
}

std::string data_digest(std::string_view name) {
  const DatasetInfo& info = find_dataset(name);
  std::string text = fmt::format("{} {}\n", info.name, info.revision);
  for (const DataFile& file : info.files) text += file.sha256 + '\n';
  return sha256_hex(text);
}

TabularData load_tabular(std::string_view name) {
  const DatasetInfo& info = find_dataset(name);
  for (const TabularLoader& loader : kTabularLoaders)
    if (loader.name == name) return loader.load(info);
  throw std::invalid_argument(fmt::format("data set {} is {}, not a table of examples", name, info.task));
}

TextData load_text(std::string_view name) {
  const DatasetInfo& info = find_dataset(name);
  if (info.task != "text") throw std::invalid_argument(fmt::format("data set {} is for {}, not text", name, info.task));
  const LoadedFile file = load_file(info, 0);

  std::array<bool, 256> occurs{};
  for (uint8_t byte : file.bytes) occurs[byte] = true;
  TextData data;
  std::array<uint8_t, 256> token{};
  for (size_t byte = 0; byte < occurs.size(); ++byte) {
    if (!occurs[byte]) continue;
    token[byte] = uint8_t(data.alphabet.size());
    data.alphabet += char(byte);
  }
  data.vocabulary = int(data.alphabet.size());

  const size_t train = file.bytes.size() * 9 / 10;
  for (size_t i = 0; i < file.bytes.size(); ++i)
    (i < train ? data.train : data.validation).push_back(token[file.bytes[i]]);
  return data;
}

double unigram_entropy(std::span<const uint8_t> tokens, int vocabulary) {
  std::vector<double> counts(vocabulary);
  for (uint8_t token : tokens) ++counts.at(token);
  double entropy = 0;
  for (double count : counts)
    if (count > 0) entropy -= count / double(tokens.size()) * std::log(count / double(tokens.size()));
  return entropy;
}

}  // namespace halfulp
