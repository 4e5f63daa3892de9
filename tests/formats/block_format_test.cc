// Block formats as text: the grammar, its inverse, and what is refused.
#include "formats/block_format.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace halfulp {
namespace {

/// What making a format complains about; empty: nothing.
std::string complaint(std::string_view text, std::optional<ScaleRule> rule = {}, std::string_view shape = "") {
  try {
    make_block_format(text, rule, shape);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(BlockText, formats_shape_and_options_make_a_format) {
  const BlockFormat f = make_block_format(
      "int4_narrow/ue5m3/2x8:outer=4x16,target=255.99,headroom=17/16,clamp=0.001,"
      "zero=one,nan=element,search=nearby*3,metric=mae,rule=rceil");
  EXPECT_EQ(std::string_view(f.element.name), "int4_narrow");
  EXPECT_EQ(std::string_view(f.scale.name), "ue5m3");
  EXPECT_EQ(f.rows, 2);
  EXPECT_EQ(f.cols, 8);
  EXPECT_TRUE(f.has_tensor_scale);
  EXPECT_EQ(f.outer, (BlockShape{4, 16}));
  EXPECT_EQ(f.target, 255.99f);
  EXPECT_EQ(f.headroom, (Ratio{17, 16}));
  EXPECT_EQ(f.smallest_amax, 0.001f);
  EXPECT_EQ(f.zero, ZeroScale::One);
  EXPECT_EQ(f.nan, BlockNan::Element);
  EXPECT_EQ(f.search, Search::Nearby);
  EXPECT_EQ(f.reach, 3);
  EXPECT_EQ(f.metric, Metric::Mae);
  EXPECT_EQ(f.rule, ScaleRule::Rceil);
}

TEST(BlockText, a_rule_is_needed_where_scales_are_powers_of_two) {
  EXPECT_EQ(make_block_format("e2m1/ue4m3/1x16").rule, ScaleRule::Nearest);
  EXPECT_NE(complaint("e2m1/e8m0/1x16").find("rule must be stated"), std::string::npos);
  EXPECT_EQ(complaint("e2m1/e8m0/1x16", ScaleRule::Floor), "");
  EXPECT_EQ(complaint("mxfp4:rule=even"), "");
}

TEST(BlockText, every_row_is_made_and_spelled_as_it_is_named) {
  for (const BlockRow& row : block_formats())
    for (ScaleRule rule : scale_rules(row)) EXPECT_EQ(block_text(make_block_format(row.name, rule)), row.name);
}

TEST(BlockText, spelling_inverts_parsing) {
  for (const char* text :
       {"nvfp4:variant=te_4over6,target=256,metric=abs_max", "nvfp4:outer=row,headroom=17/16", "nvfp4:outer=1x128",
        "mxfp4:prescale=3/4", "if4:search=four_over_six,target=256", "nvfp4:target=447.99", "mxint8:statistic=rms*0.5",
        "e2m1/ue4m3/1x16:second=int4_narrow*6/7", "mxfp4:infinity=saturate,zero=unit_amax", "nvfp4_4over6:metric=mae",
        "int8/e8m0/1x16:clamp=1e-12", "nvfp4:eden=64", "nvfp4_eden:target=max"}) {
    const BlockFormat format = make_block_format(text, ScaleRule::Nearest, "1x16");
    const BlockFormat again = make_block_format(block_text(format), format.rule, shape_text(format));
    for (const BlockOption& option : block_options())
      EXPECT_EQ(option.get(format), option.get(again)) << text << " " << option.name;
    for (std::string_view rest = std::string_view(text).substr(std::string_view(text).find(':') + 1); !rest.empty();
         rest = rest.find(',') == rest.npos ? "" : rest.substr(rest.find(',') + 1))
      EXPECT_NE(block_text(format).find(rest.substr(0, rest.find(','))), std::string::npos) << text;
  }
}

TEST(BlockText, a_rule_and_a_shape_are_given_once) {
  EXPECT_NE(complaint("mxfp4:rule=floor", ScaleRule::Floor).find("given twice"), std::string::npos);
  EXPECT_NE(complaint("nvfp4:target=256,shape=1x8", {}, "1x8").find("given twice"), std::string::npos);
  EXPECT_EQ(make_block_format("nvfp4", ScaleRule::Rceil, "1x8").rule, ScaleRule::Rceil);
  EXPECT_TRUE(states_option("nvfp4:target=256,rule=rceil", "rule"));
  EXPECT_FALSE(states_option("nvfp4:target=256,rule=rceil", "get"));
  EXPECT_FALSE(states_option("nvfp4", "rule"));
}

TEST(BlockText, fractions_may_be_decimals) {
  const auto headroom = [](const char* text) {
    return make_block_format(std::string("nvfp4:headroom=") + text).headroom;
  };
  EXPECT_EQ(headroom("1.0625"), (Ratio{17, 16}));
  EXPECT_EQ(headroom("0.988125"), (Ratio{1581, 1600}));
  EXPECT_EQ(headroom("34/32"), (Ratio{17, 16}));
  EXPECT_EQ(headroom("7.5/31"), (Ratio{15, 62}));
}

TEST(BlockText, what_is_no_block_format_gets_one_clear_line) {
  struct Row {
    const char *text, *part;
  };
  const Row rows[] = {
      {"", "no block format named ''"},
      {"nvfp5", "nearest: nvfp4"},
      {"e2m1/e8m0", "ELEMENT/SCALE/SHAPE"},
      {"e2m1//1x16", "no format named ''"},
      {"e2m1/e8m0/0x16", "block shape '0x16'"},
      {"e2m1/e8m0/1x", "block shape '1x'"},
      {"e0m0/e8m0/1x16", "needs an exponent or mantissa bit"},
      {"e9m4/e8m0/1x16:rule=floor", "not all binary32 numbers"},
      {"e2m1/e9m4/1x16", "not all binary32 numbers"},
      {"nvfp4:", "options NAME=VALUE"},
      {"nvfp4:variant", "variant=exact|paper"},
      {"nvfp4:variannt=te", "nearest: variant"},
      {"nvfp4:variant=tea", "nearest: te"},
      {"nvfp4:,", "no option of block formats named ''"},
      {"nvfp4:headroom=0", "a fraction such as 17/16"},
      {"nvfp4:headroom=1/0", "a fraction such as 17/16"},
      {"nvfp4:headroom=-1", "a fraction such as 17/16"},
      {"nvfp4:headroom=nan", "a fraction such as 17/16"},
      {"nvfp4:headroom=1/65537", "65536"},
      {"nvfp4:headroom=65537", "65536"},
      {"nvfp4:headroom=1234567890", "a fraction such as 17/16"},
      {"nvfp4:target=nan", "the target is 'max' or a number"},
      {"nvfp4:target=-1", "the target is 'max' or a number"},
      {"nvfp4:target=449", "exceeds the largest scale"},
      {"mxfp4:rule=floor,target=4", "needs a tensor scale"},
      {"nvfp4:clamp=-1", "smallest amax"},
      {"nvfp4:clamp=inf", "smallest amax"},
      {"nvfp4:statistic=rms", "rms*C"},
      {"nvfp4:statistic=rms*0", "factor of rms*C"},
      {"nvfp4:search=nearby", "nearby*K"},
      {"nvfp4:search=nearby*0", "1 to 255"},
      {"nvfp4:search=five_over_six", "no scale search named"},
      {"nvint4:search=four_over_six", "elements up to 6"},
      {"mxfp4:rule=floor,search=four_over_six", "scales with a mantissa"},
      {"nvfp4:rule=triton_up", "not with scale rule 'triton_up'"},
      {"mxfp4:rule=triton_up,headroom=2", "Triton's rules"},
      {"nvfp4:infinity=saturate", "not for formats with a tensor scale"},
      {"nvfp4:outer=1x24", "must not straddle"},
      {"nvfp4:outer=all", "block shape 'all'"},
      {"mxfp4:rule=floor,variant=te", "a variant other than exact"},
      {"nvfp4:variant=te,headroom=2", "a variant other than exact"},
      {"nvfp4:variant=te,zero=one", "a variant other than exact"},
      {"nvint4:variant=te_4over6", "elements up to 6"},
      {"nvfp4:eden=24", "divide its group"},
      {"nvfp4:eden=-1", "0 to 1048576"},
      {"nvfp4:eden=128,shape=16x16", "blocks of one row"},
      {"mxfp4:rule=floor,eden=128", "scales with a mantissa"},
      {"nvfp4:second=int4_narrow*0", "a fraction such as 17/16"},
      {"nvfp4:second=int5x", "no format named 'int5x'"},
      {"e4m3fn/binary32/1x16:outer=tensor,search=nearby*1,target=0.7", "too many digits"},
  };
  for (const Row& row : rows) {
    const std::string got = complaint(row.text);
    EXPECT_NE(got.find(row.part), std::string::npos) << row.text << ": " << got;
    EXPECT_EQ(got.find('\n'), std::string::npos);
  }
}

TEST(BlockText, scalar_formats_are_told_apart) {
  for (const Format& format : formats()) EXPECT_FALSE(names_block_format(format.name)) << std::string_view(format.name);
  for (const BlockRow& row : block_formats()) EXPECT_TRUE(names_block_format(row.name)) << row.name;
  EXPECT_TRUE(names_block_format("e2m1/e8m0/1x32"));
  EXPECT_TRUE(names_block_format("nvfp5:variant=te"));
}

}  // namespace
}  // namespace halfulp
