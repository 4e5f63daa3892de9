// What is told about a thing wherever it is told.
#pragma once

#include <vector>

#include "cli/table.h"
#include "formats/format.h"

namespace halfulp::cli {

/// All parameters of a format and what follows from them, the name first and the source last.
std::vector<Field> format_facts(const Format& format);

}  // namespace halfulp::cli
