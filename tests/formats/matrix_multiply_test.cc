// The fast way of matrix products, held to the definition on every instruction set.
//
// Seven families of inputs, since none alone shows every fault: gaussian numbers; any codes; any finite codes;
// exponents in a window below a ceiling; pairs that cancel above the rest; numbers around the accumulator's smallest;
// large products of one sign, whose sums are as wide as can be.
#include "formats/matrix_multiply.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "formats/cast.h"
#include "formats/dot_product.h"
#include "formats/isa.h"
#include "tests/control_register.h"

namespace halfulp {
namespace {

/// Units of each kind of arithmetic, by what is multiplied.
struct UnitFamily {
  std::string_view name;
  std::vector<std::string_view> units;
};
const UnitFamily kUnitFamilies[] = {
    {"binary16",
     {"volta.mma.f16", "volta.mma.f16.f16", "turing.mma.f16", "ampere.mma.f16.f16", "hopper.mma.f16",
      "hopper.mma.f16.f16", "hopper.wgmma.f16.f16"}},
    {"bfloat16", {"ampere.mma.bf16", "hopper.mma.bf16"}},
    {"tf32", {"ampere.mma.tf32", "hopper.mma.tf32"}},
    {"fp8",
     {"ada.mma.e4m3", "ada.mma.e5m2.e4m3.f16.k16", "hopper.wgmma.e4m3", "hopper.wgmma.e5m2",
      "hopper.wgmma.e4m3.e5m2.f16", "blackwell.tcgen05.e4m3", "blackwell.tcgen05.e5m2.f16"}},
    {"fp8_via_half", {"hopper.mma.e4m3", "hopper.mma.e5m2.f16"}},
    {"fp6_and_fp4", {"blackwell.tcgen05.e2m1.e3m2", "rtx_blackwell.mma.e2m3.f16"}},
    {"mxfp8", {"blackwell.mxf8f6f4.e4m3", "blackwell.mxf8f6f4.e5m2.e2m1"}},
    {"mxfp4", {"blackwell.mxf4.e2m1", "blackwell.mxf4nvf4.e2m1.e8m0x16"}},
    {"nvfp4", {"blackwell.mxf4nvf4.e2m1.ue4m3x16"}},
    {"floored",
     {"cdna3.mfma.f16", "cdna3.mfma.bf16", "cdna3.mfma.tf32", "cdna3.mfma.e4m3fnuz", "cdna3.mfma.e5m2fnuz.e4m3fnuz"}},
    {"binary32_steps",
     {"cdna.mfma.f32", "cdna2.mfma.f16", "cdna2.mfma.bf16", "x86.vdpbf16ps", "x86.tdpbf16ps", "x86.tdpfp16ps",
      "x86.tmmultf32ps"}},
    {"whole",
     {"ampere.mma.s8", "ampere.mma.u8.s8.satfinite", "ampere.mma.s4.u4", "ampere.mma.b1.xor", "ampere.mma.b1.and"}}};

bool is_whole(const MatrixUnit& unit) { return unit.accumulator == "int32"; }

/// Calls work(unit) for all of them.
template <class Work>
void for_each_unit(const Work& work) {
  for (const UnitFamily& family : kUnitFamilies)
    for (const std::string_view name : family.units) work(find_matrix_unit(name));
}

enum class Family { Normal, Bits, FiniteBits, Window, Cancel, Tiny, Crowd };
constexpr Family kFamilies[] = {Family::Normal, Family::Bits, Family::FiniteBits, Family::Window,
                                Family::Cancel, Family::Tiny, Family::Crowd};
constexpr std::string_view kFamilyNames[] = {"normal", "bits", "finite bits", "window", "cancel", "tiny", "crowd"};

struct Shape {
  int m, n, k;
};

/// Codes in 32 bits, whatever the unit's formats.
struct Inputs {
  Shape shape;
  std::vector<uint32_t> a, b, c;
  std::vector<uint8_t> a_scales = {}, b_scales = {};
};

constexpr int kIdleTf32Bits = 13;

class Generator {
 public:
  Generator(const MatrixUnit& unit, Family family, Shape shape, uint64_t seed)
      : unit_(unit), family_(family), random_(seed) {
    inputs_.shape = shape;
  }

  Inputs run() {
    if (is_whole(unit_)) return whole_numbers();
    const Shape& s = inputs_.shape;
    const Format a = parse_format(unit_.a), b = parse_format(unit_.b), c = parse_format(unit_.accumulator);
    // how large products are, and how they are shared out between both factors
    const int lowest = a.min_exponent() + b.min_exponent() - 4, highest = max_exponent(a) + max_exponent(b);
    const int smallest = c.min_quantum_exponent() + below(24) - 8;
    const int product =
        family_ == Family::Tiny ? std::clamp(smallest, lowest, highest) : lowest + below(highest - lowest + 1);
    const int share = std::clamp(product / 2 + below(9) - 4, product - max_exponent(b), max_exponent(a));
    window_ = 1 + below(14);
    is_lonely_ = below(3) == 0;
    fill(inputs_.a, s.m * s.k, unit_.a, a, share);
    fill(inputs_.b, s.n * s.k, unit_.b, b, product - share);
    if (!unit_.scale.empty()) {
      const int scale = family_ == Family::Tiny ? smallest - product
                        : below(5) == 0         ? below(400) - 200
                                                : below(41) - 20;
      fill_scales(inputs_.a_scales, s.m, scale / 2);
      fill_scales(inputs_.b_scales, s.n, scale - scale / 2);
      fill_addends(s.m * s.n, c, product + scale);
    } else {
      fill_addends(s.m * s.n, c, product);
    }
    if (family_ == Family::Cancel && s.k >= 2) cancel(a);
    if (family_ == Family::Crowd) negate_rows(a);
    return inputs_;
  }

