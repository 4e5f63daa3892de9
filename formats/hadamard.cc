#include "formats/hadamard.h"

#include <fmt/format.h>

#include <bit>
#include <cassert>
#include <cmath>
#include <stdexcept>

#include "formats/hadamard_kernels.h"

namespace halfulp {
namespace {

// float(1/sqrt(2^power)), whatever the caller's rounding direction.
float root_factor(int power) { return std::ldexp(power % 2 == 0 ? 1.0f : 0x1.6a09e6p-1f, -(power / 2)); }

}  // namespace

Hadamard::Hadamard(int size, std::span<const float> signs) : size_(size) {
  if (size < 1 || size > kMaxSize || !std::has_single_bit(unsigned(size)))
    throw std::invalid_argument(
        fmt::format("Hadamard transform: its size is a power of two, 1 … {}, not {}", kMaxSize, size));
  factor_ = root_factor(std::countr_zero(unsigned(size)));
  if (!signs.empty() && signs.size() != size_t(size))
    throw std::invalid_argument(
        fmt::format("signs of a Hadamard transform of {} points: {} of them, not {}", size, size, signs.size()));
  for (float sign : signs) {
    if (sign != 1 && sign != -1)
      throw std::invalid_argument(fmt::format("signs of a Hadamard transform: 1 or -1, not {}", sign));
    flips_.push_back(sign < 0 ? 0x80000000 : 0);
  }
}

void Hadamard::apply(std::span<const float> x, std::span<float> y) const {
  assert(x.size() == y.size() && x.size() % size_t(size_) == 0);
  const HadamardJob job{size_, factor_, flips_.empty() ? nullptr : flips_.data(), nullptr};
  HALFULP_DISPATCH(hadamard_runs, job, x.data(), y.data(), x.size());
}

void Hadamard::apply_inverse(std::span<const float> x, std::span<float> y) const {
  assert(x.size() == y.size() && x.size() % size_t(size_) == 0);
  const HadamardJob job{size_, factor_, nullptr, flips_.empty() ? nullptr : flips_.data()};
  HALFULP_DISPATCH(hadamard_runs, job, x.data(), y.data(), x.size());
}

}  // namespace halfulp
