#include "sim/study.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

namespace halfulp {
namespace {

constexpr std::string_view kMetrics[] = {"validation_loss", "train_loss", "accuracy"};
constexpr int64_t kMostCombinations = 1'000'000;

// Reads a study's parts, with the file's name and line in every error.
class Reader {
 public:
  explicit Reader(std::string_view file) : file_(file) {}

  [[noreturn]] void fail(const toml::node& node, std::string_view key, std::string_view what) const {
    throw std::invalid_argument(fmt::format("{}:{}: {}: {}", file_, node.source().begin.line, key, what));
  }

  std::string text(const toml::node& node, std::string_view key) const {
    if (const auto* s = node.as_string()) return s->get();
    if (const auto* i = node.as_integer()) return fmt::format("{}", i->get());
    if (const auto* f = node.as_floating_point()) return fmt::format("{}", f->get());
    fail(node, key, "needs a string or a number");
  }

  std::string string(const toml::node& node, std::string_view key) const {
    if (const auto* s = node.as_string()) return s->get();
    fail(node, key, "needs a string");
  }

  const toml::table& table(const toml::node& node, std::string_view key) const {
    if (const auto* t = node.as_table()) return *t;
    fail(node, key, "needs a table");
  }

  // The values of a list, at least one.
  std::vector<std::string> list(const toml::node& node, std::string_view key) const {
    const auto* array = node.as_array();
    if (array == nullptr || array->empty()) fail(node, key, "needs a list of at least one value");
    std::vector<std::string> values;
    for (const toml::node& element : *array) values.push_back(text(element, key));
    return values;
  }

  // Leaves of nested tables in the order of the file, under dotted keys.
  std::vector<std::pair<std::string, const toml::node*>> leaves(const toml::table& table) const {
    std::vector<std::pair<std::string, const toml::node*>> all;
    collect(table, "", all);
    std::ranges::stable_sort(all, [](const auto& a, const auto& b) {
      const auto& x = a.second->source().begin;
      const auto& y = b.second->source().begin;
      return std::tie(x.line, x.column) < std::tie(y.line, y.column);
    });
    return all;
  }

  std::vector<Setting> settings(const toml::table& table) const {
    std::vector<Setting> all;
    for (const auto& [key, node] : leaves(table)) all.push_back({key, text(*node, key)});
    return all;
  }

  // Tables of `[[name]]`.
  std::vector<const toml::table*> tables(const toml::node& node, std::string_view name) const {
    std::vector<const toml::table*> all;
    const auto* array = node.as_array();
    if (array == nullptr) fail(node, name, fmt::format("needs tables [[{}]]", name));
    for (const toml::node& element : *array) all.push_back(&table(element, name));
    return all;
  }

 private:
  static void collect(const toml::table& table, const std::string& prefix,
                      std::vector<std::pair<std::string, const toml::node*>>& all) {
    for (const auto& [key, node] : table) {
      const std::string path = prefix + std::string(key.str());
      if (const auto* nested = node.as_table())
        collect(*nested, path + '.', all);
      else
        all.emplace_back(path, &node);
    }
  }