 private:
  int below(int n) { return int(random_() % uint64_t(n)); }

  // Any codes; in some families few of them, or large ones whose sums clamp: of one sign, or of one in every
  // instruction.
  Inputs whole_numbers() {
    const Shape& s = inputs_.shape;
    const bool is_large = family_ == Family::Crowd || family_ == Family::Cancel;
    const auto fill_codes = [&](std::vector<uint32_t>& codes, int count, std::string_view name, bool alternates) {
      const uint32_t mask = (1u << operand_bits(name)) - 1;
      for (int i = 0; i < count; ++i) {
        const bool is_negative = alternates && i % s.k / unit_.k % 2 == 1;
        const uint32_t large = (mask >> 1) + (is_negative ? 1 : 0) - uint32_t(mask > 1 && !is_negative ? below(2) : 0);
        codes.push_back(family_ == Family::Tiny && below(3) != 0 ? 0 : is_large ? large : random32() & mask);
      }
    };
    fill_codes(inputs_.a, s.m * s.k, unit_.a, false);
    fill_codes(inputs_.b, s.n * s.k, unit_.b, family_ == Family::Cancel);
    for (int i = 0; i < s.m * s.n; ++i)
      inputs_.c.push_back(is_large ? 0x7fffffff + uint32_t(below(1 << 19)) - (1 << 18) : random32() >> below(32));
    return inputs_;
  }
  uint32_t random32() { return uint32_t(random_()); }

  void fill(std::vector<uint32_t>& codes, int count, std::string_view name, const Format& format, int ceiling) {
    for (int i = 0; i < count; ++i) {
      const uint32_t code = operand(format, ceiling);
      const uint32_t idle = uint32_t(random_()) & ((1u << kIdleTf32Bits) - 1);
      codes.push_back(name == "tf32" ? code << kIdleTf32Bits | idle : code);
    }
  }

  uint32_t operand(const Format& format, int ceiling) {
    switch (family_) {
      case Family::Normal: return normal(format);
      case Family::Bits: return any(format);
      case Family::FiniteBits: return finite(format);
      case Family::Window: return below(8) == 0 ? signed_zero(format) : number(format, ceiling - below(window_));
      case Family::Cancel: return is_lonely_ || below(2) == 0 ? 0 : number(format, ceiling - 1 - below(window_));
      case Family::Tiny: return below(3) != 0 ? signed_zero(format) : number(format, ceiling - below(6));
      case Family::Crowd: {
        const int exponent = ceiling - (below(8) == 0 ? below(14) : 0);
        return (number(format, exponent) & ~signs(format)) | larger_half(format);
      }
    }
    return 0;
  }

  void fill_addends(int count, const Format& format, int product) {
    for (int i = 0; i < count; ++i) {
      uint32_t code = 0;
      switch (family_) {
        case Family::Normal: code = normal(format); break;
        case Family::Bits: code = any(format); break;
        case Family::FiniteBits: code = finite(format); break;
        case Family::Window:
        case Family::Crowd:
        case Family::Cancel: code = below(3) == 0 ? 0 : number(format, product + 8 - below(37)); break;
        case Family::Tiny: code = below(2) == 0 ? signed_zero(format) : number(format, -1000); break;
      }
      inputs_.c.push_back(code);
    }
  }

  void fill_scales(std::vector<uint8_t>& codes, int lines, int ceiling) {
    const Format format = parse_format(unit_.scale);
    const int blocks = (inputs_.shape.k + unit_.scale_block - 1) / unit_.scale_block;
    const bool has_idle_sign = format.magnitude_bits() < 8;
    for (int i = 0; i < lines * blocks; ++i) {
      const uint32_t code = scale(format, ceiling);
      codes.push_back(uint8_t(has_idle_sign && below(4) == 0 ? code | 0x80 : code));
    }
  }
  uint32_t scale(const Format& format, int ceiling) {
    for (;;) {
      const int exponent = (family_ == Family::Normal ? 1 : ceiling) - below(family_ == Family::Window ? window_ : 3);
      const int field = std::clamp(exponent + format.bias, 0, max_exponent(format) + format.bias);
      const uint32_t mantissa = uint32_t(random_()) & ((1u << format.mantissa_bits) - 1);
      const bool is_any = family_ == Family::Bits || family_ == Family::FiniteBits;
      const uint32_t code = is_any ? uint32_t(random_()) & ((1u << format.magnitude_bits()) - 1)
                                   : uint32_t(field) << format.mantissa_bits | mantissa;
      if (family_ == Family::Bits || classify(format, code) != CodeClass::Nan) return code;
    }
  }

  uint32_t normal(const Format& format) {
    const float x = std::normal_distribution<float>()(random_);
    return Caster(format, {}).encode_reference(x);
  }
  uint32_t any(const Format& format) { return uint32_t(random_() & ((uint64_t{1} << format.bits()) - 1)); }
  uint32_t finite(const Format& format) {
    for (;;) {
      const uint32_t code = any(format);
      const CodeClass its_class = classify(format, code);
      if (its_class != CodeClass::Nan && its_class != CodeClass::Infinity) return code;
    }
  }
  uint32_t sign_of_a(const Format& a) const { return signs(a) << (unit_.a == "tf32" ? kIdleTf32Bits : 0); }
  static uint32_t signs(const Format& format) { return 1u << (format.bits() - 1); }
  // The highest bit of a mantissa, but of those where the result might be no number.
  static uint32_t larger_half(const Format& format) {
    return format.mantissa_bits > 1 ? 1u << (format.mantissa_bits - 1) : 0;
  }
  uint32_t signed_zero(const Format& format) { return uint32_t(below(2)) << (format.bits() - 1); }
  // A number of this exponent, or the nearest there is; random but for that.
  uint32_t number(const Format& format, int exponent) {
    for (;;) {
      const int field = std::clamp(exponent + format.bias, 0, max_exponent(format) + format.bias);
      const uint32_t mantissa = uint32_t(random_()) & ((1u << format.mantissa_bits) - 1);
      const uint32_t code = signed_zero(format) | uint32_t(field) << format.mantissa_bits | mantissa;
      const CodeClass its_class = classify(format, code);
      if (its_class != CodeClass::Nan && its_class != CodeClass::Infinity) return code;
    }
  }

