// A file that appears under its name only when it is complete.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace halfulp::cli {

/// Written under a temporary name beside `path` and renamed by commit(); without that nothing is left. What is there
/// already and is no regular file (a pipe, a device) is written to directly.
class NewFile {
 public:
  /// Throws std::system_error, as the members do.
  explicit NewFile(const std::string& path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void close();
  void commit();

 private:
  std::string path_;
  std::string temporary_;  // empty: written to directly, or renamed
  int file_ = -1;
};

}  // namespace halfulp::cli
