// Dot products of matrix units: against an oracle of big integers, by directed probes, and by cases worked by hand.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "formats/dot_product.h"
#include "tests/unit_families.h"
#include "tests/unit_oracle.h"

namespace halfulp {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

bool cuts_terms(const MatrixUnit& unit) {
  return unit.operation == DotOperation::TruncatedFused || unit.operation == DotOperation::GroupScaledFused ||
         unit.operation == DotOperation::ViaHalf;
}

/// A record whose operands are zeros, to be filled with numbers.
class Probe {
 public:
  explicit Probe(const MatrixUnit& unit) : unit_(unit), a_(unit.a), b_(unit.b), c_(unit.accumulator) {
    record_.a.resize(size_t(unit.k));
    record_.b.resize(size_t(unit.k));
  }
  explicit Probe(std::string_view unit) : Probe(find_matrix_unit(unit)) {}

  Probe& product(size_t k, double a, double b) {
    record_.a[k] = a_.of(a);
    record_.b[k] = b_.of(b);
    EXPECT_TRUE(std::isnan(a) || a_.value(record_.a[k]) == a) << unit_.name << " has no a " << a;
    EXPECT_TRUE(std::isnan(b) || b_.value(record_.b[k]) == b) << unit_.name << " has no b " << b;
    return *this;
  }
  /// A product of 2^exponent, halved between the operands as evenly as they allow.
  Probe& power(size_t k, int exponent, double sign = 1) {
    const int part = std::clamp(exponent / 2, a_.lowest(), a_.highest());
    return product(k, std::ldexp(sign, part), std::ldexp(1, exponent - part));
  }
  Probe& c(double x) { return c_code(c_.of(x)); }
  Probe& c_code(uint64_t code) {
    record_.c = code;
    return *this;
  }
  Probe& a_code(size_t k, uint64_t code) {
    record_.a[k] = code;
    return *this;
  }

  uint64_t code() const { return dot_product_add(unit_, record_.inputs()); }
  double d() const { return c_.value(code()); }
  double c_value() const { return c_.value(record_.c); }
  UnitRecord& record() { return record_; }

