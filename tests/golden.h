// Captured outputs of hardware: packs, which are data of others and lie beside the project, and captures of our own.
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

/// The files *.bin of a folder, sorted; none where it is missing.
inline std::vector<std::string> bin_files(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing))
    if (entry.path().extension() == ".bin") files.push_back(entry.path().string());
  std::ranges::sort(files);
  return files;
}

inline std::vector<std::string> golden_packs() { return bin_files(golden_folder()); }

/// Captures of our own, which are in the tree.
inline std::vector<std::string> own_captures() { return bin_files(HALFULP_SOURCE_DIR "/tests/fixtures"); }

inline std::string no_golden() { return "no packs of captured outputs in " + golden_folder() + " (HALFULP_GOLDEN)"; }

}  // namespace halfulp
