// exp, log, tanh and erf of floats, each correctly rounded.
//
// The bits cannot depend on machine or compiler: a result is a fixed sequence of IEEE double +, -, *, / and integer
// operations, with no fused multiply-add, no table and no library call. Each function is evaluated to about 2^-54
// relative, its last sum is kept exact by rounding to odd, and the conversion to float is the only rounding that the
// result sees. That no float lies close enough to a rounding boundary for the 2^-54 to matter is established by trying
// them all (tests/sim/elementary_test.cc, suite ElementaryExhaustive).
//
// Polynomials are Chebyshev fits, computed with 80 digits and rounded to double, of the function and on the interval
// named above each; `error` is the largest difference before the coefficients were rounded.
#include "sim/elementary_kernels.h"

#include <cstdint>
#include <cstring>

namespace halfulp::HALFULP_ISA {
namespace {

constexpr std::size_t kTile = 64;              // elements copied in and out at a time, so that x and y may be one array
constexpr double kLn2High = 0x1.62e42fefap-1;  // 37 bits: the product with any exponent of a float is exact
constexpr double kLn2Low = 0x1.cf79abc9e3b3ap-40;
constexpr double kInfinity = __builtin_inf();
constexpr float kNan = __builtin_nanf("");  // 0x7fc00000

uint64_t to_code(double x) { return __builtin_bit_cast(uint64_t, x); }
double from_code(uint64_t code) { return __builtin_bit_cast(double, code); }

/// Coefficients from the highest power down to the constant.
template <class... Coefficients>
double polynomial(double x, double sum, Coefficients... coefficients) {
  ((sum = sum * x + coefficients), ...);
  return sum;
}

/// The exact a + b rounded to odd, for |a| >= |b| or a = 0: an inexact sum gets an odd last bit, hence rounding it to
/// float gives what rounding the exact sum would (Boldo and Melquiond, "Emulation of a FMA and correctly
/// rounded sums", 2008).
double add_to_odd(double a, double b) {
  const double sum = a + b;
  const double error = b - (sum - a);  // exact
  const uint64_t code = to_code(sum);
  const uint64_t inward = (to_code(error) ^ code) >> 63;  // 1: the exact sum is nearer to zero than `sum`
  const uint64_t step = 1 - 2 * inward;
  const uint64_t odd = code + (step & ((code & 1) - 1));
  return error != 0 ? from_code(odd) : sum;
}

struct Scaled {
  double scale;     // a power of two
  double fraction;  // the value is scale * (1 + fraction), |fraction| < 0.42
};

/// exp(x) for |x| < 700.
Scaled exp_parts(double x) {
  // 1. x = k ln 2 + r with |r| <= 0.3466; adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits.
  const double shifted = x * 0x1.71547652b82fep+0 + 0x1.8p52;
  const double k = shifted - 0x1.8p52;
  const double r = (x - k * kLn2High) - k * kLn2Low;

  // 2. (exp(r) - 1 - r) / r^2 on [-0.3467, 0.3467], error 2^-59.3.
  const double tail =
      polynomial(r, 0x1.1f730349868cep-29, 0x1.af4de97ca4194p-26, 0x1.27e4db646b17ep-22, 0x1.71de0231960ebp-19,
                 0x1.a01a01a6d889cp-16, 0x1.a01a01abe7fe1p-13, 0x1.6c16c16c162d4p-10, 0x1.11111111100dcp-7,
                 0x1.5555555555556p-5, 0x1.5555555555557p-3, 0x1p-1);
  return {from_code((to_code(shifted) + 1023) << 52), r + r * r * tail};
}

float exp_one(float value) {
  const double x = value;
  const double above = x > -104.5 ? x : -104.5;  // exp(-104.5) rounds to zero, exp(89) to infinity
  const auto [scale, fraction] = exp_parts(above < 89 ? above : 89);
  const float y = static_cast<float>(add_to_odd(1, fraction) * scale);
  return value == value ? y : kNan;
}

float log_one(float value) {
  // 1. x = 2^e m with m in [sqrt(1/2), sqrt(2)); a subnormal float is a normal double.
  const double x = value;
  const uint64_t code = to_code(x);
  const uint64_t biased = (code + (to_code(1.0) - to_code(0x1.6a09e667f3bcdp-1))) >> 52;
  const double m = from_code(code - ((biased - 1023) << 52));
  const double e = from_code(biased | to_code(0x1p52)) - (0x1p52 + 1023);

  // 2. With f = m - 1 and s = f / (2 + f): log m = f - f^2/2 + s (f^2/2 + R), R = (log m - 2 s) / s. f has 24 bits,
  //    so f - f^2/2 is exact and only the small last term is rounded.
  const double f = m - 1;
  const double half_square = 0.5 * f * f;
  const double s = f / (2 + f);
  const double z = s * s;
  // R / z = (2 atanh(sqrt z) / sqrt z - 2) / z on [0, 0.02945], error 2^-58.7
  const double r =
      z * polynomial(z, 0x1.0c04595972ab8p-3, 0x1.0fbe83c2cbcf3p-3, 0x1.3b1c360763b8ap-3, 0x1.745cf901605f7p-3,
                     0x1.c71c720160b47p-3, 0x1.2492492476c87p-2, 0x1.9999999999a38p-2, 0x1.5555555555555p-1);
  const double exact = f - half_square;

  // 3. Add e ln 2, keeping what the first sum loses.
  const double high = e * kLn2High;
  const double sum = high + exact;
  const double lost = exact - (sum - high);
  const double y = add_to_odd(sum, (lost + e * kLn2Low) + s * (half_square + r));

  const double at_edges = x == 0 ? -kInfinity : x;  // 0 or positive infinity
  return x >= 0 ? static_cast<float>(x > 0 && x < kInfinity ? y : at_edges) : kNan;
}

float tanh_one(float value) {
  const double x = value;
  const double a = __builtin_fabs(x);

  // 1. Below 1/2: a + a^3 T(a^2) with T(z) = (tanh(sqrt z) / sqrt z - 1) / z on [0, 1/4], error 2^-59.7.
  const double z = a * a;
  const double t =
      polynomial(z, -0x1.8117b15cbb104p-16, 0x1.71eb85bee4b4ap-14, -0x1.efab6555ccc22p-13, 0x1.350ce30757046p-11,
                 -0x1.7d9e74586c684p-10, 0x1.d6d39b48449bfp-9, -0x1.226e34a851d2cp-7, 0x1.664f487fed22ap-6,
                 -0x1.ba1ba1ba15daap-5, 0x1.11111111110ecp-3, -0x1.5555555555555p-2);
  const double small = add_to_odd(a, a * z * t);

  // 2. From there on 1 - 2 / (exp(2a) + 1), which rounds to 1 well before a = 10.
  const auto [scale, fraction] = exp_parts(a < 10 ? 2 * a : 20);
  const double large = add_to_odd(1, -2 / (scale + scale * fraction + 1));

  const float y = static_cast<float>(__builtin_copysign(a < 0.5 ? small : large, x));
  return value == value ? y : kNan;
}

float erf_one(float value) {
  const double x = value;
  const double a = __builtin_fabs(x);

  // 1. Below 1: a (2/sqrt(pi) + a^2 E(a^2)) with E(z) = (erf(sqrt z) / sqrt z - 2/sqrt(pi)) / z on [0, 1], error
  //    2^-60.7. The leading constant is cut after 28 bits, which makes its product with a exact.
  const double z = a * a;
  const double e =
      polynomial(z, 0x1.0f8a27a51ad26p-34, -0x1.3c1e91b012003p-30, 0x1.f8d476ab1a455p-27, -0x1.5f39372686202p-23,
                 0x1.b9e2333703249p-20, -0x1.f4d21efdafc7dp-17, 0x1.f9a324ddf0f34p-14, -0x1.c02db3f4735cbp-11,
                 0x1.565bcd0e434bbp-8, -0x1.b82ce312882f8p-6, 0x1.ce2f21a042bd7p-4, -0x1.812746b0379e7p-2);
  const double small = add_to_odd(a * 0x1.20dd75p+0, a * (0x1.0a6db446b8ea4p-30 + z * e));

  // 2. From there on 1 - erfc(a), with erfc(u + 2.46875) on [-1.46875, 1.46875], error 2^-59.2; at the upper end,
  //    a = 3.9375, the result already rounds to 1.
  const double u = (a < 3.9375 ? a : 3.9375) - 2.46875;
  const double erfc = polynomial(
      u, 0x1.613057ad60754p-45, -0x1.807eee7aa43aap-45, -0x1.26955dc7d1189p-40, 0x1.57464f8dcd4bp-39,
      0x1.9fc2b82735fc6p-37, -0x1.f2c5166b71dbcp-35, -0x1.31493a6fa6e27p-36, 0x1.847749cdca9f9p-31,
      -0x1.b5635a73d8eb4p-30, -0x1.f1a895e491e4dp-29, 0x1.c16e80a2f0c4p-26, -0x1.1356328f8b273p-25,
      -0x1.64764ad78eb58p-23, 0x1.86c1835da1e6cp-21, -0x1.0dc7cb86ba90cp-21, -0x1.30dcf3af5ed97p-18,
      0x1.0bc54ce82c4bbp-16, -0x1.696e218c255c1p-17, -0x1.3f2215e3f48ecp-14, 0x1.1fdf82e7cec21p-12,
      -0x1.5ebdd5555f52fp-12, -0x1.eae5e251e47e6p-12, 0x1.7d55d56a4579cp-9, -0x1.b3fdff1dd6b56p-8, 0x1.3b38708f7b855p-7,
      -0x1.36f273fbd93e9p-7, 0x1.9ba107a459cefp-8, -0x1.4d78bba8ca5c9p-9, 0x1.f7f3581a4dc2cp-12);
  const double large = add_to_odd(1, -erfc);

  const float y = static_cast<float>(__builtin_copysign(a < 1 ? small : large, x));
  return value == value ? y : kNan;
}

/// Every element, those of a last partial tile too, goes through one loop of constant length.
template <float (*function)(float)>
void apply(const float* x, float* y, std::size_t count) {
  for (std::size_t begin = 0; begin < count; begin += kTile) {
    const std::size_t bytes = (count - begin < kTile ? count - begin : kTile) * sizeof(float);
    float in[kTile] = {};
    float out[kTile];
    std::memcpy(in, x + begin, bytes);
    for (std::size_t i = 0; i < kTile; ++i) out[i] = function(in[i]);
    std::memcpy(y + begin, out, bytes);
  }
}

}  // namespace

void elementary(Elementary function, const float* x, float* y, std::size_t count) {
  switch (function) {
    case Elementary::Exp: return apply<exp_one>(x, y, count);
    case Elementary::Log: return apply<log_one>(x, y, count);
    case Elementary::Tanh: return apply<tanh_one>(x, y, count);
    case Elementary::Erf: return apply<erf_one>(x, y, count);
  }
}

}  // namespace halfulp::HALFULP_ISA
