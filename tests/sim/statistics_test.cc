#include "sim/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

namespace halfulp {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// `count` values with mean 0 whose standard error of the mean is 1, so that the half-width is the quantile of t.
std::vector<double> unit_standard_error(int count) {
  std::vector<double> values(static_cast<size_t>(count), 0.0);
  values.front() = std::sqrt(count * (count - 1) / 2.0);
  values.back() = -values.front();
  return values;
}

// Quantiles of Student's t as printed in every table (for example NIST/SEMATECH e-Handbook, section 1.3.6.7.2).
TEST(Statistics, half_widths_are_the_tabulated_quantiles_of_t) {
  struct Row {
    int degrees;
    double t90, t95, t99;
  };
  for (const Row& row : {Row{1, 6.313752, 12.706205, 63.656741}, Row{2, 2.919986, 4.302653, 9.924843},
                         Row{4, 2.131847, 2.776445, 4.604095}, Row{9, 1.833113, 2.262157, 3.249836},
                         Row{30, 1.697261, 2.042272, 2.749996}}) {
    const std::vector<double> values = unit_standard_error(row.degrees + 1);
    EXPECT_NEAR(mean_interval(values, 0.90).high, row.t90, 1e-6) << row.degrees;
    EXPECT_NEAR(mean_interval(values).high, row.t95, 1e-6) << row.degrees;
    EXPECT_NEAR(mean_interval(values, 0.99).high, row.t99, 1e-6) << row.degrees;
    EXPECT_NEAR(mean_interval(values).low, -row.t95, 1e-6) << row.degrees;
    EXPECT_EQ(mean_interval(values).count, row.degrees + 1);
  }
}

// The data of Student's paper (The probable error of a mean, Biometrika 6, 1908): additional hours of sleep under two
// drugs. R's t.test(paired = TRUE) gives the interval 0.7001142 … 2.4598858.
TEST(Statistics, paired_difference_repeats_students_sleep_example) {
  const std::vector<double> first = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
  const std::vector<double> second = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};
  const Interval interval = paired_difference(second, first);
  EXPECT_NEAR(interval.mean, 1.58, 1e-12);
  EXPECT_NEAR(interval.low, 0.7001142, 1e-7);
  EXPECT_NEAR(interval.high, 2.4598858, 1e-7);
  EXPECT_EQ(interval.count, 10);
}

TEST(Statistics, paired_difference_needs_equally_many_values) {
  EXPECT_THROW(paired_difference(std::vector{1.0, 2.0}, std::vector{1.0}), std::invalid_argument);
}

TEST(Statistics, equal_values_leave_no_doubt) {
  const Interval interval = mean_interval(std::vector{2.5, 2.5, 2.5});
  EXPECT_EQ(interval.mean, 2.5);
  EXPECT_EQ(interval.low, 2.5);
  EXPECT_EQ(interval.high, 2.5);
}

TEST(Statistics, one_value_bounds_nothing) {
  const Interval interval = mean_interval(std::vector{3.0});
  EXPECT_EQ(interval.mean, 3.0);
  EXPECT_EQ(interval.low, -kInfinity);
  EXPECT_EQ(interval.high, kInfinity);
  EXPECT_EQ(interval.count, 1);
}

TEST(Statistics, nothing_and_values_that_are_not_finite_give_nan) {
  for (const std::vector<double>& values : {std::vector<double>{}, {1, kNan, 2}, {1, kInfinity}, {-kInfinity}}) {
    const Interval interval = mean_interval(values);
    EXPECT_TRUE(std::isnan(interval.mean) && std::isnan(interval.low) && std::isnan(interval.high));
    EXPECT_EQ(interval.count, static_cast<int>(values.size()));
  }
}

TEST(Statistics, intervals_hold_the_true_mean_as_often_as_they_say) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal(5, 2);
  int held = 0;
  for (int trial = 0; trial < 20'000; ++trial) {
    std::vector<double> values(4);
    for (double& x : values) x = normal(random);
    const Interval interval = mean_interval(values, 0.9);
    held += interval.low <= 5 && 5 <= interval.high;
  }
  EXPECT_NEAR(held / 20'000.0, 0.9, 0.01);
}

// Sums of binomial coefficients over powers of two, by hand.
TEST(Statistics, sign_test_is_the_exact_binomial_tail) {
  const auto p = [](int positive, int negative, int zero) {
    std::vector<double> differences(static_cast<size_t>(positive), 0.5);
    differences.insert(differences.end(), static_cast<size_t>(negative), -kInfinity);
    differences.insert(differences.end(), static_cast<size_t>(zero), -0.0);
    return sign_test(differences);
  };
  EXPECT_NEAR(p(5, 0, 0), 2.0 / 32, 1e-15);
  EXPECT_NEAR(p(0, 5, 3), 2.0 / 32, 1e-15);
  EXPECT_NEAR(p(9, 0, 1), 2.0 / 512, 1e-15);
  EXPECT_NEAR(p(8, 2, 0), 2 * 56.0 / 1024, 1e-15);
  EXPECT_NEAR(p(2, 8, 0), 2 * 56.0 / 1024, 1e-15);
  EXPECT_NEAR(p(15, 5, 0), 2 * 21700.0 / 1048576, 1e-15);
  EXPECT_EQ(p(2, 2, 0), 1);
  EXPECT_EQ(p(0, 0, 4), 1);
  EXPECT_EQ(p(0, 0, 0), 1);
  EXPECT_TRUE(std::isnan(sign_test(std::vector{1.0, kNan})));
}

}  // namespace
}  // namespace halfulp
