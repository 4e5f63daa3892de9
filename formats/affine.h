// Integer quantisers: a number is scale · (code - zero), for numbers that share scale and zero.
//
// Several conventions go by the same names. Here each is a row, and what else could differ is a choice of its own:
// whether the zero is added before or after rounding, and whether every operation rounds to binary32, as frameworks
// do it, or only results do. Sources are named in the rows.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "formats/cast.h"
#include "formats/format.h"
#include "formats/names.h"
#include "formats/philox.h"
#include "formats/rounding.h"

namespace halfulp {

/// Which integers are codes of n bits.
enum class CodeRange {
  Unsigned,  // 0 … 2^n - 1
  Signed,    // -2^(n-1) … 2^(n-1) - 1
  Narrow,    // -(2^(n-1) - 1) … 2^(n-1) - 1
};

/// The scale, from the smallest (min <= 0) and largest (max >= 0) number and the largest magnitude (amax).
enum class ScaleSpan {
  FullRange,  // 2·amax / (2^n - 1)
  Positive,   // amax / (2^(n-1) - 1)
  Extent,     // (max - min) / (2^n - 1)
};

/// The code of zero.
enum class ZeroPoint {
  Middle,     // 2^(n-1) of unsigned codes, 0 of others
  OfMinimum,  // -min / scale, rounded to nearest, ties to even: min gets code 0
  HalfBelow,  // 2^(n-1) - 1/2: no code is zero, and as many are positive as negative
};

/// A convention.
struct AffineScheme {
  std::string_view name;
  ScaleSpan span;
  CodeRange codes;
  ZeroPoint zero;
  std::string_view source;
};

std::span<const AffineScheme> affine_schemes();

/// Throws UnknownName.
const AffineScheme& find_affine_scheme(std::string_view name);

/// Whether a whole zero is part of what is rounded. It decides which ties go up, and which way is toward zero. The half
/// of HalfBelow always is.
enum class ZeroOrder { AfterRounding, BeforeRounding };

enum class AffineArithmetic {
  Binary32,  // each operation of the formulas rounds to binary32, in the order in which they are written
  Exact,     // scales, values and codes are those of the exact formulas, each rounded once
};

/// Which numbers of a row-major array share a scale and a zero.
enum class Granularity { Tensor, Row, Group };

inline constexpr int kMinAffineBits = 2;
inline constexpr int kMaxAffineBits = 16;

struct AffineFormat {
  AffineScheme scheme;
  int bits;  // n: kMinAffineBits … kMaxAffineBits
  ZeroOrder zero_order = ZeroOrder::AfterRounding;
  AffineArithmetic arithmetic = AffineArithmetic::Binary32;
  Rounding rounding = Rounding::TiesToEven;
  int random_bits = 0;  // of the stochastic modes
  Granularity granularity = Granularity::Row;
  int group = 0;  // Granularity::Group: numbers along a row; the last group of a row may be shorter
};

/// What numbers share. A group without a number other than zero has scale 0, one with a NaN or an infinity, or (in
/// binary32) with an extent beyond binary32, scale NaN; all numbers of either have code floor(zero).
struct AffineGrid {
  float scale;
  float zero;  // a whole number or, of HalfBelow, that and a half

  bool operator==(const AffineGrid&) const = default;
};

/// A quantised array.
struct AffineCodes {
  std::vector<int32_t> codes;
  std::vector<AffineGrid> grids;  // row-major
};

/// A quantiser, prepared once.
class AffineQuantizer {
 public:
  /// Throws std::invalid_argument for bits or a group out of range, and as Caster does.
  explicit AffineQuantizer(const AffineFormat& format);

  /// The grid that these numbers share.
  AffineGrid grid(std::span<const float> x) const;

  /// codes[i] = clamp(round(x[i] / scale) + zero), or clamp(round(x[i] / scale + zero)). Random bits are those of
  /// (site, first_index + i).
  void encode(const AffineGrid& grid, std::span<const float> x, std::span<int32_t> codes, const RandomSite& site = {},
              uint32_t first_index = 0) const;

  /// values[i] = scale · (codes[i] - zero). Of HalfBelow, in binary32: scale · k - scale / 2 for code k + 2^(n-1) - 1.
  void decode(const AffineGrid& grid, std::span<const int32_t> codes, std::span<float> values) const;

  /// The whole array with the granularity of the format. Throws std::invalid_argument where x is not rows x cols.
  AffineCodes quantize(std::span<const float> x, int rows, int cols, const RandomSite& site = {}) const;
  void dequantize(const AffineCodes& quantized, int rows, int cols, std::span<float> values) const;

  const AffineFormat& format() const { return format_; }
  int32_t min_code() const { return min_code_; }
  int32_t max_code() const { return max_code_; }

 private:
  struct Zero;  // a zero in its two parts
  Zero split(const AffineGrid& grid) const;
  void encode_exactly(const AffineGrid& grid, std::span<const float> x, std::span<int32_t> codes,
                      const RandomSite& site, uint32_t first_index) const;
  template <class Visitor>
  void for_each_group(int rows, int cols, Visitor visit) const;

  AffineFormat format_;
  int32_t min_code_, max_code_;
  Caster caster_;  // to whole numbers
};

/// A minifloat whose largest number is a given real one, which makes its bias real: 2^E - log2(max) + log2(2 - 2^-M) -
/// 1. All exponent codes are finite. Its numbers are those of the bias-0 format times max / (2 - 2^-M) / 2^(2^E - 1).
/// Qualcomm FP8-quantization, fp8_quantizer.py, by exact arithmetic in place of its binary32 log2.
class RealBiasFormat {
 public:
  /// Throws std::invalid_argument unless 1 … 8 exponent bits, 1 … 15 mantissa bits and a finite max > 0.
  RealBiasFormat(int exponent_bits, int mantissa_bits, float max, bool is_signed = true);

  /// The code of x / (max / bias-0 max), correctly rounded; larger numbers saturate, and negative ones become zero
  /// where there is no sign. NaN gives max.
  uint32_t encode(float x, Rounding rounding = Rounding::TiesToEven) const;
  /// The number of a code, correctly rounded to binary32.
  float decode(uint32_t code) const;

  const Format& unit() const { return unit_; }  // the bias-0 format
  float max() const { return max_; }

 private:
  Format unit_;
  double unit_max_;
  float max_;
};

template <>
struct EnumNames<ZeroOrder> {
  static constexpr std::string_view kind = "zero order";
  static constexpr NamedValue<ZeroOrder> values[] = {{ZeroOrder::AfterRounding, "after_rounding"},
                                                     {ZeroOrder::BeforeRounding, "before_rounding"}};
};
template <>
struct EnumNames<AffineArithmetic> {
  static constexpr std::string_view kind = "arithmetic";
  static constexpr NamedValue<AffineArithmetic> values[] = {{AffineArithmetic::Binary32, "binary32"},
                                                            {AffineArithmetic::Exact, "exact"}};
};
template <>
struct EnumNames<Granularity> {
  static constexpr std::string_view kind = "granularity";
  static constexpr NamedValue<Granularity> values[] = {
      {Granularity::Tensor, "tensor"}, {Granularity::Row, "row"}, {Granularity::Group, "group"}};
};

}  // namespace halfulp
