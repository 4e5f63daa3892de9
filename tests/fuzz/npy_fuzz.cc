// Files that claim to be .npy arrays: what is taken holds as many values as its shape says, and its bytes.

#include <cstring>
#include <functional>
#include <numeric>
#include <span>

#include "cli/npy.h"
#include "tests/fuzz/fuzz.h"

namespace halfulp::fuzz {
namespace {

template <class Value>
void check(std::span<const unsigned char> bytes, const std::vector<size_t>& shape, const std::vector<Value>& values) {
  const size_t count = std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies());
  require(values.size() == count, "as many values as the shape has");
  const std::span<const unsigned char> data = bytes.last(count * sizeof(Value));
  require(count == 0 || std::memcmp(data.data(), values.data(), data.size()) == 0, "the values are the file's end");
}

void check_floats(std::span<const unsigned char> bytes) {
  const MemoryFile file(bytes);
  const cli::FloatArray array = cli::read_npy(file.path());
  check(bytes, array.shape, array.values);
}

void check_codes(std::span<const unsigned char> bytes) {
  const MemoryFile file(bytes);
  const cli::CodeArray array = cli::read_npy_codes(file.path(), 8);
  check(bytes, array.shape, std::vector<uint8_t>(array.codes.begin(), array.codes.end()));
}

}  // namespace
}  // namespace halfulp::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace halfulp::fuzz;
  use_or_turn_down([&] { check_floats({data, size}); });
  use_or_turn_down([&] { check_codes({data, size}); });
  return 0;
}
