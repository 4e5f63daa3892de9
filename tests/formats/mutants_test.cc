// Would a wrong field of a matrix unit be noticed? Units with one field changed, each of which outputs must tell from
// the real one: captured ones, and those of families of operands made for it. How many do is cuda/MUTANTS.md, which
//
//     HALFULP_WRITE_MUTANTS=1 build/release/tests/formats_mutants_test
//
// writes.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/ranges.h>

#include "cli/capture.h"
#include "formats/dot_product.h"
#include "tests/golden.h"
#include "tests/unit_families.h"

namespace halfulp {
namespace {

constexpr int kRecords = 2000;  // of each family

/// A unit and what is changed about it.
struct Mutants {
  const char* unit;
  std::vector<const char*> changes;
};

const std::vector<Mutants>& mutants() {
  static const std::vector<Mutants> all = {
      {"volta.mma.f16", {"fraction=22", "fraction=24", "block=2", "rounding=ties_to_even", "flushes_operands=true"}},
      {"ampere.mma.f16.k8", {"fraction=23", "fraction=25", "block=4", "rounding=ties_to_even"}},
      {"ampere.mma.f16", {"fraction=23", "fraction=25", "block=4", "block=16"}},
      {"hopper.mma.f16",
       {"fraction=24", "fraction=26", "block=8", "rounding=ties_to_even", "rounding=toward_negative", "result=e8m13",
        "flushes_operands=true", "flushes_accumulator=true", "zero=ieee"}},
      {"hopper.mma.f16.f16",
       {"fraction=24", "fraction=26", "block=8", "zero_exponent=-23", "zero_exponent=-21", "rounding=toward_zero",
        "flushes_operands=true", "flushes_accumulator=true", "zero=keep_underflow"}},
      {"hopper.mma.bf16",
       {"fraction=24", "fraction=26", "block=8", "zero_exponent=-134", "zero_exponent=-132", "rounding=ties_to_even",
        "flushes_operands=true", "flushes_accumulator=true", "zero=keep_underflow"}},
      {"hopper.mma.tf32.k4", {"fraction=24", "fraction=26", "block=2", "zero_exponent=-134", "zero_exponent=-132"}},
      {"ada.mma.e4m3",
       {"fraction=12", "fraction=14", "block=8", "block=32", "result=binary32", "rounding=ties_to_even"}},
      {"hopper.wgmma.e4m3",
       {"fraction=12", "fraction=14", "block=16", "result=binary32", "result=tf32", "rounding=ties_to_even",
        "flushes_operands=true"}},
      {"hopper.wgmma.e5m2", {"fraction=12", "fraction=14", "block=16", "result=binary32", "rounding=ties_to_even"}},
      {"hopper.mma.e4m3", {"fraction=24", "fraction=26", "block=8", "rounding=ties_to_even"}},
      {"hopper.mma.e4m3.f16", {"fraction=24", "fraction=26", "block=8", "rounding=toward_zero"}},
      {"blackwell.tcgen05.e4m3", {"fraction=24", "fraction=26", "block=16", "rounding=ties_to_even"}},
      {"blackwell.mxf8f6f4.e4m3", {"fraction=24", "fraction=26", "block=16", "rounding=ties_to_even"}},
      {"blackwell.mxf8f6f4.e5m2", {"zero_exponent=-140", "zero_exponent=-130", "zero=keep_underflow"}},
      {"blackwell.mxf4nvf4.e2m1.ue4m3x16", {"fraction=34", "fraction=36", "block=32", "rounding=ties_to_even"}},
      {"cdna1.mfma.f16", {"block=2", "block=8", "rounding=toward_zero", "flushes_operands=true"}},
      {"cdna2.mfma.f16", {"block=2", "flushes_operands=false", "flushes_accumulator=false"}},
      {"cdna3.mfma.f16", {"fraction=23", "fraction=25", "block=4", "sum_fraction=30", "rounding=toward_zero"}},
      {"cdna3.mfma.e4m3fnuz", {"fraction=23", "fraction=25", "block=8", "sum_fraction=24", "rounding=toward_zero"}},
      {"x86.vdpbf16ps", {"flushes_operands=false", "flushes_accumulator=false"}},
      {"x86.vpdpbusd", {"saturates=true"}},
      {"arm.bfdot", {"rounding=ties_to_even", "flushes_operands=false", "flushes_accumulator=false"}},
  };
  return all;
}

/// A change that no text asks for, since nobody would want such a unit.
struct StructuralMutant {
  const char* unit;
  const char* text;  // as if one could
  void (*change)(MatrixUnit&);
};

template <DotOperation kOperation>
void set_operation(MatrixUnit& unit) {
  unit.operation = kOperation;
}
void keep_results(MatrixUnit& unit) { unit.flushes_results = false; }

constexpr StructuralMutant kStructuralMutants[] = {
    {"hopper.mma.f16", "operation=exact_fused", set_operation<DotOperation::ExactFused>},
    {"hopper.wgmma.e4m3", "operation=via_half", set_operation<DotOperation::ViaHalf>},
    {"hopper.mma.e4m3", "operation=truncated_fused", set_operation<DotOperation::TruncatedFused>},
    {"hopper.mma.e4m3", "b=e5m2", [](MatrixUnit& unit) { unit.b = "e5m2"; }},
    {"blackwell.mxf4nvf4.e2m1.ue4m3x16", "group=32", [](MatrixUnit& unit) { unit.group = 32; }},
    {"blackwell.mxf4nvf4.e2m1.ue4m3x16", "scale=e8m0", [](MatrixUnit& unit) { unit.scale = "e8m0"; }},
    {"blackwell.mxf4nvf4.e2m1.e8m0x16", "scale_block=32", [](MatrixUnit& unit) { unit.scale_block = 32; }},
    {"cdna2.mfma.bf16_1k", "flushes_results=false", keep_results},
    {"cdna3.mfma.f16", "operation=split_then_floor", set_operation<DotOperation::SplitThenFloor>},
    {"cdna3.mfma.e4m3fnuz", "operation=truncate_then_floor", set_operation<DotOperation::TruncateThenFloor>},
    {"x86.vdpbf16ps", "operation=fma_chain", set_operation<DotOperation::FmaChain>},
    {"x86.vdpbf16ps", "flushes_results=false", keep_results},
    {"x86.tdpbf16ps", "operation=fma_chain", set_operation<DotOperation::FmaChain>},
    {"x86.vpdpbusd", "a=int8", [](MatrixUnit& unit) { unit.a = "int8"; }},
    {"arm.bfdot", "operation=fused_pairs", set_operation<DotOperation::FusedPairs>},
    {"arm.bfdot", "flushes_results=false", keep_results},
};

/// Records of one family with what the unit makes of them.
struct Answers {
  std::vector<UnitRecord> records;
  std::vector<uint64_t> outputs;

