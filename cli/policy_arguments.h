// --profile and the policies that replace parts of it, for every verb that casts numbers one by one.
#pragma once

#include <optional>

#include "cli/arguments.h"
#include "formats/rounding.h"

namespace halfulp::cli {

struct PolicyArguments {
  Profile profile = Profile::Ocp;
  std::optional<Overflow> overflow;
  std::optional<NanPolicy> nan;
  std::optional<ZeroPolicy> zero;
  std::optional<NegativePolicy> negative;

  void declare(Arguments& arguments);
  Policies chosen(Source source) const;
};

}  // namespace halfulp::cli
