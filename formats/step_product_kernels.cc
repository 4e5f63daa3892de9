// Every lane is one output, and every step one operation of the processor, rounded as its control register says.
// Subnormals are flushed by comparing results: a control register that flushes does so before rounding has made them
// normal.
#include "formats/step_product_kernels.h"

#include <cmath>
#include <cstddef>
#include <limits>

namespace halfulp::HALFULP_ISA {
namespace {

template <class Number>
struct Lanes {
  Number x[kStepColumns];
};

template <class Number>
[[gnu::always_inline]] inline Number flushed(Number x, Number zero) {
  return x != 0 && std::abs(x) < std::numeric_limits<Number>::min() ? zero : x;
}

template <bool kFlushes, class Number>
[[gnu::always_inline]] inline Number result(Number x) {
  return kFlushes ? flushed(x, std::copysign(Number{0}, x)) : x;
}

template <bool kFlushes, class Number>
[[gnu::always_inline]] inline void add_product(Number a, const Number* b, Lanes<Number>& c) {
  for (size_t j = 0; j < kStepColumns; ++j) c.x[j] = result<kFlushes>(std::fma(a, b[j], c.x[j]));
}

template <bool kFlushes, class Number>
[[gnu::always_inline]] inline void add(const Lanes<Number>& x, Lanes<Number>& c) {
  for (size_t j = 0; j < kStepColumns; ++j) c.x[j] = result<kFlushes>(c.x[j] + x.x[j]);
}

template <bool kFlushes, class Number>
void add_even_and_odd(const Number* a, const Number* b, size_t k, Lanes<Number>& c) {
  Lanes<Number> part[2] = {};
  for (size_t i = 0; i < k; ++i) add_product<kFlushes>(a[i], b + i * kStepColumns, part[i % 2]);
  add<kFlushes>(part[1], part[0]);
  add<kFlushes>(part[0], c);
}

template <bool kFlushes, class Number>
void add_pairs(const Number* a, const Number* b, size_t block, Lanes<Number>& c) {
  Lanes<Number> sums[StepJob::kMostOfBlock];
  for (size_t i = 0; i < block; ++i)
    for (size_t j = 0; j < kStepColumns; ++j) sums[i].x[j] = result<kFlushes>(a[i] * b[i * kStepColumns + j]);
  for (size_t count = block; count > 1; count /= 2)
    for (size_t i = 0; i < count / 2; ++i) {
      Lanes<Number> sum = sums[2 * i];
      add<kFlushes>(sums[2 * i + 1], sum);
      sums[i] = sum;
    }
  add<kFlushes>(sums[0], c);
}

template <bool kFlushes, class Number>
void add_instruction(const StepJob& job, const Number* a, const Number* b, Lanes<Number>& c) {
  switch (job.order) {
    case StepOrder::Ascending:
      for (size_t i = 0; i < job.k; ++i) add_product<kFlushes>(a[i], b + i * kStepColumns, c);
      return;
    case StepOrder::OddFirst:
      for (size_t i = 0; i < job.k; ++i) add_product<kFlushes>(a[i ^ 1], b + (i ^ 1) * kStepColumns, c);
      return;
    case StepOrder::EvenAndOdd: return add_even_and_odd<kFlushes>(a, b, job.k, c);
    case StepOrder::Pairs:
      for (size_t i = 0; i < job.k; i += job.block) add_pairs<kFlushes>(a + i, b + i * kStepColumns, job.block, c);
      return;
  }
}

template <class Number>
void add_all(const StepJob& job, const Number* a, const Number* b, size_t depth, Number* c) {
  Lanes<Number> sum;
  for (size_t j = 0; j < kStepColumns; ++j) sum.x[j] = c[j];
  for (size_t k = 0; k < depth; k += job.k) {
    if (job.flushes_accumulator)
      for (Number& x : sum.x) x = flushed(x, job.flushes_to_positive ? Number{0} : std::copysign(Number{0}, x));
    if (job.flushes_results)
      add_instruction<true>(job, a + k, b + k * kStepColumns, sum);
    else
      add_instruction<false>(job, a + k, b + k * kStepColumns, sum);
  }
  for (size_t j = 0; j < kStepColumns; ++j) c[j] = sum.x[j];
}

}  // namespace

void add_steps(const StepJob& job, const float* a, const float* b, size_t depth, float* c) {
  add_all(job, a, b, depth, c);
}
void add_steps(const StepJob& job, const double* a, const double* b, size_t depth, double* c) {
  add_all(job, a, b, depth, c);
}

}  // namespace halfulp::HALFULP_ISA
