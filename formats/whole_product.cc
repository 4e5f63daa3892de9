#include "formats/whole_product.h"

#include <array>
#include <vector>

#include "formats/dot_product.h"
#include "formats/matrix_multiply_ways.h"
#include "formats/parts.h"
#include "formats/whole_product_kernels.h"

namespace halfulp {
namespace {

constexpr size_t kMostProducts = size_t{1} << 14;  // of an instruction

WholeSum sum_of(const MatrixUnit& unit) {
  if (unit.operation == DotOperation::XorPopcount) return WholeSum::Differs;
  return unit.saturates ? WholeSum::Clamps : WholeSum::Wraps;
}

// Lines of whole instructions, filled up with zeros.
std::vector<int16_t> read_lines(std::string_view format, std::span<const uint8_t> codes, size_t k, size_t depth) {
  std::array<int16_t, 256> values;
  for (size_t code = 0; code < values.size(); ++code) values[code] = int16_t(whole_number(format, code));
  std::vector<int16_t> numbers(codes.size() / k * depth);
  for (size_t line = 0; line < codes.size() / k; ++line)
    for (size_t i = 0; i < k; ++i) numbers[line * depth + i] = values[codes[line * k + i]];
  return numbers;
}

}  // namespace

bool is_whole_unit(const MatrixUnit& unit) {
  switch (unit.operation) {
    case DotOperation::Integer: return size_t(unit.k) <= kMostProducts;
    case DotOperation::XorPopcount:
    case DotOperation::AndPopcount: return size_t(unit.k) <= kMostProducts && !unit.saturates;
    default: return false;
  }
}

void multiply_whole(const MatrixUnit& unit, const MatrixProduct<uint8_t, uint32_t>& in, std::span<uint32_t> d,
                    int threads) {
  const size_t k = size_t(in.k), n = size_t(in.n), depth = rounded_up(k, size_t(unit.k));
  const std::vector<int16_t> a = read_lines(unit.a, in.a, k, depth), b = read_lines(unit.b, in.b, k, depth);
  const WholeJob job{sum_of(unit), size_t(unit.k)};
  in_parts(
      d.size() * depth, threads,
      [&](size_t first, size_t size) {
        for (size_t i = first / depth; i < (first + size) / depth; ++i)
          d[i] = HALFULP_DISPATCH(add_whole, job, &a[i / n * depth], &b[i % n * depth], depth, in.c[i]);
      },
      depth);
}

}  // namespace halfulp
