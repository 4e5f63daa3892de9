#include "formats/block_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace halfulp {
namespace {

constexpr std::string_view kMx = "OCP MX v1.0";
constexpr std::string_view kNvfp4 = "arXiv 2509.25149, exact quotients";
constexpr std::string_view kFourOverSix = "arXiv 2512.02010";
constexpr std::string_view kIf = "mit-han-lab/fouroversix; which codes mark integers there is not known";
constexpr std::string_view kTenstorrent = "Tenstorrent tile formats, B; how they round is not known";
constexpr std::string_view kMsfp = "Microsoft MSFP";

constexpr std::array kBlockRows = {
    BlockRow{"mxfp8_e4m3", "e4m3fn", "e8m0", 1, 32, "", kMx, Evidence::Specified},
    BlockRow{"mxfp8_e5m2", "e5m2", "e8m0", 1, 32, "", kMx, Evidence::Specified},
    BlockRow{"mxfp6_e3m2", "e3m2", "e8m0", 1, 32, "", kMx, Evidence::Specified},
    BlockRow{"mxfp6_e2m3", "e2m3", "e8m0", 1, 32, "", kMx, Evidence::Specified},
    BlockRow{"mxfp4", "e2m1", "e8m0", 1, 32, "", kMx, Evidence::Specified},
    BlockRow{"mxint8", "s2f6", "e8m0", 1, 32, "", kMx, Evidence::Specified},
    BlockRow{"nvfp4", "e2m1", "ue4m3", 1, 16, "rule=nearest,outer=tensor", kNvfp4, Evidence::Specified},
    BlockRow{"nvfp4_4over6", "e2m1", "ue4m3", 1, 16, "rule=nearest,outer=tensor,target=256,search=four_over_six",
             kFourOverSix, Evidence::Specified},
    BlockRow{"nvfp4_eden", "e2m1", "ue4m3", 1, 16,
             "rule=nearest,outer=tensor,target=255.99,headroom=1581/1600,eden=128", "arXiv 2601.22813 (MS-EDEN)",
             Evidence::Specified},
    BlockRow{"nvint4", "int4_narrow", "ue4m3", 1, 16, "rule=nearest,outer=tensor", "arXiv 2510.25602",
             Evidence::Specified},
    BlockRow{"amdfp4", "e2m1", "ue5m3", 1, 16, "rule=nearest,outer=tensor,target=448",
             "AMD ALTO; the target is that of arXiv 2609.02846", Evidence::Convention},
    BlockRow{"fp4_ue5m3", "e2m1", "ue5m3", 1, 16, "rule=nearest,outer=tensor,target=448,zero=one", "arXiv 2609.02846",
             Evidence::Specified},
    BlockRow{"fbgemm_mx4", "e2m1", "ue4m3", 1, 16, "rule=floor",
             "FBGEMM: e4m3(e8m0(amax / 4)); that E8M0 rounds down there is not known", Evidence::Convention},
    BlockRow{"if4", "e2m1", "ue4m3", 1, 16, "rule=nearest,outer=tensor,second=int4_narrow*6/7", kIf,
             Evidence::Convention},
    BlockRow{"if6_e2m3", "e2m3", "ue4m3", 1, 16, "rule=nearest,outer=tensor,second=int6_narrow*15/62", kIf,
             Evidence::Convention},
    BlockRow{"if6_e3m2", "e3m2", "ue4m3", 1, 16, "rule=nearest,outer=tensor,second=int6_narrow*28/31", kIf,
             Evidence::Convention},
    BlockRow{"if3", "e2m0", "ue4m3", 1, 16, "rule=nearest,outer=tensor,second=int3_narrow*4/3", kIf,
             Evidence::Convention},
    BlockRow{"msfp12", "e0m3", "e8m0", 1, 16, "rule=floor", kMsfp, Evidence::Unverified},
    BlockRow{"msfp16", "e0m7finite", "e8m0", 1, 16, "rule=floor", kMsfp, Evidence::Unverified},
    BlockRow{"bfp8", "e0m7finite", "e8m0", 1, 16, "rule=floor", kTenstorrent, Evidence::Convention},
    BlockRow{"bfp4", "e0m3", "e8m0", 1, 16, "rule=floor", kTenstorrent, Evidence::Convention},
    BlockRow{"bfp2", "e0m1", "e8m0", 1, 16, "rule=floor", kTenstorrent, Evidence::Convention},
    BlockRow{"dfp16", "int16", "e8m0", 0, 0, "rule=floor", "arXiv 1802.00930: one exponent per array",
             Evidence::Specified},
    BlockRow{"dfp8", "int8", "e8m0", 0, 0, "rule=floor", "as dfp16", Evidence::Convention},
};

constexpr std::array kVariants = {
    BlockVariant{Variant::Exact, "A / (m T)", "a T / A", "", "x m T / (A s); nothing is rounded but the results",
                 kNvfp4, Evidence::Specified},
    BlockVariant{Variant::Paper, "1 / S, S = m T / A", "(a / m) S", "", "x (1 / (s (1 / S)))",
                 "arXiv 2509.25149 appendix B; what overflows there is treated as by te", Evidence::Specified},
    BlockVariant{Variant::Te, "1 / S, S = m T / A; 1 where A or S is 0", "a (S (1 / m))", "", "x (1 / (s (1 / S)))",
                 "TransformerEngine core_nvfp4.cuh", Evidence::Specified},
    BlockVariant{Variant::Te4over6, "1 / S, S = m T / A; 1 where A or S is 0", "(a / m) S, times 1.5 to map to 4", "",
                 "x (1 / (s (1 / S))); error (((q s) A) / (m T)) - x, rows in order, then halves of rows",
                 "TransformerEngine quantize_4over6_nvfp4.cuh", Evidence::Specified},
    BlockVariant{Variant::Torchao, "t = A / (m T)", "(a / m) / t", "min_normal", "x ((1 / t) / s)",
                 "torchao nvfp4_tensor.py", Evidence::Specified},
    BlockVariant{Variant::Modelopt, "t = A / (m T)", "a / (m t)", "min_subnormal", "x / (s t)",
                 "TensorRT-Model-Optimizer nvfp4_tensor.py, dynamic scales", Evidence::Specified},
    BlockVariant{Variant::Cublas, "1 / S, S = m T / A", "(a S) / m", "", "(x S) (1 / s)",
                 "cuBLASLt output scaling; what overflows there is treated as by te", Evidence::Convention},
};

constexpr std::array kMeanings = {
    NamedValue<ScaleRule>{ScaleRule::Floor, "2^(floor(log2 a) - e_max)"},
    NamedValue<ScaleRule>{ScaleRule::Ceil, "2^(ceil(log2 a) - e_max)"},
    NamedValue<ScaleRule>{ScaleRule::Even,
                          "2^(floor(log2 b) - e_max), b: a rounded to the element's fraction bits, "
                          "ties up"},
    NamedValue<ScaleRule>{ScaleRule::Rceil, "the smallest scale not below a / max"},
    NamedValue<ScaleRule>{ScaleRule::RoundDown, "the largest scale not above a / max"},
    NamedValue<ScaleRule>{ScaleRule::Nearest, "a / max to nearest, ties to even, among powers of two up"},
    NamedValue<ScaleRule>{ScaleRule::NearestCode, "a / max to nearest, ties to the even code"},
    NamedValue<ScaleRule>{ScaleRule::NearLog, "the power of two whose logarithm is nearest to that of a / max"},
    NamedValue<ScaleRule>{ScaleRule::Stochastic, "a / max rounded stochastically, 32 random bits"},
    NamedValue<ScaleRule>{ScaleRule::TritonUp, "(bits of binary32 amax / max + 0x7fffff) >> 23"},
    NamedValue<ScaleRule>{ScaleRule::TritonDown, "(bits of binary32 amax / max) >> 23"},
};

[[noreturn]] void refuse(std::string_view text, std::string_view allowed) {
  throw std::invalid_argument(fmt::format("'{}': {}", text, allowed));
}

// All of `text` as a number; refuses what is none or lies outside.
template <class Number>
Number parse_number(std::string_view text, Number lowest, Number highest, std::string_view allowed) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= lowest && value <= highest))
    refuse(text, allowed);
  return value;
}

