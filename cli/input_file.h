// Files that others wrote, of which nothing is trusted: neither what they say nor how long they are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace halfulp::cli {

/// A file open for reading. What cannot be read is a std::system_error.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// Throws std::invalid_argument: the file's name and the reason, which may quote the file.
  [[noreturn]] void reject(std::string_view reason) const;

  /// What get() returns; what it complains about is the file's fault.
  template <class Get>
  decltype(auto) checked(Get get) const;

  /// Reads until `bytes` is full or the file ends; returns how much that is.
  size_t read_up_to(std::span<std::byte> bytes) const;

  /// Rejects the file where it ends before; `what` is read.
  std::string read_text(size_t size, std::string_view what) const;

  /// Appends up to `count` values and returns the bytes that arrived. Memory is taken as the data comes: a header may
  /// promise anything. A value that the file's end cuts short stays as far as it came.
  template <class Value>
  size_t read_values(std::vector<Value>& values, size_t count) const;

  /// All that is left. Rejects a file that has more than `most` bytes left.
  std::string read_rest(size_t most) const;

  bool is_at_end() const;

 private:
  std::string path_;
  int file_;
};

template <class Get>
decltype(auto) InputFile::checked(Get get) const {
  try {
    return get();
  } catch (const std::invalid_argument& error) {
    reject(error.what());
  }
}

template <class Value>
size_t InputFile::read_values(std::vector<Value>& values, size_t count) const {
  constexpr size_t kStep = size_t{1} << 20;
  for (size_t done = 0; done < count;) {
    const size_t begin = values.size(), step = std::min(kStep, count - done);
    values.resize(begin + step);
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(values).subspan(begin));
    const size_t arrived = read_up_to(bytes);
    if (arrived < bytes.size()) return done * sizeof(Value) + arrived;
    done += step;
  }
  return count * sizeof(Value);
}

}  // namespace halfulp::cli
