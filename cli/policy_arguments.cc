#include "cli/policy_arguments.h"

namespace halfulp::cli {

void PolicyArguments::declare(Arguments& arguments) {
  arguments.option("--profile NAME", profile, "Policies of one definition or implementation");
  arguments.option("--overflow NAME", overflow, "Policy instead of the profile's for numbers beyond the largest");
  arguments.option("--nan NAME", nan, "Policy instead of the profile's for NaN");
  arguments.option("--zero NAME", zero, "Policy instead of the profile's for the sign of zero");
  arguments.option("--negative NAME", negative, "Policy instead of the profile's where codes have no sign");
}

Policies PolicyArguments::chosen(Source source) const {
  Policies all = policies(profile, source);
  all.overflow = overflow.value_or(all.overflow);
  all.nan = nan.value_or(all.nan);
  all.zero = zero.value_or(all.zero);
  all.negative = negative.value_or(all.negative);
  return all;
}

}  // namespace halfulp::cli
