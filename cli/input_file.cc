#include "cli/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "cli/words.h"

namespace halfulp::cli {

InputFile::InputFile(const std::string& path) : path_(path), file_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (file_ == -1) throw std::system_error(errno, std::generic_category(), path);
}

InputFile::~InputFile() { close(file_); }

void InputFile::reject(std::string_view reason) const {
  throw std::invalid_argument(fmt::format("{}: {}", path_, printable(reason)));
}

size_t InputFile::read_up_to(std::span<std::byte> bytes) const {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = read(file_, bytes.data() + done, bytes.size() - done);
    if (count == 0) break;
    if (count < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), path_);
    if (count > 0) done += size_t(count);
  }
  return done;
}

std::string InputFile::read_text(size_t size, std::string_view what) const {
  std::string text(size, '\0');
  if (read_up_to(std::as_writable_bytes(std::span(text))) < size) reject(fmt::format("ends inside the {}", what));
  return text;
}

std::string InputFile::read_rest(size_t most) const {
  std::vector<char> bytes;
  bytes.resize(read_values(bytes, most));
  if (!is_at_end()) reject(fmt::format("goes on after {} bytes, the most that are read", most));
  return {bytes.begin(), bytes.end()};
}

bool InputFile::is_at_end() const {
  std::array<std::byte, 1> more;
  return read_up_to(more) == 0;
}

}  // namespace halfulp::cli
