// A study that takes milliseconds a run: small models on the smallest data set.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "sim/dataset.h"
#include "sim/study.h"

namespace halfulp {

/// Skips the test where a data set is missing.
#define HALFULP_NEEDS_DATA(dataset)  \
  if (!halfulp::is_fetched(dataset)) \
  GTEST_SKIP() << "no data set " dataset "; `tools/fetch_data " dataset "` fetches it"

/// The [base] of its experiments.
inline std::string digits_base(int steps = 20, int width = 16) {
  return fmt::format(
      "[base]\n"
      "task = 'digits'\n"
      "steps = {}\n"
      "batch = 16\n"
      "evaluations = 2\n"
      "model.width = {}\n"
      "model.layers = 1\n"
      "optimizer.warmup = 2\n",
      steps, width);
}

/// A study of three recipes at two learning rates, for seeds like "1, 2".
inline std::string digits_study(std::string_view seeds, int steps = 20, int width = 16) {
  return fmt::format(
      "title = 'Digits'\n"
      "seeds = [{}]\n"
      "baseline = {{ recipe = 'bf16' }}\n"
      "{}"
      "[axes]\n"
      "optimizer.lr = [0.003, 0.01]\n"
      "recipe = ['bf16', 'mxfp4-ocp', 'nvfp4-nvidia']\n",
      seeds, digits_base(steps, width));
}

inline Plan digits_plan(std::string_view seeds, int steps = 20, int width = 16) {
  return expand(parse_study(digits_study(seeds, steps, width), "digits.toml"));
}

}  // namespace halfulp