constexpr int64_t kLargestTerm = 65536;
constexpr std::string_view kRatioValues = "a fraction such as 17/16, 0.75 or 7.5/31; in lowest terms up to 65536/65536";

struct Fraction {
  int64_t numerator, denominator;
};

// A decimal number of up to nine digits, exactly.
Fraction parse_decimal(std::string_view text, std::string_view whole) {
  const size_t point = std::min(text.find('.'), text.size());
  const std::string digits =
      std::string(text.substr(0, point)) + std::string(text.substr(std::min(point + 1, text.size())));
  Fraction result{0, 1};
  if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos)
    refuse(whole, kRatioValues);
  for (char digit : digits) result.numerator = 10 * result.numerator + (digit - '0');
  for (size_t i = point + 1; i < text.size(); ++i) result.denominator *= 10;
  return result;
}

Ratio parse_ratio(std::string_view text) {
  const size_t slash = text.find('/');
  const Fraction above = parse_decimal(text.substr(0, slash), text);
  const Fraction below = slash == text.npos ? Fraction{1, 1} : parse_decimal(text.substr(slash + 1), text);
  const int64_t numerator = above.numerator * below.denominator, denominator = above.denominator * below.numerator;
  if (numerator == 0 || denominator == 0) refuse(text, kRatioValues);
  const int64_t common = std::gcd(numerator, denominator);
  if (numerator / common > kLargestTerm || denominator / common > kLargestTerm) refuse(text, kRatioValues);
  return {int(numerator / common), int(denominator / common)};
}

