// Loops that compilers turn into multiplications of pairs of 16 bits.
#include "formats/whole_product_kernels.h"

#include <cstddef>
#include <cstdint>
#include <limits>

namespace halfulp::HALFULP_ISA {
namespace {

int32_t dot_product(const int16_t* a, const int16_t* b, size_t count) {
  uint32_t sum = 0;
  for (size_t k = 0; k < count; ++k) sum += uint32_t(int32_t{a[k]} * b[k]);
  return int32_t(sum);
}

int32_t differing(const int16_t* a, const int16_t* b, size_t count) {
  int32_t sum = 0;
  for (size_t k = 0; k < count; ++k) sum += a[k] ^ b[k];
  return sum;
}

int32_t clamped(int64_t x) {
  constexpr int64_t kLowest = std::numeric_limits<int32_t>::min(), kHighest = std::numeric_limits<int32_t>::max();
  return int32_t(x < kLowest ? kLowest : x > kHighest ? kHighest : x);
}

}  // namespace

uint32_t add_whole(const WholeJob& job, const int16_t* a, const int16_t* b, size_t depth, uint32_t c) {
  switch (job.sum) {
    case WholeSum::Wraps: return c + uint32_t(dot_product(a, b, depth));
    case WholeSum::Differs: return c + uint32_t(differing(a, b, depth));
    case WholeSum::Clamps: break;
  }
  for (size_t k = 0; k < depth; k += job.k)
    c = uint32_t(clamped(int64_t{int32_t(c)} + dot_product(a + k, b + k, job.k)));
  return c;
}

}  // namespace halfulp::HALFULP_ISA
