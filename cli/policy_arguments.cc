#include "cli/policy_arguments.h"

namespace halfulp::cli {

void PolicyArguments::declare(Arguments& arguments) {
  arguments.option("--profile NAME", profile, "Rounding and policies of one definition or implementation");
  arguments.option("--overflow NAME", overflow, "Policy instead of the profile's for numbers beyond the largest");
  arguments.option("--nan NAME", nan, "Policy instead of the profile's for NaN");
  arguments.option("--zero NAME", zero, "Policy instead of the profile's for the sign of zero");
  arguments.option("--negative NAME", negative, "Policy instead of the profile's where codes have no sign");
  arguments.option("--missing-infinity NAME", missing_infinity,
                   "Policy instead of the profile's for infinity where a format has none");
  arguments.option("--missing-zero NAME", missing_zero,
                   "Policy instead of the profile's for zero where a format has none");
  arguments.option("--overflow-test NAME", overflow_test,
                   "Which number is compared with the largest, instead of the profile's");
}

ProfileCast PolicyArguments::cast(const Format& format, Source source) const {
  ProfileCast cast = profile_cast(profile, format, source);
  Policies& all = cast.projection.policies;
  all.overflow = overflow.value_or(all.overflow);
  all.nan = nan.value_or(all.nan);
  all.zero = zero.value_or(all.zero);
  all.negative = negative.value_or(all.negative);
  all.missing_infinity = missing_infinity.value_or(all.missing_infinity);
  all.missing_zero = missing_zero.value_or(all.missing_zero);
  all.overflow_test = overflow_test.value_or(all.overflow_test);
  return cast;
}

}  // namespace halfulp::cli
