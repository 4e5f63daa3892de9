// Studies: a question, and the experiments that answer it, from a TOML file.
//
//   title = "…"
//   question = "…"
//   metric = "validation_loss"           # what results are ranked by: a name in metric_names()
//   seeds = [1, 2, 3]
//   baseline = { recipe = "bf16" }       # every arm is compared with itself under these settings
//   [base]                               # settings of every experiment
//   optimizer.warmup = 50
//   [axes]                               # every combination of one value from each list
//   recipe = ["bf16", "mxfp4-ocp"]
//   optimizer.lr = [1e-3, 3e-3]
//   [[zip]]                              # one axis of several keys that change together
//   task = ["regression", "vision"]
//   steps = [1000, 500]
//   [[exclude]]                          # combinations with all of these settings are left out
//   task = "vision"
//   recipe = ["mxfp4-ocp"]
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "sim/experiment.h"
#include "sim/settings.h"

namespace halfulp {

struct Study {
  /// One axis: alternatives, each a list of settings (one, or one per key of a zipped group).
  using Axis = std::vector<std::vector<Setting>>;
  /// A combination is excluded when for every key one of its values is set.
  struct Exclusion {
    struct Condition {
      std::string key;
      std::vector<std::string> values;
    };
    std::vector<Condition> conditions;
  };

  std::string title, question;
  std::string metric = "validation_loss";
  std::vector<uint64_t> seeds;
  std::vector<Setting> baseline;
  std::vector<Setting> base;
  std::vector<Axis> axes;
  std::vector<Exclusion> exclusions;
};

/// Names that `metric` may have.
std::vector<std::string_view> metric_names();

/// Throws std::invalid_argument: "FILE:LINE: what, and what is allowed".
Study parse_study(std::string_view toml, std::string_view file_name);
Study read_study(const std::filesystem::path& path);

/// An experiment of a study.
struct PlannedRun {
  Experiment experiment;
  std::string key;
};

struct Plan {
  std::vector<PlannedRun> runs;  // distinct, in the order of the study, seeds slowest
  int64_t combinations = 0;      // before those that come to the same experiment were merged
  int64_t excluded = 0;
};

/// Throws std::invalid_argument where a combination is no valid experiment, naming its settings.
Plan expand(const Study& study);

}  // namespace halfulp
