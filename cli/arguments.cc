#include "cli/arguments.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "cli/verbs.h"

namespace halfulp::cli {
namespace {

// A value travels through CLI11 behind a space, so that it is none of CLI11's own words whatever it begins with.
const std::string kShield = " ";

bool is_option(std::string_view word) { return word.starts_with("--") || word == "-h"; }

std::string unshielded(std::string word) {
  if (word.starts_with(kShield)) word.erase(0, kShield.size());
  return word;
}

}  // namespace

Arguments::Arguments(const Verb& verb, std::span<const char* const> words)
    : app_(std::make_unique<CLI::App>(std::string(verb.summary), fmt::format("halfulp {}", verb.name))) {
  bool only_values = false;  // after a word --
  for (const std::string_view word : words) {
    if (only_values || !is_option(word)) {
      words_.push_back(kShield + std::string(word));
    } else if (word == "--") {
      only_values = true;
    } else if (word.ends_with('=')) {  // CLI11 would take the next word for the value
      words_.insert(words_.end(), {std::string(word.substr(0, word.size() - 1)), kShield});
    } else {
      words_.emplace_back(word);
    }
  }
  app_->allow_extras();
  std::string example = "Example:";
  for (std::string_view rest = verb.example; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    example += fmt::format("\n  {}", rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  app_->footer(example);
}

Arguments::~Arguments() = default;

CLI::Option* Arguments::add_words(const std::string& usage, const std::string& help,
                                  std::function<bool(const std::vector<std::string>&)> take) {
  const size_t space = std::min(usage.find(' '), usage.size());
  const std::string name = usage.substr(0, space);
  if (name.starts_with("--")) option_names_.push_back(name);
  return app_->add_option(name, std::move(take), help)
      ->type_name(usage.substr(std::min(space + 1, usage.size())))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void Arguments::add(const std::string& usage, const std::string& help, Need need, const Setter& set) {
  const std::string name = usage.substr(0, usage.find(' '));
  add_words(usage, help, [name, set](const std::vector<std::string>& words) {
    if (words.size() > 1)
      throw std::invalid_argument(fmt::format("{}: given {} times; once is allowed", name, words.size()));
    try {
      set(unshielded(words.front()));
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(fmt::format("{}: {}", name, error.what()));
    }
    return true;
  });
  if (need == Need::Required) required_.push_back(name);
}

void Arguments::flag(const std::string& name, bool& target, const std::string& help) {
  app_->add_flag(name, target, help)->disable_flag_override();
  option_names_.push_back(name);
}

void Arguments::list(const std::string& usage, std::vector<std::string>& target, const std::string& help) {
  CLI::Option* added = add_words(usage, help, [&target](const CLI::results_t& words) {
    std::ranges::transform(words, std::back_inserter(target), unshielded);
    return true;
  });
  if (!usage.starts_with("--")) added->expected(1, -1)->allow_extra_args();
}

void Arguments::table_style(TableStyle& style) {
  const auto choose = [this, &style](const std::string& name, TableStyle choice, const std::string& help) {
    app_->add_flag_callback(
            name,
            [&style, choice] {
              if (style != TableStyle::Aligned) throw std::invalid_argument("--json, --csv: only one of them");
              style = choice;
            },
            help)
        ->disable_flag_override();
    option_names_.push_back(name);
  };
  choose("--json", TableStyle::Json, "Print JSON");
  choose("--csv", TableStyle::Csv, "Print comma-separated values");
}

void Arguments::require_known_words() const {
  for (const std::string& word : app_->remaining()) {
    if (!word.starts_with("--"))
      throw std::invalid_argument(fmt::format("'{}' is one argument too many", unshielded(word)));
    const std::vector<std::string_view> known(option_names_.begin(), option_names_.end());
    throw UnknownName("option", word.substr(0, word.find('=')), known);
  }
  for (const std::string& name : required_)
    if (app_->count(name) == 0)
      throw std::invalid_argument(fmt::format("{} is missing; --help shows an example", name));
}

bool Arguments::has(std::string_view option) const { return app_->count(std::string(option)) > 0; }

Format parse_format_argument(std::string_view text) {
  try {
    return parse_format(text);
  } catch (const UnknownName& error) {
    throw std::invalid_argument(
        fmt::format("{}; also any {}; `halfulp formats --patterns` explains them", error.what(), format_patterns()));
  }
}

void Arguments::parse() {
  std::ranges::reverse(words_);  // as CLI11 takes them
  try {
    app_->parse(words_);
  } catch (const CLI::CallForHelp&) {
    throw HelpWanted{app_->help()};
  } catch (const CLI::ParseError& error) {
    throw std::invalid_argument(fmt::format("{}; --help shows an example", error.what()));
  }
  require_known_words();
}

}  // namespace halfulp::cli
