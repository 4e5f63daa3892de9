// The matrix instructions that a capture can run, as facts; cuda/instructions.inc has a row for each. C++17: device
// code includes this.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace halfulp::cuda {

/// How A and C of a capture differ from what the instruction was given, so that the unit computes D from them.
enum class Recorded {
  AsGiven,
  ZeroC,   // it was told to leave C out
  MinusA,  // it was told to negate A
};

/// D = A · B + C of one tile: A is m · k, B is k · n, C and D are m · n.
struct Instruction {
  std::string_view name;
  std::string_view ptx;
  int m, n, k;
  std::string_view a, b, accumulator;  // formats; those of formats/matrix_unit.h
  std::string_view unit;               // see cuda/instructions.inc
  Recorded recorded;
  int number;  // its row
};

/// All rows, in their order.
const std::vector<Instruction>& instructions();

/// One of the rows. Throws std::invalid_argument that lists the names.
const Instruction& find_instruction(std::string_view name, const std::vector<Instruction>& rows = instructions());

/// The name of the unit on a device of compute capability sm / 10; "" where none is known.
std::string unit_name(const Instruction& instruction, int sm);

}  // namespace halfulp::cuda
