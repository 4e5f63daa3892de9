// exp, log, tanh and erf for training runs: the same bits on every machine, compiler and instruction set.
//
// Every result is the float nearest to the exact value (ties to even), which leaves nothing to choose: the error is at
// most half an ulp, and any other correctly rounded implementation agrees to the last bit.
// tests/sim/elementary_test.cc (suite ElementaryExhaustive) tries all 2^32 inputs of each function on each instruction
// set against double libm, and MPFR where a double does not settle the rounding. The hardest are logarithms such as
// log(0x1.827a74p-7) = -0x1.1c2b1ep+2: rounded to double first, five of them would end on the wrong float.
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
