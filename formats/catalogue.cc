#include <fmt/format.h>

#include <array>
#include <vector>

#include "formats/format.h"
#include "formats/level_tables.h"

namespace halfulp {
namespace {

constexpr Format ieee(const char* name, int e, int m, std::string_view source, Evidence evidence = Evidence::Verified) {
  return {.name = name,
          .encoding = Encoding::SignMagnitude,
          .exponent_bits = e,
          .mantissa_bits = m,
          .bias = (1 << (e - 1)) - 1,
          .nan = NanCodes::Ieee,
          .has_infinity = true,
          .source = source,
          .evidence = evidence};
}

constexpr Format fnuz(const char* name, int e, int m, int bias, std::string_view source,
                      Evidence evidence = Evidence::Verified) {
  return {.name = name,
          .encoding = Encoding::SignMagnitude,
          .exponent_bits = e,
          .mantissa_bits = m,
          .bias = bias,
          .nan = NanCodes::NegativeZero,
          .has_infinity = false,
          .source = source,
          .evidence = evidence};
}

constexpr Format finite(const char* name, int e, int m, int bias, std::string_view source,
                        Evidence evidence = Evidence::Verified) {
  return {.name = name,
          .encoding = Encoding::SignMagnitude,
          .exponent_bits = e,
          .mantissa_bits = m,
          .bias = bias,
          .nan = NanCodes::None,
          .has_infinity = false,
          .source = source,
          .evidence = evidence};
}

constexpr Format unsigned_top_nan(const char* name, int e, int m, std::string_view source,
                                  Evidence evidence = Evidence::Verified) {
  return {.name = name,
          .encoding = Encoding::Unsigned,
          .exponent_bits = e,
          .mantissa_bits = m,
          .bias = (1 << (e - 1)) - 1,
          .nan = NanCodes::Top,
          .has_infinity = false,
          .source = source,
          .evidence = evidence};
}

constexpr std::string_view kOfp8 = "OCP OFP8 rev 1.0";
constexpr std::string_view kMx = "OCP MX v1.0";
constexpr std::string_view kIeee754 = "IEEE 754-2019";
constexpr std::string_view kMlDtypes = "ml_dtypes";
constexpr std::string_view kFnuz = "arXiv 2206.02915";
constexpr std::string_view kUsualBias = "bias 2^(E-1)-1";

constexpr std::array kFloats = {
    Format{.name = "e4m3fn",
           .encoding = Encoding::SignMagnitude,
           .exponent_bits = 4,
           .mantissa_bits = 3,
           .bias = 7,
           .nan = NanCodes::Top,
           .has_infinity = false,
           .source = kOfp8},
    ieee("e5m2", 5, 2, kOfp8),
    ieee("e4m3", 4, 3, kMlDtypes),
    ieee("e3m4", 3, 4, kMlDtypes),
    fnuz("e4m3fnuz", 4, 3, 8, kFnuz),
    fnuz("e5m2fnuz", 5, 2, 16, kFnuz),
    fnuz("e4m3b11fnuz", 4, 3, 11, kMlDtypes),
    finite("e3m2", 3, 2, 3, kMx),
    finite("e2m3", 2, 3, 1, kMx),
    finite("e2m1", 2, 1, 1, kMx),
    finite("e3m0", 3, 0, 3, kUsualBias, Evidence::Convention),
    finite("e1m2", 1, 2, 1, "Ascend MX: e_max 0, so bias 1", Evidence::Specified),
    finite("e1m2b0", 1, 2, 0, kUsualBias, Evidence::Convention),
    finite("e2m0", 2, 0, 1, "fouroversix fp3", Evidence::Specified),
    finite("e0m3", 0, 3, -2, "CUDA Math API 13.1 __nv_fp4_e0m3", Evidence::Specified),
    Format{.name = "e8m0",
           .encoding = Encoding::Unsigned,
           .exponent_bits = 8,
           .mantissa_bits = 0,
           .bias = 127,
           .nan = NanCodes::Top,
           .has_infinity = false,
           .subnormals = false,
           .has_zero = false,
           .source = kMx},
    unsigned_top_nan("ue4m3", 4, 3, "PTX ISA 9.1, 5.2.3", Evidence::Specified),
    unsigned_top_nan("ue5m3", 5, 3, "PTX ISA 9.4, 5.2.3", Evidence::Specified),
    ieee("binary16", 5, 10, kIeee754),
    ieee("bfloat16", 8, 7, "Google Brain; Arm ARM"),
    ieee("tf32", 8, 10, "NVIDIA A100 whitepaper"),
    ieee("binary32", 8, 23, kIeee754),
};
static_assert(kFloats[0].max_index() == 0b1111'110);                 // 448
static_assert(ieee("e5m2", 5, 2, kOfp8).max_index() == 0b11110'11);  // 57344

const std::array kTables = {
    Format{.name = "hifloat8",
           .encoding = Encoding::SignMagnitude,
           .exponent_bits = 0,
           .mantissa_bits = 0,
           .bias = 0,
           .nan = NanCodes::NegativeZero,
           .has_infinity = true,
           .source = "arXiv 2409.16626; MindSpore",
           .evidence = Evidence::Specified,
           .family = Family::Table,
           .width = 8,
           .table = &kHifloat8},
    Format{.name = "nf4",
           .encoding = Encoding::Listed,
           .exponent_bits = 0,
           .mantissa_bits = 0,
           .bias = 0,
           .nan = NanCodes::None,
           .has_infinity = false,
           .source = "bitsandbytes",
           .family = Family::Table,
           .width = 4,
           .table = &kNormalFloat4},
    Format{.name = "bnb_fp4",
           .encoding = Encoding::SignMagnitude,
           .exponent_bits = 0,
           .mantissa_bits = 0,
           .bias = 0,
           .nan = NanCodes::None,
           .has_infinity = false,
           .source = "bitsandbytes",
           .evidence = Evidence::Specified,
           .family = Family::Table,
           .width = 4,
           .table = &kBitsandbytesFp4},
};

const std::array kFewLevels = {
    finite("ternary", 0, 1, 0, "-1, 0, 1 with a sign bit", Evidence::Convention),
    Format{.name = "binary",
           .encoding = Encoding::SignMagnitude,
           .exponent_bits = 0,
           .mantissa_bits = 0,
           .bias = -1,
           .nan = NanCodes::None,
           .has_infinity = false,
           .has_zero = false,
           .source = "-1, 1 as a sign bit; ties_to_even of 0: 1",
           .evidence = Evidence::Unverified,
           .family = Family::MidRise,
           .width = 1},
    Format{.name = "s2f6",
           .encoding = Encoding::TwosComplement,
           .exponent_bits = 0,
           .mantissa_bits = 7,
           .bias = 0,
           .nan = NanCodes::None,
           .has_infinity = false,
           .source = "OCP MX v1.0 INT8; PTX ISA 9.1, 5.2.4"},
};

// Members of the parametrised families that have been published or that people ask for.
constexpr std::string_view kMembers[] = {
    "ue6m1",       "ue5m1",         "ue6m2",          "ue4m4",
    "ue3m5",       "binary8p3se",   "binary8p3sf",    "binary8p4se",
    "binary8p4sf", "binary8p5se",   "binary8p3ue",    "binary8p4ue",
    "binary8p1uf", "binary6p3sf",   "binary6p4sf",    "binary4p2se",
    "binary4p2sf", "uint4",         "uint8",          "midrise1",
    "midrise2",    "midrise4",      "midrise8",       "posit8es0",
    "posit8es1",   "posit8",        "posit16es1",     "posit16",
    "posit32",     "takum8_linear", "takum16_linear", "takum8_logarithmic",
    "lns4f3",      "lns4f3_value",  "pow2_4",         "pow2_4_value",
    "log2_4",      "logsqrt2_4",    "adalog4q17",     "adalog4q17lut",
};

std::optional<Format> parse_member(std::string_view text) {
  for (const FormatPattern& pattern : kFormatPatterns)
    if (const std::optional<Format> format = pattern.parse(text)) return format;
  return std::nullopt;
}

std::vector<Format> make_catalogue() {
  std::vector<Format> all(kFloats.begin(), kFloats.end());
  constexpr int kFewestBits = 2, kMostBits = 16;
  for (const char* suffix : {"", "_narrow"})
    for (int bits = kFewestBits; bits <= kMostBits; ++bits)
      all.push_back(*parse_member(fmt::format("int{}{}", bits, suffix)));
  all.insert(all.end(), kFewLevels.begin(), kFewLevels.end());
  all.insert(all.end(), kTables.begin(), kTables.end());
  for (const std::string_view text : kMembers) all.push_back(*parse_member(text));
  return all;
}

}  // namespace

std::span<const Format> formats() {
  static const std::vector<Format> all = make_catalogue();
  return all;
}

Format parse_format(std::string_view text) {
  if (text == "ue8m0") text = "e8m0";  // PTX's name for it
  for (const Format& format : formats())
    if (text == std::string_view(format.name)) return format;
  if (text.size() < sizeof(FormatName::text))
    if (const std::optional<Format> format = parse_member(text)) return *format;
  std::vector<std::string_view> known;
  for (const Format& format : formats()) known.push_back(format.name);
  throw UnknownName("format", text, known);
}

std::string format_patterns() {
  std::string all;
  for (const FormatPattern& pattern : kFormatPatterns)
    all += fmt::format("{}{}", all.empty() ? "" : ", ", pattern.text);
  return all;
}

}  // namespace halfulp
