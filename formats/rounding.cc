#include "formats/rounding.h"

namespace halfulp {

Policies policies(Profile profile, Source source) {
  switch (profile) {
    case Profile::Ocp:
      return {.overflow = Overflow::ToInfinity,
              .nan = NanPolicy::Canonical,
              .zero = ZeroPolicy::KeepSign,
              .negative = NegativePolicy::ToNan};
    case Profile::Cuda:
      return {.overflow = Overflow::Saturate,
              .nan = source == Source::Binary64 ? NanPolicy::Payload : NanPolicy::AllOnes,
              .zero = ZeroPolicy::KeepSign,
              .negative = NegativePolicy::Absolute};
  }
  return {};
}

}  // namespace halfulp
