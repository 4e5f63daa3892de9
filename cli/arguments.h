// What a verb takes on the command line, declared once: it is parsed, checked and shown by --help from that.
//
// Every option is long. Anything else, also -0 or -inf, is a value, so that negative numbers need no `--`.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cli/table.h"
#include "formats/format.h"
#include "formats/names.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace halfulp::cli {

struct Verb;

enum class Need { Optional, Required };

/// Thrown by Arguments::parse where --help was asked for.
struct HelpWanted {
  std::string text;
};

class Arguments {
 public:
  /// `words` stand after the verb.
  Arguments(const Verb& verb, std::span<const char* const> words);
  ~Arguments();

  /// `usage` is the way the help shows it: "--seed N". T: text, a whole number, a format or any enumeration with
  /// EnumNames, or a std::optional of one. The help lists an enumeration's names and default by itself.
  template <class T>
  void option(const std::string& usage, T& target, const std::string& help, Need need = Need::Optional);
  /// The next VALUE, of the same types.
  template <class T>
  void positional(const std::string& name, T& target, const std::string& help, Need need = Need::Optional);
  void flag(const std::string& name, bool& target, const std::string& help);
  /// "VALUE": all VALUEs that are left. "--set KEY=VALUE": an option that may be given any number of times.
  void list(const std::string& usage, std::vector<std::string>& target, const std::string& help);
  /// --json and --csv, which exclude each other.
  void table_style(TableStyle& style);

  /// Fills the targets. Throws HelpWanted, and std::invalid_argument for whatever does not fit.
  void parse();
  /// Whether the words hold that option; after parse.
  bool has(std::string_view option) const;

 private:
  using Setter = std::function<void(const std::string&)>;
  CLI::Option* add_words(const std::string& usage, const std::string& help,
                         std::function<bool(const std::vector<std::string>&)> take);
  void add(const std::string& usage, const std::string& help, Need need, const Setter& set);
  void require_known_words() const;

  std::unique_ptr<CLI::App> app_;
  std::vector<std::string> words_;
  std::vector<std::string> option_names_;
  std::vector<std::string> required_;
};

/// The whole number that all of `text` spells. Throws std::invalid_argument.
template <class Integer>
Integer parse_whole_number(std::string_view text) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::invalid_argument(fmt::format("'{}' is not a whole number from {} to {}", text,
                                            std::numeric_limits<Integer>::min(), std::numeric_limits<Integer>::max()));
  return value;
}

/// As the library does, but the message also says how other formats are spelled.
Format parse_format_argument(std::string_view text);

namespace detail {

template <class T>
struct ValueOf {
  using type = T;
};
template <class T>
struct ValueOf<std::optional<T>> {
  using type = T;
};

template <class T>
T parse_value(std::string_view text) {
  if constexpr (std::is_enum_v<T>)
    return halfulp::parse<T>(text);
  else if constexpr (std::is_integral_v<T>)
    return parse_whole_number<T>(text);
  else if constexpr (std::is_same_v<T, Format>)
    return parse_format_argument(text);
  else if (text.empty())
    throw std::invalid_argument("an empty word; a value belongs there");
  else
    return T(text);
}

}  // namespace detail

template <class T>
void Arguments::option(const std::string& usage, T& target, const std::string& help, Need need) {
  using Value = typename detail::ValueOf<T>::type;
  std::string text = help;
  if constexpr (std::is_enum_v<Value>) text += fmt::format(": {}", fmt::join(names<Value>(), ", "));
  if constexpr (std::is_enum_v<T>) text += fmt::format(" (default {})", halfulp::name(target));
  add(usage, text, need, [&target](const std::string& word) { target = detail::parse_value<Value>(word); });
}

template <class T>
void Arguments::positional(const std::string& name, T& target, const std::string& help, Need need) {
  using Value = typename detail::ValueOf<T>::type;
  add(name, help, need, [&target](const std::string& word) { target = detail::parse_value<Value>(word); });
}

}  // namespace halfulp::cli
