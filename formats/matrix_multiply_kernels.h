// The inner loops of formats/matrix_multiply.h, one copy per instruction set. Internal to formats/.
//
// For units that cut the terms of a block below their largest exponent and add them exactly (specification of matrix
// units, 2.2), all of whose operands are finite.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/kernels.h"

namespace halfulp {

/// Columns of B that are laid out together.
inline constexpr size_t kPanelColumns = 32;

/// What a block's sum becomes before it is the next block's addend.
enum class FusedResult { Binary32, E8M13, Binary16 };

/// Exponent of a zero: below every sum of two exponents that counts.
inline constexpr int16_t kZeroExponent = -8192;

/// The arithmetic of a unit.
struct FusedJob {
  size_t block;       // products that are added together
  size_t group;       // products whose exact sum is scaled, a divisor of block; 0: products are terms by themselves
  int fraction;       // bits kept below the largest exponent, 1 … kMostFraction
  int zero_exponent;  // floor of the largest exponent
  FusedResult result;
  bool keeps_underflow;     // a sum that rounds to zero keeps its sign
  bool has_wide_exponents;  // A and B hold significands in (-2, 2), since products of their numbers may leave binary32
  bool is_scaled;           // by scales of A and B, one for each group, or else for each block
  int sum_fraction;         // of units that floor sums, bits below the largest exponent; 0: they do not
  bool splits_sum;          // such a unit adds its even and its odd products apart

  static constexpr int kMostFraction = 25;  // without groups
  static constexpr size_t kMostGroups = 16, kMostOfGroup = 32;
  /// Products whose sum surely fits 32 bits.
  [[gnu::always_inline]] size_t chunk() const { return size_t{1} << (29 - fraction); }
  /// Whether the sum of a block and its addend may need more.
  [[gnu::always_inline]] bool is_wide() const { return 2 * block + 1 >= size_t{1} << (30 - fraction); }
};

/// What scales some products in a row of A. Its own exponent is kZeroExponent where it is zero, else at least -127.
struct RowScale {
  float significand = 0;             // in [0, 2)
  int32_t exponent = kZeroExponent;  // blocks without groups: all that counts, of a power of two
  uint32_t nonzero = 0;              // groups: bit k, whether operand k is not zero
};

/// The same in columns of B.
struct PanelScale {
  float significands[kPanelColumns] = {};
  int32_t exponents[kPanelColumns] = {};
  uint32_t nonzero[kPanelColumns] = {};
};

/// Rows of A beside a panel of columns of B.
struct FusedTile {
  const float* a;               // row-major
  const uint32_t* a_exponents;  // each twice in 16 bits
  size_t a_stride;              // elements between rows
  const float* b;               // kPanelColumns numbers for each k
  const int16_t* b_exponents;   // the same in the order of exponent_place
  const RowScale* a_scales;     // row-major; none of these where the job is not scaled
  size_t a_scale_stride;
  const PanelScale* b_scales;
};

#define HALFULP_DECLARE_FUSED                                                                                         \
  /* c += a · b for `rows` rows and a whole panel, blocks ascending. c: bits of binary32 numbers, NaNs canonical. */ \
  void add_products(const FusedJob& job, const FusedTile& tile, size_t rows, size_t depth, uint32_t* c);              \
  /* The same of jobs with groups, whose numbers are small and need no exponents. */                                  \
  void add_groups(const FusedJob& job, const FusedTile& tile, size_t rows, size_t depth, uint32_t* c);                \
  /* The same of jobs that floor sums. NaNs are where an output is special, and where it may be. */                   \
  void add_floored(const FusedJob& job, const FusedTile& tile, size_t rows, size_t depth, uint32_t* c);               \
  /* Exponents of finite numbers, those of subnormals min_exponent, and of zeros kZeroExponent; and their */          \
  /* significands. False: there was a NaN or infinity. */                                                             \
  bool take_apart(const float* x, size_t count, int min_exponent, int16_t* exponents, float* significands);           \
  /* Where in a panel's row the exponent of a column stands. */                                                       \
  size_t exponent_place(size_t column);

namespace portable {
HALFULP_DECLARE_FUSED
}
namespace avx2 {
HALFULP_DECLARE_FUSED
}
namespace avx512 {
HALFULP_DECLARE_FUSED
}
#undef HALFULP_DECLARE_FUSED

}  // namespace halfulp
