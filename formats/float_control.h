// The control register of vector arithmetic.
#pragma once

#include <xmmintrin.h>

#include <cstdint>

#include "formats/rounding.h"

namespace halfulp {

/// The register as exact arithmetic needs it, from construction to destruction: one rounding direction, exact subnormal
/// numbers, no traps. The caller's register comes back with the caller's flags. To a compiler the register is not
/// there: arithmetic that must not be moved out of such a scope belongs in a function that is not inlined.
class FloatControl {
 public:
  [[gnu::always_inline]] explicit FloatControl(uint32_t direction = _MM_ROUND_NEAREST) : callers_(_mm_getcsr()) {
    set(_MM_MASK_MASK | direction);
  }
  [[gnu::always_inline]] ~FloatControl() { set(callers_); }
  FloatControl(const FloatControl&) = delete;
  FloatControl& operator=(const FloatControl&) = delete;

 private:
  [[gnu::always_inline]] static void set(uint32_t control) { asm volatile("ldmxcsr %0" : : "m"(control) : "memory"); }

  uint32_t callers_;
};

/// The direction of that register for a directed rounding; for the others that to nearest.
inline uint32_t control_of(Rounding rounding) {
  switch (rounding) {
    case Rounding::TowardZero: return _MM_ROUND_TOWARD_ZERO;
    case Rounding::TowardNegative: return _MM_ROUND_DOWN;
    case Rounding::TowardPositive: return _MM_ROUND_UP;
    default: return _MM_ROUND_NEAREST;
  }
}

}  // namespace halfulp
