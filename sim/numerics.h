// The version of the arithmetic: a digest of what it computes, not of how it was built.
#pragma once

#include <string>

namespace halfulp {

/// 16 hexadecimal digits that change when any cast, block quantiser, elementary function, matrix product or training
/// step gives another bit on a fixed set of inputs. Part of every experiment's key, so results of different arithmetic
/// never meet under one key.
const std::string& numerics_version();

}  // namespace halfulp
