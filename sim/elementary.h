// exp, log, tanh and erf for training runs: the same bits on every machine, compiler and instruction set.
//
// Every result is the float nearest to the exact value (ties to even), which leaves nothing to choose: the error is at
// most half an ulp, and any other correctly rounded implementation agrees to the last bit. Shown for all 2^32 inputs of
// each function and each instruction set by tests/sim/elementary_test.cc (suite ElementaryExhaustive), against MPFR.
//
//   input     exp    log    tanh   erf
//   NaN       NaN    NaN    NaN    NaN        always the quiet NaN 0x7fc00000
//   -inf      0      NaN    -1     -1
//   x < 0     .      NaN    .      .
//   -0        1      -inf   -0     -0
//   +0        1      -inf   +0     +0
//   +inf      +inf   +inf   1      1
//
// Subnormal inputs and results are kept. The caller's floating-point environment must be the usual one: rounding to
// nearest, subnormals neither flushed nor read as zero.
#pragma once

#include <span>

namespace halfulp {

/// y[i] = f(x[i]). Both spans have one length; they are the same array or do not overlap.
void exp_array(std::span<const float> x, std::span<float> y);
void log_array(std::span<const float> x, std::span<float> y);
void tanh_array(std::span<const float> x, std::span<float> y);
void erf_array(std::span<const float> x, std::span<float> y);

}  // namespace halfulp
