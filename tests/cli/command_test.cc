#include "tests/cli/command.h"

namespace halfulp {
namespace {

/// The verbs that `halfulp --help` lists.
std::vector<std::string> listed_verbs() {
  std::vector<std::string> verbs;
  bool in_list = false;
  for (const std::string& line : lines_of(output_of({"--help"}))) {
    if (in_list && !line.starts_with("  ")) break;
    if (in_list) verbs.push_back(line.substr(2, line.find(' ', 2) - 2));
    in_list |= line == "Verbs:";
  }
  return verbs;
}

/// The command lines under "Example:" of a verb's help.
std::vector<std::string> examples_of(const std::string& verb) {
  const std::string help = output_of({verb, "--help"});
  const size_t begin = help.find("Example:\n");
  EXPECT_NE(begin, std::string::npos) << help;
  std::vector<std::string> lines = lines_of(help.substr(begin));
  lines.erase(lines.begin());
  std::erase(lines, "");
  return lines;
}

TEST(Command, help_lists_the_verbs) {
  const std::vector<std::string> verbs = listed_verbs();
  for (const char* verb : {"formats", "blocks", "units", "mma", "cast", "decode", "quantize", "vectors"})
    EXPECT_EQ(std::ranges::count(verbs, verb), 1) << verb;
  EXPECT_EQ(output_of({"-h"}), output_of({"--help"}));
}

TEST(Command, every_format_verb_has_examples_that_run) {
  for (const std::string verb : {"formats", "blocks", "units", "mma", "cast", "decode", "quantize", "vectors"}) {
    const std::vector<std::string> examples = examples_of(verb);
    EXPECT_FALSE(examples.empty()) << verb;
    for (const std::string& example : examples) {
      const ScratchFolder scratch;
      write_file(scratch.file("in.npy"), float_npy("(2, 3)", {1, 2, 3, 4, 5, 6}));
      const CommandResult result = shell("cd " + scratch.file("") + " && " + example);
      EXPECT_EQ(result.exit_code, 0) << example << "\n" << result.err;
      EXPECT_NE(result.out, "") << example;
      EXPECT_NE(example.find("halfulp " + verb), std::string::npos) << example;
    }
  }
}

TEST(Command, every_listed_verb_shows_an_example) {
  for (const std::string& verb : listed_verbs()) EXPECT_FALSE(examples_of(verb).empty()) << verb;
}

TEST(Command, a_missing_or_unknown_verb_names_the_known_ones) {
  expect_unusable(std::vector<std::string>(), {"a verb is missing", "formats, blocks, units, cast", "halfulp --help"});
  expect_unusable({"cats"}, {"no verb named 'cats'; nearest: cast", "known: formats"});
  expect_unusable({"--jsn"}, {"no verb named '--jsn'"});
}

TEST(Command, options_that_do_not_fit_are_one_line) {
  expect_unusable({"cast", "--foramt", "e4m3fn", "1"}, {"halfulp cast: no option named '--foramt'; nearest: --format"});
  expect_unusable({"cast", "--foramt=e4m3fn", "1"}, {"no option named '--foramt'"});
  expect_unusable({"cast", "1"}, {"--format is missing", "--help"});
  expect_unusable({"cast", "--format"}, {"--format", "NAME", "--help"});
  expect_unusable({"cast", "--format", "e5m2", "--format", "e5m2", "1"}, {"--format: given 2 times; once"});
  expect_unusable({"formats", "e5m2", "e4m3"}, {"'e4m3' is one argument too many"});
  expect_unusable({"formats", "--json", "--csv"}, {"--json, --csv: only one of them"});
  expect_unusable({"formats", "e5m2", "--codes=3"}, {"codes", "--help"});
  expect_unusable({"formats", "e5m2", "--", "--codes"}, {"'--codes' is one argument too many"});
}

TEST(Command, a_message_is_one_line_whatever_the_arguments_hold) {
  expect_unusable({"cast", "--format", "a\nb\x1b[31m", "1"}, {"a?b?[31m"});
  expect_unusable({"ca\nst"}, {"ca?st"});
  expect_unusable({"cast", "--format", "e5m2", "x\n1"}, {"argument 1 'x?1'"});
}

TEST(Command, a_failed_write_is_an_error) {
  for (const std::string verb : {"formats", "formats binary16 --codes", "cast --format e5m2 1", "--help"}) {
    SCOPED_TRACE(verb);
    expect_unusable(shell("halfulp " + verb + " > /dev/full"), {"standard output: No space left on device"});
    expect_unusable(shell("halfulp " + verb + " >&-"), {"standard output: Bad file descriptor"});
  }
  // the pipe holds less than the codes of binary16, and nobody reads it
  const ScratchFolder scratch;
  expect_unusable(shell("cd " + scratch.file("") +
                        " && (halfulp formats binary16 --codes; echo $? > code) | true; exit $(cat code)"),
                  {"standard output: Broken pipe"});
}

TEST(Command, a_failed_write_keeps_its_exit_code_where_the_standard_error_is_full_too) {
  EXPECT_EQ(shell("halfulp formats > /dev/full 2> /dev/full").exit_code, 2);
}

TEST(Command, an_unreadable_input_is_an_error) {
  expect_unusable(shell("halfulp cast --format e5m2 < /"), {"standard input: Is a directory"});
  expect_unusable(shell("halfulp cast --format e5m2 --binary < /"), {"standard input: Is a directory"});
  expect_unusable(shell("halfulp cast --format e5m2 <&-"), {"standard input: Bad file descriptor"});
}

}  // namespace
}  // namespace halfulp
