#include "formats/format.h"

#include <fmt/format.h>

#include "formats/block.h"
#include "tests/cli/command.h"

namespace halfulp {
namespace {

TEST(FormatsVerb, list_shows_every_catalogue_row) {
  const auto rows = nlohmann::json::parse(output_of({"formats", "--json"}));
  ASSERT_EQ(rows.size(), formats().size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const Format& format = formats()[i];
    EXPECT_EQ(rows[i]["name"], std::string_view(format.name));
    EXPECT_EQ(rows[i]["bits"], format.bits());
    EXPECT_EQ(rows[i]["bias"], format.family == Family::Float ? nlohmann::json(format.bias) : nlohmann::json());
    EXPECT_EQ(rows[i]["max_finite"], max_finite(format));
    EXPECT_EQ(rows[i]["min_positive"], min_positive(format));
    EXPECT_EQ(rows[i]["nan"], name(format.nan));
    EXPECT_EQ(rows[i]["evidence"], name(format.evidence));
    EXPECT_EQ(rows[i]["source"], format.source);
  }
}

TEST(FormatsVerb, list_fits_a_terminal_of_200_columns) {
  std::istringstream lines(output_of({"formats"}));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 200u) << line;
}

TEST(FormatsVerb, what_no_source_was_found_for_says_so) {
  EXPECT_EQ(nlohmann::json::parse(output_of({"formats", "binary", "--json"}))["evidence"], "unverified");
  EXPECT_EQ(nlohmann::json::parse(output_of({"formats", "e3m0", "--json"}))["evidence"], "convention");
  EXPECT_EQ(nlohmann::json::parse(output_of({"formats", "hifloat8", "--json"}))["evidence"], "specified");
  EXPECT_EQ(nlohmann::json::parse(output_of({"formats", "e4m3fn", "--json"}))["evidence"], "verified");
}

TEST(FormatsVerb, patterns_are_those_of_the_parser) {
  const auto rows = nlohmann::json::parse(output_of({"formats", "--patterns", "--json"}));
  ASSERT_EQ(rows.size(), std::size(kFormatPatterns));
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i]["pattern"], kFormatPatterns[i].text);
    EXPECT_EQ(rows[i]["meaning"], kFormatPatterns[i].meaning);
  }
  expect_same_facts({"formats", "--patterns"});
  expect_unusable({"formats", "--patterns", "e4m3fn"}, {"--patterns", "without NAME"});
}

TEST(FormatsVerb, codes_of_every_family_are_shown) {
  for (const char* name :
       {"posit8", "takum8_linear", "takum8_logarithmic", "hifloat8", "nf4", "bnb_fp4", "lns4f3", "pow2_4", "adalog4q17",
        "adalog4q17lut", "midrise4", "binary", "ternary", "uint4", "binary8p1uf"}) {
    const Format format = parse_format(name);
    const auto rows = nlohmann::json::parse(output_of({"formats", name, "--codes", "--json"}));
    ASSERT_EQ(rows.size(), size_t{1} << format.bits()) << name;
    for (uint32_t code = 0; code < rows.size(); ++code) {
      EXPECT_EQ(rows[code]["class"], halfulp::name(classify(format, code))) << name << code;
      if (rows[code]["class"] != "nan" && rows[code]["class"] != "infinity") {
        EXPECT_EQ(rows[code]["decimal"], decode(format, code)) << name << code;
      }
    }
  }
}

TEST(FormatsVerb, numbers_beyond_binary64_are_spelt_exactly) {
  const auto rows = nlohmann::json::parse(output_of({"formats", "binary16p2ue", "--codes", "--json"}));
  EXPECT_EQ(rows[0xfffd]["value"], "0x1.8p+16382");
  EXPECT_EQ(rows[0xfffc]["value"], "0x1p+16382");
  EXPECT_EQ(rows[0x0001]["value"], "0x1p-16384");
  EXPECT_EQ(rows[0x0003]["value"], "0x1.8p-16383");
  EXPECT_EQ(rows[0x0001]["decimal"], "0x1p-16384");
  EXPECT_EQ(nlohmann::json::parse(output_of({"formats", "binary16p2ue", "--json"}))["max_finite"], "0x1.8p+16382");
  const auto decoded = csv_column(output_of({"decode", "--format", "binary16p2ue", "--csv", "fffd"}), "value");
  EXPECT_EQ(decoded, std::vector<std::string>{"0x1.8p+16382"});
}

