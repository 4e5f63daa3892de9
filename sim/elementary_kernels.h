// The loops behind sim/elementary.h, compiled once per instruction set.
#pragma once

#include <cstddef>

namespace halfulp {

enum class Elementary { Exp, Log, Tanh, Erf };

namespace portable {
void elementary(Elementary function, const float* x, float* y, std::size_t count);
}
namespace avx2 {
void elementary(Elementary function, const float* x, float* y, std::size_t count);
}
namespace avx512 {
void elementary(Elementary function, const float* x, float* y, std::size_t count);
}

}  // namespace halfulp
