// Whole command lines of the verbs that read nothing but their arguments, a word a line; what they print is dropped.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "cli/verbs.h"
#include "tests/fuzz/fuzz.h"

namespace halfulp::fuzz {
namespace {

// The standard streams are the fuzzer's own but for the standard error, where it reports.
void drop_streams() {
  const int nothing = open("/dev/null", O_RDWR);
  require(dup2(nothing, STDIN_FILENO) != -1 && dup2(nothing, STDOUT_FILENO) != -1, "/dev/null opens");
}

void check(const std::vector<std::string>& lines) {
  for (const cli::Verb& verb : cli::kVerbs) {
    const bool is_pure = verb.name == "cast" || verb.name == "decode" || verb.name == "blocks" || verb.name == "units";
    if (!is_pure || lines[0] != verb.name) continue;
    std::vector<const char*> words;
    std::transform(lines.begin() + 1, lines.end(), std::back_inserter(words),
                   [](const auto& word) { return word.c_str(); });
    cli::Arguments arguments(verb, words);
    try {
      verb.run(arguments);
    } catch (const cli::HelpWanted& wanted) {
      require(wanted.text.find("Example:") != std::string::npos, "help shows an example");
    }
  }
}

}  // namespace
}  // namespace halfulp::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace halfulp::fuzz;
  static const bool dropped = (drop_streams(), true);
  require(dropped, "streams are dropped once");
  use_or_turn_down([&] { check(lines_of({reinterpret_cast<const char*>(data), size})); });
  return 0;
}
