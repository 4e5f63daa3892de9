// The ranking of a store's arms, as `sweep` and `results` print it.
#pragma once

#include <span>
#include <string_view>

#include "cli/table.h"
#include "sim/analysis.h"

namespace halfulp::cli {

/// At most `top` arms of each task. Aligned tables round; JSON and CSV hold every digit.
void print_ranking(TableStyle style, std::span<const Arm> arms, std::string_view metric, int64_t top);

}  // namespace halfulp::cli
