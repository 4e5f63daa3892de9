#include "formats/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace halfulp {
namespace {

// Levenshtein distance.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t change = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, change});
    }
  }
  return row.back();
}

std::string describe(std::string_view kind, std::string_view name, std::span<const std::string_view> known) {
  constexpr size_t kMostNamesShown = 24;
  constexpr size_t kMostCharactersShown = 64;  // edit distances take time in proportion, too
  const std::string_view rest = name.size() > kMostCharactersShown ? "…" : "";
  name = name.substr(0, kMostCharactersShown);
  std::string message =
      fmt::format("no {} named '{}{}'; nearest: {}", kind, name, rest, fmt::join(nearest_names(name, known), ", "));
  if (known.size() <= kMostNamesShown) message += fmt::format("; known: {}", fmt::join(known, ", "));
  return message;
}

}  // namespace

std::vector<std::string_view> nearest_names(std::string_view name, std::span<const std::string_view> known) {
  std::vector<std::pair<size_t, std::string_view>> ranked;
  for (const std::string_view each : known) ranked.emplace_back(edits(name, each), each);
  std::ranges::stable_sort(ranked, {}, [](const auto& entry) { return entry.first; });
  ranked.resize(std::min<size_t>(ranked.size(), 3));
  std::vector<std::string_view> nearest;
  for (const auto& [distance, each] : ranked) nearest.push_back(each);
  return nearest;
}

UnknownName::UnknownName(std::string_view kind, std::string_view name, std::span<const std::string_view> known)
    : std::invalid_argument(describe(kind, name, known)) {}

}  // namespace halfulp
