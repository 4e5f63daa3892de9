// Block formats as data: elements that share a scale, and how that scale follows from them.
//
// A block's numbers are (element code) x (scale code), times one binary32 tensor scale where the format has one. The
// scale rule is part of a format: "mxfp4" alone names several incompatible numerics. Every field below is an orthogonal
// choice; a published recipe is a set of them. Any block format can be written as text:
//
//   block format  ::=  BASE [":" OPTION {"," OPTION}]
//   BASE          ::=  NAME                                      a row of block_formats()
//                   |  ELEMENT "/" SCALE "/" ROWS "x" COLUMNS    two formats and a block's shape
//   OPTION        ::=  NAME "=" VALUE                            a row of block_options()
//
// e2m1/ue5m3/1x16:outer=tensor,target=448    nvfp4:variant=te    mxfp4:rule=floor,prescale=3/4    int8/e8m0/allxall
//
// Definitions: OCP MX v1.0 sections 5 and 6.3; torchao's enumeration for the rules; arXiv 2509.25149 appendix B for
// NVFP4. Everything is computed exactly unless its comment says how it is rounded.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/evidence.h"
#include "formats/format.h"
#include "formats/names.h"

namespace halfulp {

/// How a block's scale is rounded. a: the block's amax (times headroom, in units of the tensor scale); max: the element
/// format's largest number; e_max its exponent; M its fraction bits. The first three make a power of two of a alone,
/// the others round the quotient a / max to a number of the scale format.
enum class ScaleRule {
  Floor,        // 2^(floor(log2 a) - e_max): OCP MX; clips where a / scale exceeds max
  Ceil,         // 2^(ceil(log2 a) - e_max)
  Even,         // Floor of a rounded to M fraction bits, ties up: torchao EVEN
  Rceil,        // up: cuBLAS, cuDNN, TransformerEngine
  RoundDown,    // down
  Nearest,      // to nearest; ties to even, but up where scales are powers of two: ml_dtypes, torch
  NearestCode,  // to nearest, ties to the even code also where scales are powers of two: IEEE P3109, gfloat
  NearLog,      // the power of two with the nearest logarithm
  Stochastic,   // stochastic_c with 32 bits of the stream Scales
  TritonUp,     // E8M0 from the bits b of binary32(amax / max): (b + 0x7fffff) >> 23; a NaN wraps to code 0
  TritonDown,   // E8M0 from the same bits: b >> 23
};

/// What stands for a block when its scale is chosen.
enum class Statistic {
  Amax,  // its largest magnitude
  Rms,   // max times its root mean square, so that rms_factor · rms is what the rule rounds; binary64, row-major
};

/// What becomes of a scale that rounds to zero, and of a block of zeros. Formats without zero have their smallest
/// scale.
enum class ZeroScale {
  Zero,          // it is zero, and so are all codes
  MinSubnormal,  // no scale is below the smallest positive number
  MinNormal,     // no scale is below the smallest normal number
  One,           // it is 1; so is that of a block of zeros
  UnitAmax,      // a block of zeros has the scale of one with amax 1
};

/// What a NaN does.
enum class BlockNan {
  Block,    // the scale and so the whole block is NaN
  Element,  // it does not count for amax; the element is NaN, zero where the element format has none
};

/// What an infinity does.
enum class BlockInfinity {
  Block,     // the scale and so the whole block is NaN
  Saturate,  // the scale is the largest; the element saturates
  Element,   // it does not count for amax; the element saturates
};

/// Which scales a block tries. The smallest error of the whole block wins, the first of equals.
enum class Search {
  None,
  FourOverSix,  // amax to 6, then amax to 4: arXiv 2512.02010
  Nearby,       // the rule's code c, then c - 1, c + 1, c - 2, c + 2, … up to `reach`, as far as they are positive
};

/// The error of a block; x and its quantised value, both exact.
enum class Metric {
  Mse,     // sum of squares
  Mae,     // sum of magnitudes
  MaxAbs,  // largest magnitude
};

/// In which arithmetic scales and quotients are computed. All but Exact are one implementation's sequence of binary32
/// operations; see block_variants().
enum class Variant { Exact, Paper, Te, Te4over6, Torchao, Modelopt, Cublas };

/// A positive fraction of whole numbers up to 65536.
struct Ratio {
  int numerator = 1, denominator = 1;

