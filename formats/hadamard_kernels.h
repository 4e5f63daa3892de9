// The inner loop of formats/hadamard.h, one copy per instruction set. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/kernels.h"

namespace halfulp {

struct HadamardJob {
  int size;
  float factor;
  const uint32_t* flips_before;  // sign bits to flip in each run of x; null: none
  const uint32_t* flips_after;   // in each run of y
};

namespace portable {
void hadamard_runs(const HadamardJob& job, const float* x, float* y, size_t count);
}
namespace avx2 {
void hadamard_runs(const HadamardJob& job, const float* x, float* y, size_t count);
}
namespace avx512 {
void hadamard_runs(const HadamardJob& job, const float* x, float* y, size_t count);
}

}  // namespace halfulp
