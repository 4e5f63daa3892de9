// What ptxas made of an instruction, in the words of cuobjdump.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace halfulp::cuda {

/// Opcodes of a kernel that compute, in order, from the text that `cuobjdump -sass` prints of the program. Empty where
/// the kernel of that name for that target is not there.
std::vector<std::string> opcodes_of(std::string_view sass, std::string_view instruction, int sm);

}  // namespace halfulp::cuda
