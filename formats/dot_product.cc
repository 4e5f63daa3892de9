#include "formats/dot_product.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <vector>

#include "formats/codec.h"
#include "formats/float_control.h"
#include "formats/natural.h"

namespace halfulp {
namespace {

__extension__ using Int128 = __int128;

constexpr int kIdleTf32Bits = 13;  // of a binary32 word that holds a tf32 operand
constexpr uint64_t kCanonicalNan64 = 0x7fffffffffffffff, kCanonicalNan32 = 0x7fffffff, kCanonicalNan16 = 0x7fff,
                   kDefaultNanOfArm = 0x7fc00000;

// A finite number ±significand · 2^(exponent - fraction). Subnormals keep the exponent of the smallest normal, and
// products the sum of their factors' exponents, however large their significand is.
struct Term {
  bool negative = false;
  uint64_t significand = 0;
  int exponent = 0;
  int fraction = 0;

  bool is_zero() const { return significand == 0; }
  Term operator*(const Term& other) const {
    return {negative != other.negative, significand * other.significand, exponent + other.exponent,
            fraction + other.fraction};
  }
};

enum class Kind { Finite, Infinity, Nan };

// A code of a float format, or a product of two.
struct Value {
  Kind kind = Kind::Finite;
  Term term;  // zero, but for its sign, unless finite

  bool is_zero() const { return kind == Kind::Finite && term.is_zero(); }
  Value operator*(const Value& other) const {
    const bool is_invalid = (is_zero() && other.kind == Kind::Infinity) || (kind == Kind::Infinity && other.is_zero());
    return {is_invalid ? Kind::Nan : std::max(kind, other.kind), term * other.term};
  }
};

// Zero of its sign for a subnormal number.
Value flushed(const Value& x) {
  const bool is_subnormal = x.kind == Kind::Finite && x.term.significand >> x.term.fraction == 0;
  return is_subnormal ? Value{Kind::Finite, {x.term.negative}} : x;
}

Value value_of(const Format& format, uint32_t code) {
  const bool negative = format.is_signed() && (code >> (format.bits() - 1) & 1) != 0;
  const CodeClass its_class = classify(format, code);
  if (its_class == CodeClass::Nan) return {Kind::Nan, {negative}};
  if (its_class == CodeClass::Infinity) return {Kind::Infinity, {negative}};
  const uint32_t magnitude = code & ((uint32_t{1} << format.magnitude_bits()) - 1);
  const int field = int(magnitude >> format.mantissa_bits);
  const uint64_t mantissa = magnitude & ((uint32_t{1} << format.mantissa_bits) - 1);
  const bool is_normal = field > 0 || !format.has_zero;
  return {Kind::Finite,
          {negative, mantissa | uint64_t{is_normal} << format.mantissa_bits,
           is_normal ? field - format.bias : format.min_exponent(), format.mantissa_bits}};
}

uint32_t operand_code(std::string_view format, uint64_t word) {
  return uint32_t(format == "tf32" ? word >> kIdleTf32Bits : word);
}

// ---- exact sums ----

// A sum of terms without any rounding.
class Sum {
 public:
  void add(const Term& x) {
    if (x.is_zero()) return;
    Natural& part = x.negative ? negative_ : positive_;
    part = part + (Natural(x.significand) << unsigned(x.exponent - x.fraction - kLowest));
  }

  // 0 where terms cancel; without a sign there.
  Real real() const {
    const bool is_negative = positive_ < negative_;
    const Natural magnitude = is_negative ? negative_ - positive_ : positive_ - negative_;
    if (magnitude.is_zero()) return {};
    const int width = magnitude.bit_length(), drop = std::max(width - 64, 0);
    Real result = Real::dyadic((magnitude >> unsigned(drop)).low(), kLowest + drop);
    result.sticky = (magnitude >> unsigned(drop)) << unsigned(drop) != magnitude;
    return result.with_sign(is_negative);
  }