  bool is_one() const { return numerator == denominator; }
  bool operator==(const Ratio&) const = default;
};

/// A second grid, numbers `element` · unit, that a block takes where its error is smaller. The highest bit of the
/// scale's code, above the scale format's own, marks such a block.
struct SecondGrid {
  Format element;
  Ratio unit;
};

/// Rows and columns; 0: all there are.
struct BlockShape {
  int rows = 0, cols = 0;

  bool operator==(const BlockShape&) const = default;
};

struct BlockFormat {
  std::string name;  // of the row, or its formats
  Format element;
  Format scale;
  int rows, cols;  // of a block; along a row of the array and across rows. 0: all there are
  ScaleRule rule;
  bool has_tensor_scale;    // amax of the whole array, or of blocks `outer`, / (max · target), as binary32
  std::string_view source;  // where this definition stands
  Evidence evidence;        // of the formats and the recipe, and of the variant where there is one
  BlockShape outer = {};    // one tensor scale for each
  float target = 0;         // the scale of a block with the largest amax; 0: the largest of the scale format
  Statistic statistic = Statistic::Amax;
  double rms_factor = 1;
  Ratio headroom = {};  // amax is mapped to max / headroom
  Ratio prescale = {};  // elements are those of x · prescale; its inverse goes into the tensor scale
  float smallest_amax = 0;
  ZeroScale zero = ZeroScale::Zero;
  BlockNan nan = BlockNan::Block;
  BlockInfinity infinity = BlockInfinity::Block;
  Search search = Search::None;
  int reach = 0;
  Metric metric = Metric::Mse;
  std::optional<SecondGrid> second = {};
  Variant variant = Variant::Exact;
  int eden_group = 0;  // numbers of a row whose scales are corrected together, 0: none; see correct_scales

