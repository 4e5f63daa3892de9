#include <fmt/format.h>

#include "formats/format.h"
#include "tests/cli/command.h"

namespace halfulp {
namespace {

using Strings = std::vector<std::string>;

template <class Code>
std::vector<Code> all_codes(const Format& format) {
  std::vector<Code> codes(size_t{1} << format.bits());
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = Code(i);
  return codes;
}

TEST(DecodeVerb, codes_give_their_exact_values) {
  EXPECT_EQ(output_of({"decode", "--format", "e4m3fn", "7e", "0x08", "0X80", "ff", "001"}),
            "code  value         decimal  class\n"
            "7e    0x1.cp+8          448  normal\n"
            "08    0x1p-6       0.015625  normal\n"
            "80    -0x0p+0            -0  zero\n"
            "ff    -nan             -nan  nan\n"
            "01    0x1p-9    0.001953125  subnormal\n");
}

TEST(DecodeVerb, text_agrees_with_the_list_of_codes) {
  for (const char* name : {"e4m3fn", "e2m1", "e8m0", "int6", "e5m2fnuz", "ue5m3"}) {
    std::string input;
    for (const uint32_t code : all_codes<uint32_t>(parse_format(name))) input += fmt::format("{:x}\n", code);
    const std::string decoded = output_of({"decode", "--format", name, "--csv"}, input);
    const std::string listed = output_of({"formats", name, "--codes", "--csv"});
    for (const char* column : {"code", "value", "decimal", "class"})
      EXPECT_EQ(csv_column(decoded, column), csv_column(listed, column)) << name;
  }
}

TEST(DecodeVerb, table_json_and_csv_carry_the_same_facts) {
  expect_same_facts({"decode", "--format", "e5m2", "00", "80", "7c", "fd", "3c", "01"});
}

template <class Code, class Number>
void check_binary(const char* name, const char* target) {
  const Format format = parse_format(name);
  const std::vector<Code> codes = all_codes<Code>(format);
  const std::vector<Number> values =
      values_of<Number>(output_of({"decode", "--format", name, "--binary", "--to", target}, bytes_of(codes)));
  ASSERT_EQ(values.size(), codes.size()) << name;
  for (size_t i = 0; i < codes.size(); ++i) {
    const double wanted = decode(format, codes[i]);
    ASSERT_EQ(std::signbit(values[i]), std::signbit(wanted)) << name << " " << i;
    ASSERT_TRUE(values[i] == wanted || (std::isnan(values[i]) && std::isnan(wanted))) << name << " " << i;
  }
}

TEST(DecodeVerb, binary_gives_every_code_its_value) {
  check_binary<uint8_t, float>("e4m3fn", "f32");
  check_binary<uint8_t, float>("e2m1", "f32");
  check_binary<uint8_t, double>("e8m0", "f64");
  check_binary<uint16_t, float>("binary16", "f32");
  check_binary<uint16_t, float>("int9", "f32");
  check_binary<uint16_t, double>("e10m5", "f64");
  check_binary<uint32_t, float>("tf32", "f32");
}

TEST(DecodeVerb, cast_inverts_decode) {
  for (const char* name : {"bfloat16", "e4m3fnuz", "e6m9", "int16"}) {
    const Format format = parse_format(name);
    std::string codes;
    for (const uint32_t code : all_codes<uint32_t>(format))
      if (classify(format, code) != CodeClass::Nan)
        codes.append(reinterpret_cast<const char*>(&code), (format.bits() + 7) / 8);
    const std::string values = output_of({"decode", "--format", name, "--binary"}, codes);
    EXPECT_TRUE(output_of({"cast", "--format", name, "--binary", "--from", "f32"}, values) == codes) << name;
  }
}

TEST(DecodeVerb, what_is_no_code_is_named_with_its_place) {
  for (const char* word : {"1ff", "-5", "", "g", "0x", "0x-1", "1.5", "100000000000000000", " 1", "0x0x1", "+1"})
    expect_unusable({"decode", "--format", "e4m3fn", "--", "7", word},
                    {fmt::format("argument 2 '{}'", word), "not a code of e4m3fn", "0 to ff"});
  expect_unusable({"decode", "--format", "e2m1"}, {"standard input, line 2 '10'", "0 to f"}, "f\n10\n");
}

TEST(DecodeVerb, raw_codes_out_of_range_are_errors) {
  expect_unusable({"decode", "--format", "e2m1", "--binary"}, {"code 3: 10", "0 to f"},
                  std::string_view("\x0f\x00\x10", 3));
  expect_unusable({"decode", "--format", "binary16", "--binary"}, {"ends 1 bytes into", "2 bytes"}, "abc");
}

TEST(DecodeVerb, arguments_that_do_not_go_together_say_what_does) {
  expect_unusable({"decode", "7e"}, {"--format is missing"});
  expect_unusable({"decode", "--format", "e10m5", "--binary"}, {"e10m5", "--to f64"}, "ab");
  expect_unusable({"decode", "--format", "e10m5", "--binary", "--to", "f32"}, {"e10m5", "--to f64"}, "ab");
  expect_unusable({"decode", "--format", "e5m2", "--to", "f32", "7e"}, {"--to", "--binary"});
  expect_unusable({"decode", "--format", "e5m2", "--binary", "7e"}, {"--binary", "no CODE"});
  expect_unusable({"decode", "--format", "e5m2", "--binary", "--csv"}, {"--binary", "--csv"});
}

}  // namespace
}  // namespace halfulp
