// Matrix products as matrix units compute them: D = C + A · B, every output bit that of formats/dot_product.h.
//
// An output is a chain of instructions over k ascending, each taking the previous one's result as its addend. Where k
// is not a multiple of the instruction's, operands of the last one are filled up with zeros, as programs fill their
// tiles; the zeros take part in its arithmetic like any others. With k = 0 there is no instruction, and D = C.
//
// Most units have a fast way, which is chosen at run time for the machine (formats/isa.h): those that cut terms below
// the largest exponent, those whose steps are operations of binary32 or binary64, those of whole numbers. The others,
// DotOperation::ExactFused and pairs rounded to odd, go output by output. Block scales stay apart from the numbers
// until the unit applies them. Bits depend neither on the way nor on the number of threads, nor on the caller's control
// register, which is afterwards as it was before.
#pragma once

#include <cstdint>
#include <span>

#include "formats/matrix_unit.h"

namespace halfulp {

/// What is done between instructions. Parts and intervals are summed each from +0 and added to what is before them in
/// binary32, ties to even; all of it needs an accumulator of binary32.
///
///   splits 1, promotion 0   one chain that starts from C
///   promotion p             C, then the chains of p instructions each, added to it one after the other
///   splits s                C, then the sums of s parts of k, added to it one after the other; each is one chain, or
///                           with a promotion +0 and such chains
struct Accumulation {
  int promotion = 0;  // instructions; 0: none
  int splits = 1;     // parts of equally many whole instructions, the last ones fewer or none
};

/// Which of a matrix's lines are contiguous.
enum class Layout { RowMajor, ColumnMajor };

/// Codes of the unit's formats, one in each element: a tf32 operand in a binary32 word.
template <class Code, class Accumulator>
struct MatrixProduct {
  int m, n, k;
  std::span<const Code> a;         // (m, k)
  std::span<const Code> b;         // (k, n)
  std::span<const Accumulator> c;  // (m, n)
  std::span<const uint8_t> a_scales = {},
                           b_scales = {};  // (m, s), (n, s), s = k / scale_block, rounded up; s contiguous
  Layout a_layout = Layout::RowMajor, b_layout = Layout::ColumnMajor, c_layout = Layout::RowMajor;  // c: and d
};

/// d = c + a · b; d may be c. Code is uint8_t, uint16_t or uint32_t, Accumulator uint16_t or uint32_t; both are
/// uint64_t for units of binary64. Throws std::invalid_argument where sizes do not fit the shape, or codes the
/// elements.
template <class Code, class Accumulator>
void multiply_matrices(const MatrixUnit& unit, const MatrixProduct<Code, Accumulator>& in, std::span<Accumulator> d,
                       const Accumulation& accumulation = {}, int threads = 1);

/// The same by definition: dot_product_add for every instruction.
template <class Code, class Accumulator>
void multiply_matrices_reference(const MatrixUnit& unit, const MatrixProduct<Code, Accumulator>& in,
                                 std::span<Accumulator> d, const Accumulation& accumulation = {}, int threads = 1);

/// Whether multiply_matrices has a fast way for the unit.
bool has_fast_way(const MatrixUnit& unit);

}  // namespace halfulp