  float scale_target() const { return target == 0 ? float(max_finite(scale)) : target; }
  /// Whether there may be more than one tensor scale.
  bool has_outer_blocks() const { return has_tensor_scale && outer != BlockShape{}; }
  /// The bit of a scale's code that marks the second grid; 0 without one.
  uint32_t second_grid_bit() const { return second ? uint32_t{1} << scale.bits() : 0; }
  int scale_bits() const { return scale.bits() + second.has_value(); }
};

/// A catalogue row: formats and what differs from an OCP block. Without a rule of its own it must be stated.
struct BlockRow {
  std::string_view name, element, scale;
  int rows, cols;
  std::string_view options;
  std::string_view source;
  Evidence evidence;
};

std::span<const BlockRow> block_formats();

/// Null when no row has that name.
const BlockRow* find_block_row(std::string_view name);

/// Whether `text` is meant as a block format: it names a row or has a character that no scalar format has.
bool names_block_format(std::string_view text);

/// Whether the text of a block format states that option itself.
bool states_option(std::string_view text, std::string_view option);

/// An option of a block format: one field, its spelling and its meaning.
struct BlockOption {
  std::string_view name, values, meaning;
  void (*set)(BlockFormat& format, std::string_view value);  // throws std::invalid_argument
  std::string (*get)(const BlockFormat& format);
};

std::span<const BlockOption> block_options();

/// What a variant computes, step by step; x: an element, a: amax of a block, A: of the array, s: a scale as a number,
/// m: the largest element, T: the target, q: a decoded element. `lowest` is
/// the smallest scale there can be. Where a reciprocal overflows it is the largest binary32 number.
struct BlockVariant {
  Variant variant;
  std::string_view tensor, scale, lowest, element;
  std::string_view source;
  Evidence evidence;
};

std::span<const BlockVariant> block_variants();

/// The rules a scale format can follow.
std::vector<ScaleRule> scale_rules(const Format& scale);
/// The rules a row can follow: only its own where that is part of it.
std::vector<ScaleRule> scale_rules(const BlockRow& row);
/// What a rule does, in one line.
std::string_view meaning(ScaleRule rule);

/// The block format `text` with `rule`, and with blocks of another shape where `shape` ("16x16", rows x columns, "all"
/// for as many as there are) is given. Throws std::invalid_argument: unknown name, rule missing or not for this scale
/// format, impossible shape or option, options that do not go together, rule or shape given twice.
BlockFormat make_block_format(std::string_view text, std::optional<ScaleRule> rule = {}, std::string_view shape = "");

/// The shape of its blocks as text: "1x16", "allxall".
std::string shape_text(const BlockFormat& format);

/// The text of a format but for its rule and shape: its name and the options that its row does not have.
std::string block_text(const BlockFormat& format);

template <>
struct EnumNames<ScaleRule> {
  static constexpr std::string_view kind = "scale rule";
  static constexpr NamedValue<ScaleRule> values[] = {{ScaleRule::Floor, "floor"},
                                                     {ScaleRule::Ceil, "ceil"},
                                                     {ScaleRule::Even, "even"},
                                                     {ScaleRule::Rceil, "rceil"},
                                                     {ScaleRule::RoundDown, "round_down"},
                                                     {ScaleRule::Nearest, "nearest"},
                                                     {ScaleRule::NearestCode, "nearest_code"},
                                                     {ScaleRule::NearLog, "near_log"},
                                                     {ScaleRule::Stochastic, "stochastic"},
                                                     {ScaleRule::TritonUp, "triton_up"},
                                                     {ScaleRule::TritonDown, "triton_down"}};
};
template <>
struct EnumNames<Statistic> {
  static constexpr std::string_view kind = "block statistic";
  static constexpr NamedValue<Statistic> values[] = {{Statistic::Amax, "amax"}, {Statistic::Rms, "rms"}};
};
template <>
struct EnumNames<ZeroScale> {
  static constexpr std::string_view kind = "policy for scales of zero";
  static constexpr NamedValue<ZeroScale> values[] = {{ZeroScale::Zero, "zero"},
                                                     {ZeroScale::MinSubnormal, "min_subnormal"},
                                                     {ZeroScale::MinNormal, "min_normal"},
                                                     {ZeroScale::One, "one"},
                                                     {ZeroScale::UnitAmax, "unit_amax"}};
};
template <>
struct EnumNames<BlockNan> {
  static constexpr std::string_view kind = "policy for NaNs in blocks";
  static constexpr NamedValue<BlockNan> values[] = {{BlockNan::Block, "block"}, {BlockNan::Element, "element"}};
};
template <>
struct EnumNames<BlockInfinity> {
  static constexpr std::string_view kind = "policy for infinities in blocks";
  static constexpr NamedValue<BlockInfinity> values[] = {
      {BlockInfinity::Block, "block"}, {BlockInfinity::Saturate, "saturate"}, {BlockInfinity::Element, "element"}};
};
template <>
struct EnumNames<Search> {
  static constexpr std::string_view kind = "scale search";
  static constexpr NamedValue<Search> values[] = {
      {Search::None, "none"}, {Search::FourOverSix, "four_over_six"}, {Search::Nearby, "nearby"}};
};
template <>
struct EnumNames<Metric> {
  static constexpr std::string_view kind = "error metric";
  static constexpr NamedValue<Metric> values[] = {
      {Metric::Mse, "mse"}, {Metric::Mae, "mae"}, {Metric::MaxAbs, "abs_max"}};
};
template <>
struct EnumNames<Variant> {
  static constexpr std::string_view kind = "variant of block scaling";
  static constexpr NamedValue<Variant> values[] = {{Variant::Exact, "exact"},     {Variant::Paper, "paper"},
                                                   {Variant::Te, "te"},           {Variant::Te4over6, "te_4over6"},
                                                   {Variant::Torchao, "torchao"}, {Variant::Modelopt, "modelopt"},
                                                   {Variant::Cublas, "cublas"}};
};

}  // namespace halfulp
