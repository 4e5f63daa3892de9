// The published vectors are made in build/<preset>/vectors and read back by tests/cli/read_vectors.py, which shares no
// code with the library: what it accepts is right by the definitions, and usable without halfulp.

#include <fmt/format.h>

#include <set>

#include "formats/block_format.h"
#include "formats/format.h"
#include "formats/rounding.h"
#include "tests/cli/command.h"

namespace halfulp {
namespace {

using Strings = std::vector<std::string>;

Strings vectors(Strings arguments) {
  arguments.insert(arguments.begin(), "vectors");
  return arguments;
}

bool has_python() { return shell("command -v python3").exit_code == 0; }

CommandResult read_back(const Strings& files) {
  Strings words = {"python3", std::string(HALFULP_SOURCE_DIR) + "/tests/cli/read_vectors.py"};
  words.insert(words.end(), files.begin(), files.end());
  return run_program("/usr/bin/env", words);
}

/// One file of the published set.
struct Published {
  std::string name;
  Strings arguments;
};

std::vector<Published> published_set() {
  std::vector<Published> all;
  for (const char* format : {"e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e3m2", "e2m3", "e2m1", "e8m0", "ue4m3", "int8",
                             "int4_narrow", "s2f6", "binary16", "bfloat16"}) {
    all.push_back({fmt::format("decode_{}", format), {"--kind", "decode", "--format", format}});
    all.push_back({fmt::format("cast_{}", format), {"--format", format}});
    if (parse_format(format).bits() > 8) all.back().arguments.insert(all.back().arguments.end(), {"--limit", "3000"});
  }
  for (const auto& [rounding, name] : EnumNames<Rounding>::values) {
    const Strings bits = is_stochastic(rounding) ? Strings{"--random-bits", "5"} : Strings{};
    for (const char* format : {"e2m1", "e3m0", "int3"}) {
      all.push_back({fmt::format("cast_{}_{}", format, name), {"--format", format, "--rounding", std::string(name)}});
      all.back().arguments.insert(all.back().arguments.end(), bits.begin(), bits.end());
    }
  }
  for (const char* profile : {"ocp", "cuda"})
    for (const char* format : {"e4m3fn", "e5m2", "e8m0", "e2m3"})
      all.push_back({fmt::format("cast_{}_{}", format, profile), {"--format", format, "--profile", profile}});
  for (const char* block : {"mxfp4", "mxfp6_e2m3", "mxfp8_e4m3", "mxint8"}) {
    all.push_back({fmt::format("scale_{}", block), {"--kind", "scale", "--block", block}});
    for (const ScaleRule rule : scale_rules(*find_block_row(block))) {
      // what Triton makes of the elements of a block with a NaN is not known
      if (rule == ScaleRule::Stochastic || rule == ScaleRule::TritonUp || rule == ScaleRule::TritonDown) continue;
      const std::string text(name(rule));
      all.push_back(
          {fmt::format("block_{}_{}", block, text), {"--kind", "block", "--block", block, "--scale-rule", text}});
    }
  }
  all.push_back({"scale_nvfp4", {"--kind", "scale", "--block", "nvfp4"}});
  all.push_back({"block_nvfp4", {"--kind", "block", "--block", "nvfp4"}});
  all.push_back({"block_nvfp4_16x16", {"--kind", "block", "--block", "nvfp4", "--shape", "16x16"}});
  return all;
}

TEST(Vectors, the_published_set_is_read_back_right_without_halfulp) {
  if (!has_python()) GTEST_SKIP() << "no python3 to read the vectors back with";
  const std::string folder = std::string(HALFULP_BUILD_DIR) + "/vectors";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  Strings files;
  for (const Published& each : published_set()) {
    files.push_back(folder + "/" + each.name + ".txt");
    Strings arguments = vectors(each.arguments);
    arguments.push_back(files.back());
    output_of(arguments);
  }
  const CommandResult result = read_back(files);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(lines_of(result.out).size(), files.size());
}

/// A file that somebody changed, which is no longer right.
struct Damage {
  std::string what;
  Strings arguments;
  std::string text, instead;
  std::string complaint;
};

TEST(Vectors, the_reader_notices_what_is_wrong) {
  if (!has_python()) GTEST_SKIP() << "no python3 to read the vectors back with";
  const std::vector<Damage> damages = {
      {"a tie the other way",
       {"--format", "e2m1"},
       "0x1.4p+1 40200000 4 0x1p+1",
       "0x1.4p+1 40200000 5 0x1.8p+1",
       "code should be"},
      {"a code of another number", {"--format", "e2m1"}, " 4 0x1p+1\n", " 4 0x1.8p+1\n", "value is"},
      {"another zero", {"--kind", "decode", "--format", "e2m1"}, "8 -0x0p+0", "8 0x0p+0", "0x0p+0 is"},
      {"a NaN's sign", {"--format", "e5m2", "--nan", "keep_sign"}, "ff800001 fe", "ff800001 7e", "code should be fe"},
      {"a missing input", {"--format", "e2m1"}, "0x1p+1 40000000 4 0x1p+1\n", "", "lacks inputs ['40000000']"},
      {"a missing code", {"--kind", "decode", "--format", "e2m1"}, "3 0x1.8p+0 normal\n", "", "codes are missing"},
      {"a random number",
       {"--format", "e2m1", "--rounding", "stochastic_a", "--random-bits", "4"},
       "3fa40000 7 3 0x1.8p+0",
       "3fa40000 6 3 0x1.8p+0",
       "code should be 2"},
      {"a scale one up",
       {"--kind", "scale", "--block", "mxfp4"},
       "floor 0x1p+0 3f800000 0x1p+0 3f800000 7d 0x1p-2",
       "floor 0x1p+0 3f800000 0x1p+0 3f800000 7e 0x1p-1",
       "code should be 7d"},
      {"a missing side of a boundary",
       {"--kind", "scale", "--block", "mxfp4"},
       "floor 0x1p+0 3f800000 0x1p+0 3f800000 7d 0x1p-2\n",
       "",
       "floor has a change of code"},
      {"an element one down", {"--kind", "block", "--block", "nvfp4"}, " 7,f,7", " 7,e,7", "e should be f"},
  };
  const ScratchFolder scratch;
  for (const Damage& damage : damages) {
    SCOPED_TRACE(damage.what);
    std::string text = output_of(vectors(damage.arguments));
    write_file(scratch.file("good.txt"), text);
    EXPECT_EQ(read_back({scratch.file("good.txt")}).exit_code, 0);
    const size_t at = text.find(damage.text);
    ASSERT_NE(at, std::string::npos) << text.substr(0, 3000);
    write_file(scratch.file("bad.txt"), text.replace(at, damage.text.size(), damage.instead));
    const CommandResult result = read_back({scratch.file("bad.txt")});
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_NE(result.err.find(damage.complaint), std::string::npos) << result.err;
  }
}

TEST(Vectors, lines_are_the_source_the_columns_and_a_row_per_case) {
  const Strings lines = lines_of(output_of(vectors({"--kind", "decode", "--format", "ue4m3"})));
  ASSERT_EQ(lines.size(), 2u + 256 / 2);
  EXPECT_TRUE(lines[0].starts_with("# halfulp 0.1.0 vectors kind=decode name=ue4m3 ")) << lines[0];
  EXPECT_TRUE(lines[0].ends_with(" source=\"PTX ISA 9.1, 5.2.3\"")) << lines[0];
  EXPECT_EQ(lines[1], "code value class");
  EXPECT_EQ(lines[2], "00 0x0p+0 zero");
  EXPECT_EQ(lines[129], "7f nan nan");
}

TEST(Vectors, the_readme_names_the_columns) {
  const std::string readme = read_file(std::string(HALFULP_SOURCE_DIR) + "/README.md");
  for (const Strings& arguments :
       {Strings{"--kind", "decode", "--format", "e2m1"}, Strings{"--format", "e2m1"},
        Strings{"--format", "e2m1", "--rounding", "stochastic_a", "--random-bits", "2"},
        Strings{"--kind", "scale", "--block", "nvfp4"}, Strings{"--kind", "block", "--block", "nvfp4"}}) {
    const std::string columns = lines_of(output_of(vectors(arguments))).at(1);
    EXPECT_NE(readme.find('`' + columns + '`'), std::string::npos) << columns;
  }
}

TEST(Vectors, a_file_and_the_standard_output_hold_the_same_every_time) {
  const ScratchFolder scratch;
  for (const Strings& arguments :
       {Strings{"--format", "e3m2", "--rounding", "stochastic_b", "--random-bits", "7"},
        Strings{"--kind", "block", "--block", "nvfp4", "--rounding", "stochastic_a", "--random-bits", "3"}}) {
    const std::string text = output_of(vectors(arguments));
    EXPECT_EQ(output_of(vectors(arguments)), text);
    Strings with_file = vectors(arguments);
    with_file.push_back(scratch.file("out.txt"));
    EXPECT_EQ(output_of(with_file), fmt::format("{}: {} lines\n", with_file.back(), lines_of(text).size()));
    EXPECT_EQ(read_file(with_file.back()), text);
  }
}

TEST(Vectors, a_limit_keeps_so_many_rows_of_the_whole_range) {
  const auto rows = [](const Strings& more) {
    Strings arguments = vectors({"--format", "e5m4"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    Strings lines = lines_of(output_of(arguments));
    lines.erase(lines.begin(), lines.begin() + 2);
    return lines;
  };
  const Strings all = rows({});
  const std::set<std::string> known(all.begin(), all.end());
  EXPECT_EQ(known.size(), all.size());
  for (const size_t limit : {size_t{1}, size_t{7}, size_t{1000}, all.size() - 1, all.size(), all.size() + 1}) {
    const Strings some = rows({"--limit", std::to_string(limit)});
    EXPECT_EQ(some.size(), std::min(limit, all.size()));
    EXPECT_EQ(some.front(), all.front());
    EXPECT_TRUE(std::ranges::all_of(some, [&](const std::string& row) { return known.contains(row); }));
    EXPECT_EQ(std::set<std::string>(some.begin(), some.end()).size(), some.size());
    const auto negative = std::ranges::count_if(some, [](const std::string& row) { return row.starts_with('-'); });
    EXPECT_NEAR(double(negative), double(some.size()) / 2, double(some.size()) / 100 + 1) << limit;
  }
}

TEST(Vectors, wide_formats_are_shown_at_their_ends_and_turns) {
  const std::string text = output_of(vectors({"--kind", "decode", "--format", "binary32"}));
  EXPECT_EQ(lines_of(text).size(), 2u + 65536);
  for (const char* row : {"\n00000000 0x0p+0 zero\n", "\n00000001 0x1p-149 subnormal\n", "\n3f800000 0x1p+0 normal\n",
                          "\n3f800001 0x1.000002p+0 normal\n", "\n3f7fffff 0x1.fffffep-1 normal\n",
                          "\n7f7fffff 0x1.fffffep+127 normal\n", "\n7f800000 inf infinity\n", "\nffffffff -nan nan\n"})
    EXPECT_NE(text.find(row), std::string::npos) << row;
}

TEST(Vectors, arguments_that_do_not_go_together_say_what_does) {
  const std::vector<std::pair<Strings, Strings>> rows = {
      {{}, {"--format is missing: --kind cast needs one"}},
      {{"--kind", "decode"}, {"--format is missing: --kind decode needs one"}},
      {{"--kind", "scale"}, {"--block is missing: --kind scale needs one"}},
      {{"--kind", "blocks", "--block", "mxfp4"}, {"no kind of vectors named 'blocks'; nearest: block"}},
      {{"--format", "e2m9x"}, {"no format named 'e2m9x'"}},
      {{"--format", "e0m0"}, {"--format: format 'e0m0': needs an exponent or mantissa bit"}},
      {{"--block", "mxfp4", "--format", "e2m1"}, {"--block: not with --kind cast, which takes --format, --rounding"}},
      {{"--kind", "decode", "--format", "e2m1", "--rounding", "to_odd"}, {"--rounding: not with --kind decode"}},
      {{"--kind", "scale", "--block", "mxfp4", "--overflow", "saturate"}, {"--overflow: not with --kind scale"}},
      {{"--kind", "block", "--block", "mxfp4"}, {"--scale-rule", "must be stated", "floor, ceil, even"}},
      {{"--kind", "block", "--block", "nvfp4", "--shape", "0x16"},
       {"block shape '0x16': rows x columns, each a positive number"}},
      {{"--kind", "block", "--block", "nvfp4", "--shape", "256x257"}, {"256 x 257", "at most 65536"}},
      {{"--kind", "scale", "--block", "nvfp4", "--shape", "2147483647x2147483647"}, {"at most 65536"}},
      {{"--kind", "scale", "--block", "nvfp5"}, {"no block format named 'nvfp5'"}},
      {{"--format", "e2m1", "--rounding", "stochastic_a"}, {"--random-bits is missing: stochastic_a takes 1 to 32"}},
      {{"--format", "e2m1", "--rounding", "stochastic_a", "--random-bits", "-1"}, {"1 to 32 of them, not -1"}},
      {{"--format", "e2m1", "--rounding", "stochastic_a", "--random-bits", "33"}, {"1 to 32 of them, not 33"}},
      {{"--format", "e2m1", "--random-bits", "8"}, {"--random-bits: only with a stochastic --rounding"}},
      {{"--format", "e2m1", "--limit", "0"}, {"--limit: '0'; at least one row"}},
      {{"--format", "e2m1", "--limit", "-1"}, {"--limit: '-1' is not a whole number from 0 to"}},
      {{"--format", "e2m1", "a.txt", "b.txt"}, {"'b.txt' is one argument too many"}},
      {{"--format", "e2m1", "/no/folder/a.txt"}, {"/no/folder/a.txt", "No such file"}},
      {{"--format", "e2m1", "/"}, {"/: Is a directory"}},
      {{"--format", "e2m1", "/dev/full"}, {"/dev/full: No space left on device"}},
  };
  for (const auto& [arguments, parts] : rows) expect_unusable(vectors(arguments), parts);
}

TEST(Vectors, a_file_that_cannot_be_finished_is_not_begun) {
  const ScratchFolder scratch;
  const CommandResult result = shell("cd " + scratch.file("") + " && trap '' XFSZ && ulimit -f 3 && " +
                                     "halfulp vectors --format e4m3fn out.txt");
  expect_unusable(result, {"out.txt: File too large"});
  EXPECT_EQ(scratch.file_count(), 0u);
  expect_unusable(shell("halfulp vectors --format e2m1 > /dev/full"), {"standard output: No space left on device"});
  expect_unusable(shell("halfulp vectors --format e2m1 >&-"), {"standard output: Bad file descriptor"});
}

}  // namespace
}  // namespace halfulp