std::string ratio_text(const Ratio& ratio) {
  return ratio.denominator == 1 ? fmt::format("{}", ratio.numerator)
                                : fmt::format("{}/{}", ratio.numerator, ratio.denominator);
}

constexpr std::string_view kShapeValues = "rows x columns, each a positive number or 'all', such as 1x16 or 16x16";

BlockShape parse_shape(std::string_view text) {
  const size_t x = text.find('x');
  const auto size = [&](std::string_view part) {
    if (part == "all") return 0;
    int value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size() || value < 1)
      throw std::invalid_argument(fmt::format("block shape '{}': {}", text, kShapeValues));
    return value;
  };
  return {size(text.substr(0, x)), size(x == text.npos ? "" : text.substr(x + 1))};
}

std::string text_of(const BlockShape& shape) {
  const auto size = [](int n) { return n == 0 ? std::string("all") : std::to_string(n); };
  return size(shape.rows) + "x" + size(shape.cols);
}

void set_outer(BlockFormat& f, std::string_view text) {
  f.has_tensor_scale = text != "none";
  f.outer = !f.has_tensor_scale || text == "tensor" ? BlockShape{} : parse_shape(text == "row" ? "1xall" : text);
}

std::string outer_text(const BlockFormat& f) {
  if (!f.has_tensor_scale) return "none";
  if (f.outer == BlockShape{}) return "tensor";
  return f.outer == BlockShape{1, 0} ? "row" : text_of(f.outer);
}

void set_second(BlockFormat& f, std::string_view text) {
  f.second.reset();
  if (text == "none") return;
  const size_t star = text.find('*');
  f.second =
      SecondGrid{parse_format(text.substr(0, star)), star == text.npos ? Ratio{} : parse_ratio(text.substr(star + 1))};
}

std::string second_text(const BlockFormat& f) {
  if (!f.second) return "none";
  return fmt::format("{}*{}", std::string_view(f.second->element.name), ratio_text(f.second->unit));
}

void set_statistic(BlockFormat& f, std::string_view text) {
  f.statistic = text == "amax" ? Statistic::Amax : Statistic::Rms;
  f.rms_factor = 1;
  if (f.statistic == Statistic::Amax) return;
  if (!text.starts_with("rms*")) refuse(text, "amax, or rms*C with a factor C such as 0.48707976 or 2.92247856/6");
  const std::string_view factor = text.substr(4);
  const size_t slash = factor.find('/');
  const auto number = [&](std::string_view part) {
    return parse_number(part, 1e-9, 1e9, "the factor of rms*C lies within 1e-9 and 1e9");
  };
  f.rms_factor = number(factor.substr(0, slash));
  if (slash != factor.npos) f.rms_factor /= number(factor.substr(slash + 1));
}

