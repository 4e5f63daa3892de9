// Files that claim to be captured outputs: what is taken has operands for each output, and those replay.

#include <span>

#include "cli/capture.h"
#include "tests/fuzz/fuzz.h"

namespace halfulp::fuzz {
namespace {

void check(std::span<const unsigned char> bytes, std::string_view name) {
  const MemoryFile file(bytes);
  for (const cli::Capture& capture : cli::read_captures(file.path(), name)) {
    const size_t k = size_t(capture.unit->k), outputs = capture.tiles * capture.m * capture.n;
    require(capture.a.size() == capture.tiles * capture.m * k, "as many a as the tiles have");
    require(capture.b.size() == capture.tiles * capture.n * k, "as many b as the tiles have");
    require(capture.c.size() == outputs && capture.d.size() == outputs, "as many c and d");
    const cli::Replay replay = cli::replay(capture, *capture.unit);
    require(replay.matched + replay.first_mismatch.has_value() <= outputs, "each output matches or not");
  }
}

}  // namespace
}  // namespace halfulp::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace halfulp::fuzz;
  for (const char* name : {"V100_fp16.bin", "H100_E4M3.bin", "A100_tf32.bin"})
    use_or_turn_down([&] { check({data, size}, name); });
  return 0;
}
