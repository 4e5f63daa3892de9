// What the ways of formats/matrix_multiply.h share: how k is cut into instructions, additions between them, operands.
// Internal to formats/.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "formats/cast.h"
#include "formats/format.h"

namespace halfulp {

inline size_t rounded_up(size_t x, size_t unit) { return (x + unit - 1) / unit * unit; }

/// Instructions of one of the parts that k is split into.
inline size_t part_size(size_t instructions, int splits) {
  return (instructions + size_t(splits) - 1) / size_t(splits);
}

/// The only NaN that units of binary32 accumulators give.
inline constexpr uint32_t kUnitNan32 = 0x7fffffff;

/// x + y in binary32, ties to even, by their codes.
inline uint32_t nearest_sum(uint32_t x, uint32_t y) {
  const float sum = std::bit_cast<float>(x) + std::bit_cast<float>(y);
  return std::isnan(sum) ? kUnitNan32 : std::bit_cast<uint32_t>(sum);
}

/// One output as its unit defines it, for what a fast way leaves out. Called before d, which may be c, is overwritten
/// there.
template <class Accumulator>
using OutputByDefinition = std::function<Accumulator(size_t row, size_t column)>;

/// Operands that binary32 holds, as such.
template <class Code>
void read_numbers(const Format& format, std::span<const Code> codes, std::span<float> numbers) {
  if (std::string_view(format.name) != "tf32") return decode(format, codes, numbers);
  for (size_t i = 0; i < codes.size(); ++i) numbers[i] = std::bit_cast<float>(uint32_t(codes[i]) & ~0x1fffu);
}

}  // namespace halfulp