 private:
  const MatrixUnit& unit_;
  UnitNumbers a_, b_, c_;
  UnitRecord record_;
};

/// Units of the plain rule whose operands hold 2^7, as the probes want.
std::vector<const MatrixUnit*> probed_units() {
  std::vector<const MatrixUnit*> units;
  for (const MatrixUnit& unit : matrix_units()) {
    const bool is_plain = unit.operation == DotOperation::TruncatedFused && unit.scale.empty();
    if (is_plain && UnitNumbers(unit.a).highest() >= 7 && UnitNumbers(unit.b).highest() >= 7) units.push_back(&unit);
  }
  return units;
}

Probe cancelling_pair(const MatrixUnit& unit, size_t i = 0, size_t j = 1) {
  Probe probe(unit);
  probe.product(i, 128, 128).product(j, -128, 128);
  return probe;
}

// ---- the oracle ----

void expect_as_oracle(const MatrixUnit& unit, int count) {
  UnitStimulus stimulus(unit);
  for (const UnitFamily family : kUnitFamilies)
    for (int i = 0; i < count; ++i) {
      const UnitRecord record = stimulus.next(family);
      const uint64_t got = dot_product_add(unit, record.inputs()), want = unit_oracle::output(unit, record.inputs());
      ASSERT_EQ(got, want) << fmt::format("{:x}, oracle {:x}; ", got, want) << spelled(unit, record);
    }
}

TEST(DotProduct, units_that_cut_terms_are_as_the_oracle) {
  int checked = 0;
  for (const MatrixUnit& unit : matrix_units()) {
    if (!cuts_terms(unit)) continue;
    expect_as_oracle(unit, 60);
    ++checked;
  }
  EXPECT_GE(checked, 150);
}

TEST(DotProduct, units_with_changed_fields_are_as_the_oracle) {
  for (const char* text :
       {"hopper.mma.f16:fraction=1", "hopper.mma.f16:fraction=60", "hopper.mma.bf16:fraction=40,block=3",
        "hopper.mma.bf16:zero_exponent=20", "hopper.wgmma.e4m3:k=7,block=5,result=tf32",
        "hopper.mma.tf32:result=bfloat16,rounding=ties_to_even", "ampere.mma.f16.f16:fraction=60,k=40",
        "blackwell.mxf4nvf4.e2m1.ue4m3x16:block=16", "blackwell.mxf4nvf4.e2m1.ue4m3x16:block=32,fraction=20",
        "blackwell.mxf4.e2m1:block=32,zero_exponent=10,k=128", "blackwell.mxf8f6f4.e4m3:block=8",
        "blackwell.mxf8f6f4.e5m2:k=96,block=24,result=e8m13", "hopper.mma.e4m3:block=4,fraction=10"})
    expect_as_oracle(parse_matrix_unit(text), 200);
}

// ---- directed probes, with the readings that the specification states ----

TEST(DotProductProbe, p1_fraction_by_c) {
  for (const MatrixUnit* unit : probed_units()) {
    int largest = 0;
    for (int t = 1; t <= 38; ++t) {
      Probe probe = cancelling_pair(*unit);
      probe.c(std::ldexp(1, 14 - t));
      if (probe.d() == probe.c_value()) largest = t;
    }
    EXPECT_EQ(largest, unit->fraction) << unit->name;
  }
}

TEST(DotProductProbe, p2_fraction_by_a_product) {
  for (const MatrixUnit* unit : probed_units()) {
    const UnitNumbers a(unit->a), b(unit->b);
    for (const int t : {unit->fraction, unit->fraction + 1}) {
      if (14 - t < a.lowest() + b.lowest()) continue;
      Probe probe = cancelling_pair(*unit);
      probe.power(2, 14 - t);
      EXPECT_EQ(probe.d(), t == unit->fraction ? std::ldexp(1, 14 - t) : 0) << unit->name;
    }
  }
}

TEST(DotProductProbe, p3_terms_are_cut_toward_zero) {
  for (const MatrixUnit* unit : probed_units())
    for (const double sign : {1.0, -1.0})
      for (const double x : {0.25, 0.5, 0.75, 1.5}) {
        const double ulp = std::ldexp(1, 14 - unit->fraction);
        Probe probe = cancelling_pair(*unit);
        probe.c(sign * x * ulp);
        EXPECT_EQ(probe.d(), x > 1 ? sign * ulp : 0) << unit->name << " " << x;
      }
}

TEST(DotProductProbe, p4_products_are_not_normalised) {
  for (const MatrixUnit* unit : probed_units()) {
    Probe probe(*unit);
    probe.product(0, 6, 6).product(1, -6, 6).c(std::ldexp(1, 4 - unit->fraction));
    EXPECT_EQ(probe.d(), probe.c_value()) << unit->name;
  }
}

TEST(DotProductProbe, p5_blocks_follow_each_other) {
  for (const MatrixUnit* unit : probed_units()) {
    const size_t k = size_t(unit->k), block = size_t(unit->block);
    ASSERT_TRUE(k == block || k == 2 * block) << unit->name;
    const double small = std::ldexp(1, 14 - unit->fraction - 1);
    for (size_t i = 0; i < k; ++i)
      for (size_t j = i + 1; j < k; ++j) {
        Probe probe(*unit);
        for (size_t other = 0; other < k; ++other) probe.power(other, 14 - unit->fraction - 1);
        probe.product(i, 128, 128).product(j, -128, 128);
        // what lies in the other block survives, unless the pair meets only there
        const bool is_split = i < block && j >= block;
        EXPECT_EQ(probe.d(), k == block || is_split ? 0 : double(block) * small) << unit->name << " " << i << " " << j;
      }
  }
}

TEST(DotProductProbe, p6_results_are_rounded_as_the_unit_says) {
  for (const char* name : {"hopper.mma.f16", "hopper.mma.bf16", "hopper.mma.tf32", "hopper.wgmma.f16"}) {
    const auto sum = [&](int exponent, double sign) { return Probe(name).power(0, exponent, sign).c(1).d(); };
    EXPECT_EQ(sum(-24, 1), 1) << name;
    EXPECT_EQ(sum(-23, 1), 1 + 0x1p-23) << name;
    EXPECT_EQ(sum(-25, -1), 1 - 0x1p-24) << name;
    EXPECT_EQ(sum(-26, -1), 1) << name << ": cut before it can count";
  }
  const auto half = [](double x, double c) { return Probe("hopper.mma.f16.f16").product(0, x, 1).c(c).d(); };
  EXPECT_EQ(half(0x1p-11, 1), 1) << "a tie, to even";
  EXPECT_EQ(half(0x1p-11, 1 + 0x1p-10), 1 + 0x1p-9) << "a tie, to even";
  EXPECT_EQ(half(0x1.8p-11, 1), 1 + 0x1p-10);
  EXPECT_EQ(Probe("hopper.wgmma.e4m3").c(1 + 0x1p-14).d(), 1) << "13 bits of the result are kept";
  EXPECT_EQ(Probe("hopper.wgmma.e4m3").c(1 + 0x1p-13).d(), 1 + 0x1p-13);
}

TEST(DotProductProbe, p7_overflow_is_of_results_alone) {
  for (const char* name : {"hopper.mma.bf16", "hopper.mma.tf32"}) {
    Probe probe(name);
    probe.product(0, 0x1p127, 0x1p127).product(1, -0x1p127, 0x1p127);
    EXPECT_EQ(probe.d(), 0) << name;
    EXPECT_EQ(Probe(name).product(0, 0x1p127, 1).c(0x1.fffffep127).d(), kInf) << name;
    EXPECT_EQ(Probe(name).product(0, 1, 1).c(0x1.fffffep127).d(), 0x1.fffffep127) << name;
  }
  EXPECT_EQ(Probe("hopper.mma.f16.f16").product(0, 16, 1).c(65504).d(), kInf) << "a tie beyond the largest";
  EXPECT_EQ(Probe("hopper.mma.f16.f16").product(0, 15, 1).c(65504).d(), 65504);
}

TEST(DotProductProbe, p8_zero_exponent_of_binary32_accumulators) {
  for (const MatrixUnit* unit : probed_units()) {
    if (unit->result != "binary32" || UnitNumbers(unit->a).lowest() > -75) continue;
    for (int t = 1; t <= 20; ++t)
      for (const double sign : {1.0, -1.0}) {
        const bool is_cut = t > -149 - (unit->zero_exponent - unit->fraction);
        Probe probe(*unit);
        probe.power(0, -149, sign).power(1, -(149 + t), -sign);
        EXPECT_EQ(probe.d(), is_cut ? sign * 0x1p-149 : 0) << unit->name << " " << t;
        EXPECT_NE(probe.code(), 0x80000000) << unit->name << ": zeros are positive";  // also P10
      }
  }
}

TEST(DotProductProbe, p9_zero_exponent_of_binary16_accumulators) {
  for (const MatrixUnit* unit : probed_units()) {
    if (unit->accumulator != "binary16" || unit->a != "binary16") continue;
    for (int m = 44; m <= 48; ++m) {
      Probe probe(*unit);
      probe.power(0, -25).power(1, -m);
      EXPECT_EQ(probe.d(), m <= unit->fraction - unit->zero_exponent ? 0x1p-24 : 0) << unit->name << " " << m;
    }
  }
}

TEST(DotProductProbe, p10_zeros_are_positive_unless_a_unit_says_otherwise) {
  const auto all_negative = [](const MatrixUnit& unit) {
    Probe probe(unit);
    for (size_t k = 0; k < size_t(unit.k); ++k) probe.product(k, -0.0, 1);
    return probe.c(-0.0).code();
  };
  for (const MatrixUnit* unit : probed_units()) {
    EXPECT_EQ(all_negative(*unit), 0u) << unit->name;
    EXPECT_EQ(Probe(*unit).product(0, 1, 1).product(1, -1, 1).c(-0.0).code(), 0u) << unit->name;
  }
  const auto with = [](std::string_view zero) {
    return parse_matrix_unit(fmt::format("hopper.mma.f16.f16:zero={}", zero));
  };
  const auto underflow = [](const MatrixUnit& unit) { return Probe(unit).power(0, -26, -1).code(); };
  EXPECT_EQ(underflow(with("positive")), 0u);
  EXPECT_EQ(underflow(with("keep_underflow")), 0x8000u);
  EXPECT_EQ(all_negative(with("keep_underflow")), 0u);
  EXPECT_EQ(all_negative(with("ieee")), 0x8000u);
}

TEST(DotProductProbe, p11_specials) {
  for (const char* name : {"hopper.mma.f16", "hopper.mma.bf16", "hopper.mma.tf32", "hopper.wgmma.e5m2"}) {
    EXPECT_EQ(Probe(name).product(0, kNan, 1).code(), 0x7fffffffu) << name;
    EXPECT_EQ(Probe(name).product(3, 1, kNan).c(kInf).code(), 0x7fffffffu) << name;
    EXPECT_EQ(Probe(name).c_code(0xff800001).code(), 0x7fffffffu) << name << ": signalling, negative";
    EXPECT_EQ(Probe(name).product(0, 0, kInf).code(), 0x7fffffffu) << name;
    EXPECT_EQ(Probe(name).product(0, kInf, 1).product(1, -kInf, 1).code(), 0x7fffffffu) << name;
    EXPECT_EQ(Probe(name).product(0, kInf, -1).c(kInf).code(), 0x7fffffffu) << name;
    EXPECT_EQ(Probe(name).product(0, kInf, -1).product(1, -1, 1).c(5).code(), 0xff800000u) << name;
  }
  EXPECT_EQ(Probe("hopper.mma.f16.f16").product(0, kNan, 1).code(), 0x7fffu);
  EXPECT_EQ(Probe("hopper.mma.f16.f16").product(0, kInf, -1).code(), 0xfc00u);
  // a NaN of binary32 whose payload is in the 13 low bits is an infinity of tf32
  EXPECT_EQ(Probe("hopper.mma.tf32").product(0, 1, 1).a_code(0, 0x7f800001).code(), 0x7f800000u);
  EXPECT_EQ(Probe("hopper.mma.tf32").product(0, 1, 1).a_code(0, 0x3f801fff).code(), 0x3f800000u);
  // the first block overflows; an infinity of the other sign in the second makes a NaN of it
  Probe blocks("ampere.mma.bf16");
  blocks.product(0, 0x1p127, 2).product(8, -kInf, 1);
  EXPECT_EQ(blocks.code(), 0x7fffffffu);
}

TEST(DotProductProbe, p12_c_of_fp8) {
  std::mt19937_64 random(12);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t c = 0x3f800000 | (random() & 0x7fffff);
    EXPECT_EQ(Probe("hopper.wgmma.e4m3").c_code(c).code(), c & ~uint64_t{0x3ff});
    EXPECT_EQ(Probe("hopper.mma.e4m3").c_code(c).code(), c);
  }
}

