// The registry of matrix units, and units with changed fields.

#include "formats/matrix_unit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "formats/dot_product.h"

namespace halfulp {
namespace {

TEST(MatrixUnit, names_are_unique_and_found) {
  std::set<std::string> names;
  for (const MatrixUnit& unit : matrix_units()) {
    EXPECT_TRUE(names.insert(unit.name).second) << unit.name << " twice";
    EXPECT_EQ(&find_matrix_unit(unit.name), &unit);
  }
  EXPECT_GT(names.size(), 200u);
}

TEST(MatrixUnit, fields_fit_each_other) {
  for (const MatrixUnit& unit : matrix_units()) {
    EXPECT_GT(unit.k, 0) << unit.name;
    EXPECT_GT(operand_bits(unit.a), 0) << unit.name;
    EXPECT_GT(operand_bits(unit.b), 0) << unit.name;
    EXPECT_GT(operand_bits(unit.accumulator), 0) << unit.name;
    EXPECT_FALSE(unit.source.empty()) << unit.name;
    EXPECT_FALSE(unit.architecture.empty()) << unit.name;
    EXPECT_EQ(unit.fraction > 0, unit.result != "" || unit.sum_fraction > 0) << unit.name;
    EXPECT_EQ(unit.scale.empty(), unit.scale_block == 0) << unit.name;
    if (unit.block > 0) {
      EXPECT_EQ(unit.k % unit.block, 0) << unit.name;
    }
  }
}

// e_zero of binary32 accumulators is -108 - F wherever the specification states one.
TEST(MatrixUnit, zero_exponents_follow_the_fraction_of_the_generation) {
  for (const auto& [name, zero_exponent] : {std::pair{"volta.mma.f16", -131},
                                            {"turing.mma.f16", -132},
                                            {"ampere.mma.f16", -132},
                                            {"ada.mma.e4m3", -132},
                                            {"hopper.mma.f16", -133},
                                            {"hopper.wgmma.e4m3", -133},
                                            {"volta.mma.f16.f16", -20},
                                            {"ampere.mma.f16.f16", -21},
                                            {"hopper.mma.f16.f16", -22},
                                            {"hopper.wgmma.f16.f16", -133},
                                            {"blackwell.tcgen05.f16.f16", -133}})
    EXPECT_EQ(find_matrix_unit(name).zero_exponent, zero_exponent) << name;
}

// The other direction needs the captured outputs: tests/cli/validate_test.cc.
TEST(MatrixUnit, evidence_of_hardware_has_fixtures_and_nothing_else_has) {
  int count = 0;
  for (const MatrixUnit& unit : matrix_units()) {
    EXPECT_EQ(unit.evidence == Evidence::Hardware, !unit.fixtures.empty()) << unit.name;
    count += unit.evidence == Evidence::Hardware;
  }
  EXPECT_EQ(count, 26);
}

// ---- units with changed fields ----

TEST(ChangedMatrixUnit, a_name_alone_is_the_unit) {
  EXPECT_EQ(parse_matrix_unit("hopper.mma.f16").evidence, Evidence::Hardware);
}

TEST(ChangedMatrixUnit, fields_are_changed_and_claims_are_dropped) {
  const MatrixUnit unit = parse_matrix_unit(
      "hopper.wgmma.e4m3:fraction=25,block=16,zero_exponent=-100,result=binary32,rounding=ties_to_even,zero=ieee,k=64,"
      "flushes_operands=true,flushes_accumulator=true");
  EXPECT_EQ(unit.fraction, 25);
  EXPECT_EQ(unit.block, 16);
  EXPECT_EQ(unit.zero_exponent, -100);
  EXPECT_EQ(unit.result, "binary32");
  EXPECT_EQ(unit.rounding, Rounding::TiesToEven);
  EXPECT_EQ(unit.zero, ZeroSign::Ieee);
  EXPECT_EQ(unit.k, 64);
  EXPECT_TRUE(unit.flushes_operands && unit.flushes_accumulator);
  EXPECT_EQ(unit.evidence, Evidence::Convention);
  EXPECT_TRUE(unit.fixtures.empty());
  EXPECT_TRUE(unit.name.starts_with("hopper.wgmma.e4m3:fraction=25"));
  EXPECT_EQ(parse_matrix_unit("cdna3.mfma.f16:sum_fraction=30").sum_fraction, 30);
  EXPECT_TRUE(parse_matrix_unit("ampere.mma.s8:saturates=true").saturates);
}

void expect_turned_down(const std::string& text, const std::string& part) {
  try {
    parse_matrix_unit(text);
    ADD_FAILURE() << text << " was taken";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << text << ": " << error.what();
  }
}

TEST(ChangedMatrixUnit, impossible_values_are_turned_down) {
  expect_turned_down("hoper.mma.f16", "nearest: hopper.mma.f16");
  expect_turned_down("hopper.mma.f16:", "'' is not FIELD=VALUE");
  expect_turned_down("hopper.mma.f16:fraction", "'fraction' is not FIELD=VALUE");
  expect_turned_down("hopper.mma.f16:fraction=24,", "'' is not FIELD=VALUE");
  expect_turned_down("hopper.mma.f16:fracton=24", "nearest: fraction");
  expect_turned_down("hopper.mma.f16:fraction=0", "fraction: '0' is not a whole number in 1 … 60");
  expect_turned_down("hopper.mma.f16:fraction=61", "fraction: '61' is not a whole number in 1 … 60");
  expect_turned_down("hopper.mma.f16:fraction=2x", "'2x' is not a whole number");
  expect_turned_down("hopper.mma.f16:block=0", "block: '0' is not a whole number in 1 … 65536");
  expect_turned_down("hopper.mma.f16:k=-1", "k: '-1' is not a whole number in 1 … 65536");
  expect_turned_down("hopper.mma.f16:k=99999999999", "k: '99999999999' is not");
  expect_turned_down("hopper.mma.f16:zero_exponent=501", "-500 … 500");
  expect_turned_down("hopper.mma.f16:result=binary16", "known: binary32, e8m13, tf32, bfloat16");
  expect_turned_down("hopper.mma.f16.f16:result=binary32", "known: binary16");
  expect_turned_down("hopper.mma.f16:rounding=stochastic_a", "stochastic_a: no unit has random bits");
  expect_turned_down("hopper.mma.f16:rounding=up", "no rounding named 'up'");
  expect_turned_down("hopper.mma.f16:zero=negative", "known: positive, keep_underflow, ieee");
  expect_turned_down("hopper.mma.f16:saturates=true", "saturates: units of truncated_fused have none");
  expect_turned_down("hopper.mma.f16:sum_fraction=30", "sum_fraction: units of truncated_fused have none");
  expect_turned_down("ampere.mma.s8:fraction=3", "fraction: units of integer have none");
  expect_turned_down("ampere.mma.s8:saturates=1", "saturates: '1' is not true or false");
  expect_turned_down("ampere.mma.f64:flushes_operands=true", "units of fma_chain have none");
  expect_turned_down("hopper.mma.e4m3:flushes_operands=true", "units of via_half have none");
  expect_turned_down("hopper.mma.e4m3:k=30", "k: 30 is not a multiple of 4");
  expect_turned_down("cdna2.mfma.f16:block=3,k=9", "block: 3 is not a power of two");
  expect_turned_down("cdna2.mfma.f16:block=32", "k: 16 is not a multiple of 32");
  expect_turned_down("x86.vdpbf16ps:k=3", "k: 3 is not a multiple of 2");
  expect_turned_down("arm.bfdot:k=3", "k: 3 is not a multiple of 2");
  expect_turned_down("blackwell.mxf4.e2m1:block=8", "block: 8 is not a multiple of the group, 16");
  expect_turned_down("blackwell.mxf4.e2m1:k=16", "k: 16 is not a multiple of 32");
}

// Whatever is taken computes, at the ends of all ranges.
TEST(ChangedMatrixUnit, every_unit_computes_with_every_field_at_its_ends) {
  const auto computes = [](const MatrixUnit& unit) {
    const std::vector<uint64_t> codes(size_t(unit.k), 1), scales(size_t(unit.k), 0x30);
    dot_product_add(unit, {.a = codes, .b = codes, .c = 1, .a_scales = scales, .b_scales = scales});
  };
  int taken = 0;
  for (const MatrixUnit& unit : matrix_units())
    for (const char* change : {"fraction=1", "fraction=60", "block=1", "block=65536", "zero_exponent=-500",
                               "zero_exponent=500", "sum_fraction=1", "sum_fraction=60", "k=1", "k=960",
                               "rounding=to_odd", "flushes_operands=true", "flushes_accumulator=true", "zero=ieee"})
      try {
        computes(parse_matrix_unit(unit.name + ":" + change));
        ++taken;
      } catch (const std::invalid_argument&) {
      }
  EXPECT_GT(taken, 1500);
}

}  // namespace
}  // namespace halfulp
