#include "sim/elementary.h"

#include <cassert>

#include "formats/isa.h"
#include "sim/elementary_kernels.h"

namespace halfulp {
namespace {

void apply(Elementary function, std::span<const float> x, std::span<float> y) {
  assert(x.size() == y.size());
  switch (active_isa()) {
    case Isa::Portable: return portable::elementary(function, x.data(), y.data(), x.size());
    case Isa::Avx2: return avx2::elementary(function, x.data(), y.data(), x.size());
    case Isa::Avx512: return avx512::elementary(function, x.data(), y.data(), x.size());
  }
}

}  // namespace

void exp_array(std::span<const float> x, std::span<float> y) { apply(Elementary::Exp, x, y); }
void log_array(std::span<const float> x, std::span<float> y) { apply(Elementary::Log, x, y); }
void tanh_array(std::span<const float> x, std::span<float> y) { apply(Elementary::Tanh, x, y); }
void erf_array(std::span<const float> x, std::span<float> y) { apply(Elementary::Erf, x, y); }

}  // namespace halfulp