  std::string_view file_;
};

std::vector<uint64_t> parse_seeds(const Reader& reader, const toml::node& node) {
  std::vector<uint64_t> seeds;
  for (const std::string& text : reader.list(node, "seeds")) {
    try {
      seeds.push_back(detail::parse_number<uint64_t>(text));
    } catch (const std::invalid_argument& error) {
      reader.fail(node, "seeds", error.what());
    }
  }
  std::vector<uint64_t> sorted = seeds;
  std::ranges::sort(sorted);
  if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end())
    reader.fail(node, "seeds", fmt::format("{} stands twice; each seed once", *twice));
  return seeds;
}

Study::Axis parse_zip(const Reader& reader, const toml::table& table) {
  Study::Axis axis;
  for (const auto& [key, node] : reader.leaves(table)) {
    const std::vector<std::string> values = reader.list(*node, key);
    if (axis.empty()) axis.resize(values.size());
    if (axis.size() != values.size())
      reader.fail(*node, key, fmt::format("has {} values where its group [[zip]] has {}", values.size(), axis.size()));
    for (size_t i = 0; i < values.size(); ++i) axis[i].push_back({key, values[i]});
  }
  if (axis.empty()) reader.fail(table, "zip", "needs at least one key");
  return axis;
}

bool is_excluded(const Study::Exclusion& exclusion, const std::vector<Setting>& settings) {
  return std::ranges::all_of(exclusion.conditions, [&](const Study::Exclusion::Condition& condition) {
    const std::optional<std::string> set = last_value(settings, condition.key);
    return set && std::ranges::any_of(condition.values, [&](const auto& value) { return same_value(value, *set); });
  });
}

// The baseline is needed only after everything has been run: too late to find it unusable.
void require_baseline(const Experiment& experiment, const Study& study) {
  try {
    with_settings(experiment, study.baseline);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("baseline: {}", error.what()));
  }
}

// A key that two axes set, or that the seeds set already, would silently lose one of its values.
void require_distinct_keys(const Reader& reader, const toml::table& root, const Study& study) {
  std::set<std::string> taken = {"seed"};
  for (const Study::Axis& axis : study.axes)
    for (const Setting& setting : axis.front())
      if (!taken.insert(setting.key).second)
        reader.fail(root, setting.key,
                    setting.key == "seed" ? "is no axis; the list `seeds` holds the seeds"
                                          : "stands in two axes; a key may stand in one [axes] line or one [[zip]]");
  if (last_value(study.base, "seed"))
    reader.fail(root, "seed", "is no setting of [base]; the list `seeds` holds the seeds");
}

// An exclusion that names a key or a value which the study never sets would silently exclude nothing.
void require_known_conditions(const Reader& reader, const toml::node& node, const Study& study) {
  std::map<std::string, std::vector<std::string>, std::less<>> values;
  for (const Setting& setting : study.base) values[setting.key].push_back(setting.value);
  for (const Study::Axis& axis : study.axes)
    for (const std::vector<Setting>& alternative : axis)
      for (const Setting& setting : alternative) values[setting.key].push_back(setting.value);
  for (uint64_t seed : study.seeds) values["seed"].push_back(fmt::format("{}", seed));
  std::vector<std::string_view> keys;
  for (const auto& [key, known] : values) keys.push_back(key);

  for (const Study::Exclusion& exclusion : study.exclusions)
    for (const Study::Exclusion::Condition& condition : exclusion.conditions) {
      const auto known = values.find(condition.key);
      if (known == values.end())
        reader.fail(node, "exclude", UnknownName("setting of this study", condition.key, keys).what());
      for (const std::string& value : condition.values)
        if (std::ranges::none_of(known->second, [&](const auto& each) { return same_value(each, value); }))
          reader.fail(
              node, "exclude",
              fmt::format("{} never is '{}'; it takes {}", condition.key, value, fmt::join(known->second, ", ")));
    }
}

std::string describe(const std::vector<Setting>& settings) {
  std::string text;
  for (const Setting& setting : settings)
    text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", setting.key, setting.value);
  return text;
}

}  // namespace

std::vector<std::string_view> metric_names() { return {std::begin(kMetrics), std::end(kMetrics)}; }

