// What the fuzzers have in common: an input is used, or it is turned down in words.
#pragma once

#include <cstdio>
#include <cstdlib>
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
