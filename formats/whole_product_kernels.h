// The inner loops of formats/whole_product.h, one copy per instruction set. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/kernels.h"

namespace halfulp {

/// How the products of whole numbers are added to c.
enum class WholeSum {
  Wraps,    // modulo 2^32
  Clamps,   // after every instruction, to the numbers of 32 bits
  Differs,  // bits that differ are counted, modulo 2^32
};

struct WholeJob {
  WholeSum sum;
  size_t k;  // products of an instruction
};

#define HALFULP_DECLARE_WHOLE                                                                                  \
  /* c plus the products of a line of A and one of B, `depth` numbers each, in whole instructions. Numbers are \
     between -2^8 and 2^8, and k is at most 2^14: the sum of an instruction fits 32 bits. */                   \
  uint32_t add_whole(const WholeJob& job, const int16_t* a, const int16_t* b, size_t depth, uint32_t c);

namespace portable {
HALFULP_DECLARE_WHOLE
}
namespace avx2 {
HALFULP_DECLARE_WHOLE
}
namespace avx512 {
HALFULP_DECLARE_WHOLE
}
#undef HALFULP_DECLARE_WHOLE

}  // namespace halfulp