std::string statistic_text(const BlockFormat& f) {
  return f.statistic == Statistic::Amax ? "amax" : fmt::format("rms*{}", f.rms_factor);
}

void set_search(BlockFormat& f, std::string_view text) {
  constexpr std::string_view kNearby = "nearby*";
  f.reach = 0;
  if (text.starts_with(kNearby)) {
    f.search = Search::Nearby;
    f.reach = parse_number(text.substr(kNearby.size()), 1, 255, "nearby*K tries K codes on either side, 1 to 255");
    return;
  }
  if (text == "nearby") refuse(text, "nearby*K says how many codes are tried on either side, 1 to 255");
  f.search = parse<Search>(text);
}

std::string search_text(const BlockFormat& f) {
  return f.search == Search::Nearby ? fmt::format("nearby*{}", f.reach) : std::string(name(f.search));
}

template <auto Field>
void set_enum(BlockFormat& f, std::string_view text) {
  f.*Field = parse<std::remove_cvref_t<decltype(f.*Field)>>(text);
}
template <auto Field>
std::string get_enum(const BlockFormat& f) {
  return std::string(name(f.*Field));
}
template <auto Field>
void set_ratio(BlockFormat& f, std::string_view text) {
  f.*Field = parse_ratio(text);
}
template <auto Field>
std::string get_ratio(const BlockFormat& f) {
  return ratio_text(f.*Field);
}

const std::array kOptions = {
    BlockOption{"rule", "a scale rule", "how a block's scale is rounded", set_enum<&BlockFormat::rule>,
                get_enum<&BlockFormat::rule>},
    BlockOption{"shape", "RxC", "a block's shape; 'all': as many as there are",
                [](BlockFormat& f, std::string_view text) {
                  const BlockShape shape = parse_shape(text);
                  f.rows = shape.rows;
                  f.cols = shape.cols;
                },
                shape_text},
    BlockOption{"outer", "none|tensor|row|RxC", "what shares a tensor scale amax / (max target), as binary32",
                set_outer, outer_text},
    BlockOption{"target", "T|max", "with a tensor scale: the scale of the block with the largest amax, as binary32",
                [](BlockFormat& f, std::string_view text) {
                  f.target = text == "max" ? 0
                                           : parse_number(text, 0x1p-30f, 0x1p100f,
                                                          "the target is 'max' or a number from 2^-30 to 2^100");
                },
                [](const BlockFormat& f) { return f.target == 0 ? std::string("max") : fmt::format("{}", f.target); }},
    BlockOption{"statistic", "amax|rms*C",
                "what stands for a block: its amax, or max C sqrt(mean of squares) in "
                "binary64",
                set_statistic, statistic_text},
    BlockOption{"headroom", "P/Q",
                "amax is mapped to max Q/P; 3/2 maps it to 4 of E2M1, 17/16 leaves room for a scale "
                "rounded down",
                set_ratio<&BlockFormat::headroom>, get_ratio<&BlockFormat::headroom>},
    BlockOption{"prescale", "P/Q", "elements are those of x P/Q under the scale of x; Q/P goes into the tensor scale",
                set_ratio<&BlockFormat::prescale>, get_ratio<&BlockFormat::prescale>},
    BlockOption{"clamp", "E", "an amax below E counts as E, a binary32 number",
                [](BlockFormat& f, std::string_view text) {
                  f.smallest_amax = parse_number(text, 0.0f, 0x1p100f, "the smallest amax lies within 0 and 2^100");
                },
                [](const BlockFormat& f) { return fmt::format("{}", f.smallest_amax); }},
    BlockOption{"zero", "zero|min_subnormal|min_normal|one|unit_amax",
                "what becomes of a scale of zero and of a block of zeros", set_enum<&BlockFormat::zero>,
                get_enum<&BlockFormat::zero>},
    BlockOption{"nan", "block|element", "whether a NaN spoils its block or only itself", set_enum<&BlockFormat::nan>,
                get_enum<&BlockFormat::nan>},
    BlockOption{"infinity", "block|saturate|element",
                "an infinity spoils its block, has the largest scale, or only "
                "saturates itself",
                set_enum<&BlockFormat::infinity>, get_enum<&BlockFormat::infinity>},
    BlockOption{"search", "none|four_over_six|nearby*K",
                "tries several scales; the smallest error wins, the first of "
                "equals",
                set_search, search_text},
    BlockOption{"metric", "mse|mae|abs_max", "the error of a search", set_enum<&BlockFormat::metric>,
                get_enum<&BlockFormat::metric>},
    BlockOption{"second", "none|FORMAT*P/Q",
                "a second grid that a block takes where it errs less; the highest bit of "
                "the scale marks it",
                set_second, second_text},
    BlockOption{"variant", "exact|paper|te|te_4over6|torchao|modelopt|cublas", "the arithmetic of scales and quotients",
                set_enum<&BlockFormat::variant>, get_enum<&BlockFormat::variant>},
    BlockOption{"eden", "0|N",
                "the scales of each N numbers of a row are multiplied with <x,x>/<x,q> and rounded again, "
                "stochastically",
                [](BlockFormat& f, std::string_view text) {
                  f.eden_group = parse_number(text, 0, 1 << 20, "the numbers corrected together: 0 to 1048576");
                },
                [](const BlockFormat& f) { return std::to_string(f.eden_group); }},
};

