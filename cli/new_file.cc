#include "cli/new_file.h"

#include <fcntl.h>
#include <stdlib.h>  // mkstemp
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "cli/streams.h"

namespace halfulp::cli {
namespace {

[[noreturn]] void fail(const std::string& path) { throw std::system_error(errno, std::generic_category(), path); }

// What an ordinary new file may be read and written by; mkstemp's are private.
mode_t ordinary_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

}  // namespace

NewFile::NewFile(const std::string& path) : path_(path) {
  struct stat status;
  const bool exists = stat(path.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) {
    file_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file_ == -1) fail(path_);
    return;
  }
  if (exists) path_ = std::filesystem::canonical(path).string();  // a link stays one
  temporary_ = path_ + ".XXXXXX";
  file_ = mkstemp(temporary_.data());
  if (file_ == -1) {
    temporary_.clear();
    fail(path_);
  }
  fchmod(file_, exists ? status.st_mode & 07777 : ordinary_mode());
}

NewFile::~NewFile() {
  if (file_ != -1) ::close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void NewFile::write(std::span<const std::byte> bytes) { write_all(file_, bytes, path_); }

void NewFile::close() {
  const int file = file_;
  file_ = -1;
  if (::close(file) != 0) fail(path_);
}

void NewFile::commit() {
  if (file_ != -1) close();
  if (temporary_.empty()) return;
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_);
  temporary_.clear();
}

}  // namespace halfulp::cli