 private:
  static constexpr int kLowest = -700;  // below every product of binary32 numbers and scales
  Natural positive_, negative_;
};

// ---- results ----

// What a sum is rounded to, and how the accumulator stores it. Overflow is always to infinity.
uint64_t rounded(std::string_view result, Rounding rounding, const Real& x) {
  const Format format = parse_format(result);
  uint64_t code = encode(format, {.rounding = rounding}, x);
  if (x.kind == Real::Kind::Finite && x.exponent > max_exponent(format))
    code = (format.max_index() + 1) | (x.negative ? uint32_t{1} << (format.bits() - 1) : 0);
  // what has binary32's exponents is a binary32 number whose lowest bits are zeros
  return format.exponent_bits == 8 ? code << (32 - format.bits()) : code;
}

uint64_t nan_code(std::string_view accumulator) {
  return accumulator == "binary16" ? kCanonicalNan16 : kCanonicalNan32;
}

uint64_t infinity_code(std::string_view accumulator, bool negative) {
  return accumulator == "binary16" ? (negative ? 0xfc00 : 0x7c00) : (negative ? 0xff800000 : 0x7f800000);
}

// ---- NaNs and infinities ----

// What the terms beyond finite ones make of a block.
struct Specials {
  bool nan = false, infinity[2] = {};  // by sign

  void add(const Value& x) {
    nan |= x.kind == Kind::Nan;
    if (x.kind == Kind::Infinity) infinity[x.term.negative] = true;
  }
  bool any() const { return nan || infinity[0] || infinity[1]; }
  uint64_t code(std::string_view accumulator) const {
    if (nan || (infinity[0] && infinity[1])) return nan_code(accumulator);
    return infinity_code(accumulator, infinity[1]);
  }
};

// The sum of numbers as IEEE 754 has it, rounded once: zeros that are all negative make -0, terms that cancel +0.
uint64_t ieee_sum(std::string_view format, Rounding rounding, std::initializer_list<Value> values) {
  Specials specials;
  Sum sum;
  bool all_negative_zeros = true;
  for (const Value& x : values) {
    specials.add(x);
    sum.add(x.term);
    all_negative_zeros &= x.is_zero() && x.term.negative;
  }
  if (specials.any()) return specials.code(format);
  return rounded(format, rounding, all_negative_zeros ? Real{.negative = true} : sum.real());
}

// ---- operands ----

// Operands of one instruction, by their place in it.
struct Operands {
  const MatrixUnit& unit;
  const DotInputs& in;
  Format a_format = parse_format(unit.a), b_format = parse_format(unit.b);
  Format accumulator = parse_format(unit.accumulator);
  Format scale_format = unit.scale.empty() ? Format{a_format} : parse_format(unit.scale);

  Value product(size_t k) const { return operand(a_format, unit.a, in.a[k]) * operand(b_format, unit.b, in.b[k]); }
  Value c(uint64_t code) const {
    const Value x = value_of(accumulator, uint32_t(code));
    return unit.flushes_accumulator ? flushed(x) : x;
  }
  // The product of the scales of product k; the sign of ue4m3 is not there.
  Value scale(size_t k) const {
    const size_t number = k / size_t(unit.scale_block);
    const Value x = value_of(scale_format, uint32_t(in.a_scales[number])),
                y = value_of(scale_format, uint32_t(in.b_scales[number]));
    return {x.kind == Kind::Nan || y.kind == Kind::Nan ? Kind::Nan : Kind::Finite, x.term * y.term};
  }

 private:
  Value operand(const Format& format, std::string_view name, uint64_t word) const {
    const Value x = value_of(format, operand_code(name, word));
    return unit.flushes_operands ? flushed(x) : x;
  }
};

bool floors_sums(const MatrixUnit& unit) {
  return unit.operation == DotOperation::TruncateThenFloor || unit.operation == DotOperation::SplitThenFloor;
}

bool overflows(const Term& product) {
  return product.significand != 0 &&
         product.exponent - product.fraction + int(std::bit_width(product.significand)) > 128;
}

// The products first … first + count - 1 and c, if all of them are finite.
struct Block {
  Term c;
  std::vector<Term> products;
  Specials specials;