TEST(DotProductProbe, p13_subnormals_are_kept) {
  EXPECT_EQ(Probe("hopper.mma.f16").product(0, 0x1p-24, 0x1p-24).d(), 0x1p-48);
  EXPECT_EQ(Probe("hopper.mma.bf16").product(0, 0x1p-133, 1).d(), 0x1p-133);
  for (const MatrixUnit* unit : probed_units()) {
    const double least = std::ldexp(1, UnitNumbers(unit->accumulator).lowest());
    const bool is_lost = unit->result == "e8m13";  // whose smallest number is 2^-139
    EXPECT_EQ(Probe(*unit).c(least).d(), is_lost ? 0 : least) << unit->name;
    EXPECT_EQ(Probe(*unit).c(-0x1p10 * least).d(), -0x1p10 * least) << unit->name;
  }
}

TEST(DotProductProbe, p14_products_of_a_block_have_no_order) {
  std::mt19937_64 random(14);
  for (const MatrixUnit* unit : probed_units()) {
    UnitStimulus stimulus(*unit);
    for (const UnitFamily family : kUnitFamilies) {
      UnitRecord record = stimulus.next(family);
      const uint64_t d = dot_product_add(*unit, record.inputs());
      EXPECT_EQ(dot_product_add(*unit, record.inputs()), d);
      for (int first = 0; first < unit->k; first += unit->block) {
        const auto rotate = [&](std::vector<uint64_t>& x) {
          std::rotate(x.begin() + first, x.begin() + first + 1, x.begin() + first + unit->block);
        };
        rotate(record.a);
        rotate(record.b);
      }
      EXPECT_EQ(dot_product_add(*unit, record.inputs()), d) << unit->name;
    }
  }
}

