// Captured outputs of hardware, which are data of others and lie beside the project.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace halfulp {

/// $HALFULP_GOLDEN, or ../shared/golden.
inline std::string golden_folder() {
  const char* folder = std::getenv("HALFULP_GOLDEN");
  return folder ? folder : HALFULP_SOURCE_DIR "/../shared/golden";
}

/// The packs in it, sorted; none where it is missing.
inline std::vector<std::string> golden_packs() {
  std::vector<std::string> packs;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder(), missing))
    if (entry.path().extension() == ".bin") packs.push_back(entry.path().string());
  std::ranges::sort(packs);
  return packs;
}

inline std::string no_golden() { return "no packs of captured outputs in " + golden_folder() + " (HALFULP_GOLDEN)"; }

}  // namespace halfulp
