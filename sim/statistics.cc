#include "sim/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace halfulp {

Interval mean_interval(std::span<const double> values, double confidence) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto count = static_cast<int>(values.size());
  if (count == 0 || !std::ranges::all_of(values, [](double x) { return std::isfinite(x); }))
    return {kNan, kNan, kNan, count};

  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  if (count == 1) return {mean, -kInfinity, kInfinity, count};

  double squares = 0;
  for (double x : values) squares += (x - mean) * (x - mean);
  const double standard_error = std::sqrt(squares / (count - 1) / count);
  const boost::math::students_t student(count - 1);
  const double half_width = quantile(complement(student, (1 - confidence) / 2)) * standard_error;
  return {mean, mean - half_width, mean + half_width, count};
}

Interval paired_difference(std::span<const double> arm, std::span<const double> baseline, double confidence) {
  if (arm.size() != baseline.size())
    throw std::invalid_argument(
        fmt::format("paired_difference: {} values against {}; give one of each per seed", arm.size(), baseline.size()));
  std::vector<double> differences(arm.size());
  std::ranges::transform(arm, baseline, differences.begin(), std::minus());
  return mean_interval(differences, confidence);
}

double sign_test(std::span<const double> differences) {
  if (std::ranges::any_of(differences, [](double d) { return std::isnan(d); }))
    return std::numeric_limits<double>::quiet_NaN();
  const auto positive = std::ranges::count_if(differences, [](double d) { return d > 0; });
  const auto negative = std::ranges::count_if(differences, [](double d) { return d < 0; });
  if (positive + negative == 0) return 1;
  const boost::math::binomial coin(static_cast<double>(positive + negative), 0.5);
  return std::min(1.0, 2 * cdf(coin, static_cast<double>(std::min(positive, negative))));
}

}  // namespace halfulp
