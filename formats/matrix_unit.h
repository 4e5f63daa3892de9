// Matrix instructions as data: how each computes one output d = c + sum of a[k] · b[k].
//
// Vendors do not document this arithmetic. Rows follow models that others have held against silicon, and each says how
// it is known; formats/dot_product.h is what the fields mean, in exact integers. Outputs depend on nothing but their
// row of A, column of B and c. Sections are those of the specification of matrix units.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/evidence.h"
#include "formats/format.h"
#include "formats/names.h"
#include "formats/rounding.h"

namespace halfulp {

/// What happens to the products and c.
enum class DotOperation {
  FmaChain,           // c = fma(a[k], b[k], c), k ascending                                                    (2.1)
  TruncatedFused,     // all terms cut to fraction bits below the largest exponent, then added exactly          (2.2)
  GroupScaledFused,   // groups summed exactly and scaled, then as above, by the exponents of the scales alone  (2.4)
  ExactFused,         // all terms added exactly                                                                (2.5)
  FlushedPairs,       // rounded products, added in pairs, subnormals flushed everywhere                        (2.6)
  TruncateThenFloor,  // products as in TruncatedFused; their sum and c floored at the larger exponent          (2.7)
  SplitThenFloor,     // the same with sums of even and of odd products apart                                   (2.8)
  ViaHalf,            // FP8 as binary16: k mod 4 in {0, 1}, then {2, 3}, and c added last                      (2.9)
  Integer,            // whole numbers, modulo 2^32 or clamped                                                  (2.10)
  XorPopcount,        // bits that differ, counted                                                              (2.10)
  AndPopcount,        // bits that are both set, counted                                                        (2.10)
  OddFirstChain,      // fma of element 2i + 1, then of 2i, subnormals flushed                                  (2.11)
  TwoChains,          // fma chains of even and odd elements from +0, added to each other and then to c         (2.11)
  UnfusedPairs,       // rounded products of a pair are added and rounded, then added to c                      (2.12)
  FusedPairs,         // products of a pair are added exactly and rounded, then added to c                      (2.12)
};

/// Which sign a zero result has, of units that cut terms. Others keep the sign of what rounds to zero.
enum class ZeroSign {
  Positive,       // always +0
  KeepUnderflow,  // that of a sum that rounds to zero; +0 where terms cancel
  Ieee,           // and -0 where all terms are -0
};

/// One instruction. Codes of a, b, c and d are those of the named formats; tf32 operands are whole binary32 words,
/// whose lowest 13 bits have no say.
struct MatrixUnit {
  std::string name;
  std::string_view architecture;
  std::string instruction;       // PTX or the vendor's mnemonic, with k
  std::string_view a, b;         // formats of operands; binary64, int8, uint8, int4, uint4, bit
  std::string_view accumulator;  // of c and d
  int k;                         // products of one instruction
  DotOperation operation;
  int block = 0;                 // products that are added together; more are a chain of blocks
  int fraction = 0;              // bits that terms keep below the largest exponent
  int zero_exponent = 0;         // an exponent that the largest does not fall below
  std::string_view result = "";  // what a block's sum is rounded to before it is stored as accumulator
  Rounding rounding = Rounding::TiesToEven;
  std::string_view scale = "";       // format of block scales
  int scale_block = 0;               // products that share one
  int group = 0;                     // GroupScaledFused: products that are summed exactly
  int sum_fraction = 0;              // TruncateThenFloor, SplitThenFloor: bits that the sum keeps
  bool flushes_operands = false;     // subnormal a and b are zeros
  bool flushes_accumulator = false;  // a subnormal c is
  bool flushes_results = false;      // subnormal results are, with their sign
  bool saturates = false;            // Integer: clamped
  ZeroSign zero = ZeroSign::Positive;
  Evidence evidence = Evidence::ReadInSource;
  std::string_view source = "";
  std::vector<std::string_view> fixtures = {};  // captured outputs that tests replay
};

/// The units, in the order in which lists show them.
std::span<const MatrixUnit> matrix_units();

/// Throws UnknownName.
const MatrixUnit& find_matrix_unit(std::string_view name);

/// One of what parse_matrix_unit changes about a unit.
struct MatrixUnitField {
  std::string_view name, values, meaning;
};

/// What may be changed, with the values that are allowed.
std::span<const MatrixUnitField> matrix_unit_fields();

/// NAME of a unit or NAME:FIELD=VALUE,…, a unit that nobody has built: its name is all of the text, its evidence
/// `convention`, and it has no fixtures. Throws std::invalid_argument for values, and fields, that the unit's operation
/// has no use for.
MatrixUnit parse_matrix_unit(std::string_view text);

template <>
struct EnumNames<DotOperation> {
  static constexpr std::string_view kind = "operation";
  static constexpr NamedValue<DotOperation> values[] = {{DotOperation::FmaChain, "fma_chain"},
                                                        {DotOperation::TruncatedFused, "truncated_fused"},
                                                        {DotOperation::GroupScaledFused, "group_scaled_fused"},
                                                        {DotOperation::ExactFused, "exact_fused"},
                                                        {DotOperation::FlushedPairs, "flushed_pairs"},
                                                        {DotOperation::TruncateThenFloor, "truncate_then_floor"},
                                                        {DotOperation::SplitThenFloor, "split_then_floor"},
                                                        {DotOperation::ViaHalf, "via_half"},
                                                        {DotOperation::Integer, "integer"},
                                                        {DotOperation::XorPopcount, "xor_popcount"},
                                                        {DotOperation::AndPopcount, "and_popcount"},
                                                        {DotOperation::OddFirstChain, "odd_first_chain"},
                                                        {DotOperation::TwoChains, "two_chains"},
                                                        {DotOperation::UnfusedPairs, "unfused_pairs"},
                                                        {DotOperation::FusedPairs, "fused_pairs"}};
};

template <>
struct EnumNames<ZeroSign> {
  static constexpr std::string_view kind = "sign of zero";
  static constexpr NamedValue<ZeroSign> values[] = {
      {ZeroSign::Positive, "positive"}, {ZeroSign::KeepUnderflow, "keep_underflow"}, {ZeroSign::Ieee, "ieee"}};
};

}  // namespace halfulp
