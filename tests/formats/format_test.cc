#include "formats/format.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include "formats/codec.h"
#include "tests/cast_cases.h"
#include "tests/oracle.h"

namespace halfulp {
namespace {

using oracle::Meaning;
using oracle::meaning;
using oracle::Oracle;

std::string code_of(const Format& format, uint32_t code) {
  return fmt::format("{} {:#x}", std::string_view(format.name), code);
}

TEST(Format, every_code_decodes_as_its_definition_says) {
  for (const Format& format : test_formats(19))
    for (uint32_t code = 0; code < 1u << format.bits(); ++code) {
      const double want = meaning(format, code).value();
      const double got = decode(format, code);
      ASSERT_EQ(std::bit_cast<uint64_t>(got), std::bit_cast<uint64_t>(want))
          << code_of(format, code) << ": got " << got << ", want " << want;
    }
}

TEST(Format, decode_ignores_bits_above_the_format) {
  for (const Format& format : test_formats(16))
    for (uint32_t code = 0; code < 1u << format.bits(); ++code)
      ASSERT_EQ(std::bit_cast<uint64_t>(decode(format, code)),
                std::bit_cast<uint64_t>(decode(format, code | ~uint32_t{0} << format.bits())))
          << code_of(format, code);
}

TEST(Format, decode_of_binary32_is_the_float_of_these_bits) {
  const Format format = parse_format("binary32");
  for (const float x : random_floats(1 << 20, 1)) {
    if (std::isnan(x)) continue;
    ASSERT_EQ(decode(format, std::bit_cast<uint32_t>(x)), double(x));
  }
}

TEST(Format, classes_are_those_of_the_definition) {
  for (const Format& format : test_formats(19)) {
    const long double least_normal = std::ldexp(1.0L, format.has_zero ? 1 - format.bias : -format.bias);
    for (uint32_t code = 0; code < 1u << format.bits(); ++code) {
      const Meaning what = meaning(format, code);
      const bool is_subnormal = format.exponent_bits > 0 && what.magnitude < least_normal;
      const CodeClass want = what.is_nan           ? CodeClass::Nan
                             : what.is_infinite    ? CodeClass::Infinity
                             : what.magnitude == 0 ? CodeClass::Zero
                             : is_subnormal        ? CodeClass::Subnormal
                                                   : CodeClass::Normal;
      ASSERT_EQ(classify(format, code), want) << code_of(format, code);
    }
  }
}

TEST(Format, decode_is_strictly_ordered_within_a_sign) {
  for (const Format& format : formats_up_to(19))
    for (const uint32_t first : {0u, format.is_signed() ? 1u << (format.bits() - 1) : 0u}) {
      const bool falls = first > 0 && format.encoding == Encoding::SignMagnitude;
      for (uint32_t i = 1; i < 1u << format.magnitude_bits(); ++i) {
        const double last = decode(format, first + i - 1), next = decode(format, first + i);
        if (std::isnan(last) || std::isnan(next)) continue;
        ASSERT_EQ(last < next, !falls) << code_of(format, first + i);
      }
    }
}

TEST(Format, values_are_unique) {
  for (const Format& format : formats_up_to(19)) {
    std::set<uint64_t> seen;
    for (uint32_t code = 0; code < 1u << format.bits(); ++code) {
      const double value = decode(format, code);
      if (std::isnan(value)) continue;
      ASSERT_TRUE(seen.insert(std::bit_cast<uint64_t>(value)).second) << code_of(format, code);
    }
  }
}

// What a number between two numbers becomes differs between roundings; what a number itself becomes does not.
TEST(Format, encode_inverts_decode_under_every_rounding) {
  for (const Format& format : formats_up_to(19))
    for (const Projection& projection : projections({1, 32}, {}))
      for (uint32_t code = 0; code < 1u << format.bits(); ++code) {
        const Meaning what = meaning(format, code);
        const bool is_left_out = format.narrow && code == 1u << (format.bits() - 1);
        if (what.is_nan || is_left_out) continue;
        const uint32_t random = is_stochastic(projection.rounding) ? ~uint32_t{0} >> (32 - projection.random_bits) : 0;
        ASSERT_EQ(encode(format, projection, Real::of(decode(format, code)), random), code)
            << name(projection.rounding) << " " << code_of(format, code);
      }
}

TEST(Format, encode_makes_every_nan_code_canonical) {
  for (const Format& format : formats_up_to(19)) {
    const Oracle oracle(format);
    for (uint32_t code = 0; code < 1u << format.bits(); ++code) {
      if (!meaning(format, code).is_nan) continue;
      const double value = decode(format, code);
      const uint32_t canonical = encode(format, {}, Real::of(value));
      ASSERT_EQ(canonical, oracle.encode({}, NAN)) << code_of(format, code);
      ASSERT_TRUE(meaning(format, canonical).is_nan) << code_of(format, code);
    }
  }
}

TEST(Format, the_largest_negative_integer_of_a_narrow_format_is_no_result) {
  const Format format = parse_format("int8_narrow");
  EXPECT_EQ(decode(format, 0x80), -128);
  for (const Projection& projection : projections({8}, {}))
    for (const double x : {-127.0, -127.5, -128.0, -1e30, double(-INFINITY)})
      EXPECT_EQ(encode(format, projection, Real::of(x)), 0x81) << name(projection.rounding) << " " << x;
}

TEST(Format, derived_facts_follow_from_the_codes) {
  for (const Format& format : test_formats(19)) {
    const Oracle oracle(format);
    const std::vector<oracle::Rung>& ladder = oracle.ladder(false);
    const double largest = double((ladder.end() - 2)->magnitude);
    const double smallest = double(ladder[ladder[0].magnitude == 0].magnitude);
    const std::string_view name = format.name;
    EXPECT_EQ(max_finite(format), largest) << name;
    EXPECT_EQ(min_positive(format), smallest) << name;
    EXPECT_EQ(max_exponent(format), std::ilogb(largest)) << name;
    EXPECT_TRUE(fits_binary32(format)) << name;
    if (!format.subnormals && format.has_zero) continue;
    ASSERT_EQ(format.max_index(), ladder.size() - 2) << name;
    for (size_t i = 0; i < ladder.size(); ++i)
      ASSERT_EQ(magnitude(format, uint32_t(i)), ladder[i].magnitude) << name << i;
  }
}

TEST(Format, numbers_beyond_binary32_are_noticed) {
  for (const char* text : {"e9m2", "e5m2b200", "e8m2finite", "ue8m3"})
    EXPECT_FALSE(fits_binary32(parse_format(text))) << text;
}

struct PublishedRow {
  const char* name;
  int bits;
  double max_finite;
  uint32_t max_code;
  double min_normal;
  double min_positive;
  uint32_t positive_codes;  // of positive finite numbers
};

// OCP OFP8 rev 1.0, OCP MX v1.0, ml_dtypes, arXiv 2206.02915, PTX ISA 9.4 and IEEE 754-2019, recounted by hand.
constexpr PublishedRow kPublished[] = {
    {"e4m3fn", 8, 448, 0x7e, 0x1p-6, 0x1p-9, 126},
    {"e5m2", 8, 57344, 0x7b, 0x1p-14, 0x1p-16, 123},
    {"e4m3", 8, 240, 0x77, 0x1p-6, 0x1p-9, 119},
    {"e3m4", 8, 15.5, 0x6f, 0x1p-2, 0x1p-6, 111},
    {"e4m3fnuz", 8, 240, 0x7f, 0x1p-7, 0x1p-10, 127},
    {"e5m2fnuz", 8, 57344, 0x7f, 0x1p-15, 0x1p-17, 127},
    {"e4m3b11fnuz", 8, 30, 0x7f, 0x1p-10, 0x1p-13, 127},
    {"e3m2", 6, 28, 0x1f, 0x1p-2, 0x1p-4, 31},
    {"e2m3", 6, 7.5, 0x1f, 1, 0.125, 31},
    {"e2m1", 4, 6, 0x7, 1, 0.5, 7},
    {"e3m0", 4, 16, 0x7, 0.25, 0.25, 7},
    {"e1m2", 4, 1.75, 0x7, 1, 0.25, 7},
    {"e1m2b0", 4, 3.5, 0x7, 2, 0.5, 7},
    {"e2m0", 3, 4, 0x3, 1, 1, 3},
    {"e0m3", 4, 7, 0x7, 1, 1, 7},
    {"e8m0", 8, 0x1p127, 0xfe, 0x1p-127, 0x1p-127, 255},
    {"ue4m3", 7, 448, 0x7e, 0x1p-6, 0x1p-9, 126},
    {"ue5m3", 8, 114688, 0xfe, 0x1p-14, 0x1p-17, 254},
    {"ue6m1", 7, 0x1p32, 0x7e, 0x1p-30, 0x1p-31, 126},
    {"ue5m1", 6, 0x1p16, 0x3e, 0x1p-14, 0x1p-15, 62},
    {"ue6m2", 8, 0x1.8p32, 0xfe, 0x1p-30, 0x1p-32, 254},
    {"binary16", 16, 65504, 0x7bff, 0x1p-14, 0x1p-24, 31743},
    {"bfloat16", 16, 0x1.fep127, 0x7f7f, 0x1p-126, 0x1p-133, 32639},
    {"tf32", 19, 0x1.ffcp127, 0x3fbff, 0x1p-126, 0x1p-136, 261119},
    {"int4", 4, 7, 0x7, 1, 1, 7},
    {"int8", 8, 127, 0x7f, 1, 1, 127},
    {"int16", 16, 32767, 0x7fff, 1, 1, 32767},
    {"s2f6", 8, 1.984375, 0x7f, 0x1p-6, 0x1p-6, 127},
};

TEST(Format, facts_are_the_published_ones) {
  for (const PublishedRow& row : kPublished) {
    const Format format = parse_format(row.name);
    EXPECT_EQ(format.bits(), row.bits) << row.name;
    EXPECT_EQ(max_finite(format), row.max_finite) << row.name;
    EXPECT_EQ(decode(format, row.max_code), row.max_finite) << row.name;
    EXPECT_EQ(min_normal(format), row.min_normal) << row.name;
    EXPECT_EQ(min_positive(format), row.min_positive) << row.name;
    uint32_t positive_codes = 0;
    for (uint32_t code = 0; code < 1u << format.bits(); ++code) {
      const double value = decode(format, code);
      positive_codes += value > 0 && std::isfinite(value);
    }
    EXPECT_EQ(positive_codes, row.positive_codes) << row.name;
  }
}

TEST(Format, special_codes_are_the_published_ones) {
  const auto class_of = [](const char* format, uint32_t code) { return classify(parse_format(format), code); };
  for (const uint32_t code : {0x7f, 0xff}) EXPECT_EQ(class_of("e4m3fn", code), CodeClass::Nan);
  for (const uint32_t code : {0x7d, 0x7e, 0x7f, 0xfd, 0xfe, 0xff}) EXPECT_EQ(class_of("e5m2", code), CodeClass::Nan);
  for (const uint32_t code : {0x7c, 0xfc}) EXPECT_EQ(class_of("e5m2", code), CodeClass::Infinity);
  for (const char* format : {"e4m3fnuz", "e5m2fnuz", "e4m3b11fnuz"}) EXPECT_EQ(class_of(format, 0x80), CodeClass::Nan);
  EXPECT_EQ(class_of("e8m0", 0xff), CodeClass::Nan);
  EXPECT_EQ(class_of("e8m0", 0x00), CodeClass::Normal);
  EXPECT_EQ(class_of("ue4m3", 0x7f), CodeClass::Nan);
  EXPECT_EQ(class_of("ue5m3", 0xff), CodeClass::Nan);
  for (const char* format : {"e4m3fn", "e5m2"}) EXPECT_EQ(class_of(format, 0x80), CodeClass::Zero);
}

TEST(Format, e_max_of_the_mx_elements_is_the_published_one) {
  for (const auto& [text, exponent] :
       {std::pair{"e4m3fn", 8}, {"e5m2", 15}, {"e3m2", 4}, {"e2m3", 2}, {"e2m1", 2}, {"s2f6", 0}, {"e1m2", 0}})
    EXPECT_EQ(max_exponent(parse_format(text)), exponent) << text;
}

TEST(Format, catalogue_names_are_unique_and_found_again) {
  std::set<std::string_view> seen;
  for (const Format& format : formats()) {
    EXPECT_TRUE(seen.insert(format.name).second) << std::string_view(format.name);
    EXPECT_EQ(std::string_view(parse_format(format.name).name), std::string_view(format.name));
    EXPECT_FALSE(format.source.empty()) << std::string_view(format.name);
  }
}

struct Parsed {
  const char* text;
  Encoding encoding;
  int exponent_bits, mantissa_bits, bias;
  NanCodes nan;
  bool has_infinity;
};

TEST(ParseFormat, reads_patterns_and_their_defaults) {
  for (const Parsed& want : {
           Parsed{"e5m3", Encoding::SignMagnitude, 5, 3, 15, NanCodes::Ieee, true},
           {"e4m2", Encoding::SignMagnitude, 4, 2, 7, NanCodes::Ieee, true},
           {"e6m9", Encoding::SignMagnitude, 6, 9, 31, NanCodes::Ieee, true},
           {"e3m1", Encoding::SignMagnitude, 3, 1, 3, NanCodes::None, false},
           {"e1m1", Encoding::SignMagnitude, 1, 1, 0, NanCodes::None, false},
           {"e3m3finite", Encoding::SignMagnitude, 3, 3, 3, NanCodes::None, false},
           {"e2m1fn", Encoding::SignMagnitude, 2, 1, 1, NanCodes::Top, false},
           {"e2m1ieee", Encoding::SignMagnitude, 2, 1, 1, NanCodes::Ieee, true},
           {"e3m4fnuz", Encoding::SignMagnitude, 3, 4, 4, NanCodes::NegativeZero, false},
           {"e4m3b20", Encoding::SignMagnitude, 4, 3, 20, NanCodes::Ieee, true},
           {"e4m3b0fn", Encoding::SignMagnitude, 4, 3, 0, NanCodes::Top, false},
           {"e4m3b9fnuz", Encoding::SignMagnitude, 4, 3, 9, NanCodes::NegativeZero, false},
           {"ue6m2", Encoding::Unsigned, 6, 2, 31, NanCodes::Top, false},
           {"ue4m4", Encoding::Unsigned, 4, 4, 7, NanCodes::Top, false},
           {"ue3m5", Encoding::Unsigned, 3, 5, 3, NanCodes::Top, false},
           {"ue5m2ieee", Encoding::Unsigned, 5, 2, 15, NanCodes::Ieee, true},
           {"ue2m1finite", Encoding::Unsigned, 2, 1, 1, NanCodes::None, false},
       }) {
    const Format format = parse_format(want.text);
    EXPECT_EQ(std::string_view(format.name), want.text);
    EXPECT_EQ(format.encoding, want.encoding) << want.text;
    EXPECT_EQ(format.exponent_bits, want.exponent_bits) << want.text;
    EXPECT_EQ(format.mantissa_bits, want.mantissa_bits) << want.text;
    EXPECT_EQ(format.bias, want.bias) << want.text;
    EXPECT_EQ(format.nan, want.nan) << want.text;
    EXPECT_EQ(format.has_infinity, want.has_infinity) << want.text;
    EXPECT_TRUE(format.subnormals && format.has_zero && !format.narrow) << want.text;
  }
}

const std::string kHostileTexts[] = {"",
                                     "e0m0",
                                     "e99m9",
                                     "e4m99",
                                     "e11m23",
                                     "e1m2ieee",
                                     "ue4m3fnuz",
                                     "e4m3xyz",
                                     "e4m3fnfn",
                                     "e-4m3",
                                     "e4m-3",
                                     "e+4m3",
                                     "e0x4m3",
                                     "e4",
                                     "m3",
                                     "em",
                                     "e4m",
                                     "e4m3b",
                                     "e4m3b-2000",
                                     "e4m3b99999999999999999999",
                                     "e99999999999999999999m3",
                                     "e4294967300m3",
                                     " e4m3",
                                     "e4m3 ",
                                     "e4m3\n",
                                     std::string("e4m3\0", 5),
                                     "uint8_narrow",
                                     "int1",
                                     "\xff\xfe",
                                     std::string(1 << 20, 'e'),
                                     "e4m" + std::string(1 << 20, '3')};

TEST(ParseFormat, refuses_hostile_text_with_a_short_message_that_quotes_it) {
  for (const std::string& text : kHostileTexts) {
    const std::string start = text.substr(0, 40);
    try {
      const Format format = parse_format(text);
      ADD_FAILURE() << "'" << start << "' was read as " << std::string_view(format.name);
    } catch (const std::invalid_argument& error) {
      const std::string_view message(error.what());
      EXPECT_NE(message.find(start.c_str()), std::string::npos) << message;
      EXPECT_GT(message.size(), start.size() + 10) << message;
      EXPECT_LT(message.size(), 500u) << start;
    }
  }
}

TEST(ParseFormat, names_the_nearest_catalogue_rows) {
  try {
    parse_format("e4m3fm");
    FAIL() << "e4m3fm is no format";
  } catch (const UnknownName& error) {
    EXPECT_NE(std::string(error.what()).find("e4m3fn"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace halfulp