TEST(FormatsVerb, table_json_and_csv_carry_the_same_facts) {
  expect_same_facts({"formats"});
  for (const char* name : {"e4m3fn", "e8m0", "int8", "ue5m3", "binary32"}) {
    expect_same_facts({"formats", name});
    if (std::string_view(name) != "binary32") expect_same_facts({"formats", name, "--codes"});
  }
}

TEST(FormatsVerb, e2m1_has_the_sixteen_codes_of_the_mx_specification) {
  EXPECT_EQ(output_of({"formats", "e2m1", "--codes", "--csv"}),
            "code,sign,exponent,mantissa,value,decimal,class\n"
            "0,0,00,0,0x0p+0,0,zero\n"
            "1,0,00,1,0x1p-1,0.5,subnormal\n"
            "2,0,01,0,0x1p+0,1,normal\n"
            "3,0,01,1,0x1.8p+0,1.5,normal\n"
            "4,0,10,0,0x1p+1,2,normal\n"
            "5,0,10,1,0x1.8p+1,3,normal\n"
            "6,0,11,0,0x1p+2,4,normal\n"
            "7,0,11,1,0x1.8p+2,6,normal\n"
            "8,1,00,0,-0x0p+0,-0,zero\n"
            "9,1,00,1,-0x1p-1,-0.5,subnormal\n"
            "a,1,01,0,-0x1p+0,-1,normal\n"
            "b,1,01,1,-0x1.8p+0,-1.5,normal\n"
            "c,1,10,0,-0x1p+1,-2,normal\n"
            "d,1,10,1,-0x1.8p+1,-3,normal\n"
            "e,1,11,0,-0x1p+2,-4,normal\n"
            "f,1,11,1,-0x1.8p+2,-6,normal\n");
}

TEST(FormatsVerb, e8m0_has_255_powers_of_two_and_a_nan) {
  const auto rows = nlohmann::json::parse(output_of({"formats", "e8m0", "--codes", "--json"}));
  ASSERT_EQ(rows.size(), 256u);
  for (int code = 0; code < 255; ++code) {
    EXPECT_EQ(rows[code]["code"], fmt::format("{:02x}", code));
    EXPECT_EQ(rows[code]["exponent"], fmt::format("{:08b}", code));
    EXPECT_EQ(rows[code]["value"], fmt::format("0x1p{:+}", code - 127));
    EXPECT_EQ(rows[code]["decimal"], std::ldexp(1.0, code - 127));
    EXPECT_TRUE(rows[code]["sign"].is_null() && rows[code]["mantissa"].is_null());
  }
  EXPECT_EQ(rows[255]["class"], "nan");
  EXPECT_EQ(rows[255]["decimal"], "nan");
}

TEST(FormatsVerb, codes_of_long_formats_are_all_there) {
  const std::vector<std::string> codes = csv_column(output_of({"formats", "binary16", "--codes", "--csv"}), "code");
  ASSERT_EQ(codes.size(), 65536u);
  for (size_t i = 0; i < codes.size(); ++i) ASSERT_EQ(codes[i], fmt::format("{:04x}", i));
  EXPECT_EQ(nlohmann::json::parse(output_of({"formats", "binary16", "--codes", "--json"})).size(), 65536u);
}

TEST(FormatsVerb, any_exponent_and_mantissa_width_is_a_format) {
  for (int e = 1; e <= 8; ++e)
    for (int m = 1; m <= 7; m += 2) {
      const std::string name = fmt::format("ue{}m{}b3", e, m);
      const auto format = nlohmann::json::parse(output_of({"formats", name, "--json"}));
      EXPECT_EQ(format["name"], name);
      EXPECT_EQ(format["exponent_bits"], e);
      EXPECT_EQ(format["mantissa_bits"], m);
      EXPECT_EQ(format["bias"], 3);
      EXPECT_EQ(format["bits"], e + m);
    }
}