  // Makes the products of k1 those of k0 with another sign, and larger than the rest.
  void cancel(const Format& a) {
    const Shape& s = inputs_.shape;
    const int k0 = below(s.k), k1 = (k0 + 1 + below(s.k - 1)) % s.k;
    for (int i = 0; i < s.m; ++i) {
      const uint32_t code = inputs_.a[size_t(i * s.k + k0)] | larger(a);
      inputs_.a[size_t(i * s.k + k0)] = code;
      inputs_.a[size_t(i * s.k + k1)] = code ^ sign_of_a(a);
    }
    for (int j = 0; j < s.n; ++j) inputs_.b[size_t(j * s.k + k1)] = inputs_.b[size_t(j * s.k + k0)];
  }
  // Half of the outputs are sums of negative products.
  void negate_rows(const Format& a) {
    for (int i = 0; i < inputs_.shape.m; ++i)
      if (below(2) == 0)
        for (int k = 0; k < inputs_.shape.k; ++k) inputs_.a[size_t(i * inputs_.shape.k + k)] ^= sign_of_a(a);
  }
  // The lowest bit of an exponent field.
  uint32_t larger(const Format& format) const {
    return 1u << (format.mantissa_bits + (unit_.a == "tf32" ? kIdleTf32Bits : 0));
  }

