// Settings of an experiment: what is taken has one canonical text, which reads back as the same experiment.

#include "sim/experiment.h"
#include "tests/fuzz/fuzz.h"

namespace halfulp::fuzz {
namespace {

void check(std::string_view text) {
  const std::string canonical = canonical_text(make_experiment(parse_settings(text)));
  require(canonical_text(parse_experiment(canonical)) == canonical, "canonical text stays the same");
}

}  // namespace
}  // namespace halfulp::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace halfulp::fuzz;
  use_or_turn_down([&] { check({reinterpret_cast<const char*>(data), size}); });
  return 0;
}
