// Packs of captured outputs; capture.h describes them.
#pragma once

#include <string_view>
#include <vector>

#include "cli/capture.h"
#include "cli/input_file.h"

namespace halfulp::cli {

inline constexpr std::string_view kPackMagic = "MMAG";

/// What follows the magic number; `name` is GPU_FORMAT.bin.
std::vector<Capture> read_pack(const InputFile& file, std::string_view name);

}  // namespace halfulp::cli
