#include "formats/isa.h"

#include <fmt/core.h>

#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace halfulp {
namespace {

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
}

bool available(Isa isa) {
  switch (isa) {
    case Isa::Portable: return true;
    case Isa::Avx2: return has_avx2();
    case Isa::Avx512: return has_avx512();
  }
  return false;
}

Isa choose() {
  const char* wish = std::getenv("HALFULP_ISA");
  if (wish == nullptr || *wish == '\0') return has_avx512() ? Isa::Avx512 : has_avx2() ? Isa::Avx2 : Isa::Portable;
  for (Isa isa : {Isa::Portable, Isa::Avx2, Isa::Avx512}) {
    if (std::string_view(wish) != name(isa)) continue;
    if (available(isa)) return isa;
    throw std::invalid_argument(fmt::format("HALFULP_ISA: this machine has no {}", wish));
  }
  throw std::invalid_argument(fmt::format("HALFULP_ISA: no instruction set named '{}' (portable, avx2, avx512)", wish));
}

}  // namespace

Isa active_isa() {
  static const Isa isa = choose();
  return isa;
}

const char* name(Isa isa) {
  switch (isa) {
    case Isa::Portable: return "portable";
    case Isa::Avx2: return "avx2";
    case Isa::Avx512: return "avx512";
  }
  return "";
}

}  // namespace halfulp
