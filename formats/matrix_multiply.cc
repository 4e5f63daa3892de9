#include "formats/matrix_multiply.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <vector>

#include "formats/dot_product.h"
#include "formats/float_control.h"
#include "formats/fused_product.h"
#include "formats/matrix_multiply_ways.h"
#include "formats/parts.h"
#include "formats/step_product.h"
#include "formats/whole_product.h"

namespace halfulp {
namespace {

// ---- what may be asked for ----

int accumulator_bits(const MatrixUnit& unit) {
  return unit.accumulator == "int32" ? 32 : operand_bits(unit.accumulator);
}

void require(bool holds, const MatrixUnit& unit, std::string_view what) {
  if (!holds) throw std::invalid_argument(fmt::format("{}: {}", unit.name, what));
}

template <class Code, class Accumulator>
void check(const MatrixUnit& unit, const MatrixProduct<Code, Accumulator>& in, std::span<const Accumulator> d,
           const Accumulation& how) {
  require(in.m >= 0 && in.n >= 0 && in.k >= 0, unit, "m, n and k: 0 or more");
  const size_t m = size_t(in.m), n = size_t(in.n), k = size_t(in.k);
  require(in.a.size() == m * k, unit, "a has not m · k codes");
  require(in.b.size() == n * k, unit, "b has not n · k codes");
  require(in.c.size() == m * n, unit, "c has not m · n codes");
  require(d.size() == m * n, unit, "d has not m · n codes");
  const int bits = 8 * int(sizeof(Code));
  require(operand_bits(unit.a) <= bits && operand_bits(unit.b) <= bits, unit, "operands need wider elements");
  require(accumulator_bits(unit) == 8 * int(sizeof(Accumulator)), unit,
          "elements of c and d are not as wide as the accumulator");
  const size_t scales = unit.scale.empty() ? 0 : rounded_up(k, size_t(unit.scale_block)) / size_t(unit.scale_block);
  require(in.a_scales.size() == m * scales, unit, "a_scales has not one code for each block of a row");
  require(in.b_scales.size() == n * scales, unit, "b_scales has not one code for each block of a column");
  require(how.promotion >= 0, unit, "promotion: 0 (none) or more instructions");
  require(how.splits >= 1, unit, "splits: 1 or more");
  require((how.promotion == 0 && how.splits == 1) || unit.accumulator == "binary32", unit,
          "promotion and splits need an accumulator of binary32");
}

// ---- layouts ----

// (columns, rows) of (rows, columns).
template <class Element>
void transpose(std::span<const Element> from, size_t rows, size_t columns, std::span<Element> to) {
  constexpr size_t kTile = 64;  // elements of a line that stays in level 1 cache
  for (size_t row = 0; row < rows; row += kTile)
    for (size_t column = 0; column < columns; ++column)
      for (size_t i = row; i < std::min(row + kTile, rows); ++i) to[column * rows + i] = from[i * columns + column];
}

template <class Element>
std::vector<Element> transposed(std::span<const Element> from, size_t rows, size_t columns) {
  std::vector<Element> to(from.size());
  transpose<Element>(from, rows, columns, to);
  return to;
}

// Calls work(in, d) with the layouts that every way knows: the default ones.
template <class Code, class Accumulator, class Work>
void in_default_layouts(MatrixProduct<Code, Accumulator> in, std::span<Accumulator> d, const Work& work) {
  const size_t m = size_t(in.m), n = size_t(in.n), k = size_t(in.k);
  std::vector<Code> a, b;
  std::vector<Accumulator> c;
  if (in.a_layout == Layout::ColumnMajor) in.a = a = transposed(in.a, k, m);
  if (in.b_layout == Layout::RowMajor) in.b = b = transposed(in.b, k, n);
  if (in.c_layout == Layout::RowMajor) return work(in, d);
  in.c = c = transposed(in.c, n, m);
  work(in, std::span(c));
  transpose<Accumulator>(c, m, n, d);
}

// ---- by definition ----

// One output.
struct Chains {
  const MatrixUnit& unit;
  std::span<const uint64_t> a, b, a_scales, b_scales;  // of whole instructions
  int promotion;

