// --profile and the policies that replace parts of it, for every verb that casts numbers one by one.
#pragma once

#include <optional>

#include "cli/arguments.h"
#include "formats/profile.h"

namespace halfulp::cli {

struct PolicyArguments {
  Profile profile = Profile::Ocp;
  std::optional<Overflow> overflow;
  std::optional<NanPolicy> nan;
  std::optional<ZeroPolicy> zero;
  std::optional<NegativePolicy> negative;
  std::optional<MissingInfinity> missing_infinity;
  std::optional<MissingZero> missing_zero;
  std::optional<OverflowTest> overflow_test;

  void declare(Arguments& arguments);
  /// The profile's cast with the policies that are given in place of its own. Throws where it does not know the format.
  ProfileCast cast(const Format& format, Source source) const;
};

}  // namespace halfulp::cli
