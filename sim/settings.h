// Named settings: one list of fields per struct (its `visit`) drives parsing, printing and comparing.
//
// A field's name is its path, such as `recipe.dgrad.g.rounding`; values travel as text, spelled as in study files.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <concepts>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "formats/names.h"

namespace halfulp {

/// A field's path and the text of its value.
struct Setting {
  std::string key, value;

  bool operator==(const Setting&) const = default;
};

namespace detail {

template <class T>
requires std::is_arithmetic_v<T> T parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool finite = !std::is_floating_point_v<T> || std::isfinite(double(value));
  if (error != std::errc() || end != text.data() + text.size() || !finite)
    throw std::invalid_argument(fmt::format("'{}' is not a {}", text,
                                            std::is_floating_point_v<T> ? "finite number"
                                            : std::is_signed_v<T>       ? "whole number"
                                                                        : "whole number from 0 on"));
  return value == 0 ? T{} : value;  // minus zero is zero: equal settings have one text
}

inline std::string to_text(const std::string& value) { return value; }
template <class T>
requires std::is_arithmetic_v<T> std::string to_text(T value) {
  return fmt::format("{}", value);  // doubles: the shortest text that reads back as the same number
}
template <class T>
requires std::is_enum_v<T> std::string to_text(T value) { return std::string(name(value)); }
template <class T>
std::string to_text(const std::optional<T>& value) {
  return value ? to_text(*value) : "none";
}

inline void from_text(std::string_view text, std::string& value) { value = text; }
template <class T>
requires std::is_arithmetic_v<T>
void from_text(std::string_view text, T& value) { value = parse_number<T>(text); }
template <class T>
requires std::is_enum_v<T>
void from_text(std::string_view text, T& value) { value = parse<T>(text); }
template <class T>
void from_text(std::string_view text, std::optional<T>& value) {
  if (text == "none") {
    value.reset();
  } else {
    value.emplace();
    from_text(text, *value);
  }
}

// Keeps the path of the group being visited; Action is called with (path, field).
template <class Action>
class PathVisitor {
 public:
  explicit PathVisitor(Action action) : action_(std::move(action)) {}

  template <class T>
  void operator()(std::string_view name, T& field) {
    action_(prefix_ + std::string(name), field);
  }

  template <class T>
  void group(std::string_view name, T& fields) {
    const size_t length = prefix_.size();
    prefix_ += std::string(name) + '.';
    visit(*this, fields);
    prefix_.resize(length);
  }

 private:
  Action action_;
  std::string prefix_;
};

}  // namespace detail

/// Reads lines `key = value`, the value perhaps in double quotes. Throws std::invalid_argument naming the line.
std::vector<Setting> parse_settings(std::string_view lines);

/// The value that counts where a key is set several times: the last one.
std::optional<std::string> last_value(std::span<const Setting> settings, std::string_view key);

/// Whether two values mean the same: equal texts, or numbers of equal value such as 3e-3 and 0.003.
bool same_value(std::string_view a, std::string_view b);

/// Calls action(path, field) for every field of a struct, nested ones too.
template <class T, class Action>
void for_each_field(T& fields, Action action) {
  detail::PathVisitor<Action> visitor(std::move(action));
  visit(visitor, fields);
}

/// Every field with its value, in the order of `visit`.
template <class T>
std::vector<Setting> settings(T fields) {
  std::vector<Setting> all;
  for_each_field(fields, [&](std::string path, auto& field) {
    all.push_back({std::move(path), detail::to_text(field)});
  });
  return all;
}

/// Whether a path matches a pattern in which each "*" stands for any text, such as `recipe.*.rounding`.
bool matches(std::string_view pattern, std::string_view path);

/// Sets every field whose path matches. Throws std::invalid_argument naming the key and what is allowed.
template <class T>
void set(T& fields, const Setting& setting) {
  bool found = false;
  for_each_field(fields, [&](const std::string& path, auto& field) {
    if (!matches(setting.key, path)) return;
    found = true;
    try {
      detail::from_text(setting.value, field);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(fmt::format("{}: {}", setting.key, error.what()));
    }
  });
  if (found) return;
  std::vector<std::string> paths;
  for_each_field(fields, [&](std::string path, auto&) { paths.push_back(std::move(path)); });
  throw UnknownName("setting", setting.key, std::vector<std::string_view>(paths.begin(), paths.end()));
}

}  // namespace halfulp
