// The direction of includes: formats <- sim <- cli, formats <- cuda <- cli, and nothing points back.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

/// Which other folders each folder may include from; tests and bench look at everything.
const std::map<std::string, std::set<std::string>> kAllowed = {
    {"formats", {}},
    {"sim", {"formats"}},
    {"cuda", {"formats"}},
    {"cli", {"formats", "sim", "cuda"}},
    {"python", {"formats", "sim"}},
    {"bench", {"formats", "sim", "cuda", "bench"}},
    {"tests", {"formats", "sim", "cuda", "cli"}},
};

struct Include {
  std::string from;  // path below the root
  int line;
  std::string folder;  // of what is included
  std::string file;

  std::string text() const { return from + ":" + std::to_string(line) + " includes " + folder + "/" + file; }
};

std::string folder_of(const std::string& path) { return path.substr(0, path.find('/')); }

/// The `#include "..."` lines of one file.
std::vector<Include> includes_in(const fs::path& path, const std::string& name) {
  constexpr std::string_view kInclude = "#include \"";
  std::vector<Include> all;
  std::ifstream file(path);
  std::string text;
  for (int line = 1; std::getline(file, text); ++line) {
    if (!text.starts_with(kInclude)) continue;
    const std::string included = text.substr(kInclude.size(), text.find('"', kInclude.size()) - kInclude.size());
    const size_t slash = included.find('/');
    EXPECT_NE(slash, std::string::npos) << name << ":" << line << ": " << included << " without its folder";
    if (slash != std::string::npos) all.push_back({name, line, included.substr(0, slash), included.substr(slash + 1)});
  }
  return all;
}

std::vector<Include> all_includes() {
  const std::set<std::string> sources = {".h", ".cc", ".cu", ".cuh"};
  const fs::path root = HALFULP_SOURCE_DIR;
  std::vector<Include> all;
  for (const auto& [folder, allowed] : kAllowed) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (!sources.contains(entry.path().extension())) continue;
      const std::vector<Include> some = includes_in(entry.path(), fs::relative(entry.path(), root).string());
      all.insert(all.end(), some.begin(), some.end());
    }
  }
  return all;
}

TEST(Architecture, includes_point_in_one_direction) {
  const std::vector<Include> includes = all_includes();
  EXPECT_GT(includes.size(), 100u) << "the tree was not found";
  for (const Include& include : includes) {
    const std::string from = folder_of(include.from);
    EXPECT_TRUE(include.folder == from || kAllowed.at(from).contains(include.folder)) << include.text();
  }
}

TEST(Architecture, sources_and_kernel_headers_stay_in_their_folder) {
  for (const Include& include : all_includes()) {
    EXPECT_FALSE(include.file.ends_with(".cc") || include.file.ends_with(".cu")) << include.text();
    const std::string from = folder_of(include.from);
    const bool is_kernel_header = include.file.ends_with("_kernels.h");
    EXPECT_TRUE(!is_kernel_header || from == include.folder || from == "tests" || from == "bench") << include.text();
  }
}

TEST(Architecture, included_files_exist) {
  for (const Include& include : all_includes()) {
    if (include.file == "datasets_toml.h") continue;  // generated from sim/datasets.toml
    EXPECT_TRUE(fs::exists(fs::path(HALFULP_SOURCE_DIR) / include.folder / include.file)) << include.text();
  }
}

}  // namespace
