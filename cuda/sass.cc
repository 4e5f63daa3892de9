#include "cuda/sass.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "formats/digest.h"

namespace halfulp::cuda {
namespace {

// The opcode of a line "/*0370*/  @P0 HMMA.1688.F32 R4, … ;", or "".
std::string opcode_of(const std::string& line) {
  std::istringstream words(line);
  std::string address, opcode;
  words >> address >> opcode;
  if (!address.starts_with("/*") || !address.ends_with("*/")) return "";
  if (opcode.starts_with("@")) words >> opcode;
  return opcode;
}

bool computes(const std::string& opcode) {
  constexpr std::string_view kParts[] = {"MMA",  "F2F",  "FADD",  "HADD",  "DADD", "FFMA",
                                         "HFMA", "DFMA", "FMNMX", "PLOP3", "SEL"};
  return std::ranges::any_of(kParts, [&](std::string_view part) { return opcode.find(part) != std::string::npos; });
}

}  // namespace

KernelCode kernel_code(std::string_view sass, std::string_view instruction, int sm) {
  const std::string target = fmt::format("arch = sm_{}", sm),
                    kernel = fmt::format("{}{}E", instruction.size(), instruction);  // mangled
  bool is_target = false, is_kernel = false;
  KernelCode code;
  std::string all;
  std::istringstream lines{std::string(sass)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("arch = ")) is_target = line == target || line == target + "a";
    if (line.find("Function : ") != std::string::npos) is_kernel = line.find(kernel) != std::string::npos;
    const std::string opcode = is_target && is_kernel ? opcode_of(line) : "";
    if (opcode.empty()) continue;
    all += line + '\n';
    if (computes(opcode)) code.opcodes.push_back(opcode);
  }
  if (!all.empty()) code.sha256 = sha256_hex(all);
  return code;
}

}  // namespace halfulp::cuda