// ---- by hand ----

TEST(DotProductByHand, fp8_goes_by_binary16_in_pairs) {
  // k mod 4 in {0, 1} first: 2^14 and the small term of k = 1 meet there, and -2^14 of k = 2 comes too late for it
  Probe probe("hopper.mma.e4m3");
  probe.product(0, 128, 128).product(1, 0x1p-6, 0x1p-6).product(2, -128, 128).product(3, 0x1p-6, 0x1p-6);
  EXPECT_EQ(probe.d(), 0) << "2^-12 is below 2^14 - 25 bits, both times";
  probe.product(1, 0x1p-5, 0x1p-4);
  EXPECT_EQ(probe.d(), 0x1p-9) << "2^-9 is the last bit of binary32 there";
  EXPECT_EQ(Probe("hopper.mma.e4m3").product(0, 1, 1).c(0x1p-24).d(), 1) << "c is added to nearest, ties to even";
  EXPECT_EQ(Probe("hopper.mma.e4m3").product(0, 1, 1).c(0x1.8p-24).d(), 1 + 0x1p-23);
}

TEST(DotProductByHand, cdna1_adds_exactly_and_rounds_once_a_block) {
  EXPECT_EQ(Probe("cdna1.mfma.f16").product(0, 1, 1).product(1, 0x1p-12, 0x1p-12).product(2, 0x1p-14, 0x1p-14).d(),
            1 + 0x1p-23)
      << "2^-24 + 2^-28 is above a tie";
  EXPECT_EQ(Probe("cdna1.mfma.f16").product(0, 1, 1).product(1, 0x1p-12, 0x1p-12).product(4, 0x1p-14, 0x1p-14).d(), 1)
      << "the next block comes too late";
}

