#include "sim/settings.h"

#include <algorithm>

namespace halfulp {

std::vector<Setting> parse_settings(std::string_view lines) {
  constexpr std::string_view kEquals = " = ";
  std::vector<Setting> all;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    const size_t equals = line.find(kEquals);
    if (equals == std::string_view::npos)
      throw std::invalid_argument(fmt::format("'{}' is no line 'key = value'", line));
    std::string_view value = line.substr(equals + kEquals.size());
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    all.push_back({std::string(line.substr(0, equals)), std::string(value)});
  }
  return all;
}

std::optional<std::string> last_value(std::span<const Setting> settings, std::string_view key) {
  const auto last =
      std::find_if(settings.rbegin(), settings.rend(), [&](const Setting& setting) { return setting.key == key; });
  return last == settings.rend() ? std::nullopt : std::optional(last->value);
}

bool same_value(std::string_view a, std::string_view b) {
  if (a == b) return true;
  try {
    return detail::parse_number<double>(a) == detail::parse_number<double>(b);
  } catch (const std::invalid_argument&) {
    return false;
  }
}

bool matches(std::string_view pattern, std::string_view path) {
  size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == path;
  if (!path.starts_with(pattern.substr(0, star))) return false;
  path.remove_prefix(star);
  // What stands between two stars may be taken where it is first found: the later star makes up for the rest.
  while (true) {
    pattern.remove_prefix(star + 1);
    star = pattern.find('*');
    if (star == std::string_view::npos) return path.ends_with(pattern);
    const size_t found = path.find(pattern.substr(0, star));
    if (found == std::string_view::npos) return false;
    path.remove_prefix(found + star);
  }
}

}  // namespace halfulp
