// Study files: what is taken expands to a plan whose runs add up.

#include "sim/numerics.h"
#include "sim/study.h"
#include "tests/fuzz/fuzz.h"

namespace halfulp::fuzz {
namespace {

// Larger studies only take longer.
bool is_small(const Study& study) {
  size_t combinations = study.seeds.size();
  for (const Study::Axis& axis : study.axes) {
    combinations *= axis.size();
    if (combinations > 64) return false;
  }
  return true;
}

void check(std::string_view text) {
  const Study study = parse_study(text, "study.toml");
  if (!is_small(study)) return;
  const Plan plan = expand(study);
  require(int64_t(plan.runs.size()) + plan.excluded <= plan.combinations, "no run is made up");
}

}  // namespace
}  // namespace halfulp::fuzz

// What every plan needs is computed once, and takes seconds under sanitizers: no input is to blame for it.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  halfulp::numerics_version();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace halfulp::fuzz;
  use_or_turn_down([&] { check({reinterpret_cast<const char*>(data), size}); });
  return 0;
}
