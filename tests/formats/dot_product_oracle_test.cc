// Dot products of the matrix units of tests/unit_oracle_chains.h against that oracle.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "formats/dot_product.h"
#include "tests/unit_families.h"
#include "tests/unit_oracle_chains.h"

namespace halfulp {
namespace {

using enum DotOperation;

bool cuts_terms(const MatrixUnit& unit) {
  return unit.operation == TruncatedFused || unit.operation == GroupScaledFused || unit.operation == ViaHalf;
}

bool is_whole(const MatrixUnit& unit) { return unit.accumulator == "int32"; }

/// Outputs that were compared.
struct Count {
  int units = 0;
  int64_t outputs = 0;
  int64_t open_nans = 0;  // of these, NaNs of any code, as nobody says which
  int64_t left_out = 0;   // none of these: see unit_oracle::is_open

  void print() const {
    fmt::print("{} outputs of {} units compared, {} of them NaNs whose code nobody states; {} left out\n", outputs,
               units, open_nans, left_out);
  }
};

/// Zeros, ones, infinities, NaNs, quiet or not, and the ends of a format.
uint64_t landmark(const UnitNumbers& x, std::mt19937_64& random) {
  constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();
  const double all[] = {0, 1, kInf, kNan, std::ldexp(1, x.highest()), std::ldexp(1, x.lowest())};
  const double chosen = all[random() % std::size(all)];
  const uint64_t code = x.of(chosen) | (chosen == kInf ? random() % 2 : 0);
  return random() % 2 == 0 ? code : x.negated(code);
}

/// A few landmarks among ones.
UnitRecord landmarks(const MatrixUnit& unit, std::mt19937_64& random) {
  const UnitNumbers a(unit.a), b(unit.b), c(unit.accumulator);
  const auto operand = [&](const UnitNumbers& x) {
    return random() % uint64_t(unit.k) < 2 ? landmark(x, random) : x.of(1);
  };
  UnitRecord record;
  for (int k = 0; k < unit.k; ++k) {
    record.a.push_back(operand(a));
    record.b.push_back(operand(b));
  }
  record.c = landmark(c, random);
  return record;
}

template <class Next>
void compare_floats(const MatrixUnit& unit, std::string_view family, int records, Count& count, Next next) {
  const UnitNumbers results(unit.accumulator);
  for (int i = 0; i < records; ++i) {
    const UnitRecord record = next();
    if (unit_oracle::is_open(unit, record.inputs())) {
      ++count.left_out;
      continue;
    }
    const uint64_t got = dot_product_add(unit, record.inputs());
    const std::optional<uint64_t> want = unit_oracle::float_output(unit, record.inputs());
    const std::string oracle = want ? fmt::format("{:x}", *want) : "a NaN";
    ASSERT_TRUE(want ? got == *want : std::isnan(results.value(got)))
        << fmt::format("{} {:x}, oracle {}; ", family, got, oracle) << spelled(unit, record);
    ++count.outputs;
    count.open_nans += !want;
  }
}

void compare_floats(const MatrixUnit& unit, int records, Count& count) {
  UnitStimulus stimulus(unit);
  for (const UnitFamily family : kUnitFamilies)
    compare_floats(unit, kUnitFamilyNames[size_t(family)], records, count, [&] { return stimulus.next(family); });
  std::mt19937_64 random(1);
  compare_floats(unit, "landmarks", records, count, [&] { return landmarks(unit, random); });
}

/// Uniform codes, or with `is_extreme` operands of few values and a c near the ends of int32.
UnitRecord whole_record(const MatrixUnit& unit, bool is_extreme, std::mt19937_64& random) {
  const auto operand = [&](std::string_view format) {
    const uint64_t half = uint64_t{1} << (operand_bits(format) - 1), any = random();
    return is_extreme ? (any % 2 == 0 ? half : half - 1) : any % (2 * half);
  };
  UnitRecord record;
  for (int k = 0; k < unit.k; ++k) {
    record.a.push_back(operand(unit.a));
    record.b.push_back(operand(unit.b));
  }
  record.c = is_extreme ? (uint32_t{1} << 31) - (1 << 19) + random() % (1 << 20) : random() >> 32;
  return record;
}

void compare_whole_numbers(const MatrixUnit& unit, int records, Count& count) {
  std::mt19937_64 random(1);
  for (const bool is_extreme : {false, true})
    for (int i = 0; i < records; ++i) {
      const UnitRecord record = whole_record(unit, is_extreme, random);
      const uint64_t got = dot_product_add(unit, record.inputs());
      const uint64_t want = unit_oracle::whole_output(unit, record.inputs());
      ASSERT_EQ(got, want) << fmt::format("{:x}, oracle {:x}; ", got, want) << spelled(unit, record);
      ++count.outputs;
    }
}

void compare(const MatrixUnit& unit, int records, Count& count) {
  is_whole(unit) ? compare_whole_numbers(unit, records, count) : compare_floats(unit, records, count);
  ++count.units;
}

void compare_all_units(int records) {
  Count count;
  for (const MatrixUnit& unit : matrix_units())
    if (!cuts_terms(unit)) compare(unit, records, count);
  count.print();
  EXPECT_GE(count.units, 60);
}

TEST(DotProductOracle, units_that_round_on_the_way_add_exactly_or_floor) { compare_all_units(2000); }

TEST(DotProductOracle, such_units_with_changed_fields) {
  Count count;
  for (const char* text :
       {"cdna.mfma.f32:k=9,flushes_operands=true", "cdna1.mfma.f16:rounding=toward_zero,k=13,block=5",
        "cdna1.mfma.bf16:rounding=to_odd", "cdna2.mfma.f16:block=8", "cdna2.mfma.f16:flushes_operands=false",
        "cdna2.mfma.bf16:flushes_accumulator=false", "cdna3.mfma.f16:fraction=5,sum_fraction=9",
        "cdna3.mfma.bf16:fraction=40,sum_fraction=20,block=3", "cdna3.mfma.tf32:rounding=toward_zero,k=7",
        "cdna3.mfma.e4m3fnuz:fraction=7,sum_fraction=12", "cdna3.mfma.e5m2fnuz:block=6,rounding=to_odd",
        "x86.vdpbf16ps:k=6", "x86.tdpbf16ps:flushes_operands=false", "arm.bfdot:rounding=ties_to_even,k=6",
        "arm.bfdot.ebf:rounding=to_odd,k=8", "arm.fdot.e5m2.f16:k=9,block=3", "ampere.mma.s8:k=1000",
        "ampere.mma.b1.xor:k=77"})
    compare(parse_matrix_unit(text), 500, count);
  count.print();
}

TEST(DotProductOracleExhaustive, units_that_round_on_the_way_add_exactly_or_floor) { compare_all_units(50000); }

}  // namespace
}  // namespace halfulp
