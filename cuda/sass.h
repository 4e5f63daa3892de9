// What ptxas made of an instruction, in the words of cuobjdump.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace halfulp::cuda {

struct KernelCode {
  std::vector<std::string> opcodes;  // that compute, in order
  std::string sha256;                // of all lines with an address
};

/// The code of a kernel, from the text that `cuobjdump -sass` prints of the program. Empty where the kernel of that
/// name for that target is not there.
KernelCode kernel_code(std::string_view sass, std::string_view instruction, int sm);

}  // namespace halfulp::cuda
