// The verbs `units` and `mma`.

#include <bit>

#include "tests/cli/command.h"

namespace halfulp {
namespace {

std::string repeated(const std::string& word, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += word + " ";
  return text;
}

TEST(Units, the_list_names_evidence_and_fixtures) {
  const std::string out = output_of({"units", "--csv"});
  const auto rows = csv_rows(out);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"name", "architecture", "instruction", "a", "b", "accumulator", "k",
                                               "block", "fraction", "zero_exponent", "result", "operation", "evidence",
                                               "fixtures", "source"}));
  const auto names = csv_column(out, "name"), evidence = csv_column(out, "evidence"),
             fixtures = csv_column(out, "fixtures");
  for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(evidence[i] == "hardware", !fixtures[i].empty()) << names[i];
  const size_t at = size_t(std::ranges::find(names, "hopper.wgmma.e4m3") - names.begin());
  EXPECT_EQ(fixtures.at(at), "H100_E4M3 fp32");
}

TEST(Units, one_has_every_field) {
  const auto unit = nlohmann::json::parse(output_of({"units", "hopper.wgmma.e4m3", "--json"}));
  EXPECT_EQ(unit["fraction"], 13);
  EXPECT_EQ(unit["result"], "e8m13");
  EXPECT_EQ(unit["rounding"], "toward_zero");
  EXPECT_EQ(unit["evidence"], "hardware");
  EXPECT_EQ(unit["group"], nullptr);
  const auto changed = nlohmann::json::parse(output_of({"units", "hopper.wgmma.e4m3:fraction=25,block=16", "--json"}));
  EXPECT_EQ(changed["fraction"], 25);
  EXPECT_EQ(changed["evidence"], "convention");
  EXPECT_EQ(changed["fixtures"], nullptr);
}

TEST(Units, forms_carry_the_same_facts) {
  expect_same_facts({"units"});
  expect_same_facts({"units", "--fields"});
  expect_same_facts({"units", "cdna3.mfma.f16"});
}

TEST(Units, unknown_ones_are_turned_down_with_the_nearest) {
  expect_unusable({"units", "hoper.mma.f16"}, {"no matrix unit named 'hoper.mma.f16'; nearest: hopper.mma.f16"});
  expect_unusable({"units", "hopper.mma.f16:fraction=0"}, {"fraction: '0' is not a whole number in 1 … 60"});
  expect_unusable({"units", "--fields", "hopper.mma.f16"}, {"--fields: shows all of them; without NAME"});
}

TEST(Mma, lines_are_records_of_hexadecimal_codes) {
  const std::string out = output_of({"mma", "--unit", "volta.mma.f16", "--csv"},
                                    "3c00 4000 3c00 3c00  3c00 3c00 3c00 3c00  3f800000\n"
                                    "0x3c00,0,0,0\t8000,0,0,0\t80000000\n"
                                    "7c00 0 0 0 3c00 0 0 0 0\n");
  EXPECT_EQ(csv_column(out, "d"), (std::vector<std::string>{"40c00000", "00000000", "7f800000"}));
  EXPECT_EQ(csv_column(out, "value"), (std::vector<std::string>{"6", "0", "inf"}));
}

TEST(Mma, every_kind_of_code_is_taken) {
  const auto d = [](const std::string& unit, const std::string& record) {
    return csv_column(output_of({"mma", "--unit", unit, "--csv"}, record + "\n").c_str(), "d").at(0);
  };
  EXPECT_EQ(d("ampere.mma.f64", "3ff0000000000000 0 0 0  4000000000000000 0 0 0  3ff0000000000000"),
            "4008000000000000");
  EXPECT_EQ(d("ampere.mma.s8", repeated("ff", 32) + repeated("02", 32) + "5"), "ffffffc5");
  EXPECT_EQ(d("ampere.mma.b1.and", repeated("1", 512) + "0"), "00000100");
  EXPECT_EQ(d("hopper.mma.tf32", repeated("3f801fff", 16) + "0"), "41000000");
  EXPECT_EQ(d("volta.mma.f16.f16:k=1", "3c00 3c00 3c00"), "4000");
  // scales: k / scale_block of a, as many of b, before c; 1 · 1 · 2 · 4 + 1
  EXPECT_EQ(d("blackwell.mxf8f6f4.e4m3", "38 " + repeated("0", 31) + "38 " + repeated("0", 31) + "80 81 3f800000"),
            "41100000");
}

TEST(Mma, binary_records_are_the_same) {
  const std::vector<uint16_t> operands = {0x3c00, 0x4000, 0x3c00, 0x3c00, 0x3c00, 0x3c00, 0x3c00, 0x3c00};
  const std::string record = bytes_of(operands) + bytes_of(std::vector<uint32_t>{0x3f800000});
  std::string many;
  for (int i = 0; i < 10000; ++i) many += record;
  EXPECT_EQ(values_of<uint32_t>(output_of({"mma", "--unit", "volta.mma.f16", "--binary"}, many)),
            std::vector<uint32_t>(10000, 0x40c00000));
  const std::string halves = bytes_of(operands) + bytes_of(std::vector<uint16_t>{0x3c00});
  EXPECT_EQ(values_of<uint16_t>(output_of({"mma", "--unit", "volta.mma.f16.f16", "--binary"}, halves)),
            std::vector<uint16_t>{0x4600});
  EXPECT_EQ(output_of({"mma", "--unit", "volta.mma.f16", "--binary"}, ""), "");
}

TEST(Mma, unusable_records_are_turned_down) {
  const std::vector<std::string> text = {"mma", "--unit", "volta.mma.f16"},
                                 binary = {"mma", "--unit", "volta.mma.f16", "--binary"};
  expect_unusable(text, {"standard input, line 1: 3 codes; a record has 9: 4 a, 4 b, 1 c"}, "1 2 3\n");
  expect_unusable(text, {"line 2, b 3 'x': not a code of binary16; hexadecimal from 0 to ffff"},
                  "0 0 0 0 0 0 0 0 0\n0 0 0 0 0 0 0 x 0\n");
  expect_unusable(text, {"line 1, a 1 '10000': not a code of binary16"}, "0 10000 0 0 0 0 0 0 0\n");
  expect_unusable(text, {"c 0 '-1'"}, "0 0 0 0 0 0 0 0 -1\n");
  expect_unusable(binary, {"standard input ends 19 bytes into a record of 20 bytes: 4 a, 4 b, 1 c"},
                  std::string(19, ' '));
  expect_unusable({"mma", "--unit", "ampere.mma.s4", "--binary"},
                  {"record 1, a 0: ff is not a code of int4; from 0 to f"}, std::string(132, '\xff'));
  expect_unusable({"mma", "--unit", "volta.mma.f16", "--binary", "--json"}, {"--binary writes raw codes"});
  expect_unusable({"mma"}, {"--unit"});
  expect_unusable({"mma", "--unit", "volta.mma"}, {"no matrix unit named 'volta.mma'; nearest: volta.mma.f16"});
}

}  // namespace
}  // namespace halfulp
