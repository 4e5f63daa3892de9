// The inner loops of formats/step_product.h, one copy per instruction set. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/kernels.h"

namespace halfulp {

/// Columns of B that are laid out together.
inline constexpr size_t kStepColumns = 32;

/// How one instruction adds its products to c.
enum class StepOrder {
  Ascending,   // c = fma(a, b, c), k ascending
  OddFirst,    // the same of every pair, its second element first
  EvenAndOdd,  // chains of even and of odd elements from +0, added to each other and then to c
  Pairs,       // rounded products of a block, added in pairs, and then to c
};

struct StepJob {
  StepOrder order;
  size_t k;      // products of an instruction
  size_t block;  // Pairs: a power of two, at most kMostOfBlock
  bool flushes_accumulator, flushes_results;
  bool flushes_to_positive;  // what the accumulator is flushed to; results keep their sign

  static constexpr size_t kMostOfBlock = 16;
};

#define HALFULP_DECLARE_STEPS                                                                            \
  /* c += a · b for one row of A and kStepColumns columns, contiguous for each k; whole instructions */ \
  void add_steps(const StepJob& job, const float* a, const float* b, size_t depth, float* c);            \
  void add_steps(const StepJob& job, const double* a, const double* b, size_t depth, double* c);

namespace portable {
HALFULP_DECLARE_STEPS
}
namespace avx2 {
HALFULP_DECLARE_STEPS
}
namespace avx512 {
HALFULP_DECLARE_STEPS
}
#undef HALFULP_DECLARE_STEPS

}  // namespace halfulp