  Answers(const MatrixUnit& unit, UnitFamily family) {
    UnitStimulus stimulus(unit);
    for (int i = 0; i < kRecords; ++i) {
      records.push_back(stimulus.next(family));
      outputs.push_back(dot_product_add(unit, records.back().inputs()));
    }
  }

  /// Outputs that a mutant computes differently.
  int kills(const MatrixUnit& mutant) const {
    int count = 0;
    for (size_t i = 0; i < records.size(); ++i) count += dot_product_add(mutant, records[i].inputs()) != outputs[i];
    return count;
  }
};

/// The captured outputs of each unit.
const std::multimap<const MatrixUnit*, cli::Capture>& captures() {
  static const auto all = [] {
    std::multimap<const MatrixUnit*, cli::Capture> read;
    for (const std::vector<std::string>& files : {golden_packs(), own_captures()})
      for (const std::string& file : files)
        for (cli::Capture& capture : cli::read_captures(file)) read.emplace(capture.unit, std::move(capture));
    return read;
  }();
  return all;
}

size_t kills_of_captures(const MatrixUnit& unit, const MatrixUnit& mutant) {
  size_t count = 0;
  const auto [begin, end] = captures().equal_range(&unit);
  for (auto capture = begin; capture != end; ++capture)
    count += capture->second.d.size() - cli::replay(capture->second, mutant).matched;
  return count;
}

/// How many outputs tell a mutant from its unit.
struct Row {
  std::string mutant;
  std::vector<int> of_families;  // none of units of whole numbers, which the families do not have
  size_t of_captures;
};

std::vector<Row> rows_of(const MatrixUnit& unit, std::span<const MatrixUnit> mutants) {
  std::vector<Answers> answers;
  if (unit.operation != DotOperation::Integer)
    for (const UnitFamily family : kUnitFamilies) answers.emplace_back(unit, family);
  std::vector<Row> rows;
  for (const MatrixUnit& mutant : mutants) {
    Row& row = rows.emplace_back(mutant.name, std::vector<int>(), kills_of_captures(unit, mutant));
    for (const Answers& family : answers) row.of_families.push_back(family.kills(mutant));
  }
  return rows;
}

/// Those of all mutants.
const std::vector<Row>& rows() {
  static const std::vector<Row> all = [] {
    std::vector<Row> made;
    for (const Mutants& each : mutants()) {
      std::vector<MatrixUnit> units;
      for (const char* change : each.changes)
        units.push_back(parse_matrix_unit(fmt::format("{}:{}", each.unit, change)));
      std::ranges::move(rows_of(find_matrix_unit(each.unit), units), std::back_inserter(made));
    }
    for (const StructuralMutant& each : kStructuralMutants) {
      const MatrixUnit& unit = find_matrix_unit(each.unit);
      MatrixUnit mutant = unit;
      each.change(mutant);
      mutant.name = fmt::format("{}:{}", each.unit, each.text);
      std::ranges::move(rows_of(unit, std::span(&mutant, 1)), std::back_inserter(made));
    }
    return made;
  }();
  return all;
}

constexpr std::string_view kIntroduction = R"(# What tells a wrong field from the right one

Each row is a unit with one other field, each column a family of inputs ({} outputs each; captured: all captured outputs
of that unit, from packs and from `tests/fixtures`), each number how many outputs differ. Units of whole numbers have no
families. Specification of matrix units, section 9.5.

`build/release/tests/formats_mutants_test` fails where a row has no difference at all, and where this page is not what
it computes; with `HALFULP_WRITE_MUTANTS=1` in its environment it writes the page.

)";

template <class Column>
std::string line_of(std::string_view mutant, const std::vector<Column>& families, const auto& captured) {
  return fmt::format("    {:55}{:>8}{:>10}\n", mutant, fmt::join(families, ""), captured);
}

/// What cuda/MUTANTS.md holds.
std::string page() {
  using Texts = std::vector<std::string_view>;
  std::string text = fmt::format(kIntroduction, kRecords);
  text += line_of("mutant", Texts(kUnitFamilyNames.begin(), kUnitFamilyNames.end()), "captured");
  for (const Row& row : rows())
    text += row.of_families.empty() ? line_of(row.mutant, Texts(kUnitFamilies.size(), "-"), row.of_captures)
                                    : line_of(row.mutant, row.of_families, row.of_captures);
  return text;
}

TEST(Mutants, each_is_told_from_its_unit) {
  for (const Row& row : rows()) {
    if (row.of_families.empty())
      EXPECT_GT(row.of_captures, 0u) << row.mutant << ": no captured output shows it";
    else
      EXPECT_GT(std::ranges::max(row.of_families), 0) << row.mutant << ": no family shows it";
  }
}

// All that says how a unit computes; k, the accumulator and its formats' widths are what its operands are.
TEST(Mutants, each_field_has_one) {
  std::vector<std::string_view> fields = {"operation", "b", "a", "scale", "scale_block", "group", "flushes_results"};
  for (const MatrixUnitField& field : matrix_unit_fields())
    if (field.name != "k") fields.push_back(field.name);
  for (const std::string_view field : fields)
    EXPECT_TRUE(std::ranges::any_of(rows(), [&](const Row& row) {
      return row.mutant.find(fmt::format(":{}=", field)) != std::string::npos;
    })) << field;
}

/// The line around a place.
std::string_view line_at(std::string_view text, size_t place) {
  const size_t begin = text.substr(0, place).rfind('\n') + 1;
  return text.substr(begin, text.find('\n', begin) - begin);
}

// Without the packs the last column is not known.
TEST(Mutants, the_page_is_up_to_date) {
  if (golden_packs().empty()) GTEST_SKIP() << no_golden();
  const std::string path = HALFULP_SOURCE_DIR "/cuda/MUTANTS.md", wanted = page();
  if (std::getenv("HALFULP_WRITE_MUTANTS") != nullptr) std::ofstream(path) << wanted;
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  const std::string found = text.str();
  const size_t place = size_t(std::ranges::mismatch(found, wanted).in1 - found.begin());
  EXPECT_TRUE(found == wanted) << path << " is out of date: it has\n"
                               << line_at(found, place) << "\nwhere this program computes\n"
                               << line_at(wanted, place) << "\nHALFULP_WRITE_MUTANTS=1 in its environment writes it.";
}

// Products of binary16 are multiples of 2^-48, far above the grid of binary32 results: no output can tell.
TEST(Mutants, zero_exponents_of_binary16_products_show_nowhere) {
  const MatrixUnit& unit = find_matrix_unit("hopper.mma.f16");
  for (const UnitFamily family : kUnitFamilies) {
    const Answers answers(unit, family);
    for (const char* change : {"zero_exponent=-134", "zero_exponent=-132"})
      EXPECT_EQ(answers.kills(parse_matrix_unit(fmt::format("hopper.mma.f16:{}", change))), 0) << change;
  }
}

// Captured outputs alone settle these; for what they cannot see, the specification's section 9.5 has the reasons.
TEST(Mutants, packs_settle_fractions_blocks_and_roundings) {
  if (golden_packs().empty()) GTEST_SKIP() << no_golden();
  for (const char* text :
       {"volta.mma.f16:fraction=22", "volta.mma.f16:fraction=24", "volta.mma.f16:block=2", "ampere.mma.f16.k8:block=4",
        "ampere.mma.bf16.k8:fraction=23", "ampere.mma.tf32.k4:fraction=25", "ada.mma.e4m3:block=32",
        "ada.mma.e4m3:fraction=14", "ada.mma.e5m2:result=binary32", "hopper.mma.f16:fraction=26",
        "hopper.mma.f16:block=8", "hopper.mma.f16.f16:block=8", "hopper.mma.bf16:rounding=ties_to_even",
        "hopper.wgmma.e4m3:fraction=12", "hopper.wgmma.e4m3:block=16", "hopper.wgmma.e5m2:result=tf32",
        "hopper.mma.e4m3.f16:block=8"}) {
    const std::string_view name = text;
    EXPECT_GT(kills_of_captures(find_matrix_unit(name.substr(0, name.find(':'))), parse_matrix_unit(name)), 0u) << text;
  }
}

// Units whose operations differ, though their operands do not.
TEST(Mutants, packs_settle_operations) {
  if (golden_packs().empty()) GTEST_SKIP() << no_golden();
  const auto differ = [](const char* unit, const char* other) {
    return kills_of_captures(find_matrix_unit(unit), find_matrix_unit(other));
  };
  EXPECT_GT(differ("hopper.wgmma.e4m3", "hopper.mma.e4m3"), 1000u);
  EXPECT_GT(differ("hopper.mma.e4m3", "hopper.wgmma.e4m3"), 1000u);
  EXPECT_GT(differ("hopper.mma.e4m3.f16", "hopper.wgmma.e4m3.f16"), 100u);
  EXPECT_GT(differ("ada.mma.e4m3", "hopper.wgmma.e4m3"), 100u);
}

// What processors computed settles alone how they do it.
TEST(Mutants, captures_of_processors_settle_flushing_and_operations) {
  const auto expect_told = [](const char* name, const char* what, auto change) {
    const MatrixUnit& unit = find_matrix_unit(name);
    MatrixUnit mutant = unit;
    change(mutant);
    EXPECT_GT(kills_of_captures(unit, mutant), 0u) << name << ", " << what;
  };
  constexpr const char *kFloat = "x86.vdpbf16ps", *kInteger = "x86.vpdpbusd";
  expect_told(kFloat, "operands", [](MatrixUnit& unit) { unit.flushes_operands = false; });
  expect_told(kFloat, "accumulator", [](MatrixUnit& unit) { unit.flushes_accumulator = false; });
  expect_told(kFloat, "results", [](MatrixUnit& unit) { unit.flushes_results = false; });
  for (const DotOperation other : {DotOperation::FmaChain, DotOperation::TwoChains, DotOperation::UnfusedPairs,
                                   DotOperation::FusedPairs, DotOperation::ExactFused})
    expect_told(kFloat, std::string(name(other)).c_str(), [&](MatrixUnit& unit) { unit.operation = other; });
  expect_told(kInteger, "saturation", [](MatrixUnit& unit) { unit.saturates = true; });
  expect_told(kInteger, "signed a", [](MatrixUnit& unit) { unit.a = "int8"; });
  expect_told(kInteger, "unsigned b", [](MatrixUnit& unit) { unit.b = "uint8"; });
}

}  // namespace
}  // namespace halfulp