  const MatrixUnit& unit_;
  Family family_;
  std::mt19937_64 random_;
  Inputs inputs_;
  int window_ = 1;          // of exponents
  bool is_lonely_ = false;  // the pair that cancels is all there is but for c
};

template <class Element>
std::vector<Element> narrowed(const std::vector<uint32_t>& codes) {
  return {codes.begin(), codes.end()};
}

struct Results {
  std::vector<uint32_t> fast, reference;
};

template <class Code, class Accumulator>
Results results_as(const MatrixUnit& unit, const Inputs& in, const Accumulation& how, int threads) {
  const std::vector<Code> a = narrowed<Code>(in.a), b = narrowed<Code>(in.b);
  const std::vector<Accumulator> c = narrowed<Accumulator>(in.c);
  std::vector<Accumulator> fast = c, reference(c.size());  // fast in place
  const auto& [m, n, k] = in.shape;
  multiply_matrices<Code, Accumulator>(unit, {m, n, k, a, b, fast, in.a_scales, in.b_scales}, fast, how, threads);
  multiply_matrices_reference<Code, Accumulator>(unit, {m, n, k, a, b, c, in.a_scales, in.b_scales}, reference, how,
                                                 threads);
  return {{fast.begin(), fast.end()}, {reference.begin(), reference.end()}};
}

template <class Accumulator>
Results results_as(const MatrixUnit& unit, const Inputs& in, const Accumulation& how, int threads) {
  switch (operand_bits(unit.a)) {
    case 16: return results_as<uint16_t, Accumulator>(unit, in, how, threads);
    case 32: return results_as<uint32_t, Accumulator>(unit, in, how, threads);
    default: return results_as<uint8_t, Accumulator>(unit, in, how, threads);
  }
}

Results results(const MatrixUnit& unit, const Inputs& in, const Accumulation& how = {}, int threads = 1) {
  return unit.accumulator == "binary16" ? results_as<uint16_t>(unit, in, how, threads)
                                        : results_as<uint32_t>(unit, in, how, threads);
}

/// The first output that is not what the reference says; empty: there is none.
std::string difference(const MatrixUnit& unit, const Inputs& in, const Accumulation& how, int threads = 1) {
  const Results got = results(unit, in, how, threads);
  const auto place = std::ranges::mismatch(got.fast, got.reference);
  if (place.in1 == got.fast.end()) return "";
  const size_t at = size_t(place.in1 - got.fast.begin()), n = size_t(in.shape.n);
  return fmt::format("{} {}x{}x{}, promotion {}, splits {}: output ({}, {}) is {:#x}, want {:#x}, c {:#x}", unit.name,
                     in.shape.m, in.shape.n, in.shape.k, how.promotion, how.splits, at / n, at % n, *place.in1,
                     *place.in2, in.c[at]);
}

constexpr Accumulation kPlain = {}, kPolicies[] = {{}, {1, 1}, {3, 1}, {0, 2}, {2, 3}};

/// What a comparison has found: empty, there is no difference.
struct Comparison {
  std::string difference = "";
  size_t outputs = 0;
};

/// Units and families of inputs in turn, with any of the shapes and policies, until there are as many outputs.
Comparison compare(const UnitFamily& family, size_t outputs) {
  constexpr Shape kShapes[] = {{16, 48, 64}, {5, 37, 33}, {1, 33, 96}, {33, 17, 16}, {7, 65, 40}, {18, 32, 128}};
  Comparison found;
  for (uint64_t seed = 0; found.outputs < outputs;)
    for (const std::string_view name : family.units)
      for (const Family inputs : kFamilies) {
        std::mt19937_64 random(++seed);
        MatrixUnit unit = find_matrix_unit(name);
        if (random() % 5 == 0 && unit.fraction > 0) unit.zero = ZeroSign::KeepUnderflow;
        const Shape& shape = kShapes[random() % std::size(kShapes)];
        const Accumulation& how = unit.accumulator == "binary32" ? kPolicies[random() % std::size(kPolicies)] : kPlain;
        const Inputs in = Generator(unit, inputs, shape, seed).run();
        found.outputs += in.c.size();
        found.difference = difference(unit, in, how, 0);
        if (found.difference.empty()) continue;
        found.difference = fmt::format("{}, seed {}: {}", kFamilyNames[size_t(inputs)], seed, found.difference);
        return found;
      }
  return found;
}

// HALFULP_ISA is read once per process, so each set is compared in a process of its own.
[[noreturn]] void compare_under(const char* isa, size_t outputs) {
  setenv("HALFULP_ISA", isa, 1);
  if (std::string_view(name(active_isa())) != isa) std::exit(2);
  for (const UnitFamily& family : kUnitFamilies) {
    const Comparison found = compare(family, outputs);
    std::cout << fmt::format("{}, {}: {} outputs{}{}", isa, family.name, found.outputs,
                             found.difference.empty() ? ", no difference" : ": ", found.difference)
              << std::endl;
    if (!found.difference.empty()) std::exit(1);
  }
  std::exit(0);
}

class MatrixMultiplyDeathTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    testing::GTEST_FLAG(death_test_style) = "threadsafe";
    const std::string_view isa = GetParam();
    if (isa == "avx2" && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) GTEST_SKIP() << "no AVX2";
    if (isa == "avx512" && !(__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")))
      GTEST_SKIP() << "no AVX-512";
  }
};

/// For each family of units.
TEST_P(MatrixMultiplyDeathTest, fast_way_equals_the_definition) {
  EXPECT_EXIT(compare_under(GetParam(), 100'000), testing::ExitedWithCode(0), "");
}
TEST_P(MatrixMultiplyDeathTest, fast_way_equals_the_definition_Exhaustive) {
  EXPECT_EXIT(compare_under(GetParam(), 10'000'000), testing::ExitedWithCode(0), "");
}
INSTANTIATE_TEST_SUITE_P(Isa, MatrixMultiplyDeathTest, testing::Values("portable", "avx2", "avx512"),
                         [](const auto& isa) { return std::string(isa.param); });

TEST(MatrixMultiply, units_under_test_have_a_fast_way) {
  for_each_unit([](const MatrixUnit& unit) { EXPECT_TRUE(has_fast_way(unit)) << unit.name; });
}

TEST(MatrixMultiply, every_unit_has_some_way) {
  int fast = 0;
  for (const MatrixUnit& unit : matrix_units()) {
    fast += has_fast_way(unit);
    if (unit.accumulator == "binary64") continue;
    const Inputs in = Generator(unit, Family::Window, {2, 3, unit.k + 1}, 7).run();
    EXPECT_EQ(difference(unit, in, {}), "") << unit.name;
  }
  EXPECT_GT(fast, 100);
}

TEST(MatrixMultiply, units_of_ones_own_have_any_fraction_and_block) {
  uint64_t seed = 0;
  for (const std::string_view name : {"hopper.mma.f16", "hopper.mma.f16.f16", "hopper.mma.bf16", "hopper.wgmma.e4m3"})
    for (const int fraction : {1, 5, 11, 22, 24, 25, 26})
      for (const int block : {1, 2, 3, 12, 24, 48}) {
        MatrixUnit unit = find_matrix_unit(name);
        unit.k = 48;
        unit.block = block;
        unit.fraction = fraction;
        unit.zero_exponent = -108 - fraction;
        EXPECT_EQ(has_fast_way(unit), fraction <= 25 && block << fraction <= 1 << 30);
        for (const Family family : {Family::Window, Family::Crowd})
          EXPECT_EQ(difference(unit, Generator(unit, family, {3, 34, 50}, ++seed).run(), {}), "")
              << fraction << " bits, blocks of " << block;
      }
}

TEST(MatrixMultiply, changed_units_equal_the_definition) {
  uint64_t seed = 0;
  for (const std::string_view text :
       {"cdna3.mfma.f16:sum_fraction=40", "cdna3.mfma.f16:fraction=20,sum_fraction=20", "cdna3.mfma.bf16:block=2,k=6",
        "cdna3.mfma.tf32:fraction=25,block=16,k=32", "cdna3.mfma.e4m3fnuz:block=8,sum_fraction=45",
        "cdna3.mfma.e4m3fnuz:fraction=12,sum_fraction=25", "blackwell.mxf8f6f4.e4m3:fraction=13,result=e8m13",
        "blackwell.mxf8f6f4.e5m2:block=8,zero=keep_underflow", "blackwell.mxf8f6f4.e4m3:zero_exponent=-60",
        "blackwell.mxf4.e2m1:fraction=35,k=256,block=256", "blackwell.mxf4.e2m1:fraction=10,result=e8m13",
        "blackwell.mxf4nvf4.e2m1.ue4m3x16:block=32,zero_exponent=20", "hopper.mma.e4m3:block=4,fraction=10",
        "hopper.wgmma.e5m2:fraction=9,block=8,zero_exponent=3", "cdna2.mfma.f16:block=8", "x86.tdpbf16ps:k=6",
        "cdna.mfma.f32:flushes_operands=true,flushes_accumulator=true", "ampere.mma.s8:saturates=true,k=64"}) {
    const MatrixUnit unit = parse_matrix_unit(text);
    EXPECT_TRUE(has_fast_way(unit)) << text;
    for (const Family family : kFamilies)
      EXPECT_EQ(difference(unit, Generator(unit, family, {7, 34, 290}, ++seed).run(), kPlain), "")
          << kFamilyNames[size_t(family)];
  }
}

TEST(MatrixMultiply, one_instruction_is_dot_product_add) {
  for_each_unit([](const MatrixUnit& unit) {
    const Inputs in = Generator(unit, Family::Window, {1, 1, unit.k}, 11).run();
    const std::vector<uint64_t> a(in.a.begin(), in.a.end()), b(in.b.begin(), in.b.end()),
        a_scales(in.a_scales.begin(), in.a_scales.end()), b_scales(in.b_scales.begin(), in.b_scales.end());
    EXPECT_EQ(results(unit, in).fast[0], dot_product_add(unit, {a, b, in.c[0], a_scales, b_scales})) << unit.name;
  });
}

/// In all columns of a panel: kernels look for what is out of the ordinary in whole vectors.
TEST(MatrixMultiply, terms_that_cancel_are_zero_however_large) {
  constexpr int kColumns = 32;
  for_each_unit([](const MatrixUnit& unit) {
    if (unit.fraction == 0 || unit.sum_fraction > 0) return;  // rounded at every step, or too large products infinite
    const Format a = parse_format(unit.a), b = parse_format(unit.b);
    const int idle = unit.a == "tf32" ? kIdleTf32Bits : 0;
    for (int exponent = std::max(a.min_exponent(), b.min_exponent());
         exponent <= std::min(max_exponent(a), max_exponent(b)); ++exponent) {
      const size_t k = size_t(unit.k);
      Inputs in{{1, kColumns, unit.k},
                std::vector<uint32_t>(k),
                std::vector<uint32_t>(kColumns * k),
                std::vector<uint32_t>(kColumns)};
      in.a[0] = uint32_t(exponent + a.bias) << (a.mantissa_bits + idle);
      in.a[1] = in.a[0] | 1u << (a.bits() - 1 + idle);
      for (size_t j = 0; j < kColumns; ++j)
        in.b[j * k] = in.b[j * k + 1] = uint32_t(exponent + b.bias) << (b.mantissa_bits + idle);
      if (!unit.scale.empty()) {
        const Format scale = parse_format(unit.scale);
        const size_t blocks = k / size_t(unit.scale_block);
        in.a_scales.assign(blocks, uint8_t(scale.bias << scale.mantissa_bits));  // 1
        in.b_scales.assign(blocks * kColumns, in.a_scales[0]);
      }
      const Results got = results(unit, in);
      EXPECT_EQ(got.reference, in.c) << unit.name;
      EXPECT_EQ(got.fast, in.c) << unit.name << ", 2^" << exponent;
    }
  });
}

/// Ties between two numbers of binary16, and ever less above or below them: what remains of it depends on the largest
/// exponent, which may be the unit's floor or that of a subnormal addend, and must not be lost before the rounding.
TEST(MatrixMultiply, ties_are_broken_by_all_that_is_kept) {
  struct Tie {
    uint32_t c;
    int product;  // its exponent; with c a tie
    int power;    // of what is added, and less than that
  };
  const auto code = [](int exponent) {
    return exponent >= -14 ? uint32_t(exponent + 15) << 10 : uint32_t{1} << (exponent + 24);
  };
  for (const std::string_view name :
       {"volta.mma.f16.f16", "ampere.mma.f16.f16", "hopper.mma.f16.f16", "hopper.wgmma.f16.f16"})
    for (const Tie& tie : {Tie{0, -25, -36}, {1, -25, -36}, {0x3c00, -11, -20}})
      for (int power = tie.power; power > tie.power - 13; --power)
        for (const uint32_t sign : {0x0000u, 0x8000u}) {
          const MatrixUnit& unit = find_matrix_unit(name);
          const std::vector<uint32_t> zeros(size_t(unit.k));
          Inputs in{{1, 1, unit.k}, zeros, zeros, {tie.c}};
          in.a[0] = code(tie.product / 2);
          in.b[0] = code(tie.product - tie.product / 2);
          in.a[1] = code(-24) | sign;
          in.b[1] = code(24 + power);
          EXPECT_EQ(difference(unit, in, {}), "") << power;
        }
}

/// Ties that a small product would break if it were not floored, and addends far below products that cancel.
TEST(MatrixMultiply, floored_sums_are_floored_where_the_definition_does) {
  for (const std::string_view name : {"cdna3.mfma.f16", "cdna3.mfma.bf16", "cdna3.mfma.tf32", "cdna3.mfma.e4m3fnuz"}) {
    const MatrixUnit& unit = find_matrix_unit(name);
    const Format format = parse_format(unit.a);
    const auto code = [&](float x) {
      return Caster(format, {}).encode_reference(x) << (unit.a == "tf32" ? kIdleTf32Bits : 0);
    };
    for (const float sign : {1.0f, -1.0f})
      for (int power = 0; power >= -40; --power) {
        Inputs in{{1, 1, unit.k}, std::vector<uint32_t>(size_t(unit.k)), std::vector<uint32_t>(size_t(unit.k)), {0}};
        in.a[0] = in.b[0] = in.b[2] = code(1);
        in.a[2] = code(-1);
        in.c[0] = std::bit_cast<uint32_t>(sign * std::ldexp(1.5f, power));
        EXPECT_EQ(difference(unit, in, {}), "") << power;
        in.a[1] = code(sign * std::ldexp(1.0f, power / 2));
        in.b[1] = code(std::ldexp(1.0f, power - power / 2));
        in.a[2] = 0;
        for (const float half : {1.0f, 0.5f})
          for (const float c : {0x1p24f, -0x1p24f, 0x1.000002p24f, -0x1.000002p24f}) {
            in.a[0] = code(half);
            in.c[0] = std::bit_cast<uint32_t>(c);
            EXPECT_EQ(difference(unit, in, {}), "") << power;
          }
      }
  }
}

/// A product of 2^-149 and one of the other sign that is 2^-t of it: below the unit's smallest exponent it is cut.
TEST(MatrixMultiply, scaled_terms_are_cut_below_the_smallest_exponent) {
  constexpr uint8_t kOne = 127;
  constexpr int kLeast = -149;
  for (const std::string_view name : {"blackwell.mxf8f6f4.e5m2", "blackwell.mxf4nvf4.e2m1.e8m0x16"}) {
    const MatrixUnit& unit = find_matrix_unit(name);
    const Format a = parse_format(unit.a);
    const uint32_t one = uint32_t(a.bias) << a.mantissa_bits, sign = 1u << (a.bits() - 1);
    const size_t k = size_t(unit.k), blocks = k / size_t(unit.scale_block);
    int cut = 0;
    for (int t = 1; t <= 40; ++t) {
      Inputs in{{1, 1, unit.k}, std::vector<uint32_t>(k), std::vector<uint32_t>(k), {0}};
      in.a_scales.assign(blocks, uint8_t(kOne + kLeast / 2));
      in.b_scales.assign(blocks, uint8_t(kOne + kLeast - kLeast / 2));
      const size_t other = blocks > 1 ? size_t(unit.scale_block) : 1;  // in a block with another scale, if there is one
      in.a[0] = in.b[0] = in.b[other] = one;
      if (blocks > 1) {
        in.a[other] = one | sign;
        in.b_scales[1] = uint8_t(in.b_scales[1] - t);
      } else {
        in.a[other] = Caster(a, {}).encode_reference(-std::ldexp(1.0f, -std::min(t, 16)));
        in.b[other] = Caster(a, {}).encode_reference(std::ldexp(1.0f, std::min(t, 16) - t));
      }
      EXPECT_EQ(difference(unit, in, {}), "") << t;
      cut += results(unit, in).reference[0] == 1;
    }
    EXPECT_GE(cut, 10) << name;
    EXPECT_LE(cut, 31) << name;
  }
}

/// However large its scales are.
TEST(MatrixMultiply, groups_of_zeros_do_not_cut_others) {
  constexpr uint8_t kOne = 127, kLarge = kOne + 60;
  const MatrixUnit& unit = find_matrix_unit("blackwell.mxf4nvf4.e2m1.e8m0x16");
  const size_t k = size_t(unit.k);
  const Inputs in = [&] {
    Inputs made{{1, 1, unit.k}, std::vector<uint32_t>(k), std::vector<uint32_t>(k), {0}, {}, {}};
    made.a_scales = {kLarge, kOne, kOne, kOne};
    made.b_scales = {kLarge, kOne, kOne, kOne};
    made.a[0] = made.a[16] = made.b[1] = made.b[16] = 2;  // 1: the first group's products have one factor each
    return made;
  }();
  EXPECT_EQ(difference(unit, in, {}), "");
  EXPECT_EQ(std::bit_cast<float>(results(unit, in).fast[0]), 1.0f);
}

/// Sums around the overflow before an infinity of the other sign: NaN, or that infinity.
TEST(MatrixMultiply, infinities_meet_what_overflowed_before) {
  struct Case {
    std::string_view unit;
    int exponent;       // of a factor, so that products, times their scales, lie around the largest number's last bit
    uint8_t scale;      // of A and of B
    uint32_t infinity;  // negative
  };
  constexpr uint32_t kMax = 0x7f7fffff, kNan = 0x7fffffff;
  constexpr int kColumns = 1000;
  for (const Case& its : {Case{"ampere.mma.bf16", 52, 0, 0xff80}, Case{"blackwell.mxf8f6f4.e5m2", 2, 127 + 50, 0xfc}}) {
    const MatrixUnit& unit = find_matrix_unit(its.unit);
    const Format format = parse_format(unit.a);
    const int depth = 2 * unit.block, step = 1 << format.mantissa_bits;
    const int exponents = (its.exponent + format.bias) * step;
    std::mt19937 random(1);
    Inputs in{{1, kColumns, depth}, {}, {}, std::vector<uint32_t>(kColumns, kMax)};
    for (int k = 0; k < depth; ++k)
      in.a.push_back(k == unit.block ? its.infinity
                                     : uint32_t(exponents - 2 * step) | uint32_t(random() % uint32_t(step)));
    for (int j = 0; j < kColumns; ++j) {
      const int larger = exponents - int(random() % 4) * step;
      for (int k = 0; k < depth; ++k)
        in.b.push_back(uint32_t(larger - int(random() % 2) * step) | uint32_t(random() % uint32_t(step)));
    }
    if (!unit.scale.empty()) {
      in.a_scales.assign(2, its.scale);
      in.b_scales.assign(2 * kColumns, its.scale);
    }
    EXPECT_EQ(difference(unit, in, {}), "");
    const std::vector<uint32_t> d = results(unit, in).fast;
    EXPECT_GT(std::ranges::count(d, kNan), kColumns / 20) << its.unit;
    EXPECT_GT(std::ranges::count(d, 0xff800000), kColumns / 20) << its.unit;
  }
}

/// The last instruction is filled up with zeros, and so are scales.
TEST(MatrixMultiply, incomplete_instructions_are_filled_up_with_zeros) {
  for (const std::string_view name :
       {"blackwell.mxf8f6f4.e4m3", "blackwell.mxf4nvf4.e2m1.ue4m3x16", "ampere.mma.s8", "ampere.mma.b1.xor"}) {
    const MatrixUnit& unit = find_matrix_unit(name);
    const Inputs whole = Generator(unit, Family::FiniteBits, {1, 1, 3 * unit.k}, 1).run();
    for (const int k : {1, unit.k - 1, unit.k + 1, 2 * unit.k + unit.k / 2}) {
      Inputs cut = whole, zeros = whole;
      cut.shape.k = k;
      const int scales = unit.scale.empty() ? 0 : (k + unit.scale_block - 1) / unit.scale_block;
      for (const auto codes : {&Inputs::a, &Inputs::b}) {
        (cut.*codes).resize(size_t(k));
        std::fill((zeros.*codes).begin() + k, (zeros.*codes).end(), 0);
      }
      for (const auto codes : {&Inputs::a_scales, &Inputs::b_scales}) (cut.*codes).resize(size_t(scales));
      const Results got = results(unit, cut);
      EXPECT_EQ(got.fast, results(unit, zeros).reference) << name << ", " << k;
      EXPECT_EQ(got.reference, got.fast) << name << ", " << k;
    }
  }
}

/// Where flushing is seen: products and addends around the smallest normal number, and zeros of both signs.
TEST(MatrixMultiply, steps_flush_what_is_below_the_smallest_normal_number) {
  constexpr uint32_t kSmallest[] = {0x00800000, 0x007fffff, 0x00000001, 0};  // 2^-126 and less
  constexpr int kExponents[] = {-62, -63, -64};                              // of factors
  std::mt19937 random(1);
  for (const std::string_view name : {"cdna2.mfma.bf16", "cdna2.mfma.bf16_1k", "x86.vdpbf16ps", "x86.tdpbf16ps"}) {
    const MatrixUnit& unit = find_matrix_unit(name);
    const auto factor = [&] {
      const uint32_t sign = uint32_t(random() % 2) << 15;
      return random() % 2 == 0 ? sign : sign | uint32_t(127 + kExponents[random() % 3]) << 7;
    };
    for (int i = 0; i < 2000; ++i) {
      Inputs in{{1, 1, unit.k}, {}, {}, {kSmallest[random() % 4] | uint32_t(random() % 2) << 31}};
      const uint32_t zeros = i % 2 == 0 ? 0 : 0x8000;  // of the other products
      for (int k = 0; k < unit.k; ++k) {
        in.a.push_back(k < 2 ? factor() : zeros);
        in.b.push_back(k < 2 ? factor() : 0);
      }
      ASSERT_EQ(difference(unit, in, {}), "") << i;
    }
  }
}

TEST(MatrixMultiply, units_of_binary64_equal_the_definition) {
  for (const std::string_view name :
       {"ampere.mma.f64.k8", "ampere.mma.f64.rz", "ampere.mma.f64.rm", "ampere.mma.f64.rp"}) {
    const MatrixUnit& unit = find_matrix_unit(name);
    const int m = 9, n = 70, k = 21;
    std::mt19937_64 random(1);
    for (const bool any : {false, true}) {
      const auto codes = [&](int count) {
        std::vector<uint64_t> all(static_cast<size_t>(count));
        for (uint64_t& code : all)
          code =
              any ? random() : std::bit_cast<uint64_t>(std::ldexp(double(int64_t(random())), int(random() % 9) - 64));
        return all;
      };
      const std::vector<uint64_t> a = codes(m * k), b = codes(n * k), c = codes(m * n);
      std::vector<uint64_t> fast = c, want(c.size());
      multiply_matrices<uint64_t, uint64_t>(unit, {m, n, k, a, b, fast}, fast, {}, 2);
      multiply_matrices_reference<uint64_t, uint64_t>(unit, {m, n, k, a, b, c}, want);
      EXPECT_EQ(fast, want) << name;
    }
  }
}

TEST(MatrixMultiply, units_of_binary64_are_chains_of_fused_steps) {
  const std::vector<uint64_t> a = {std::bit_cast<uint64_t>(0.1), std::bit_cast<uint64_t>(3.0),
                                   std::bit_cast<uint64_t>(-0.7)},
                              b = {std::bit_cast<uint64_t>(0.3), std::bit_cast<uint64_t>(1e-17),
                                   std::bit_cast<uint64_t>(1.1)},
                              c = {std::bit_cast<uint64_t>(1.0)};
  std::vector<uint64_t> d(1);
  multiply_matrices<uint64_t, uint64_t>(find_matrix_unit("ampere.mma.f64"), {1, 1, 3, a, b, c}, d);
  EXPECT_EQ(std::bit_cast<double>(d[0]), std::fma(-0.7, 1.1, std::fma(3.0, 1e-17, std::fma(0.1, 0.3, 1.0))));
}

TEST(MatrixMultiply, promotion_adds_sums_of_instructions_in_binary32) {
  const MatrixUnit& unit = find_matrix_unit("hopper.wgmma.e4m3");
  const size_t k = size_t(unit.k);
  const Inputs in = Generator(unit, Family::Normal, {1, 1, 5 * unit.k}, 3).run();
  const std::vector<uint64_t> a(in.a.begin(), in.a.end()), b(in.b.begin(), in.b.end());
  const auto chain = [&](size_t first, size_t last) {
    uint64_t c = 0;
    for (size_t i = first; i < last; ++i)
      c = dot_product_add(unit, {std::span(a).subspan(i * k, k), std::span(b).subspan(i * k, k), c});
    return std::bit_cast<float>(uint32_t(c));
  };
  const float c = std::bit_cast<float>(in.c[0]);
  EXPECT_EQ(std::bit_cast<float>(results(unit, in, {2, 1}).fast[0]), ((c + chain(0, 2)) + chain(2, 4)) + chain(4, 5));
  EXPECT_EQ(std::bit_cast<float>(results(unit, in, {0, 2}).fast[0]), (c + chain(0, 3)) + chain(3, 5));
  EXPECT_EQ(std::bit_cast<float>(results(unit, in, {2, 2}).fast[0]), (c + (chain(0, 2) + chain(2, 3))) + chain(3, 5));
}

/// The same matrix with its other lines contiguous.
std::vector<uint32_t> transposed(const std::vector<uint32_t>& x, int rows, int columns) {
  std::vector<uint32_t> y(x.size());
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) y[size_t(j * rows + i)] = x[size_t(i * columns + j)];
  return y;
}

TEST(MatrixMultiply, layouts_do_not_change_bits) {
  using enum Layout;
  const Shape s{70, 33, 40};
  const MatrixUnit& unit = find_matrix_unit("hopper.mma.tf32");
  const Inputs in = Generator(unit, Family::Window, s, 5).run();
  const std::vector<uint32_t> want = results(unit, in).fast, a = transposed(in.a, s.m, s.k),
                              b = transposed(in.b, s.n, s.k), c = transposed(in.c, s.m, s.n);
  for (const Layout of_a : {RowMajor, ColumnMajor})
    for (const Layout of_b : {RowMajor, ColumnMajor})
      for (const Layout of_c : {RowMajor, ColumnMajor}) {
        std::vector<uint32_t> d = of_c == RowMajor ? in.c : c;
        const MatrixProduct<uint32_t, uint32_t> product{.m = s.m,
                                                        .n = s.n,
                                                        .k = s.k,
                                                        .a = of_a == RowMajor ? in.a : a,
                                                        .b = of_b == RowMajor ? b : in.b,
                                                        .c = d,
                                                        .a_layout = of_a,
                                                        .b_layout = of_b,
                                                        .c_layout = of_c};
        std::vector<uint32_t> by_definition(d.size());
        multiply_matrices_reference<uint32_t, uint32_t>(unit, product, by_definition);
        multiply_matrices<uint32_t, uint32_t>(unit, product, d);  // in place
        EXPECT_EQ(of_c == RowMajor ? d : transposed(d, s.n, s.m), want);
        EXPECT_EQ(by_definition, d);
      }
}

TEST(MatrixMultiply, threads_do_not_change_bits) {
  for (const std::string_view name : {"hopper.wgmma.e4m3", "hopper.mma.bf16", "hopper.mma.e5m2.f16"}) {
    const MatrixUnit& unit = find_matrix_unit(name);
    const Inputs in = Generator(unit, Family::Bits, {70, 90, 64}, 5).run();
    const std::vector<uint32_t> want = results(unit, in).fast;
    for (int threads : {2, 3, 0}) EXPECT_EQ(results(unit, in, {}, threads).fast, want) << name << ", " << threads;
  }
}

TEST(MatrixMultiply, callers_control_register_has_no_say_and_comes_back) {
  for (const std::string_view name :
       {"hopper.mma.f16", "hopper.mma.tf32", "hopper.mma.e5m2.f16", "blackwell.mxf8f6f4.e5m2", "cdna3.mfma.bf16",
        "cdna2.mfma.bf16", "x86.vdpbf16ps", "cdna.mfma.f32"}) {
    const MatrixUnit& unit = find_matrix_unit(name);
    const Inputs in = Generator(unit, Family::Tiny, {9, 40, 64}, 5).run();
    const Results want = results(unit, in, {}, 1);
    for (const uint32_t control : {kMasks | kUp, kMasks | kDown | kFlushToZero | kSubnormalsAreZero, kUnmaskedAll}) {
      const ControlRegister register_of_caller(control);
      const Results got = results(unit, in, {}, 2);
      EXPECT_EQ(_mm_getcsr() & ~0x3fu, control);
      EXPECT_EQ(got.fast, want.reference) << name;
      EXPECT_EQ(got.reference, want.reference) << name;
    }
  }
}

TEST(MatrixMultiply, without_products_d_is_c) {
  const std::vector<uint32_t> c = {0x7fc00001, 0x80000000, 1};
  std::vector<uint32_t> d(3);
  multiply_matrices<uint16_t, uint32_t>(find_matrix_unit("hopper.mma.f16"), {1, 3, 0, {}, {}, c}, d);
  EXPECT_EQ(d, c);
  multiply_matrices<uint16_t, uint32_t>(find_matrix_unit("hopper.mma.f16"),
                                        {0, 3, 5, {}, std::vector<uint16_t>(15), {}}, {});
}

template <class Code, class Accumulator>
std::string complaint(std::string_view name, Shape s, size_t a, const Accumulation& how = {}) {
  const std::vector<Code> codes(a), b(size_t(s.n) * size_t(s.k));
  std::vector<Accumulator> d(size_t(s.m) * size_t(s.n));
  try {
    multiply_matrices<Code, Accumulator>(find_matrix_unit(name), {s.m, s.n, s.k, codes, b, d}, d, how);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(MatrixMultiply, what_cannot_be_is_refused) {
  EXPECT_EQ((complaint<uint16_t, uint32_t>("hopper.mma.f16", {2, 2, 5}, 10)), "");
  EXPECT_EQ((complaint<uint16_t, uint32_t>("hopper.mma.f16", {2, 2, 5}, 11)), "hopper.mma.f16: a has not m · k codes");
  EXPECT_NE((complaint<uint8_t, uint32_t>("hopper.mma.f16", {2, 2, 5}, 10)).find("wider elements"), std::string::npos);
  EXPECT_NE((complaint<uint16_t, uint32_t>("hopper.mma.f16.f16", {2, 2, 5}, 10)).find("as wide as"), std::string::npos);
  EXPECT_NE((complaint<uint32_t, uint32_t>("ampere.mma.f64", {2, 2, 5}, 10)).find("wider"), std::string::npos);
  EXPECT_NE((complaint<uint64_t, uint64_t>("hopper.mma.f16", {2, 2, 5}, 10)).find("as wide as"), std::string::npos);
  EXPECT_NE((complaint<uint16_t, uint16_t>("hopper.mma.f16.f16", {2, 2, 5}, 10, {1, 1})).find("binary32"),
            std::string::npos);
  EXPECT_NE((complaint<uint16_t, uint32_t>("hopper.mma.f16", {2, 2, 5}, 10, {-1, 1})).find("promotion"),
            std::string::npos);
  EXPECT_NE((complaint<uint16_t, uint32_t>("hopper.mma.f16", {2, 2, 5}, 10, {0, 0})).find("splits"), std::string::npos);
  EXPECT_NE((complaint<uint8_t, uint32_t>("blackwell.mxf8f6f4.e4m3", {2, 2, 32}, 64)).find("a_scales"),
            std::string::npos);
}

}  // namespace
}  // namespace halfulp