void apply_options(BlockFormat& format, std::string_view options, bool& has_rule) {
  for (size_t begin = 0, end; begin < options.size(); begin = end + 1) {
    end = std::min(options.find(',', begin), options.size());
    const std::string_view option = options.substr(begin, end - begin);
    const size_t equals = std::min(option.find('='), option.size());
    const std::string_view key = option.substr(0, equals);
    const auto row = std::ranges::find(kOptions, key, &BlockOption::name);
    if (row == kOptions.end() || equals == option.size()) {
      std::vector<std::string_view> known;
      for (const BlockOption& each : kOptions) known.push_back(each.name);
      if (row == kOptions.end()) throw UnknownName("option of block formats", key, known);
      refuse(option, fmt::format("an option is written {}={}", row->name, row->values));
    }
    try {
      row->set(format, option.substr(equals + 1));
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(fmt::format("{}: {}", key, error.what()));
    }
    has_rule |= key == "rule";
  }
}

std::vector<std::string_view> row_names() {
  std::vector<std::string_view> known;
  for (const BlockRow& each : kBlockRows) known.push_back(each.name);
  return known;
}

BlockFormat plain(std::string name, std::string_view element, std::string_view scale, const BlockShape& shape) {
  return {.name = std::move(name),
          .element = parse_format(element),
          .scale = parse_format(scale),
          .rows = shape.rows,
          .cols = shape.cols,
          .rule = ScaleRule::Nearest,
          .has_tensor_scale = false,
          .source = "from text",
          .evidence = Evidence::Convention};
}

// The base of a text: a row or formats and a shape.
BlockFormat make_base(std::string_view base, bool& has_rule) {
  if (const BlockRow* row = find_block_row(base)) {
    BlockFormat format = plain(std::string(row->name), row->element, row->scale, {row->rows, row->cols});
    format.source = row->source;
    format.evidence = row->evidence;
    apply_options(format, row->options, has_rule);
    return format;
  }
  const size_t first = base.find('/');
  if (first == base.npos) throw UnknownName("block format", base, row_names());
  const size_t second = base.find('/', first + 1);
  if (second == base.npos) refuse(base, "ELEMENT/SCALE/SHAPE, two formats and a block's shape such as e2m1/ue4m3/1x16");
  const std::string_view element = base.substr(0, first), scale = base.substr(first + 1, second - first - 1);
  BlockFormat format = plain("", element, scale, parse_shape(base.substr(second + 1)));
  format.name = fmt::format("{}/{}/{}", std::string_view(format.element.name), std::string_view(format.scale.name),
                            shape_text(format));
  has_rule = format.scale.mantissa_bits > 0;
  return format;
}

