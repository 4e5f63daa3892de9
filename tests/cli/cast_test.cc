#include "formats/cast.h"

#include <fmt/format.h>

#include <bit>
#include <limits>

#include "formats/codec.h"
#include "formats/profile.h"
#include "tests/cli/command.h"

namespace halfulp {
namespace {

using Strings = std::vector<std::string>;

/// The codes that `halfulp cast` prints.
Strings cast_codes(Strings arguments, std::string_view input = "") {
  arguments.insert(arguments.begin(), {"cast", "--csv"});
  return csv_column(output_of(arguments, input), "code");
}

std::string hexfloats(const auto& values) {
  std::string lines;
  for (const auto x : values) lines += fmt::format("{:a}\n", x);
  return lines;
}

/// Ordinary and extreme numbers of every magnitude, and the special ones.
template <class Number>
std::vector<Number> numbers(size_t count) {
  using Limits = std::numeric_limits<Number>;
  std::vector<Number> all = {0,
                             Number(-0.0),
                             Limits::infinity(),
                             -Limits::infinity(),
                             Limits::quiet_NaN(),
                             -Limits::quiet_NaN(),
                             Limits::denorm_min(),
                             -Limits::max()};
  for (uint32_t i = 0; all.size() < count; ++i) {
    const uint32_t word = random_word({.seed = 5}, i);
    const int exponent = i % 2 == 0 ? int(word % 40) - 20 : int(word % 300) - 150;
    all.push_back(Number(std::ldexp(double(int32_t(random_word({.seed = 6}, i))) / 2147483648.0, exponent)));
  }
  return all;
}

/// The codes of raw output, each of `size` bytes.
Strings code_texts(const Format& format, const std::string& bytes) {
  const size_t size = format.bits() <= 8 ? 1 : format.bits() <= 16 ? 2 : 4;
  EXPECT_EQ(bytes.size() % size, 0u);
  Strings codes;
  for (size_t i = 0; i + size <= bytes.size(); i += size) {
    uint32_t code = 0;
    std::memcpy(&code, bytes.data() + i, size);
    codes.push_back(fmt::format("{:0{}x}", code, (format.bits() + 3) / 4));
  }
  return codes;
}

TEST(CastVerb, values_give_the_documented_codes) {
  const Strings values = {"465", "0x1.0ffffep+0", "nan", "-0"};
  Strings ocp = {"--format", "e4m3fn"}, cuda = {"--format", "e4m3fn", "--profile", "cuda"};
  ocp.insert(ocp.end(), values.begin(), values.end());
  cuda.insert(cuda.end(), values.begin(), values.end());
  EXPECT_EQ(cast_codes(ocp), (Strings{"7f", "38", "7f", "80"}));
  EXPECT_EQ(cast_codes(cuda), (Strings{"7e", "38", "7f", "80"}));
  EXPECT_EQ(output_of({"cast", "--format", "e4m3fn", "465", "0x1.0ffffep+0", "nan", "-0"}),
            "input          code  value    decimal\n"
            "465            7f    nan          nan\n"
            "0x1.0ffffep+0  38    0x1p+0         1\n"
            "nan            7f    nan          nan\n"
            "-0             80    -0x0p+0       -0\n");
}

TEST(CastVerb, negative_values_need_no_double_dash) {
  const Strings values = {"-0", "-1.5", "-.5", "-inf", "-INFINITY", "-nan", "-NaN", "-0x1p-2", "-1e1"};
  const Strings wanted = {"80", "be", "b8", "fc", "fc", "fe", "fe", "b4", "c9"};
  Strings bare = {"--format", "e5m2", "--nan", "keep_sign"}, marked = bare, mixed = {};
  bare.insert(bare.end(), values.begin(), values.end());
  marked.push_back("--");
  marked.insert(marked.end(), values.begin(), values.end());
  mixed = values;
  mixed.insert(mixed.end(), {"--format", "e5m2", "--nan", "keep_sign"});
  EXPECT_EQ(cast_codes(bare), wanted);
  EXPECT_EQ(cast_codes(marked), wanted);
  EXPECT_EQ(cast_codes(mixed), wanted);
}

TEST(CastVerb, standard_input_is_read_like_arguments) {
  EXPECT_EQ(cast_codes({"--format", "e4m3fn"}, "465\n0x1.0ffffep+0\nnan\n-0\n"), (Strings{"7f", "38", "7f", "80"}));
  EXPECT_EQ(cast_codes({"--format", "e4m3fn"}, "  465 \r\n\t0x1.0ffffep+0\r\nnan\n-0"),
            (Strings{"7f", "38", "7f", "80"}));
  EXPECT_EQ(cast_codes({"--format", "e4m3fn"}, ""), Strings{});
  EXPECT_EQ(nlohmann::json::parse(output_of({"cast", "--format", "e4m3fn", "--json"})).size(), 0u);
}

TEST(CastVerb, long_inputs_are_printed_whole) {
  std::string input;
  for (int i = 0; i < 10000; ++i) input += fmt::format("{}\n", i);
  EXPECT_EQ(lines_of(output_of({"cast", "--format", "int16"}, input)).size(), 10001u);
  const Strings codes = cast_codes({"--format", "int16"}, input);
  ASSERT_EQ(codes.size(), 10000u);
  for (size_t i = 0; i < codes.size(); ++i) ASSERT_EQ(codes[i], fmt::format("{:04x}", i));
  expect_same_facts({"cast", "--format", "int16"}, input);
}

TEST(CastVerb, table_json_and_csv_carry_the_same_facts) {
  expect_same_facts({"cast", "--format", "e5m2", "1", "-0", "0", "1e9", "-inf", "nan", "-nan", "1e-6"});
}

TEST(CastVerb, from_f32_rounds_the_text_once_to_binary32) {
  // a little more than half way to the next binary32 number, and exactly half way in binary64
  const std::string value = "0x1.00000100000000000001p+0";
  EXPECT_EQ(cast_codes({"--format", "binary32", "--from", "f32", value}), Strings{"3f800001"});
  EXPECT_EQ(cast_codes({"--format", "binary32", "--from", "f64", value}), Strings{"3f800000"});
  // the tie that binary32 makes of it is not there in binary64
  EXPECT_EQ(cast_codes({"--format", "e4m3fn", "--from", "f32", "1.0624999999"}), Strings{"38"});
  EXPECT_EQ(cast_codes({"--format", "e4m3fn", "--from", "f32", "1.0625000001"}), Strings{"38"});
  EXPECT_EQ(cast_codes({"--format", "e4m3fn", "1.0625000001"}), Strings{"39"});
}

TEST(CastVerb, the_profile_depends_on_what_the_number_is_read_as) {
  EXPECT_EQ(cast_codes({"--format", "e5m2", "--profile", "cuda", "--from", "f32", "-nan"}), Strings{"7f"});
  EXPECT_EQ(cast_codes({"--format", "e5m2", "--profile", "cuda", "--from", "f64", "-nan"}), Strings{"fe"});
}

TEST(CastVerb, policies_override_the_profile) {
  EXPECT_EQ(cast_codes({"--format", "e5m2", "--overflow", "saturate", "1e9", "inf"}), (Strings{"7b", "7b"}));
  EXPECT_EQ(cast_codes({"--format", "e5m2", "--overflow", "saturate_finite", "1e9", "inf"}), (Strings{"7b", "7c"}));
  EXPECT_EQ(cast_codes({"--format", "e5m2", "--profile", "cuda", "--overflow", "to_infinity", "1e9"}), Strings{"7c"});
  EXPECT_EQ(cast_codes({"--format", "e5m2", "--nan", "all_ones", "nan"}), Strings{"7f"});
  EXPECT_EQ(cast_codes({"--format", "e5m2", "--zero", "positive", "-0", "-1e-30"}), (Strings{"00", "00"}));
  EXPECT_EQ(cast_codes({"--format", "ue4m3", "--negative", "absolute", "-1"}), Strings{"38"});
  EXPECT_EQ(cast_codes({"--format", "ue4m3", "--negative", "to_zero", "-1"}), Strings{"00"});
  EXPECT_EQ(cast_codes({"--format", "ue4m3", "-1"}), Strings{"7f"});
}

TEST(CastVerb, every_rounding_can_be_asked_for) {
  // 1.3 of the way from 1 (38) to 1.125 (39) of e4m3fn and below
  const auto codes = [](const std::string& rounding) {
    return cast_codes({"--format", "e4m3fn", "--rounding", rounding, "1.0625", "-1.0625", "1.1"});
  };
  EXPECT_EQ(codes("ties_to_even"), (Strings{"38", "b8", "39"}));
  EXPECT_EQ(codes("ties_to_away"), (Strings{"39", "b9", "39"}));
  EXPECT_EQ(codes("toward_zero"), (Strings{"38", "b8", "38"}));
  EXPECT_EQ(codes("toward_positive"), (Strings{"39", "b8", "39"}));
  EXPECT_EQ(codes("toward_negative"), (Strings{"38", "b9", "38"}));
  EXPECT_EQ(codes("to_odd"), (Strings{"39", "b9", "39"}));
}

TEST(CastVerb, stochastic_rounding_takes_one_given_number_per_value) {
  // 0.3 lies 0.6 of the way from 0 to 0.5: floor(0.6 · 256) + R reaches 256 from R = 103 on
  EXPECT_EQ(cast_codes({"--format", "e2m1", "--rounding", "stochastic_a", "--random-bits", "8", "--random",
                        "0,102,103,255", "0.3", "0.3", "0.3", "0.3"}),
            (Strings{"0", "0", "1", "1"}));
  EXPECT_EQ(cast_codes({"--format", "e2m1", "--rounding", "stochastic_a", "--random-bits", "8", "--random", "102,103"},
                       "0.3\n0.3\n"),
            (Strings{"0", "1"}));
}

TEST(CastVerb, stochastic_rounding_by_seed_uses_the_bits_of_the_index) {
  const Format format = parse_format("e4m3fn");
  const Projection projection{
      .rounding = Rounding::StochasticB, .random_bits = 11, .policies = policies(Profile::Ocp, Source::Binary64)};
  Strings arguments = {"--format", "e4m3fn", "--rounding", "stochastic_b", "--random-bits", "11", "--seed", "77"};
  Strings wanted;
  for (uint32_t i = 0; i < 200; ++i) {
    arguments.push_back("1.07");
    const uint32_t random = random_bits({.seed = 77}, i, 11);
    wanted.push_back(fmt::format("{:02x}", encode(format, projection, Real::of(1.07), random)));
  }
  EXPECT_EQ(cast_codes(arguments), wanted);
  EXPECT_GT(std::ranges::count(wanted, "39"), 50);
  EXPECT_GT(std::ranges::count(wanted, "38"), 50);
}

TEST(CastVerb, binary_equals_text) {
  const std::vector<float> singles = numbers<float>(400);
  const std::vector<double> doubles = numbers<double>(400);
  const std::vector<Strings> choices = {
      {},
      {"--overflow", "saturate", "--nan", "keep_sign", "--negative", "absolute"},
      {"--rounding", "toward_negative", "--overflow-test", "before_rounding"},
      {"--rounding", "stochastic_c", "--random-bits", "7", "--seed", "9", "--overflow", "saturate"}};
  for (const char* name : {"e4m3fn", "e2m1", "e8m0", "bfloat16", "e6m9", "int13", "tf32", "binary32", "e10m5"})
    for (const Strings& choice : choices) {
      const Format format = parse_format(name);
      Strings common = {"--format", name};
      common.insert(common.end(), choice.begin(), choice.end());
      const auto check = [&](const char* source, const auto& values) {
        Strings text = common, binary = {"cast", "--binary", "--from", source};
        text.insert(text.end(), {"--from", source});
        binary.insert(binary.end(), common.begin(), common.end());
        EXPECT_EQ(code_texts(format, output_of(binary, bytes_of(values))), cast_codes(text, hexfloats(values)))
            << testing::PrintToString(binary);
      };
      check("f32", singles);
      check("f64", doubles);
    }
}

TEST(CastVerb, binary_streams_any_length) {
  const std::vector<float> values = numbers<float>(500003);
  const Projection projection{
      .rounding = Rounding::StochasticA, .random_bits = 16, .policies = policies(Profile::Ocp, Source::Binary32)};
  std::vector<uint16_t> codes(values.size());
  Caster(parse_format("bfloat16"), projection).encode<uint16_t>(values, codes, {.seed = 3});
  const std::string raw = output_of({"cast", "--format", "bfloat16", "--binary", "--from", "f32", "--rounding",
                                     "stochastic_a", "--random-bits", "16", "--seed", "3"},
                                    bytes_of(values));
  EXPECT_TRUE(raw == bytes_of(codes));
  EXPECT_EQ(output_of({"cast", "--format", "bfloat16", "--binary"}, ""), "");
}

TEST(CastVerb, binary_joins_records_that_arrive_in_parts) {
  const CommandResult result = shell(
      "{ printf '\\0\\0\\0\\100\\0\\0\\200'; sleep 0.2; printf '\\77\\0\\0'; sleep 0.2; printf '\\100\\100'; }"
      " | halfulp cast --format e4m3fn --binary --from f32 | od -An -tx1");
  EXPECT_EQ(result.out, " 40 38 44\n") << result.err;
}

TEST(CastVerb, binary_answers_while_its_input_stays_open) {
  const ScratchFolder scratch;
  const std::string out = scratch.file("out");
  const std::string command = std::string(HALFULP_COMMAND) + " cast --format e4m3fn --binary --from f32 > " + out;
  FILE* input = popen(command.c_str(), "w");
  ASSERT_NE(input, nullptr);
  const float one = 1;
  fwrite(&one, sizeof one, 1, input);
  fflush(input);
  for (int i = 0; i < 1000 && read_file(out).empty(); ++i) usleep(10000);
  EXPECT_EQ(read_file(out), "\x38");
  EXPECT_EQ(pclose(input), 0);
}

TEST(CastVerb, a_partial_last_record_is_an_error) {
  expect_unusable({"cast", "--format", "e4m3fn", "--binary", "--from", "f32"}, {"ends 3 bytes into", "4 bytes"},
                  "1234567");
  expect_unusable({"cast", "--format", "e4m3fn", "--binary"}, {"ends 7 bytes into", "8 bytes"}, "1234567");
}

TEST(CastVerb, what_is_no_number_is_named_with_its_place) {
  for (const char* word :
       {"1.5x", "", " 1", "1 ", "x", "0x", "1e", "--1", "nan(1)", "1,5", "0b1", "[1]", "1_0", "-", "+"})
    expect_unusable({"cast", "--format", "e5m2", "--", "7", word},
                    {fmt::format("argument 2 '{}'", word), "decimal (-1.5e3)", "nan or inf"});
  for (const char* word : {"1.5x", "", "1 2", "nan(1)"})
    expect_unusable({"cast", "--format", "e5m2"}, {fmt::format("standard input, line 3 '{}'", word), "not a number"},
                    fmt::format("1\n2\n{}\n4\n", word));
  expect_unusable({"cast", "--format", "e5m2"}, {"line 2 '1?'"}, std::string_view("1\n1\0\n", 5));
  expect_unusable({"cast", "--format", "e5m2"}, {"line 2: longer than 65536 bytes"}, "1\n" + std::string(200000, '1'));
  expect_unusable({"cast", "--format", "e5m2"}, {"line 1 '11111", "..."}, std::string(2000, '1') + "x\n");
}

TEST(CastVerb, arguments_that_do_not_go_together_say_what_does) {
  const auto rejects = [](Strings more, const Strings& parts) {
    Strings all = {"cast", "--format", "e5m2"};
    all.insert(all.end(), more.begin(), more.end());
    expect_unusable(all, parts);
  };
  rejects({"--rounding", "nearest", "1"}, {"--rounding: no rounding named 'nearest'", "ties_to_even"});
  rejects({"--overflow", "clip", "1"}, {"--overflow: no overflow policy named 'clip'", "saturate"});
  rejects({"--nan", "quiet", "1"}, {"--nan: no NaN policy named 'quiet'", "canonical"});
  rejects({"--zero", "x", "1"}, {"--zero: no zero policy named 'x'", "positive"});
  rejects({"--negative", "x", "1"}, {"--negative: no policy", "absolute"});
  rejects({"--profile", "cude", "1"}, {"--profile: no profile named 'cude'; nearest: cuda"});
  rejects({"--from", "f16", "1"}, {"--from: no source named 'f16'", "f32, f64"});
  rejects({"--rounding", "stochastic_a", "1"}, {"--random-bits is missing", "1 to 32"});
  rejects({"--rounding", "stochastic_a", "--random-bits", "33", "--seed", "1", "1"}, {"1 to 32", "not 33"});
  rejects({"--rounding", "stochastic_a", "--random-bits", "0", "--seed", "1", "1"}, {"1 to 32", "not 0"});
  rejects({"--rounding", "stochastic_a", "--random-bits", "x", "--seed", "1", "1"},
          {"--random-bits: 'x'", "whole number"});
  rejects({"--rounding", "stochastic_a", "--random-bits", "8", "1"}, {"random bits are missing", "--seed S"});
  rejects({"--rounding", "stochastic_a", "--random-bits", "8", "--seed", "-1", "1"},
          {"--seed: '-1'", "whole number from 0"});
  rejects({"--rounding", "stochastic_a", "--random-bits", "8", "--seed", "1", "--random", "1", "1"},
          {"only one of them"});
  rejects({"--rounding", "stochastic_a", "--random-bits", "8", "--random", "1,256", "1", "1"},
          {"--random: number 2 is '256'", "0 to 255"});
  rejects({"--rounding", "stochastic_a", "--random-bits", "8", "--random", "1,,2", "1"}, {"number 2 is ''"});
  rejects({"--rounding", "stochastic_a", "--random-bits", "8", "--random", "1,2", "1"}, {"2 numbers, 1 values"});
  rejects({"--rounding", "stochastic_a", "--random-bits", "8", "--random", "1", "1", "1"}, {"1 numbers, more values"});
  rejects({"--seed", "1", "1"}, {"only with a stochastic --rounding", "ties_to_even"});
  rejects({"--binary", "1"}, {"--binary", "no VALUE"});
  rejects({"--binary", "--json"}, {"--binary", "--json"});
  rejects({"--binary", "--rounding", "stochastic_a", "--random-bits", "8", "--random", "1"}, {"--binary", "--seed"});
}

}  // namespace
}  // namespace halfulp
