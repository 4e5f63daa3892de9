// Text names of enumerators and rows: one table each, used for printing, parsing and error messages.
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace halfulp {

/// A name the user gave that no table knows. what(): "no KIND named 'NAME'; nearest: …; known: …".
struct UnknownName : std::invalid_argument {
  UnknownName(std::string_view kind, std::string_view name, std::span<const std::string_view> known);
};

/// The (at most three) known names with the fewest edits between them and `name`, nearest first.
std::vector<std::string_view> nearest_names(std::string_view name, std::span<const std::string_view> known);

/// One enumerator and its spelling.
template <class Enum>
struct NamedValue {
  Enum value;
  std::string_view name;
};

/// An enumeration's spellings. Specialised beside each enumeration with `kind` and `values`.
template <class Enum>
struct EnumNames;

template <class Enum>
std::string_view name(Enum value) {
  for (const NamedValue<Enum>& entry : EnumNames<Enum>::values)
    if (entry.value == value) return entry.name;
  return "?";
}

/// Every spelling of an enumeration, in table order.
template <class Enum>
std::vector<std::string_view> names() {
  std::vector<std::string_view> all;
  for (const NamedValue<Enum>& entry : EnumNames<Enum>::values) all.push_back(entry.name);
  return all;
}

/// Throws UnknownName.
template <class Enum>
Enum parse(std::string_view text) {
  for (const NamedValue<Enum>& entry : EnumNames<Enum>::values)
    if (entry.name == text) return entry.value;
  throw UnknownName(EnumNames<Enum>::kind, text, names<Enum>());
}

}  // namespace halfulp
