// Numbers, codes, lists of random numbers and assignments as the command line takes them.

#include <cmath>

#include "cli/rounding_arguments.h"
#include "cli/words.h"
#include "tests/fuzz/fuzz.h"

namespace halfulp::fuzz {
namespace {

bool same(double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); }

void check_number(const std::string& text, Source source) {
  const double x = cli::parse_number({text, 0, true}, source);
  const std::string spelled = cli::hexfloat(x);
  require(same(cli::parse_number({spelled, 0, false}, source), x), "a number printed is the number");
}

void check_code(const std::string& text, const Format& format) {
  const uint32_t code = cli::parse_code({text, 0, false}, format);
  const std::string spelled = cli::code_text(format, code);
  require(cli::parse_code({spelled, 0, false}, format) == code, "a code printed is the code");
}

void check_random_numbers(const std::string& text, int bits) {
  cli::RoundingArguments given{
      .given = Rounding::StochasticA, .random_bits = bits, .seed = std::nullopt, .random = text};
  given.check();
  for (const uint32_t random : given.random_numbers()) require(random >> (bits - 1) <= 1, "as many bits as asked for");
}

void check_assignment(const std::string& text) {
  for (const Setting& setting : cli::parse_assignments({text}, "--set"))
    require(setting.key + '=' + setting.value == text, "an assignment is its parts");
}

}  // namespace
}  // namespace halfulp::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace halfulp;
  using namespace halfulp::fuzz;
  const std::string text(reinterpret_cast<const char*>(data), size);
  use_or_turn_down([&] { check_number(text, Source::Binary32); });
  use_or_turn_down([&] { check_number(text, Source::Binary64); });
  for (const char* format : {"e2m1", "binary32"}) use_or_turn_down([&] { check_code(text, parse_format(format)); });
  for (const int bits : {1, 8, 32}) use_or_turn_down([&] { check_random_numbers(text, bits); });
  use_or_turn_down([&] { check_assignment(text); });
  use_or_turn_down([&] { cli::parse_whole_number<int>(text); });
  use_or_turn_down([&] { cli::parse_whole_number<uint64_t>(text); });
  for (const unsigned char c : cli::printable(text)) require(c >= ' ' && c != 0x7f, "what is printable is");
  return 0;
}