TEST(DotProductByHand, cdna2_flushes_and_rounds_every_step) {
  EXPECT_EQ(Probe("cdna2.mfma.f16").product(0, 0x1p-15, 1).d(), 0) << "a subnormal operand is a zero";
  EXPECT_EQ(Probe("cdna2.mfma.f16").product(0, 0x1p-14, 1).d(), 0x1p-14);
  EXPECT_EQ(Probe("cdna2.mfma.f16").c(0x1p-127).d(), 0) << "so is a subnormal c";
  // (p0 + p1) + (p2 + p3): 1 + 2^-24 is a tie, to even, and so is it again
  EXPECT_EQ(Probe("cdna2.mfma.f16").product(0, 1, 1).power(1, -24).power(2, -24).d(), 1);
  EXPECT_EQ(Probe("cdna2.mfma.f16").product(0, 1, 1).power(2, -24).power(3, -24).d(), 1 + 0x1p-23);
}

TEST(DotProductByHand, cdna3_floors) {
  // the sum of products is floored 32 bits below the larger exponent, c 24 bits below it: -2^-30 of c becomes -2^-24
  EXPECT_EQ(Probe("cdna3.mfma.f16").product(0, 1, 1).c(-0x1p-30).d(), 1 - 0x1p-24);
  EXPECT_EQ(Probe("cdna3.mfma.f16").product(0, 1, 1).c(0x1p-30).d(), 1);
  EXPECT_EQ(Probe("cdna3.mfma.f16").product(0, 1, 1).power(1, -25, -1).d(), 1) << "products are cut toward zero";
  EXPECT_EQ(Probe("cdna3.mfma.bf16").product(0, 0x1p127, 2).d(), kInf);
  EXPECT_EQ(Probe("cdna3.mfma.bf16").product(0, 0x1p127, 2).product(1, -0x1p127, 2).code(), 0x7fffffffu)
      << "products overflow by themselves";
  EXPECT_EQ(Probe("cdna3.mfma.bf16").product(0, 0x1p127, 2).c(-kInf).code(), 0x7fffffffu) << "as infinities do";
  EXPECT_EQ(Probe("cdna3.mfma.bf16").product(0, 0x1p127, 1).product(1, -0x1p127, 1).d(), 0) << "2^127 is none yet";
  // the result is floored at 31 bits before it is rounded: of 1 + 2^-24 + 2^-32 a tie is left
  EXPECT_EQ(Probe("cdna3.mfma.f16").product(0, 0x1p-12, 0x1.01p-12).c(1).d(), 1);
  EXPECT_EQ(Probe("cdna3.mfma.f16").product(0, 0x1p-12, 0x1.02p-12).c(1).d(), 1 + 0x1p-23);
  // a c far below the products is a zero where FP8 meets, not the first step below them
  EXPECT_EQ(Probe("cdna3.mfma.e4m3fnuz").product(0, 1, 1).c(-0x1p-25).d(), 1 - 0x1p-24);
  EXPECT_EQ(Probe("cdna3.mfma.e4m3fnuz").product(0, 1, 1).c(-0x1p-26).d(), 1);
  // even and odd products have exponents of their own: 2^-12 keeps its place though 2^14 - 24 bits is above it
  EXPECT_EQ(Probe("cdna3.mfma.e4m3fnuz").product(0, 64, 64).product(1, -64, 64).power(2, -12).d(), 0x1p-12);
  EXPECT_EQ(Probe("cdna3.mfma.e4m3fnuz").product(0, 64, 64).product(2, -64, 64).power(4, -13).d(), 0);
  EXPECT_EQ(Probe("cdna3.mfma.e4m3fnuz").product(0, 64, 64).product(2, -64, 64).power(1, -11).d(), 0x1p-11);
}