Study parse_study(std::string_view toml_text, std::string_view file_name) {
  const Reader reader(file_name);
  toml::table root;
  try {
    root = toml::parse(toml_text, file_name);
  } catch (const toml::parse_error& error) {
    throw std::invalid_argument(
        fmt::format("{}:{}: not TOML: {}", file_name, error.source().begin.line, error.description()));
  }
  Study study;
  for (const auto& [toml_key, node] : root) {
    const std::string_view key = toml_key.str();
    if (key == "title") {
      study.title = reader.string(node, key);
    } else if (key == "question") {
      study.question = reader.string(node, key);
    } else if (key == "metric") {
      study.metric = reader.string(node, key);
      if (std::ranges::find(kMetrics, study.metric) == std::end(kMetrics))
        reader.fail(node, key, UnknownName("metric", study.metric, metric_names()).what());
    } else if (key == "seeds") {
      study.seeds = parse_seeds(reader, node);
    } else if (key == "baseline") {
      study.baseline = reader.settings(reader.table(node, key));
    } else if (key == "base") {
      study.base = reader.settings(reader.table(node, key));
    } else if (key == "axes") {
      for (const auto& [name, values] : reader.leaves(reader.table(node, key))) {
        Study::Axis axis;
        for (const std::string& value : reader.list(*values, name)) axis.push_back({{name, value}});
        study.axes.push_back(std::move(axis));
      }
    } else if (key == "zip") {
      for (const toml::table* table : reader.tables(node, key)) study.axes.push_back(parse_zip(reader, *table));
    } else if (key == "exclude") {
      for (const toml::table* table : reader.tables(node, key)) {
        Study::Exclusion exclusion;
        for (const auto& [name, value] : reader.leaves(*table))
          exclusion.conditions.push_back(
              {name, value->is_array() ? reader.list(*value, name) : std::vector{reader.text(*value, name)}});
        study.exclusions.push_back(std::move(exclusion));
      }
    } else {
      constexpr std::string_view kKeys[] = {"title", "question", "metric", "seeds",  "baseline",
                                            "base",  "axes",     "zip",    "exclude"};
      reader.fail(node, key, UnknownName("key of a study", key, kKeys).what());
    }
  }
  if (study.seeds.empty())
    throw std::invalid_argument(fmt::format("{}: seeds: missing; a list such as [1, 2, 3]", file_name));
  require_distinct_keys(reader, root, study);
  if (const toml::node* exclude = root.get("exclude")) require_known_conditions(reader, *exclude, study);
  return study;
}

Study read_study(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  const bool is_empty = file.peek() == std::ifstream::traits_type::eof() && !file.bad();
  if (!file.is_open() || (!is_empty && !(text << file.rdbuf())) || file.bad())
    throw std::invalid_argument(fmt::format("{}: cannot be read as a study: {}", path.string(), std::strerror(errno)));
  return parse_study(text.str(), path.string());
}

Plan expand(const Study& study) {
  int64_t combinations = int64_t(study.seeds.size());
  for (const Study::Axis& axis : study.axes) {
    combinations *= int64_t(axis.size());
    if (combinations > kMostCombinations)
      throw std::invalid_argument(
          fmt::format("{}: with this axis the study comes to more than {} combinations; split it into several studies",
                      axis.front().front().key, kMostCombinations));
  }
  Plan plan{.runs = {}, .combinations = combinations};
  std::set<std::string> seen;
  for (int64_t index = 0; index < combinations; ++index) {
    std::vector<Setting> settings = study.base;
    int64_t rest = index;
    std::vector<const std::vector<Setting>*> chosen;
    for (auto axis = study.axes.rbegin(); axis != study.axes.rend(); ++axis) {
      chosen.push_back(&(*axis)[size_t(rest % int64_t(axis->size()))]);
      rest /= int64_t(axis->size());
    }
    for (auto choice = chosen.rbegin(); choice != chosen.rend(); ++choice)
      settings.insert(settings.end(), (*choice)->begin(), (*choice)->end());
    settings.push_back({"seed", fmt::format("{}", study.seeds[size_t(rest)])});
    if (std::ranges::any_of(study.exclusions, [&](const auto& each) { return is_excluded(each, settings); })) {
      ++plan.excluded;
      continue;
    }
    try {
      PlannedRun run{make_experiment(settings), ""};
      require_baseline(run.experiment, study);
      run.key = experiment_key(run.experiment);
      if (seen.insert(run.key).second) plan.runs.push_back(std::move(run));
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(fmt::format("{} (in the combination {})", error.what(), describe(settings)));
    }
  }
  return plan;
}

}  // namespace halfulp
