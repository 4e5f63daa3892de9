#include "formats/step_product.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

#include "formats/cast.h"
#include "formats/float_control.h"
#include "formats/matrix_multiply_ways.h"
#include "formats/parts.h"

namespace halfulp {
namespace {

std::optional<StepOrder> order_of(const MatrixUnit& unit) {
  switch (unit.operation) {
    case DotOperation::FmaChain: return StepOrder::Ascending;
    case DotOperation::OddFirstChain: return unit.k == 2 ? std::optional(StepOrder::OddFirst) : std::nullopt;
    case DotOperation::TwoChains: return StepOrder::EvenAndOdd;
    case DotOperation::FlushedPairs:
      return size_t(unit.block) <= StepJob::kMostOfBlock ? std::optional(StepOrder::Pairs) : std::nullopt;
    default: return std::nullopt;
  }
}

template <class Code, class Number>
void read_operands(const std::optional<Format>& format, std::span<const Code> codes, std::span<Number> numbers) {
  if constexpr (std::is_same_v<Number, float>)
    read_numbers(*format, codes, numbers);
  else
    std::ranges::transform(codes, numbers.begin(), [](Code code) { return std::bit_cast<double>(code); });
}

// Subnormals of the operand's own format.
template <class Number>
void flush(const StepUnit& unit, const std::optional<Format>& format, std::span<Number> numbers) {
  const Number least = format ? Number(std::ldexp(1, format->min_exponent())) : std::numeric_limits<Number>::min();
  for (Number& x : numbers)
    if (x != 0 && std::abs(x) < least) x = unit.job.flushes_to_positive ? Number{0} : std::copysign(Number{0}, x);
}

// Lines of k codes, filled up with zeros to `depth`.
template <class Number, class Code>
void read_lines(const StepUnit& unit, const std::optional<Format>& format, std::span<const Code> codes, size_t k,
                size_t depth, std::span<Number> numbers) {
  std::ranges::fill(numbers, Number{0});
  for (size_t line = 0; line < codes.size() / k; ++line) {
    const std::span<Number> its = numbers.subspan(line * depth, k);
    read_operands(format, codes.subspan(line * k, k), its);
    if (unit.flushes_operands) flush(unit, format, its);
  }
}

// Some columns of B, those of each k contiguous.
template <class Number>
std::vector<Number> panel_of(std::span<const Number> lines, size_t depth) {
  std::vector<Number> panel(depth * kStepColumns);
  for (size_t column = 0; column < lines.size() / depth; ++column)
    for (size_t k = 0; k < depth; ++k) panel[k * kStepColumns + column] = lines[column * depth + k];
  return panel;
}

}  // namespace

std::optional<StepUnit> step_unit(const MatrixUnit& unit) {
  const std::optional<StepOrder> order = order_of(unit);
  const bool is_double = unit.accumulator == "binary64";
  if (!order || (unit.accumulator != "binary32" && !is_double)) return std::nullopt;
  if (is_double && unit.operation != DotOperation::FmaChain) return std::nullopt;
  return StepUnit{.job = {.order = *order,
                          .k = size_t(unit.k),
                          .block = size_t(unit.block),
                          .flushes_accumulator = unit.flushes_accumulator,
                          .flushes_results = unit.flushes_results,
                          .flushes_to_positive = unit.operation == DotOperation::FlushedPairs},
                  .rounding = unit.rounding,
                  .a_format = is_double ? std::nullopt : std::optional(parse_format(unit.a)),
                  .b_format = is_double ? std::nullopt : std::optional(parse_format(unit.b)),
                  .flushes_operands = unit.flushes_operands};
}

template <class Code, class Accumulator>
void multiply_steps(const StepUnit& unit, const MatrixProduct<Code, Accumulator>& in,
                    const OutputByDefinition<Accumulator>& by_definition, std::span<Accumulator> d, int threads) {
  using Number = std::conditional_t<std::is_same_v<Accumulator, uint64_t>, double, float>;
  const size_t m = size_t(in.m), n = size_t(in.n), k = size_t(in.k), depth = rounded_up(k, unit.job.k);
  std::vector<Number> a(m * depth);
  read_lines<Number>(unit, unit.a_format, in.a, k, depth, a);
  const size_t panels = rounded_up(n, kStepColumns) / kStepColumns, work = m * kStepColumns * depth;
  in_parts(
      panels * work, threads,
      [&](size_t first, size_t size) {
        const FloatControl control(control_of(unit.rounding));
        for (size_t panel = first / work; panel < (first + size) / work; ++panel) {
          const size_t column = panel * kStepColumns, columns = std::min(kStepColumns, n - column);
          std::vector<Number> lines(columns * depth);
          read_lines<Number>(unit, unit.b_format, in.b.subspan(column * k, columns * k), k, depth, lines);
          const std::vector<Number> b = panel_of<Number>(lines, depth);
          for (size_t row = 0; row < m; ++row) {
            Number sums[kStepColumns] = {};
            for (size_t j = 0; j < columns; ++j) sums[j] = std::bit_cast<Number>(in.c[row * n + column + j]);
            HALFULP_DISPATCH(add_steps, unit.job, &a[row * depth], b.data(), depth, sums);
            for (size_t j = 0; j < columns; ++j)
              d[row * n + column + j] =
                  std::isnan(sums[j]) ? by_definition(row, column + j) : std::bit_cast<Accumulator>(sums[j]);
          }
        }
      },
      work);
}

#define HALFULP_INSTANTIATE(Code, Accumulator)                                           \
  template void multiply_steps(const StepUnit&, const MatrixProduct<Code, Accumulator>&, \
                               const OutputByDefinition<Accumulator>&, std::span<Accumulator>, int);
HALFULP_INSTANTIATE(uint8_t, uint32_t)
HALFULP_INSTANTIATE(uint16_t, uint32_t)
HALFULP_INSTANTIATE(uint32_t, uint32_t)
HALFULP_INSTANTIATE(uint64_t, uint64_t)
#undef HALFULP_INSTANTIATE

}  // namespace halfulp
