#include "cuda/instruction.h"

#include <stdexcept>

namespace halfulp::cuda {

const std::vector<Instruction>& instructions() {
  static const std::vector<Instruction> all = [] {
    std::vector<Instruction> rows = {
#define INSTRUCTION(name, ptx, form, feature, m, n, k, a, b, accumulator, unit, recorded) \
  {#name, ptx, m, n, k, a, b, accumulator, unit, Recorded::recorded, 0},
#include "cuda/instructions.inc"
#undef INSTRUCTION
    };
    for (size_t i = 0; i < rows.size(); ++i) rows[i].number = int(i);
    return rows;
  }();
  return all;
}

const Instruction& find_instruction(std::string_view name, const std::vector<Instruction>& rows) {
  std::string names;
  for (const Instruction& each : rows) {
    if (each.name == name) return each;
    names.append(names.empty() ? "" : ", ").append(each.name);
  }
  throw std::invalid_argument("no instruction named '" + std::string(name) + "' (" + names + ")");
}

std::string unit_name(const Instruction& instruction, int sm) {
  const std::string name(instruction.unit);
  if (!instruction.unit.starts_with("mma.")) return name;
  const bool is_fp8 = instruction.a == "e4m3fn" || instruction.a == "e5m2";
  if (sm >= 120) return (is_fp8 ? "rtx_blackwell." : "blackwell.") + name;
  return (sm >= 100 ? "blackwell." : sm >= 90 ? "hopper." : sm == 89 ? "ada." : "ampere.") + name;
}

}  // namespace halfulp::cuda