void require(bool condition, const BlockFormat& format, std::string_view message) {
  if (!condition) throw std::invalid_argument(fmt::format("block format '{}': {}", format.name, message));
}

// Significant bits of a number.
int bits_of(double x) {
  int bits = 0;
  for (double rest = std::fabs(x) / std::exp2(std::ilogb(x)); rest != 0; ++bits) rest = 2 * (rest - std::floor(rest));
  return bits;
}

bool is_multiple(int outer, int inner) { return outer == 0 || (inner != 0 && outer % inner == 0); }

// What the arithmetic behind an option cannot do without.
void check(const BlockFormat& f) {
  require(fits_binary32(f.element), f, "the numbers of its elements are not all binary32 numbers");
  require(fits_binary32(f.scale), f, "its scales are not all binary32 numbers");
  require(f.target == 0 || f.has_tensor_scale, f, "a target needs a tensor scale (outer=tensor)");
  require(f.target <= float(max_finite(f.scale)), f, "its target exceeds the largest scale");
  require(is_multiple(f.outer.rows, f.rows) && is_multiple(f.outer.cols, f.cols), f,
          "blocks must not straddle what shares a tensor scale");
  require(f.infinity != BlockInfinity::Saturate || !f.has_tensor_scale, f,
          "infinity=saturate is not for formats with a tensor scale");
  const bool is_triton = f.rule == ScaleRule::TritonUp || f.rule == ScaleRule::TritonDown;
  require(!is_triton || (f.statistic == Statistic::Amax && f.headroom.is_one() && !f.has_tensor_scale), f,
          "Triton's rules know neither statistic, headroom nor tensor scale");
  const bool searches = f.search != Search::None || f.second;
  // The factors of an element's quotient, and of the two terms of its error, have room for this many bits.
  const Ratio unit = f.second ? f.second->unit : Ratio{};
  const int amax_bits = f.has_tensor_scale ? 24 : 0;
  const int divisor_bits = f.scale.precision() + amax_bits + bits_of(f.prescale.denominator);
  const int value_bits = divisor_bits + f.element.precision() + bits_of(unit.numerator);
  const int x_bits = 24 + bits_of(f.prescale.numerator) + bits_of(unit.denominator) +
                     (f.has_tensor_scale ? bits_of(max_finite(f.element)) + bits_of(double(f.scale_target())) : 0);
  require(divisor_bits + bits_of(unit.numerator) <= 64, f, "scale, prescale and second have too many digits together");
  require(!searches || (value_bits <= 53 && x_bits <= 53), f,
          "search and second compare exact errors: element, scale, target and prescale have too many digits together");
  require(f.search != Search::FourOverSix || (max_finite(f.element) == 6 && f.scale.mantissa_bits > 0), f,
          "four_over_six needs elements up to 6 and scales with a mantissa");
  require(!f.second || f.scale.encoding == Encoding::Unsigned, f, "second needs scales without a sign");
  require(!f.second || fits_binary32(f.second->element), f, "the numbers of second are not all binary32 numbers");
  require(f.variant == Variant::Exact ||
              (f.has_tensor_scale && f.rule == ScaleRule::Nearest && f.statistic == Statistic::Amax && !searches &&
               f.headroom.is_one() && f.prescale.is_one() && f.scale.mantissa_bits > 0 && f.zero == ZeroScale::Zero),
          f,
          "a variant other than exact is made for scales with a mantissa, rule nearest and a tensor scale, and knows "
          "neither statistic, headroom, prescale, zero, search nor second");
  require(f.variant != Variant::Te4over6 || max_finite(f.element) == 6, f, "te_4over6 needs elements up to 6");
  require(f.eden_group == 0 || (f.rows == 1 && is_multiple(f.eden_group, f.cols) && f.scale.mantissa_bits > 0), f,
          "eden needs blocks of one row that divide its group, and scales with a mantissa");
}

