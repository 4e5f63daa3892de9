// The control register of vector arithmetic, as some caller may have set it.
#pragma once

#include <xmmintrin.h>

#include <cstdint>

namespace halfulp {

inline constexpr uint32_t kFlushToZero = 0x8000, kSubnormalsAreZero = 0x0040, kMasks = 0x1f80;
inline constexpr uint32_t kUnmaskedAll = 0, kDown = 0x2000, kUp = 0x4000, kTowardZero = 0x6000;

/// Sets the control register of vector arithmetic for as long as it lives.
class ControlRegister {
 public:
  explicit ControlRegister(uint32_t control) : before_(_mm_getcsr()) { _mm_setcsr(control); }
  ~ControlRegister() { _mm_setcsr(before_); }
  ControlRegister(const ControlRegister&) = delete;
  ControlRegister& operator=(const ControlRegister&) = delete;

 private:
  uint32_t before_;
};

}  // namespace halfulp
