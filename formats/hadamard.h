// The Hadamard transform of runs of binary32 numbers: the Sylvester matrix over the root of its size, with random signs
// where the caller has some.
//
// Additions have one order, so that every instruction set gives the same bits. A run of n numbers takes log2(n) stages,
// with a distance of 1, 2, 4, … n/2: two numbers a and b that distance apart, a where the distance's bit of the
// position is 0, become a + b and a - b. Then each is multiplied by float(1/sqrt(n)). Every step rounds to nearest,
// ties to even. A power of four has an exact root: small whole numbers stay exact and the transform is its own inverse.
// NaNs come out as NaNs, but of no stated payload.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace halfulp {

/// H · diag(signs), prepared once; its inverse is diag(signs) · H.
class Hadamard {
 public:
  static constexpr int kMaxSize = 1 << 16;

  /// `size`: a power of two up to kMaxSize. `signs`: empty, or `size` numbers that are 1 or -1. Throws
  /// std::invalid_argument.
  explicit Hadamard(int size, std::span<const float> signs = {});

  /// y = the transform of every run of `size` numbers of x; y may be x. x.size() is a multiple of the size.
  void apply(std::span<const float> x, std::span<float> y) const;
  void apply_inverse(std::span<const float> x, std::span<float> y) const;

  int size() const { return size_; }

 private:
  int size_;
  float factor_;
  std::vector<uint32_t> flips_;  // the sign bit where the sign is -1; empty: nowhere
};

}  // namespace halfulp
