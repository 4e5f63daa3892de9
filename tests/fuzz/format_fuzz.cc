// Names of formats: what parse_format takes is a format whose codes decode, and numbers encode to them.

#include <cmath>

#include "formats/codec.h"
#include "formats/format.h"
#include "tests/fuzz/fuzz.h"

namespace halfulp::fuzz {
namespace {

void check_code(const Format& format, uint32_t code) {
  const double value = decode(format, code);
  const bool is_nan = classify(format, code) == CodeClass::Nan;
  require(std::isnan(value) == is_nan, "NaN codes decode to NaN");
  if (is_nan) return;
  const uint32_t again = encode(format, {.policies = {.overflow = Overflow::ToInfinity}}, Real::of(value));
  require(decode(format, again) == value || format.narrow, "a number is its own nearest");
}

void check(std::string_view text) {
  const Format format = parse_format(text);
  require(format.bits() >= 1 && format.bits() <= 32, "codes have 1 to 32 bits");
  const uint32_t last = uint32_t((uint64_t{1} << format.bits()) - 1);
  for (uint32_t i = 0; i < 8; ++i)
    for (const uint32_t code : {i, last - i, last / 2 - i, last / 2 + i}) check_code(format, code & last);
  for (const double x : {0.0, -0.0, 1.0, -1e300, 1e-300, double(INFINITY), double(NAN)})
    require(encode(format, {}, Real::of(x)) <= last, "codes have the format's bits");
}

}  // namespace
}  // namespace halfulp::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace halfulp::fuzz;
  use_or_turn_down([&] { check({reinterpret_cast<const char*>(data), size}); });
  return 0;
}
