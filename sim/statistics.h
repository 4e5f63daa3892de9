// Means and paired contrasts over seeds, with intervals.
//
// Two arms that share a seed share their initial weights and data, so their difference varies far less than either:
// compare arms by paired_difference, of log losses when a relative change is meant.
#pragma once

#include <span>

namespace halfulp {

/// A mean and the interval that holds the true one with the asked confidence, when the values are independent and
/// normal (Student's t). One value leaves the interval infinite, none makes all of it NaN, as does a value that is not
/// finite.
struct Interval {
  double mean, low, high;
  int count;  // of values
};

Interval mean_interval(std::span<const double> values, double confidence = 0.95);

/// mean_interval of arm[i] - baseline[i]; i is the seed. Throws std::invalid_argument when the sizes differ.
Interval paired_difference(std::span<const double> arm, std::span<const double> baseline, double confidence = 0.95);

/// Two-sided exact p-value of the sign test: how probable, if either sign were equally likely, a split at least as
/// uneven is. Zeros carry no sign and do not count; 1 when nothing counts; NaN when a difference is NaN.
double sign_test(std::span<const double> differences);

}  // namespace halfulp