  Block(const Operands& all, size_t first, size_t count, uint64_t c_code) {
    const Value addend = all.c(c_code);
    specials.add(addend);
    c = addend.term;
    for (size_t k = first; k < first + count; ++k) {
      Value product = all.product(k);
      // where sums are floored, products of 2^128 and more are infinities
      if (floors_sums(all.unit) && overflows(product.term)) product.kind = Kind::Infinity;
      specials.add(product);
      if (!all.unit.scale.empty()) specials.add(all.scale(k));
      products.push_back(product.term);
    }
  }
};

// Feeds each block's result to the next one as c.
template <class OfBlock>
uint64_t chained(const Operands& all, OfBlock of_block) {
  const size_t count = size_t(all.unit.k), step = std::min(count, size_t(all.unit.block));
  uint64_t c = all.in.c;
  for (size_t first = 0; first < count; first += step) {
    const Block block(all, first, std::min(step, count - first), c);
    c = block.specials.any() ? block.specials.code(all.unit.accumulator) : of_block(block, first);
  }
  return c;
}

// ---- 2.2 to 2.4: terms cut below the largest exponent ----

// The term in units of 2^(top - fraction), cut toward zero.
Int128 aligned(const Term& x, int top, int fraction) {
  if (x.is_zero()) return 0;  // whatever its exponent is, even one above the top
  const int shift = (fraction - x.fraction) - (top - x.exponent);
  const Int128 magnitude = shift >= 0 ? Int128(x.significand) << shift : Int128(x.significand >> std::min(-shift, 63));
  return x.negative ? -magnitude : magnitude;
}

// The same of a whole number of 2^(from) steps, cut down to the next multiple of 2^(to).
Int128 floored(Int128 x, int from, int to) {
  if (x == 0) return 0;  // wherever its steps are
  return to <= from ? x << (from - to) : x >> std::min(to - from, 127);
}

// x · 2^power; beyond 64 bits, with what is below them as the sticky bit.
Real real_of(Int128 x, int power) {
  Int128 magnitude = x < 0 ? -x : x;
  bool sticky = false;
  for (; magnitude >> 64 != 0; magnitude >>= 1, ++power) sticky |= (magnitude & 1) != 0;
  Real real = Real::dyadic(uint64_t(magnitude), power);
  real.sticky = sticky;
  return real.with_sign(x < 0);
}

int largest_exponent(const std::vector<Term>& terms, int least) {
  for (const Term& term : terms)
    if (!term.is_zero()) least = std::max(least, term.exponent);
  return least;
}

// All terms, zeros included, on the grid below the exponent `top`.
uint64_t truncated_sum(const MatrixUnit& unit, const std::vector<Term>& terms, int top) {
  Int128 sum = 0;
  bool all_negative_zeros = true;
  for (const Term& term : terms) {
    sum += aligned(term, top, unit.fraction);
    all_negative_zeros &= term.is_zero() && term.negative;
  }
  const bool is_half = unit.accumulator == "binary16";
  if (sum == 0) return unit.zero == ZeroSign::Ieee && all_negative_zeros ? (is_half ? 0x8000 : 0x80000000) : 0;
  const uint64_t code = rounded(unit.result, unit.rounding, real_of(sum, top - unit.fraction));
  const bool is_zero = (code & (is_half ? 0x7fff : 0x7fffffff)) == 0;
  return is_zero && unit.zero == ZeroSign::Positive ? 0 : code;
}

uint64_t truncated_block(const MatrixUnit& unit, const Block& block) {
  std::vector<Term> terms = block.products;
  terms.push_back(block.c);
  return truncated_sum(unit, terms, largest_exponent(terms, unit.zero_exponent));
}

uint64_t scaled_block(const Operands& all, Block block, size_t first) {
  for (size_t i = 0; i < block.products.size(); ++i) {
    block.products[i] = block.products[i] * all.scale(first + i).term;
  }
  return truncated_block(all.unit, block);
}

// Sums of groups are exact, and the scales alone say where they lie: also a group that cancels, but not one of zeros.
uint64_t group_scaled_block(const Operands& all, const Block& block, size_t first_of_block) {
  const MatrixUnit& unit = all.unit;
  const int lowest = 2 * all.a_format.min_quantum_exponent();  // of a product of two numbers of one format
  std::vector<Term> terms = {block.c};
  int top = largest_exponent(terms, unit.zero_exponent);
  for (size_t first = 0; first < block.products.size(); first += size_t(unit.group)) {
    const Value scale = all.scale(first_of_block + first);
    Int128 sum = 0;
    bool all_zeros = true;
    for (size_t i = first; i < first + size_t(unit.group); ++i) {
      const Term& x = block.products[i];
      all_zeros &= x.is_zero();
      sum += aligned(x, lowest, 0);
    }
    if (all_zeros || scale.term.is_zero()) continue;
    top = std::max(top, scale.term.exponent);
    Term term = scale.term;
    term.negative = sum < 0;
    term.significand *= uint64_t(sum < 0 ? -sum : sum);
    term.fraction -= lowest;
    terms.push_back(term);
  }
  return truncated_sum(unit, terms, top);
}

// ---- 2.9: FP8 as binary16 ----

// A number of a narrower format, as binary16.
uint64_t half_code(const Format& format, uint64_t code) {
  return encode(parse_format("binary16"), {.policies = {.nan = NanPolicy::KeepSign}},
                decode_exactly(format, uint32_t(code)));
}

uint64_t via_half(const Operands& all) {
  const MatrixUnit& unit = all.unit;
  MatrixUnit half = unit;
  half.a = half.b = "binary16";
  half.operation = DotOperation::TruncatedFused;
  half.k = unit.k / 2;
  uint64_t sum = 0;
  for (const size_t pair : {size_t{0}, size_t{2}}) {
    std::vector<uint64_t> a, b;
    for (size_t k = 0; k < size_t(unit.k); ++k) {
      if (k % 4 != pair && k % 4 != pair + 1) continue;
      a.push_back(half_code(all.a_format, all.in.a[k]));
      b.push_back(half_code(all.b_format, all.in.b[k]));
    }
    sum = dot_product_add(half, {a, b, sum});
  }
  return ieee_sum(unit.accumulator, Rounding::TiesToEven,
                  {value_of(all.accumulator, uint32_t(sum)), value_of(all.accumulator, uint32_t(all.in.c))});
}

// ---- 2.5: everything exact ----

uint64_t exact_block(const MatrixUnit& unit, const Block& block) {
  Sum sum;
  sum.add(block.c);
  for (const Term& product : block.products) sum.add(product);
  return rounded(unit.accumulator, unit.rounding, sum.real());
}

// ---- 2.7, 2.8: sums that are floored ----

constexpr int kNoExponent = -999, kMinExponent32 = -126;

// Products cut below their largest exponent, which is `top`, and summed, in units of 2^(top - fraction).
Int128 cut_sum(const std::vector<Term>& products, int top, int fraction) {
  Int128 sum = 0;
  for (const Term& product : products) sum += aligned(product, top, fraction);
  return sum;
}

// A sum of products in units of 2^(top - fraction), and c.
uint64_t floored_sum(const MatrixUnit& unit, Int128 products, int products_top, Term c, bool drops_small_c) {
  const int c_exponent = c.is_zero() ? kMinExponent32 : c.exponent, top = std::max(products_top, c_exponent);
  if (drops_small_c && c_exponent < products_top - unit.fraction - 1) c = {};
  const int products_lowest = top - unit.sum_fraction - 1, c_lowest = top - unit.fraction;
  const int lowest = std::min(products_lowest, c_lowest);
  const Int128 addend = c.negative ? -Int128(c.significand) : Int128(c.significand);
  const Int128 sum =
      floored(floored(products, products_top - unit.fraction, products_lowest), products_lowest, lowest) +
      floored(floored(addend, c.exponent - c.fraction, c_lowest), c_lowest, lowest);
  if (sum == 0) return 0;
  const int exponent = std::max(real_of(sum, lowest).exponent, kMinExponent32);
  const int kept = exponent - unit.sum_fraction;
  if (kept > lowest) return rounded(unit.accumulator, unit.rounding, real_of(floored(sum, lowest, kept), kept));
  return rounded(unit.accumulator, unit.rounding, real_of(sum, lowest));
}

uint64_t floored_block(const MatrixUnit& unit, const Block& block) {
  const int top = largest_exponent(block.products, kNoExponent);
  return floored_sum(unit, cut_sum(block.products, top, unit.fraction), top, block.c, false);
}

uint64_t split_floored_block(const MatrixUnit& unit, const Block& block) {
  std::vector<Term> part[2];
  for (size_t i = 0; i < block.products.size(); ++i) part[i % 2].push_back(block.products[i]);
  const int tops[2] = {largest_exponent(part[0], kNoExponent), largest_exponent(part[1], kNoExponent)};
  const int top = std::max(tops[0], tops[1]), lowest = top - unit.fraction;
  Int128 sum = 0;
  for (size_t i : {0, 1}) sum += floored(cut_sum(part[i], tops[i], unit.fraction), tops[i] - unit.fraction, lowest);
  return floored_sum(unit, sum, top, block.c, true);
}

// ---- binary32 arithmetic step by step ----

uint64_t code_of(float x) { return std::isnan(x) ? kCanonicalNan32 : std::bit_cast<uint32_t>(x); }

float flushed_result(const MatrixUnit& unit, float x) {
  return unit.flushes_results && std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

// An operand as binary32. Where the unit flushes subnormals they are zeros: +0 in FlushedPairs, else of their sign.
float operand(const MatrixUnit& unit, const Format& format, std::string_view name, uint64_t word, bool flushes) {
  const uint32_t code = operand_code(name, word);
  const float x = float(decode(format, code));
  if (!flushes || classify(format, code) != CodeClass::Subnormal) return x;
  return unit.operation == DotOperation::FlushedPairs ? 0 : std::copysign(0.0f, x);
}
float a_of(const Operands& all, size_t k) {
  return operand(all.unit, all.a_format, all.unit.a, all.in.a[k], all.unit.flushes_operands);
}
float b_of(const Operands& all, size_t k) {
  return operand(all.unit, all.b_format, all.unit.b, all.in.b[k], all.unit.flushes_operands);
}
float c_of(const Operands& all, uint64_t code) {
  return operand(all.unit, all.accumulator, all.unit.accumulator, code, all.unit.flushes_accumulator);
}

uint64_t flushed_pairs(const Operands& all) {
  const MatrixUnit& unit = all.unit;
  const size_t step = size_t(unit.block);
  float c = c_of(all, all.in.c);
  for (size_t first = 0; first < size_t(unit.k); first += step) {
    std::vector<float> sums;
    for (size_t k = first; k < first + step; ++k) sums.push_back(flushed_result(unit, a_of(all, k) * b_of(all, k)));
    for (; sums.size() > 1; sums.resize(sums.size() / 2))
      for (size_t i = 0; i < sums.size() / 2; ++i) sums[i] = flushed_result(unit, sums[2 * i] + sums[2 * i + 1]);
    c = flushed_result(unit, c + sums[0]);
  }
  return code_of(c);
}

// One fused step after the other, in the order that `place` gives.
template <class Place>
float fma_chain(const Operands& all, float c, size_t count, Place place) {
  const MatrixUnit& unit = all.unit;
  for (size_t i = 0; i < count; ++i) {
    const size_t k = place(i);
    c = flushed_result(unit, std::fma(a_of(all, k), b_of(all, k), c));
  }
  return c;
}

// Products k + 1 and k and c. The first NaN among the elements k of a and b, their elements k + 1 and c is the result,
// made quiet; without one, what is invalid gives the default NaN.
uint64_t odd_first_pair(const Operands& all, size_t k, uint64_t c) {
  constexpr uint64_t kQuiet = 0x00400000, kDefaultNan = 0xffc00000;
  for (const size_t i : {k, k + 1})
    for (const uint64_t code : {all.in.a[i], all.in.b[i]})
      if (classify(all.a_format, uint32_t(code)) == CodeClass::Nan) return code << 16 | kQuiet;
  if (classify(all.accumulator, uint32_t(c)) == CodeClass::Nan) return c | kQuiet;
  const float d = fma_chain(all, c_of(all, c), 2, [&](size_t i) { return k + (i ^ 1); });
  return std::isnan(d) ? kDefaultNan : code_of(d);
}

uint64_t odd_first_chain(const Operands& all) {
  uint64_t c = all.in.c;
  for (size_t k = 0; k < size_t(all.unit.k); k += 2) c = odd_first_pair(all, k, c);
  return c;
}

uint64_t two_chains(const Operands& all) {
  const size_t half = size_t(all.unit.k) / 2;
  const float even = fma_chain(all, 0, half, [](size_t i) { return 2 * i; }),
              odd = fma_chain(all, 0, half, [](size_t i) { return 2 * i + 1; });
  const float c = c_of(all, all.in.c);
  return code_of(flushed_result(all.unit, c + flushed_result(all.unit, even + odd)));
}

[[gnu::noinline]] double fma_chain(const DotInputs& in, size_t k) {
  double c = std::bit_cast<double>(in.c);
  for (size_t i = 0; i < k; ++i) c = std::fma(std::bit_cast<double>(in.a[i]), std::bit_cast<double>(in.b[i]), c);
  return c;
}

// No source covers the NaNs of these units: theirs is that of the others.
uint64_t binary64_chain(const MatrixUnit& unit, const DotInputs& in) {
  const FloatControl control(control_of(unit.rounding));
  const double c = fma_chain(in, size_t(unit.k));
  return std::isnan(c) ? kCanonicalNan64 : std::bit_cast<uint64_t>(c);
}

// ---- 2.12: pairs ----

// Every NaN is Arm's default one.
uint64_t paired(const Operands& all) {
  const MatrixUnit& unit = all.unit;
  const auto code = [&](std::initializer_list<Value> values) {
    return ieee_sum(unit.accumulator, unit.rounding, values);
  };
  const auto sum = [&](std::initializer_list<Value> values) {
    const Value x = value_of(all.accumulator, uint32_t(code(values)));
    return unit.flushes_results ? flushed(x) : x;
  };
  const auto product = [&](size_t k) {
    const Value exact = all.product(k);
    return unit.operation == DotOperation::UnfusedPairs ? sum({exact}) : exact;
  };
  Value c = all.c(all.in.c);
  for (size_t k = 0; k < size_t(unit.k); k += 2) c = sum({sum({product(k), product(k + 1)}), c});
  return c.kind == Kind::Nan ? kDefaultNanOfArm : code({c});
}

// ---- 2.10: whole numbers ----

uint64_t integer_sum(const MatrixUnit& unit, const DotInputs& in) {
  int64_t sum = int32_t(in.c);
  for (size_t k = 0; k < size_t(unit.k); ++k) {
    const int64_t a = whole_number(unit.a, in.a[k]), b = whole_number(unit.b, in.b[k]);
    switch (unit.operation) {
      case DotOperation::XorPopcount: sum += a ^ b; break;
      case DotOperation::AndPopcount: sum += a & b; break;
      default: sum += a * b;
    }
  }
  constexpr int64_t kLowest = std::numeric_limits<int32_t>::min(), kHighest = std::numeric_limits<int32_t>::max();
  return uint32_t(unit.saturates ? std::clamp(sum, kLowest, kHighest) : sum);
}

}  // namespace

uint64_t dot_product_add(const MatrixUnit& unit, const DotInputs& in) {
  const FloatControl control;
  assert(in.a.size() == size_t(unit.k) && in.b.size() == size_t(unit.k));
  switch (unit.operation) {
    case DotOperation::Integer:
    case DotOperation::XorPopcount:
    case DotOperation::AndPopcount: return integer_sum(unit, in);
    case DotOperation::FmaChain:
      if (unit.a == "binary64") return binary64_chain(unit, in);
      break;
    default: break;
  }
  const Operands all{unit, in};
  const size_t k = size_t(unit.k);
  switch (unit.operation) {
    case DotOperation::FmaChain: return code_of(fma_chain(all, c_of(all, in.c), k, [](size_t i) { return i; }));
    case DotOperation::OddFirstChain: return odd_first_chain(all);
    case DotOperation::TwoChains: return two_chains(all);
    case DotOperation::FlushedPairs: return flushed_pairs(all);
    case DotOperation::UnfusedPairs:
    case DotOperation::FusedPairs: return paired(all);
    case DotOperation::ViaHalf: return via_half(all);
    case DotOperation::TruncatedFused:
      return chained(all, [&](const Block& block, size_t first) {
        return unit.scale.empty() ? truncated_block(unit, block) : scaled_block(all, block, first);
      });
    case DotOperation::GroupScaledFused:
      return chained(all, [&](const Block& block, size_t first) { return group_scaled_block(all, block, first); });
    case DotOperation::ExactFused:
      return chained(all, [&](const Block& block, size_t) { return exact_block(unit, block); });
    case DotOperation::TruncateThenFloor:
      return chained(all, [&](const Block& block, size_t) { return floored_block(unit, block); });
    case DotOperation::SplitThenFloor:
      return chained(all, [&](const Block& block, size_t) { return split_floored_block(unit, block); });
    case DotOperation::Integer:
    case DotOperation::XorPopcount:
    case DotOperation::AndPopcount: break;
  }
  return 0;
}

int64_t whole_number(std::string_view format, uint64_t code) {
  if (format == "int8") return int8_t(code);
  if (format == "int4") return int64_t((code & 0xf) ^ 8) - 8;
  return int64_t(code & (format == "uint8" ? 0xff : format == "uint4" ? 0xf : 1));
}

int operand_bits(std::string_view format) {
  if (format == "binary64") return 64;
  if (format == "bit") return 1;
  if (format == "int32") return 32;
  return format == "tf32" ? 32 : parse_format(format).bits();
}

size_t code_bytes(std::string_view format) { return std::bit_ceil(size_t(operand_bits(format) + 7) / 8); }

uint64_t largest_code(std::string_view format) { return ~uint64_t{0} >> (64 - operand_bits(format)); }

}  // namespace halfulp
