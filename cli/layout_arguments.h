// --pack and --scale-layout: how codes and block scales stand in the files that a verb writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/npy.h"
#include "formats/packing.h"

namespace halfulp::cli {

struct LayoutArguments {
  std::optional<std::string> packing;
  ScaleLayout scales = ScaleLayout::RowMajor;

  void declare(Arguments& arguments);

  /// Throws std::invalid_argument where a layout is asked for of what is not written.
  void check(bool writes_codes, bool writes_scales) const;

  /// The codes of `bits` bits, packed along their last axis (planes: as one run of bytes). Throws std::invalid_argument
  /// where they do not suit the packing.
  CodeArray pack(int bits, const CodeArray& codes) const;

  /// The scales of `bits` bits. In any layout but row_major they are those of each of the array's rows, also where
  /// blocks have several, and one run of bytes. Throws std::invalid_argument for scales of more than a byte.
  CodeArray arrange(int bits, size_t array_rows, size_t block_rows, const CodeArray& scales) const;
};

}  // namespace halfulp::cli