BlockFormat with_text(std::string_view text, bool& has_rule) {
  try {
    const size_t colon = std::min(text.find(':'), text.size());
    BlockFormat format = make_base(text.substr(0, colon), has_rule);
    if (colon + 1 == text.size()) refuse(text, "after ':' stand options NAME=VALUE with commas between them");
    apply_options(format, text.substr(std::min(colon + 1, text.size())), has_rule);
    return format;
  } catch (const UnknownName&) {
    throw;
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("block format '{}': {}", text, error.what()));
  }
}

}  // namespace

std::span<const BlockRow> block_formats() { return kBlockRows; }
std::span<const BlockOption> block_options() { return kOptions; }
std::span<const BlockVariant> block_variants() { return kVariants; }

const BlockRow* find_block_row(std::string_view name) {
  const auto row = std::ranges::find(kBlockRows, name, &BlockRow::name);
  return row == kBlockRows.end() ? nullptr : &*row;
}

bool names_block_format(std::string_view text) {
  return find_block_row(text) != nullptr || text.find_first_of("/:") != text.npos;
}

bool states_option(std::string_view text, std::string_view option) {
  for (size_t at = text.find(':'); at != text.npos; at = text.find(',', at + 1)) {
    const std::string_view rest = text.substr(at + 1);
    if (rest.starts_with(option) && rest.substr(option.size()).starts_with('=')) return true;
  }
  return false;
}

std::vector<ScaleRule> scale_rules(const Format& scale) {
  std::vector<ScaleRule> rules;
  const bool is_e8m0 = std::string_view(scale.name) == "e8m0";
  for (const NamedValue<ScaleRule>& entry : EnumNames<ScaleRule>::values)
    if (is_e8m0 || (entry.value != ScaleRule::TritonUp && entry.value != ScaleRule::TritonDown))
      rules.push_back(entry.value);
  return rules;
}

std::vector<ScaleRule> scale_rules(const BlockRow& row) {
  bool has_rule = false;
  const BlockFormat format = make_base(row.name, has_rule);
  return has_rule ? std::vector<ScaleRule>{format.rule} : scale_rules(format.scale);
}

std::string_view meaning(ScaleRule rule) {
  return std::ranges::find(kMeanings, rule, &NamedValue<ScaleRule>::value)->name;
}

BlockFormat make_block_format(std::string_view text, std::optional<ScaleRule> rule, std::string_view shape) {
  bool has_rule = false;
  BlockFormat format = with_text(text, has_rule);
  require(!rule || !states_option(text, "rule"), format, "its scale rule is given twice");
  require(shape.empty() || !states_option(text, "shape"), format, "its shape is given twice");
  if (!shape.empty()) {
    const BlockShape blocks = parse_shape(shape);
    format.rows = blocks.rows;
    format.cols = blocks.cols;
  }
  if (rule) format.rule = *rule;
  const std::vector<ScaleRule> allowed = scale_rules(format.scale);
  const bool is_stated = rule || has_rule;
  if (!is_stated || std::ranges::find(allowed, format.rule) == allowed.end()) {
    std::vector<std::string_view> spelled;
    for (ScaleRule each : allowed) spelled.push_back(name(each));
    throw std::invalid_argument(fmt::format("block format '{}': {}; its scale rule is one of: {}", text,
                                            is_stated ? fmt::format("not with scale rule '{}'", name(format.rule))
                                                      : std::string("its scale rule must be stated"),
                                            fmt::join(spelled, ", ")));
  }
  check(format);
  return format;
}

std::string shape_text(const BlockFormat& format) { return text_of({format.rows, format.cols}); }

std::string block_text(const BlockFormat& format) {
  bool has_rule = false;
  const BlockFormat row = make_base(format.name, has_rule);
  std::string text = format.name;
  for (const BlockOption& option : kOptions) {
    if (option.name == "rule" || option.name == "shape" || option.get(format) == option.get(row)) continue;
    text += fmt::format("{}{}={}", text == format.name ? ":" : ",", option.name, option.get(format));
  }
  return text;
}

}  // namespace halfulp
