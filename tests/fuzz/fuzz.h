// What the fuzzers have in common: an input is used, or it is turned down in words.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace halfulp::fuzz {

inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::abort();
}

/// Calls use(), which may throw std::invalid_argument with a message and nothing else.
template <class Use>
void use_or_turn_down(Use use) {
  try {
    use();
  } catch (const std::invalid_argument& error) {
    require(std::string_view(error.what()).size() > 0, "a complaint says something");
  }
}

/// A file in memory, which has a path like any other.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const unsigned char> bytes) : file_(memfd_create("fuzz", MFD_CLOEXEC)) {
    require(file_ != -1 && write(file_, bytes.data(), bytes.size()) == ssize_t(bytes.size()), "memory holds a file");
  }
  ~MemoryFile() { close(file_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

/// The parts of a text between line ends; at least one.
inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines(1);
  for (const char c : text)
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back() += c;
  return lines;
}

}  // namespace halfulp::fuzz

/// Each program's own; libFuzzer calls it with one input after the other.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size);
/// Some programs' own; called once, before the first input.
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments);
