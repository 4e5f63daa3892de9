// Quantising arrays to block formats (formats/block_format.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "formats/block_format.h"
#include "formats/cast.h"
#include "formats/format.h"
#include "formats/hadamard.h"
#include "formats/philox.h"
#include "formats/rounding.h"

namespace halfulp {

struct BlockPlan;

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

/// A quantised array of rows x cols, row-major. Scales are row-major over the grid of blocks, tensor scales over the
/// grid of what shares one; blocks at the far edges may be smaller. Where a scale is or rounds to zero all codes are 0
/// (but those of a variant other than exact), and elsewhere a negative zero keeps its sign if the element format can. A
/// block with a NaN scale has codes 0; where there is a tensor scale, so has every block under it.
struct BlockCodes {
  std::vector<uint32_t> codes;
  std::vector<uint32_t> scales;          // with second_grid_bit() where the codes are those of the second grid
  float tensor_scale = 1;                // 1 where there are several
  std::vector<float> outer_scales = {};  // only of formats that has_outer_blocks()
};

/// Scales that do not follow from the numbers.
struct GivenScales {
  std::span<const uint32_t> codes = {};  // of every block: learned ones, not corrected by EDEN; empty: the format's
                                         // rule
  std::optional<float> amax = {};        // of the array, finite and >= 0, such as that of an earlier step; for all
                                         // tensor scales
};

/// The value of a block's scale code.
double scale_value(const BlockFormat& format, uint32_t scale_code);

/// The values of a block's element codes, without any scale: of those of the second grid where the scale says so.
double element_value(const BlockFormat& format, uint32_t scale_code, uint32_t code);

/// A quantiser to one block format, prepared once. What it gives does not depend on the caller's control register of
/// vector arithmetic (rounding direction, flushing of subnormal numbers, traps), which it leaves as it is.
class BlockQuantizer {
 public:
  /// Element rounding; random_bits as in Projection. Elements beyond the grid saturate.
  /// Throws std::invalid_argument as Caster does.
  BlockQuantizer(const BlockFormat& format, Rounding rounding, int random_bits = 0);

  /// values[i] = element · block scale, exact in binary32 where their significands together have at most 24 bits and
  /// but for overflow, else rounded to nearest; without the tensor scale, which is returned (1 where the format has
  /// none). Several tensor scales are multiplied in instead, rounding once more. values may be x itself. The random
  /// bits of an element are those of (site, row · cols + col). A transform comes first where one is given; its size
  /// divides cols. Bits do not depend on the number of threads, of which ordinary blocks along rows use as many as
  /// asked for (0: all cores).
  float quantize(std::span<const float> x, std::span<float> values, int rows, int cols, const RandomSite& site = {},
                 CastEvents* events = nullptr, const Hadamard* transform = nullptr, int threads = 1) const;

  /// The same by scales that do not follow from the numbers, without a transform: slow, as quantize_reference is.
  float quantize_by(const GivenScales& given, std::span<const float> x, std::span<float> values, int rows, int cols,
                    const RandomSite& site = {}, CastEvents* events = nullptr) const;

  /// The codes as memory holds them: elements of 4 bits two to a byte, the first one low, with every row starting with
  /// a byte of its own, others one to a byte; scales one to a byte, row-major over the grid of blocks. Returns the
  /// tensor scale. Throws std::invalid_argument where a code or a scale has more than 8 bits, or where there are
  /// several tensor scales.
  float quantize_packed(std::span<const float> x, std::span<uint8_t> codes, std::span<uint8_t> scales, int rows,
                        int cols, const RandomSite& site = {}, const Hadamard* transform = nullptr,
                        int threads = 1) const;

  /// How many bytes those are.
  size_t packed_codes(int rows, int cols) const;
  size_t packed_scales(int rows, int cols) const;

  /// values[i] = element · block scale of such codes, as quantize gives them.
  void unpack(std::span<const uint8_t> codes, std::span<const uint8_t> scales, std::span<float> values, int rows,
              int cols) const;

  /// The same as codes, by exact arithmetic element for element: slow. The random bits of a scale are those of the
  /// stream Scales and the block's number.
  BlockCodes quantize_reference(std::span<const float> x, int rows, int cols, const RandomSite& site = {},
                                const GivenScales& given = {}) const;

  const BlockFormat& format() const { return format_; }

 private:
  struct Level;      // what an array's largest magnitude decides
  struct Block;      // one block of an array
  struct Quantised;  // its scale and codes
  Level level(float amax, bool is_finite) const;
  Level level_of_bits(uint32_t amax) const;
  std::vector<Level> levels(std::span<const float> x, int rows, int cols, const GivenScales& given) const;
  GridRange range_in_array(const Level& level, uint32_t scale_code) const;
  uint32_t fast_scale_code(const Level& level, uint32_t amax_bits) const;
  bool is_plain() const;
  bool fast_quotients() const;
  bool fast_scales() const;
  bool kernels_reach(size_t numbers, const Hadamard* transform) const;
  std::vector<uint32_t> needed_maxima(std::span<const float> x, int rows, int cols, const Hadamard* transform,
                                      int threads) const;
  std::optional<BlockPlan> plan(const Level& level, int rows, const RandomSite& site) const;
  int element_bits() const;
  void check_packs() const;
  void encode_block(const Level& level, uint32_t amax, std::span<const float> x, size_t first, const RandomSite& site,
                    uint8_t* codes, uint8_t* scale) const;
  void quantize_by_blocks(const Level& level, std::span<const float> x, std::span<float> values, int rows, int cols,
                          const RandomSite& site, CastEvents* events) const;
  void quantize_segment(const Level& level, uint32_t scale_code, std::span<const float> x, std::span<float> values,
                        const RandomSite& site, uint32_t first_index) const;
  uint32_t element_random(const RandomSite& site, size_t index) const;
  Quantised quantize_block(const Level& level, const Block& block) const;
  Quantised quantize_with(const Level& level, const Block& block, uint32_t scale_code) const;
  Quantised quantize_variant(const Level& level, const Block& block, float amax) const;
  std::vector<uint32_t> candidates(const Level& level, const Block& block, double statistic) const;
  void correct_scales(std::span<const float> x, int rows, int cols, const RandomSite& site, BlockCodes& result) const;

  BlockFormat format_;
  Caster caster_;
  Caster scale_caster_;
  std::optional<Caster> second_caster_;
  double max_element_;
  double target_;
  std::vector<float> scale_numbers_;  // of all codes, where a byte holds them
};

}  // namespace halfulp