  uint64_t chain(size_t first, size_t last, uint64_t c) const {
    const size_t k = size_t(unit.k), scales = unit.scale.empty() ? 0 : k / size_t(unit.scale_block);
    for (size_t i = first; i < last; ++i)
      c = dot_product_add(unit, {a.subspan(i * k, k), b.subspan(i * k, k), c, a_scales.subspan(i * scales, scales),
                                 b_scales.subspan(i * scales, scales)});
    return c;
  }
  uint64_t promoted(size_t first, size_t last, uint64_t c) const {
    for (; first < last; first += size_t(promotion))
      c = nearest_sum(uint32_t(c), uint32_t(chain(first, std::min(first + size_t(promotion), last), 0)));
    return c;
  }
  uint64_t run(size_t first, size_t last, uint64_t c) const {
    return promotion == 0 ? chain(first, last, c) : promoted(first, last, c);
  }
};

template <class Code>
std::vector<uint64_t> filled_up(std::span<const Code> all, size_t row, size_t count, size_t filled) {
  std::vector<uint64_t> result(filled);
  std::copy_n(all.begin() + std::ptrdiff_t(row * count), count, result.begin());
  return result;
}

template <class Code, class Accumulator>
[[gnu::noinline]] Accumulator output_by_definition(const MatrixUnit& unit, const MatrixProduct<Code, Accumulator>& in,
                                                   const Accumulation& how, size_t row, size_t column) {
  const size_t k = size_t(in.k), filled = rounded_up(k, size_t(unit.k)), instructions = filled / size_t(unit.k);
  const size_t block = unit.scale.empty() ? 1 : size_t(unit.scale_block);
  const size_t scales = unit.scale.empty() ? 0 : rounded_up(k, block) / block;
  const size_t filled_scales = unit.scale.empty() ? 0 : filled / block;
  const std::vector<uint64_t> a = filled_up(in.a, row, k, filled), b = filled_up(in.b, column, k, filled),
                              a_scales = filled_up(in.a_scales, row, scales, filled_scales),
                              b_scales = filled_up(in.b_scales, column, scales, filled_scales);
  const Chains chains{unit, a, b, a_scales, b_scales, how.promotion};
  uint64_t c = in.c[row * size_t(in.n) + column];
  if (how.splits == 1) return Accumulator(chains.run(0, instructions, c));
  const size_t part = part_size(instructions, how.splits);
  for (size_t first = 0; first < instructions; first += part)
    c = nearest_sum(uint32_t(c), uint32_t(chains.run(first, std::min(first + part, instructions), 0)));
  return Accumulator(c);
}

template <class Code, class Accumulator>
void multiply_by_definition(const MatrixUnit& unit, const MatrixProduct<Code, Accumulator>& in,
                            std::span<Accumulator> d, const Accumulation& accumulation, int threads) {
  if (in.k == 0) {
    std::copy(in.c.begin(), in.c.end(), d.begin());
    return;
  }
  const size_t work = size_t(in.k);  // multiplications of an output
  in_parts(
      d.size() * work, threads,
      [&](size_t first, size_t size) {
        const FloatControl control;
        for (size_t i = first / work; i < (first + size) / work; ++i)
          d[i] = output_by_definition(unit, in, accumulation, i / size_t(in.n), i % size_t(in.n));
      },
      work);
}

// In a FloatControl scope: operands, too, are read and flushed by arithmetic.
template <class Code, class Accumulator>
[[gnu::noinline]] void multiply(const MatrixUnit& unit, const MatrixProduct<Code, Accumulator>& in,
                                std::span<Accumulator> d, const Accumulation& accumulation, int threads) {
  if (in.k == 0 || d.empty()) return multiply_by_definition(unit, in, d, accumulation, threads);
  const OutputByDefinition<Accumulator> output = [&](size_t row, size_t column) {
    return output_by_definition(unit, in, accumulation, row, column);
  };
  if constexpr (std::is_same_v<Code, uint8_t> && std::is_same_v<Accumulator, uint32_t>)
    if (is_whole_unit(unit)) return multiply_whole(unit, in, d, threads);
  if constexpr (sizeof(Accumulator) < sizeof(uint64_t))
    if (const auto fused = fused_unit(unit)) return multiply_fused(*fused, in, accumulation, output, d, threads);
  if constexpr (sizeof(Accumulator) >= sizeof(uint32_t))
    if (const auto steps = step_unit(unit); steps && accumulation.promotion == 0 && accumulation.splits == 1)
      return multiply_steps(*steps, in, output, d, threads);
  multiply_by_definition(unit, in, d, accumulation, threads);
}

}  // namespace

bool has_fast_way(const MatrixUnit& unit) {
  const FloatControl control;
  return fused_unit(unit) || step_unit(unit) || is_whole_unit(unit);
}

template <class Code, class Accumulator>
void multiply_matrices_reference(const MatrixUnit& unit, const MatrixProduct<Code, Accumulator>& in,
                                 std::span<Accumulator> d, const Accumulation& accumulation, int threads) {
  check<Code, Accumulator>(unit, in, d, accumulation);
  in_default_layouts(in, d, [&](const auto& product, std::span<Accumulator> to) {
    multiply_by_definition(unit, product, to, accumulation, threads);
  });
}

template <class Code, class Accumulator>
void multiply_matrices(const MatrixUnit& unit, const MatrixProduct<Code, Accumulator>& in, std::span<Accumulator> d,
                       const Accumulation& accumulation, int threads) {
  check<Code, Accumulator>(unit, in, d, accumulation);
  const FloatControl control;
  in_default_layouts(in, d, [&](const auto& product, std::span<Accumulator> to) {
    multiply(unit, product, to, accumulation, threads);
  });
}

#define HALFULP_INSTANTIATE(Code, Accumulator)                                                                        \
  template void multiply_matrices(const MatrixUnit&, const MatrixProduct<Code, Accumulator>&, std::span<Accumulator>, \
                                  const Accumulation&, int);                                                          \
  template void multiply_matrices_reference(const MatrixUnit&, const MatrixProduct<Code, Accumulator>&,               \
                                            std::span<Accumulator>, const Accumulation&, int);
HALFULP_INSTANTIATE(uint8_t, uint16_t)
HALFULP_INSTANTIATE(uint8_t, uint32_t)
HALFULP_INSTANTIATE(uint16_t, uint16_t)
HALFULP_INSTANTIATE(uint16_t, uint32_t)
HALFULP_INSTANTIATE(uint32_t, uint16_t)
HALFULP_INSTANTIATE(uint32_t, uint32_t)
HALFULP_INSTANTIATE(uint64_t, uint64_t)
#undef HALFULP_INSTANTIATE

}  // namespace halfulp
