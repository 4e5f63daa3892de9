#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <new>

#include "cli/streams.h"
#include "cli/verbs.h"

namespace halfulp::cli {
namespace {

constexpr int kUnusable = 2;

std::string help() {
  std::string text =
      "The exact reference for low-precision number formats\nUsage: halfulp VERB [ARGUMENTS]\n\nVerbs:\n";
  for (const Verb& verb : kVerbs) text += fmt::format("  {:<10}{}\n", verb.name, verb.summary);
  return text + "\nhalfulp VERB --help shows what a verb takes, with an example.\n";
}

std::vector<std::string_view> verb_names() {
  std::vector<std::string_view> names;
  for (const Verb& verb : kVerbs) names.push_back(verb.name);
  return names;
}

const Verb& find_verb(std::string_view name) {
  const auto verb = std::ranges::find(kVerbs, name, &Verb::name);
  if (verb == std::end(kVerbs)) throw UnknownName("verb", name, verb_names());
  return *verb;
}

int run(std::span<const char* const> words) {
  if (words.empty())
    throw std::invalid_argument(
        fmt::format("a verb is missing: {}; halfulp --help describes them", fmt::join(verb_names(), ", ")));
  const std::string_view first = words[0];
  if (first == "--help" || first == "-h" || first == "help") throw HelpWanted{help()};
  const Verb& verb = find_verb(first);
  Arguments arguments(verb, words.subspan(1));
  return verb.run(arguments);
}

// Prints a message as one line, whatever the user's words in it hold.
int fail(std::span<const char* const> words, std::string_view message) {
  const bool is_verb = !words.empty() && std::ranges::count(kVerbs, words[0], &Verb::name) > 0;
  std::string line = fmt::format("halfulp{}{}: {}", is_verb ? " " : "", is_verb ? words[0] : "", message);
  std::ranges::replace_if(
      line, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
  fmt::print(stderr, "{}\n", line);
  return kUnusable;
}

int guarded_run(std::span<const char* const> words) {
  try {
    prepare_standard_streams();
    try {
      return run(words);
    } catch (const HelpWanted& wanted) {
      write_output(wanted.text);
      return 0;
    }
  } catch (const std::bad_alloc&) {
    return fail(words, "not enough memory");
  } catch (const std::exception& error) {
    return fail(words, error.what());
  }
}

}  // namespace
}  // namespace halfulp::cli

int main(int argc, char** argv) {
  return halfulp::cli::guarded_run(std::span<const char* const>(argv + std::min(argc, 1), argv + argc));
}
