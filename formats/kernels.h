// The inner loops of formats/cast.h, one copy per instruction set. Internal to formats/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/encoder.h"
#include "formats/isa.h"
#include "formats/philox.h"

namespace halfulp {

/// Everything a kernel call needs besides its arrays.
struct CastJob {
  const Encoder* encoder;
  Rounding rounding;
  RandomSite site;
  uint32_t first_index;  // of the first element, for its random bits
};

#define HALFULP_DECLARE_KERNELS                                                                                   \
  void round_values(const CastJob& job, const float* x, float* y, size_t count);                                  \
  void encode_codes(const CastJob& job, const float* x, uint8_t* codes, size_t count);                            \
  void encode_codes(const CastJob& job, const float* x, uint16_t* codes, size_t count);                           \
  void encode_codes(const CastJob& job, const float* x, uint32_t* codes, size_t count);                           \
  void decode_codes(const Decoder& decoder, const uint8_t* codes, float* values, size_t count);                   \
  void decode_codes(const Decoder& decoder, const uint16_t* codes, float* values, size_t count);                  \
  void decode_codes(const Decoder& decoder, const uint32_t* codes, float* values, size_t count);                  \
  /* binary32 bits of the largest magnitude; a NaN counts as larger than infinity */                              \
  uint32_t largest_magnitude(const float* x, size_t count);                                                       \
  /* y = x · numerator / denominator, rounded to odd so that a later rounding sees on which side of it x lies */ \
  void quotients(const float* x, double numerator, double denominator, float* y, size_t count);                   \
  void multiply(const float* x, float factor, float* y, size_t count);

namespace portable {
HALFULP_DECLARE_KERNELS
}
namespace avx2 {
HALFULP_DECLARE_KERNELS
}
namespace avx512 {
HALFULP_DECLARE_KERNELS
}
#undef HALFULP_DECLARE_KERNELS

/// Calls `function` of the namespace of the active instruction set.
#define HALFULP_DISPATCH(function, ...)                       \
  [&] {                                                       \
    switch (active_isa()) {                                   \
      case Isa::Avx512: return avx512::function(__VA_ARGS__); \
      case Isa::Avx2: return avx2::function(__VA_ARGS__);     \
      case Isa::Portable: break;                              \
    }                                                         \
    return portable::function(__VA_ARGS__);                   \
  }()

}  // namespace halfulp