TEST(DotProductByHand, binary64_is_a_chain_of_fma) {
  const MatrixUnit& unit = find_matrix_unit("ampere.mma.f64");
  const auto bits = [](double x) { return std::bit_cast<uint64_t>(x); };
  const std::vector<uint64_t> a = {bits(1 + 0x1p-30), bits(1), bits(0), bits(0)},
                              b = {bits(1 - 0x1p-30), bits(-1), bits(0), bits(0)};
  EXPECT_EQ(dot_product_add(unit, {.a = a, .b = b, .c = bits(-0.0)}), bits(0)) << "1 - 2^-60 is 1 before the -1";
  const std::vector<uint64_t> reversed_a = {a[1], a[0], a[2], a[3]}, reversed_b = {b[1], b[0], b[2], b[3]};
  EXPECT_EQ(dot_product_add(unit, {.a = reversed_a, .b = reversed_b}), bits(-0x1p-60)) << "and fused after it";
}

TEST(DotProductByHand, x86_takes_odd_elements_first_or_two_chains) {
  const auto first_loses = [](std::string_view name, double even, double odd) {
    return Probe(name).product(0, even, 1).product(1, odd, 1).c(0x1p-30).d();
  };
  EXPECT_EQ(first_loses("x86.vdpbf16ps", -1, 1), 0) << "2^-30 is lost in 1, then -1";
  EXPECT_EQ(first_loses("x86.tdpbf16ps", -1, 1), 0x1p-30) << "c is added last";
  // odd first: 2^-24 + 1 is a tie, to even; even first, c + 2^-24 would carry
  EXPECT_EQ(Probe("x86.vdpbf16ps").product(0, 0x1p-24, 1).product(1, 1, 1).c(0x1p-24).d(), 1);
  EXPECT_EQ(Probe("x86.vdpbf16ps").product(0, 1, 1).product(1, 0x1p-24, 1).c(0x1p-24).d(), 1 + 0x1p-23);
  EXPECT_EQ(Probe("x86.vdpbf16ps").product(0, 0x1p-130, 0x1p10).d(), 0) << "subnormal operands are zeros";
  EXPECT_EQ(Probe(parse_matrix_unit("x86.vdpbf16ps:k=4")).product(3, 5, 1).c(2).d(), 7) << "pairs follow each other";
  EXPECT_EQ(Probe("x86.tdpfp16ps").product(0, 0x1p-24, 1).d(), 0x1p-24) << "those of binary16 are not";
  EXPECT_EQ(Probe("x86.tdpfp16ps").c(0x1p-149).d(), 0);
}

TEST(DotProductByHand, arm_rounds_to_odd_or_fuses) {
  // 1 + 2^-26 to odd is 1 + 2^-23
  EXPECT_EQ(Probe("arm.bfdot").product(0, 1, 1).power(1, -26).d(), 1 + 0x1p-23);
  EXPECT_EQ(Probe("arm.bfdot.ebf").product(0, 1, 1).power(1, -26).d(), 1);
  EXPECT_EQ(Probe("arm.bfdot").product(0, 0x1p127, 2).code(), 0x7f800000u) << "overflow is to infinity";
  EXPECT_EQ(Probe("arm.bfdot").power(0, -130).d(), 0) << "subnormal results are zeros";
  EXPECT_EQ(Probe("arm.bfdot.ebf").power(0, -130).d(), 0x1p-130);
  EXPECT_EQ(Probe("arm.bfmmla").product(0, 1, 1).product(2, -1, 1).c(0x1p-30).d(), 0x1p-23)
      << "1 + 2^-30 to odd, then -1";
  EXPECT_EQ(Probe("arm.fdot.e4m3").product(0, 128, 128).product(1, -128, 128).c(0x1p-40).d(), 0x1p-40) << "all exact";
}

