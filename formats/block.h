// Block formats: elements that share a scale.
//
// A block's numbers are (element code) x (scale code), times one binary32 tensor scale where the format has one. The
// scale rule is part of a format: "mxfp4" alone names several incompatible numerics. Definitions: OCP MX v1.0 section
// 5 and 6.3; for the rules torchao's enumeration; for NVFP4 arXiv 2509.25149 appendix B with every quotient exact.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "formats/cast.h"
#include "formats/format.h"
#include "formats/hadamard.h"
#include "formats/philox.h"
#include "formats/rounding.h"

namespace halfulp {

struct BlockPlan;

/// How a block's largest magnitude `amax` gives its scale. max: the element format's largest number; e_max its
/// exponent; M its fraction bits. All are computed exactly. For power-of-two scales:
enum class ScaleRule {
  Floor,    // 2^(floor(log2 amax) - e_max): OCP MX; clips where amax / scale exceeds max
  Ceil,     // 2^(ceil(log2 amax) - e_max)
  Even,     // Floor of amax rounded to M fraction bits, ties up: torchao EVEN
  Rceil,    // the smallest power of two that amax / max does not exceed: cuBLAS, cuDNN, TransformerEngine
  Nearest,  // amax / max rounded to the scale format, ties to even; the rule of scales with a mantissa
};

/// A block format with its rule.
struct BlockFormat {
  FormatName name;
  Format element;
  Format scale;
  int rows, cols;  // of a block; along a row of the array and across rows. 0: all there are
  ScaleRule rule;
  bool has_tensor_scale;  // amax of the whole array / (max element · max scale), as binary32
  std::string_view source;
};

/// A catalogue row: a block format that may still lack its rule.
struct BlockRow {
  std::string_view name, element, scale;
  int rows, cols;
  std::optional<ScaleRule> rule;  // empty: the rule must be stated
  bool has_tensor_scale;
  std::string_view source;
};

std::span<const BlockRow> block_formats();

/// Null when no row has that name.
const BlockRow* find_block_row(std::string_view name);

/// The rules a scale format can follow.
std::vector<ScaleRule> scale_rules(const Format& scale);

/// The block format `name` with `rule`, and with blocks of another shape where `shape` ("16x16", rows x cols) is given.
/// Throws std::invalid_argument: unknown name, rule missing or not for this scale format, impossible shape.
BlockFormat make_block_format(std::string_view name, std::optional<ScaleRule> rule, std::string_view shape = "");

/// What happened to the numbers of a cast.
struct CastEvents {
  int64_t elements = 0;
  int64_t saturated = 0;      // larger than the largest number on the grid they were given
  int64_t flushed = 0;        // not zero, but rounded to zero, also by a scale that is zero
  int64_t subnormal = 0;      // rounded to a subnormal of the element format
  int64_t nonfinite = 0;      // NaN or infinite before or after
  double error_squares = 0;   // sum of (result - x)^2 over finite ones
  double signal_squares = 0;  // sum of x^2 over finite ones

  CastEvents& operator+=(const CastEvents& other);
  bool operator==(const CastEvents&) const = default;
};

/// The range of a grid that numbers are rounded to.
struct GridRange {
  double max_positive, max_negative;  // largest magnitudes, in the units of x
  double min_normal;                  // in the units of y
};

/// The grid of `format` where the units of x and y are one.
GridRange range_of(const Format& format);

/// Adds what became of x[i] as y[i]·scale.
void count_events(std::span<const float> x, std::span<const float> y, double scale, const GridRange& range,
                  CastEvents& events);

/// A quantised array of rows x cols, row-major. Scales are row-major over the grid of blocks; blocks at the far edges
/// may be smaller. An all-zero block has the smallest scale; where a scale is or rounds to zero all codes are 0, and
/// elsewhere a negative zero keeps its sign if the element format can. A block with a NaN or an infinity has a NaN
/// scale and codes 0; where there is a tensor scale, so has every block of an array with one.
struct BlockCodes {
  std::vector<uint32_t> codes;
  std::vector<uint32_t> scales;
  float tensor_scale = 1;
};

/// A quantiser to one block format, prepared once.
class BlockQuantizer {
 public:
  /// Element rounding; random_bits as in Projection. Elements beyond the grid saturate.
  /// Throws std::invalid_argument as Caster does.
  BlockQuantizer(const BlockFormat& format, Rounding rounding, int random_bits = 0);

  /// values[i] = element · block scale, exact in binary32 but for overflow, without the tensor scale, which is
  /// returned (1 where the format has none). values may be x itself. The random bits of an element are those of
  /// (site, row · cols + col). A transform comes first where one is given; its size divides cols. Bits do not
  /// depend on the number of threads, of which ordinary blocks along rows use as many as asked for (0: all cores).
  float quantize(std::span<const float> x, std::span<float> values, int rows, int cols, const RandomSite& site = {},
                 CastEvents* events = nullptr, const Hadamard* transform = nullptr, int threads = 1) const;

  /// The codes as memory holds them: elements of 4 bits two to a byte, the first one low, with every row starting with
  /// a byte of its own, others one to a byte; scales one to a byte, row-major over the grid of blocks. Returns the
  /// tensor scale. Throws std::invalid_argument where a code or a scale has more than 8 bits.
  float quantize_packed(std::span<const float> x, std::span<uint8_t> codes, std::span<uint8_t> scales, int rows,
                        int cols, const RandomSite& site = {}, const Hadamard* transform = nullptr,
                        int threads = 1) const;

  /// How many bytes those are.
  size_t packed_codes(int rows, int cols) const;
  size_t packed_scales(int rows, int cols) const;

  /// values[i] = element · block scale of such codes, as quantize gives them.
  void unpack(std::span<const uint8_t> codes, std::span<const uint8_t> scales, std::span<float> values, int rows,
              int cols) const;

  /// The same as codes, by exact arithmetic element for element: slow.
  BlockCodes quantize_reference(std::span<const float> x, int rows, int cols, const RandomSite& site = {}) const;

  const BlockFormat& format() const { return format_; }

 private:
  struct Level;  // what an array's largest magnitude decides
  Level level(std::span<const float> x, const Hadamard* transform = nullptr, int threads = 1) const;
  void check_packs() const;
  std::optional<BlockPlan> plan(const Level& level, size_t numbers, const RandomSite& site,
                                const Hadamard* transform) const;
  void encode_block(const Level& level, std::span<const float> x, size_t first, const RandomSite& site, uint8_t* codes,
                    uint8_t* scale) const;
  uint32_t scale_code(const Level& level, uint32_t amax_bits) const;
  bool is_power_of_two() const { return format_.rule != ScaleRule::Nearest; }
  bool fast_quotients() const;
  bool fast_scales() const;
  void quantize_segment(const Level& level, uint32_t scale_code, std::span<const float> x, std::span<float> values,
                        const RandomSite& site, uint32_t first_index) const;

  BlockFormat format_;
  Caster caster_;
  Caster scale_caster_;
  double max_element_;
  double max_scale_;
  std::vector<float> scale_numbers_;  // of all codes, where a byte holds them
};

template <>
struct EnumNames<ScaleRule> {
  static constexpr std::string_view kind = "scale rule";
  static constexpr NamedValue<ScaleRule> values[] = {{ScaleRule::Floor, "floor"},
                                                     {ScaleRule::Ceil, "ceil"},
                                                     {ScaleRule::Even, "even"},
                                                     {ScaleRule::Rceil, "rceil"},
                                                     {ScaleRule::Nearest, "nearest"}};
};

}  // namespace halfulp
