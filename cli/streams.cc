#include "cli/streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace halfulp::cli {
namespace {

constexpr size_t kLongestLine = 65536;

[[noreturn]] void fail(std::string_view where) {
  throw std::system_error(errno, std::generic_category(), std::string(where));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = std::min(text.find_first_not_of(kSpace), text.size());
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

}  // namespace

void prepare_standard_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  // Opened the wrong way round, so that using it fails as using a closed one would.
  for (const int file : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(file, F_GETFD) == -1 && open("/dev/null", file == STDIN_FILENO ? O_WRONLY : O_RDONLY) == -1)
      fail("/dev/null");
}

size_t read_input(std::span<std::byte> buffer) {
  for (;;) {
    const ssize_t count = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count >= 0) return size_t(count);
    if (errno != EINTR) fail("standard input");
  }
}

void write_all(int file, std::span<const std::byte> bytes, std::string_view where) {
  while (!bytes.empty()) {
    const ssize_t count = write(file, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) fail(where);
    if (count > 0) bytes = bytes.subspan(size_t(count));
  }
}

void write_output(std::span<const std::byte> bytes) { write_all(STDOUT_FILENO, bytes, "standard output"); }

void write_output(std::string_view text) { write_output(std::as_bytes(std::span(text))); }

void for_each_input_line(const std::function<void(std::string_view, size_t)>& visit) {
  std::string held;
  size_t number = 0;
  std::vector<std::byte> buffer(kLongestLine);
  while (const size_t arrived = read_input(buffer)) {
    held.append(reinterpret_cast<const char*>(buffer.data()), arrived);
    size_t begin = 0;
    for (size_t end; (end = held.find('\n', begin)) != std::string::npos; begin = end + 1)
      visit(trimmed(std::string_view(held).substr(begin, end - begin)), ++number);
    held.erase(0, begin);
    if (held.size() > kLongestLine)
      throw std::invalid_argument(
          fmt::format("standard input, line {}: longer than {} bytes", number + 1, kLongestLine));
  }
  if (!held.empty()) visit(trimmed(held), ++number);
}

}  // namespace halfulp::cli