TEST(DotProductByHand, arm_has_a_default_nan_and_signed_zeros) {
  for (const char* name : {"arm.bfdot", "arm.bfdot.ebf", "arm.bfmmla"}) {
    EXPECT_EQ(Probe(name).product(0, kNan, 1).code(), 0x7fc00000u) << name;
    EXPECT_EQ(Probe(name).product(0, 0x1p127, 2).c(-kInf).code(), 0x7fc00000u) << name << ": a sum that overflows";
  }
  for (const char* name : {"arm.bfdot", "arm.bfdot.ebf"}) {
    EXPECT_EQ(Probe(name).product(0, -0.0, 1).product(1, -0.0, 1).c(-0.0).code(), 0x80000000u) << name;
    EXPECT_EQ(Probe(name).product(0, -0.0, 1).product(1, -0.0, 1).c(0).code(), 0u) << name;
  }
}

TEST(DotProductByHand, whole_numbers_wrap_or_saturate) {
  const auto sum = [](std::string_view name, uint64_t a, uint64_t b, uint32_t c) {
    const MatrixUnit& unit = find_matrix_unit(name);
    UnitRecord record{.a = std::vector<uint64_t>(size_t(unit.k)), .b = std::vector<uint64_t>(size_t(unit.k)), .c = c};
    record.a[1] = a;
    record.b[1] = b;
    return int32_t(uint32_t(dot_product_add(unit, record.inputs())));
  };
  EXPECT_EQ(sum("ampere.mma.s8", 0x80, 0x80, 5), 16389);
  EXPECT_EQ(sum("ampere.mma.s8.u8", 0x80, 0xff, 0), -128 * 255);
  EXPECT_EQ(sum("ampere.mma.u8", 0xff, 0xff, 0), 65025);
  EXPECT_EQ(sum("ampere.mma.s4", 0x8, 0x8, uint32_t(-1)), 63);
  EXPECT_EQ(sum("ampere.mma.u4", 0xf, 0xf, 0), 225);
  EXPECT_EQ(sum("ampere.mma.s8", 1, 1, 0x7fffffff), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(sum("ampere.mma.s8.satfinite", 1, 1, 0x7fffffff), std::numeric_limits<int32_t>::max());
  EXPECT_EQ(sum("ampere.mma.s8.satfinite", 0xff, 1, 0x80000000), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(sum("ampere.mma.b1.xor", 1, 1, 3), 3);
  EXPECT_EQ(sum("ampere.mma.b1.and", 1, 1, 3), 4);
}

// 32 + 2^-19 is a tie in binary32, and 2^-60, the sum's 66th bit, decides it.
TEST(DotProductByHand, sums_of_more_than_64_bits_keep_their_lowest) {
  const MatrixUnit unit = parse_matrix_unit("hopper.mma.bf16:fraction=60,rounding=ties_to_even,k=64,block=64");
  Probe tie(unit);
  for (size_t k = 0; k < 32; ++k) tie.product(k, 1, 1);
  tie.power(32, -19);
  EXPECT_EQ(tie.d(), 32);
  EXPECT_EQ(tie.power(33, -60).d(), 32 + 0x1p-18);
}

TEST(DotProductByHand, scales_multiply_products_and_not_c) {
  const MatrixUnit& unit = find_matrix_unit("blackwell.mxf8f6f4.e4m3");
  UnitRecord record{
      .a = std::vector<uint64_t>(32), .b = std::vector<uint64_t>(32), .a_scales = {130}, .b_scales = {126}};
  record.a[0] = record.b[0] = 0x38;  // 1
  record.c = 0x3f800000;
  EXPECT_EQ(dot_product_add(unit, record.inputs()), 0x40a00000u) << "1 · 8 / 2 + 1";
  record.a_scales = {255};
  EXPECT_EQ(dot_product_add(unit, record.inputs()), 0x7fffffffu);
  const MatrixUnit& infinite = find_matrix_unit("blackwell.mxf8f6f4.e5m2");
  record.a[0] = 0x7c;
  record.b[0] = 0x3c;
  EXPECT_EQ(dot_product_add(infinite, record.inputs()), 0x7fffffffu) << "a NaN among scales outdoes an infinity";
}

}  // namespace
}  // namespace halfulp