TEST(FormatsVerb, what_is_no_format_says_what_is) {
  expect_unusable({"formats", "e4m3f"}, {"no format named 'e4m3f'; nearest: e4m3fn", "[u]e<E>m<M>"});
  expect_unusable({"formats", "e0m0"}, {"'e0m0'", "needs an exponent or mantissa bit"});
  expect_unusable({"formats", "e12m1"}, {"at most 11 exponent"});
  expect_unusable({"formats", "-x"}, {"no format named '-x'"});
  expect_unusable({"formats", ""}, {"no format named ''"});
  expect_unusable({"formats", "--codes"}, {"--codes", "NAME"});
}

TEST(BlocksVerb, list_shows_every_block_format_with_its_rules) {
  const auto rows = nlohmann::json::parse(output_of({"blocks", "--json"}));
  ASSERT_EQ(rows.size(), block_formats().size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const BlockRow& row = block_formats()[i];
    EXPECT_EQ(rows[i]["name"], row.name);
    EXPECT_EQ(rows[i]["element"], row.element);
    EXPECT_EQ(rows[i]["scale"], row.scale);
    EXPECT_EQ(rows[i]["tensor_scale"], row.options.find("outer=") != row.options.npos);
    for (const ScaleRule rule : scale_rules(parse_format(row.scale)))
      EXPECT_NE(rows[i]["scale_rules"].get<std::string>().find(name(rule)), std::string::npos);
  }
}

TEST(BlocksVerb, one_block_format_explains_each_rule_it_can_follow) {
  for (const BlockRow& row : block_formats()) {
    const auto block = nlohmann::json::parse(output_of({"blocks", std::string(row.name), "--json"}));
    for (const ScaleRule rule : scale_rules(parse_format(row.scale)))
      EXPECT_NE(block.value(fmt::format("rule_{}", name(rule)), ""), "") << row.name;
  }
}

TEST(BlocksVerb, table_json_and_csv_carry_the_same_facts) {
  expect_same_facts({"blocks"});
  for (const BlockRow& row : block_formats()) expect_same_facts({"blocks", std::string(row.name)});
}

TEST(BlocksVerb, options_rules_and_variants_are_the_library_s) {
  const auto options = nlohmann::json::parse(output_of({"blocks", "--options", "--json"}));
  ASSERT_EQ(options.size(), block_options().size());
  for (size_t i = 0; i < options.size(); ++i) EXPECT_EQ(options[i]["option"], block_options()[i].name);
  const auto variants = nlohmann::json::parse(output_of({"blocks", "--variants", "--json"}));
  ASSERT_EQ(variants.size(), names<Variant>().size());
  for (size_t i = 0; i < variants.size(); ++i) EXPECT_NE(variants[i].value("evidence", ""), "");
  const auto rules = nlohmann::json::parse(output_of({"blocks", "--rules", "--json"}));
  EXPECT_EQ(rules.size(), names<ScaleRule>().size());
  for (const char* list : {"--options", "--variants", "--rules"}) expect_same_facts({"blocks", list});
  expect_unusable({"blocks", "--rules", "nvfp4"}, {"only one of them"});
}

TEST(BlocksVerb, any_block_format_can_be_shown) {
  const auto block =
      nlohmann::json::parse(output_of({"blocks", "e2m1/ue5m3/1x8:outer=tensor,headroom=17/16", "--json"}));
  EXPECT_EQ(block["name"], "e2m1/ue5m3/1x8:outer=tensor,headroom=17/16");
  EXPECT_EQ(block["shape"], "1x8");
  EXPECT_EQ(block["option_headroom"], "17/16");
  expect_unusable({"blocks", "nvfp4:headroom=0"}, {"a fraction such as 17/16"});
}

TEST(BlocksVerb, an_unknown_name_is_answered_with_the_nearest) {
  expect_unusable({"blocks", "mxfp5"}, {"no block format named 'mxfp5'; nearest: mxfp4", "known: mxfp8_e4m3"});
  expect_unusable({"blocks", ""}, {"NAME: an empty word"});
}

}  // namespace
}  // namespace halfulp
