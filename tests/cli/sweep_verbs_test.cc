// The verbs around sweeps: recipes, tasks, sweep, run, results and export, through the built command.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "sim/result_store.h"
#include "sim/task.h"
#include "tests/cli/command.h"
#include "tests/sim/digits_study.h"

namespace halfulp {
namespace {

using Json = nlohmann::ordered_json;

CommandResult without_data(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"HALFULP_DATA=/nonexistent", HALFULP_COMMAND});
  return run_program("/usr/bin/env", arguments);
}

/// The facts of a verb's table, which the aligned form rounds.
Json same_json_and_csv(std::vector<std::string> arguments) {
  arguments.push_back("--json");
  const Json json = Json::parse(halfulp_command(arguments).out);
  arguments.back() = "--csv";
  const std::vector<std::vector<std::string>> csv = csv_rows(halfulp_command(arguments).out);
  EXPECT_EQ(csv.size(), json.size() + 1);
  for (size_t row = 0; row < json.size(); ++row) {
    size_t column = 0;
    for (const auto& [name, value] : json[row].items()) {
      EXPECT_EQ(csv.at(0).at(column), name);
      EXPECT_TRUE(same_fact(value, csv.at(row + 1).at(column))) << name << ": " << value;
      ++column;
    }
    EXPECT_EQ(csv.at(row + 1).size(), column);
  }
  return json;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  return {std::istream_iterator<std::string>(stream), {}};
}

class SweepVerbs : public testing::Test {
 protected:
  std::string write_study(const std::string& toml) {
    write_file(study_, toml);
    return study_;
  }

  /// Fills the store with the digits study.
  void sweep(std::string_view seeds = "1, 2") {
    write_study(digits_study(seeds));
    const CommandResult result = halfulp_command({"sweep", study_, "--store", store_, "--jobs", "2"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }

  const ScratchFolder folder_;
  const std::string study_ = folder_.file("study.toml"), store_ = folder_.file("study.db");
};

// --- recipes and tasks ---

TEST_F(SweepVerbs, recipes_lists_the_catalogue) {
  expect_same_facts({"recipes"});
  const std::vector<std::string> listed = csv_column(output_of({"recipes", "--csv"}), "name");
  ASSERT_EQ(listed.size(), recipes().size());
  for (size_t i = 0; i < listed.size(); ++i) EXPECT_EQ(listed[i], recipes()[i].name);
}

TEST_F(SweepVerbs, a_printed_recipe_pasted_under_base_is_the_same_experiment) {
  for (const RecipeRow& row : recipes()) {
    const std::string base = "seeds = [1]\n[base]\ntask = 'digits'\n";
    const Plan pasted = expand(parse_study(base + output_of({"recipes", std::string(row.name)}), "pasted"));
    const Plan named = expand(parse_study(base + fmt::format("recipe = '{}'\n", row.name), "named"));
    EXPECT_EQ(pasted.runs.at(0).key, named.runs.at(0).key) << row.name;
  }
  const Json json = Json::parse(output_of({"recipes", "tetrajet", "--json"}));
  EXPECT_EQ(json["name"], "tetrajet");
  EXPECT_EQ(json["recipe.dgrad.w.source"], "forward");
}

TEST_F(SweepVerbs, an_unknown_recipe_is_answered_with_the_nearest) {
  expect_unusable({"recipes", "nvfp4-nvidea"}, {"'nvfp4-nvidea'", "nearest: nvfp4-nvidia"});
}

TEST_F(SweepVerbs, tasks_measures_parameters_and_seconds_on_request) {
  for (const TaskRow& task : tasks())
    if (!is_fetched(task.dataset)) GTEST_SKIP() << "no data; `tools/fetch_data " << task.dataset << "` fetches it";
  const Json json = Json::parse(output_of({"tasks", "--measure", "--json"}));
  ASSERT_EQ(json.size(), tasks().size());
  for (const Json& row : json) EXPECT_GT(std::stod(row["seconds_per_run"].get<std::string>()), 0);
  // weights and biases of 64 -> 128 -> 128 -> 10
  for (const Json& row : json)
    if (row["name"] == "digits") {
      EXPECT_EQ(row["parameters"], 65 * 128 + 129 * 128 + 129 * 10);
    }
}

TEST_F(SweepVerbs, tasks_lists_the_catalogue_and_what_is_fetched) {
  expect_same_facts({"tasks"});
  const Json json = Json::parse(output_of({"tasks", "--json"}));
  ASSERT_EQ(json.size(), tasks().size());
  for (size_t i = 0; i < tasks().size(); ++i) {
    EXPECT_EQ(json[i]["name"], tasks()[i].name);
    EXPECT_EQ(json[i]["fetched"], is_fetched(tasks()[i].dataset));
  }
  for (const Json& row : Json::parse(without_data({"tasks", "--json"}).out)) EXPECT_EQ(row["fetched"], false);
}

// --- sweep ---

TEST_F(SweepVerbs, a_dry_run_counts_and_leaves_nothing) {
  write_study(digits_study("1, 2"));
  const CommandResult result = halfulp_command({"sweep", study_, "--store", store_, "--dry-run", "--csv"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "task,recipe,planned,to_run\ndigits,bf16,4,4\ndigits,mxfp4-ocp,4,4\ndigits,nvfp4-nvidia,4,4\n");
  EXPECT_EQ(result.err, "12 combinations, 0 excluded, 12 distinct experiments, 12 to run\n");
  EXPECT_FALSE(std::filesystem::exists(store_));
}

TEST_F(SweepVerbs, a_dry_run_heeds_shard_and_limit) {
  write_study(digits_study("1, 2"));
  const auto to_run = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"sweep", study_, "--store", store_, "--dry-run", "--csv"});
    int64_t sum = 0;
    for (const std::string& count : csv_column(halfulp_command(options).out, "to_run")) sum += std::stoll(count);
    return sum;
  };
  EXPECT_EQ(to_run({"--shard", "0/2"}) + to_run({"--shard", "1/2"}), 12);
  EXPECT_LT(to_run({"--shard", "0/2"}), 12);
  EXPECT_EQ(to_run({"--limit", "5"}), 5);
  EXPECT_EQ(to_run({"--limit", "0"}), 0);
}

TEST_F(SweepVerbs, a_dry_run_knows_what_is_stored) {
  HALFULP_NEEDS_DATA("digits");
  write_study(digits_study("1, 2"));
  EXPECT_EQ(halfulp_command({"sweep", study_, "--store", store_, "--limit", "7"}).exit_code, 0);
  const CommandResult result = halfulp_command({"sweep", study_, "--store", store_, "--dry-run"});
  EXPECT_NE(result.err.find("12 distinct experiments, 5 to run"), std::string::npos) << result.err;
}

TEST_F(SweepVerbs, the_ranking_of_a_sweep_says_the_same_in_all_forms) {
  HALFULP_NEEDS_DATA("digits");
  sweep();
  const Json json = same_json_and_csv({"sweep", study_, "--store", store_});
  ASSERT_EQ(json.size(), 6u);
  std::map<std::string, double> baseline;  // loss by learning rate
  for (const Json& row : json)
    if (row["recipe"] == "bf16") baseline[row["optimizer.lr"]] = row["validation_loss"];
  double before = 0;
  for (size_t i = 0; i < json.size(); ++i) {
    const Json& row = json[i];
    EXPECT_EQ(row["rank"], i + 1);
    EXPECT_EQ(row["finished"], "2/2");
    EXPECT_GE(row["validation_loss"], before);
    before = row["validation_loss"];
    if (row["recipe"] == "bf16") {
      EXPECT_EQ(row["change_%"], "baseline");
      EXPECT_TRUE(row["from_%"].is_null());
      continue;
    }
    EXPECT_LT(row["from_%"], row["change_%"]);
    EXPECT_LT(row["change_%"], row["to_%"]);
    // the mean of logs is near the log of means for two seeds this close
    EXPECT_NEAR(row["change_%"].get<double>(), 100 * (before / baseline[row["optimizer.lr"]] - 1), 0.5);
  }
  // the table for people: a header and one line per arm, rounded
  const std::vector<std::string> lines = lines_of(halfulp_command({"sweep", study_, "--store", store_}).out);
  ASSERT_EQ(lines.size(), 7u);
  EXPECT_EQ(words_of(lines[0])[0], "task");
  for (size_t i = 0; i < json.size(); ++i) {
    const std::vector<std::string> words = words_of(lines[i + 1]);
    EXPECT_EQ(words.at(2), json[i]["recipe"]);
    EXPECT_EQ(words.at(6), fmt::format("{:.4f}", json[i]["validation_loss"].get<double>()));
  }
}

TEST_F(SweepVerbs, a_sweep_reports_what_it_did) {
  HALFULP_NEEDS_DATA("digits");
  write_study(digits_study("1"));
  const CommandResult first = halfulp_command({"sweep", study_, "--store", store_, "--limit", "4"});
  EXPECT_EQ(first.exit_code, 0);
  EXPECT_NE(first.err.find("Digits\n4 of 6 experiments: 4 run in "), std::string::npos) << first.err;
  EXPECT_NE(first.err.find("0 were in " + store_ + ", 0 failed\n"), std::string::npos) << first.err;
  const CommandResult second = halfulp_command({"sweep", study_, "--store", store_});
  EXPECT_NE(second.err.find("6 of 6 experiments: 2 run in "), std::string::npos) << second.err;
}

TEST_F(SweepVerbs, a_store_is_named_after_its_study) {
  HALFULP_NEEDS_DATA("digits");
  write_study(digits_study("1"));
  const CommandResult result =
      shell(fmt::format("HALFULP_DATA=$(realpath ${{HALFULP_DATA:-data}}); export HALFULP_DATA; cd $(dirname {}); "
                        "halfulp sweep study.toml --limit 1",
                        study_));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ResultStore(folder_.file("results/study.db"), StoreMode::ReadOnly).all().size(), 1u);
}

TEST_F(SweepVerbs, unusable_options_of_a_sweep_name_the_option_and_what_is_allowed) {
  write_study(digits_study("1"));
  for (const char* shard : {"2/2", "-1/2", "0/0", "1", "1/b", "a/2", "/", "1/2/3"})
    expect_unusable({"sweep", study_, "--shard", shard},
                    {fmt::format("--shard: '{}' is not I/N with I from 0 to N - 1, such as 0/4", shard)});
  for (const char* jobs : {"0", "-1", "1025"})
    expect_unusable({"sweep", study_, "--jobs", jobs}, {"--jobs", "1 … 1024"});
  expect_unusable({"sweep", study_, "--jobs", "two"}, {"--jobs", "'two' is not a whole number"});
  expect_unusable({"sweep", study_, "--limit", "-1"}, {"--limit", "-1"});
  expect_unusable({"sweep", study_, "--job", "2"}, {"'--job'", "nearest: --jobs"});
  expect_unusable({"sweep"}, {"STUDY.toml is missing"});
  EXPECT_FALSE(std::filesystem::exists("results/study.db"));
}

TEST_F(SweepVerbs, unusable_studies_and_stores_are_named) {
  expect_unusable({"sweep", folder_.file("none.toml")}, {folder_.file("none.toml"), "No such file or directory"});
  write_study("seeds = [1]\n[base]\ntask = 'digits'\noptimiser.lr = 1\n");
  expect_unusable({"sweep", study_}, {"'optimiser.lr'", "nearest: optimizer.lr"});
  write_study(digits_study("1"));
  expect_unusable({"sweep", study_, "--store", study_}, {study_, "not a result store"});
  expect_unusable({"sweep", study_, "--store", "/nonexistent/s.db"}, {"/nonexistent/s.db", "check the path"});
  EXPECT_EQ(read_file(study_), digits_study("1")) << "a file that is no store was touched";
}

TEST_F(SweepVerbs, a_missing_data_set_is_one_line_that_says_how_to_fetch_it) {
  write_study(digits_study("1"));
  expect_unusable(without_data({"sweep", study_, "--store", store_}), {"`tools/fetch_data digits`"});
  EXPECT_FALSE(std::filesystem::exists(store_)) << "a store was made for nothing";
  expect_unusable(without_data({"run", study_}), {"`tools/fetch_data digits`"});
}

// --- run ---

/// What `run` with these settings ran.
Json run_json(const std::string& study, const std::vector<std::string>& sets) {
  std::vector<std::string> arguments = {"run", study, "--json"};
  for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
  return Json::parse(output_of(arguments));
}

TEST_F(SweepVerbs, run_takes_the_first_of_every_axis_and_what_is_set) {
  HALFULP_NEEDS_DATA("digits");
  write_study("seeds = [7, 1]\n" + digits_base() +
              "[axes]\noptimizer.lr = [0.003, 0.01]\nrecipe = ['fp32', 'bf16']\n"
              "[[zip]]\nbatch = [16, 32]\nmodel.width = [16, 24]\noptimizer.weight_decay = [0.001, 0.01]\n");
  const auto key_of = [](const std::string& lines, const char* seed) {
    return expand(parse_study(fmt::format("seeds = [{}]\n[base]\ntask = 'digits'\nsteps = 20\nevaluations = 2\n"
                                          "model.layers = 1\noptimizer.warmup = 2\n{}",
                                          seed, lines),
                              "want"))
        .runs.at(0)
        .key;
  };
  const std::string first_row = "batch = 16\nmodel.width = 16\noptimizer.weight_decay = 0.001\n";
  const std::string second_row = "batch = 32\nmodel.width = 24\noptimizer.weight_decay = 0.01\n";
  const std::string fp32 = "recipe = 'fp32'\noptimizer.lr = 0.003\n";
  EXPECT_EQ(run_json(study_, {})["key"], key_of(fp32 + first_row, "7"));
  // a value of a zipped key brings the others of its row
  EXPECT_EQ(run_json(study_, {"batch=32"})["key"], key_of(fp32 + second_row, "7"));
  EXPECT_EQ(run_json(study_, {"model.width=24", "seed=1"})["key"], key_of(fp32 + second_row, "1"));
  EXPECT_EQ(run_json(study_, {"optimizer.weight_decay=1e-2"})["key"], key_of(fp32 + second_row, "7"));
  // one that no row has changes that key only
  EXPECT_EQ(run_json(study_, {"batch=8", "recipe=tetrajet", "optimizer.lr=0.02"})["key"],
            key_of("recipe = 'tetrajet'\noptimizer.lr = 0.02\nmodel.width = 16\noptimizer.weight_decay = 0.001\n"
                   "batch = 8\n",
                   "7"));
}

TEST_F(SweepVerbs, run_shows_a_curve_whose_end_is_the_result) {
  HALFULP_NEEDS_DATA("digits");
  write_study(digits_study("3"));
  const std::vector<std::string> lines = lines_of(output_of({"run", study_}));
  EXPECT_TRUE(lines[0].starts_with("digits, bf16, seed 3; a guess without input loses 2.30")) << lines[0];
  EXPECT_EQ(words_of(lines[1]), (std::vector<std::string>{"step", "train_loss", "validation_loss"}));
  EXPECT_EQ(words_of(lines[2])[0], "10");
  EXPECT_EQ(words_of(lines[3])[0], "20");
  const Json json = run_json(study_, {});
  EXPECT_EQ(words_of(lines[3])[2], fmt::format("{:.5f}", json["validation_loss"].get<double>()));
  EXPECT_EQ(json["status"], "finished");
  EXPECT_EQ(json["steps"], 20);
  EXPECT_EQ(Json::parse(json["curve"].get<std::string>()).back()[2], json["validation_loss"]);
}

TEST_F(SweepVerbs, unusable_settings_of_a_run_are_answered_with_what_is_allowed) {
  write_study(digits_study("1"));
  expect_unusable({"run", study_, "--set", "optimiser.lr=1"}, {"'optimiser.lr'", "nearest: optimizer.lr"});
  expect_unusable({"run", study_, "--set", "recipe=nvfp4-nvidea"}, {"nearest: nvfp4-nvidia"});
  expect_unusable({"run", study_, "--set", "optimizer.lr"}, {"--set", "'optimizer.lr' is not KEY=VALUE"});
  expect_unusable({"run", study_, "--set", "=1"}, {"--set", "is not KEY=VALUE"});
  expect_unusable({"run", study_, "--set", "optimizer.lr=fast"}, {"optimizer.lr", "'fast' is not a finite number"});
  expect_unusable({"run", study_, "--set", "steps=2"}, {"optimizer.warmup: 2 is not in 0 … 1"});
}

// --- results ---

TEST_F(SweepVerbs, results_are_those_that_the_sweep_printed) {
  HALFULP_NEEDS_DATA("digits");
  sweep();
  EXPECT_EQ(output_of({"results", store_, "--json"}),
            halfulp_command({"sweep", study_, "--store", store_, "--json"}).out);
  same_json_and_csv({"results", store_});
}

TEST_F(SweepVerbs, where_keeps_the_runs_that_have_all_the_settings) {
  HALFULP_NEEDS_DATA("digits");
  sweep();
  const auto found = [&](const std::vector<std::string>& conditions) {
    std::vector<std::string> arguments = {"results", store_, "--csv"};
    for (const std::string& condition : conditions) arguments.insert(arguments.end(), {"--where", condition});
    return csv_column(output_of(arguments), "recipe");
  };
  EXPECT_EQ(found({"recipe=bf16"}), (std::vector<std::string>{"bf16", "bf16"}));
  EXPECT_EQ(found({"recipe=mxfp4-ocp", "optimizer.lr=0.01"}), std::vector<std::string>{"mxfp4-ocp"});
  EXPECT_EQ(found({"recipe=mxfp4-ocp", "optimizer.lr=1e-2"}), std::vector<std::string>{"mxfp4-ocp"});
  EXPECT_EQ(found({"status=finished"}).size(), 6u);
  EXPECT_EQ(csv_column(output_of({"results", store_, "--csv", "--where", "seed=2"}), "finished"),
            std::vector<std::string>(6, "1/1"));
  // the baseline need not be among them
  const Json row = Json::parse(output_of({"results", store_, "--json", "--where", "recipe=mxfp4-ocp"})).at(0);
  EXPECT_TRUE(row["change_%"].is_number());
}

TEST_F(SweepVerbs, where_nothing_matches_the_table_is_empty_and_a_line_says_why) {
  HALFULP_NEEDS_DATA("digits");
  sweep();
  const CommandResult result =
      halfulp_command({"results", store_, "--json", "--where", "recipe=mxfp8", "--where", "seed=1"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(Json::parse(result.out).size(), 0u);
  EXPECT_EQ(result.err, fmt::format("none of the 12 runs in {} is --where recipe=mxfp8 and seed=1\n", store_));
}

TEST_F(SweepVerbs, sort_top_and_baseline_change_the_ranking) {
  HALFULP_NEEDS_DATA("digits");
  sweep();
  const Json all = same_json_and_csv({"results", store_, "--sort", "accuracy"});
  ASSERT_EQ(all.size(), 6u);
  for (size_t i = 0; i + 1 < all.size(); ++i) EXPECT_GE(all[i]["accuracy"], all[i + 1]["accuracy"]);
  Json three = Json::parse(output_of({"results", store_, "--sort", "accuracy", "--top", "3", "--json"}));
  ASSERT_EQ(three.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(three[i], all[i]);

  for (const Json& row : Json::parse(output_of(
           {"results", store_, "--baseline", "recipe=mxfp4-ocp", "--baseline", "optimizer.lr=0.01", "--json"}))) {
    const bool is_baseline = row["recipe"] == "mxfp4-ocp" && row["optimizer.lr"] == "0.01";
    EXPECT_EQ(row["change_%"] == "baseline", is_baseline) << row;
  }
}

TEST_F(SweepVerbs, unusable_arguments_of_results_are_answered_with_what_is_allowed) {
  HALFULP_NEEDS_DATA("digits");
  sweep();
  expect_unusable({"results", store_, "--where", "optimiser.lr=1"}, {"'optimiser.lr'", "nearest: optimizer.lr"});
  expect_unusable({"results", store_, "--where", "bf16"}, {"--where", "'bf16' is not KEY=VALUE"});
  expect_unusable({"results", store_, "--sort", "acuracy"}, {"'acuracy'", "nearest: accuracy"});
  expect_unusable({"results", store_, "--top", "0"}, {"--top", "from 1 on"});
  expect_unusable({"results", store_, "--baseline", "recipe=bf61"}, {"'bf61'", "nearest: bf16"});
}

TEST_F(SweepVerbs, files_that_are_no_store_are_refused) {
  write_study("seeds = [1]\n");
  for (const std::string verb : {"results", "export"}) {
    std::vector<std::string> rest;
    if (verb == "export") rest.push_back(folder_.file("out.csv"));
    for (const auto& [path, part] :
         std::vector<std::pair<std::string, std::string>>{{study_, "not a result store"},
                                                          {folder_.file("none.db"), "No such file"},
                                                          {folder_.file(""), "check the path"}}) {
      std::vector<std::string> arguments = {verb, path};
      arguments.insert(arguments.end(), rest.begin(), rest.end());
      expect_unusable(arguments, {path, part});
    }
  }
  EXPECT_EQ(folder_.file_count(), 1u) << "only the study";
}

// --- export ---

TEST_F(SweepVerbs, an_export_has_every_field_and_metric_of_every_run) {
  HALFULP_NEEDS_DATA("digits");
  sweep();
  RunRecord broken = ResultStore(store_).all().front();
  broken.key = std::string(64, 'f');
  broken.status = RunStatus::Failed;
  broken.reason = "a \"quoted\", comma";
  broken.metrics.clear();
  ResultStore(store_).insert(broken);
  const std::string path = folder_.file("out.csv");
  EXPECT_EQ(output_of({"export", store_, path}), "");
  const std::string csv = read_file(path);
  const std::vector<RunRecord> records = ResultStore(store_).all();
  ASSERT_EQ(csv_rows(csv).size(), records.size() + 1);
  for (const std::vector<std::string>& row : csv_rows(csv)) EXPECT_EQ(row.size(), csv_rows(csv)[0].size());

  for (const Setting& field : settings(Experiment{})) {
    const std::vector<std::string> column = csv_column(csv, field.key);
    for (size_t i = 0; i < records.size(); ++i) {
      const std::vector<Setting> all = settings(parse_experiment(records[i].experiment));
      EXPECT_EQ(column[i], std::ranges::find(all, field.key, &Setting::key)->value) << field.key;
    }
  }
  for (const auto& [metric, value] : records.front().metrics) {
    const std::vector<std::string> column = csv_column(csv, metric);
    for (size_t i = 0; i < records.size(); ++i) {
      const bool has = records[i].metrics.contains(metric);
      EXPECT_EQ(column[i].empty(), !has);
      if (has) {
        EXPECT_EQ(std::strtod(column[i].c_str(), nullptr), records[i].metrics.at(metric)) << "to the last bit";
      }
    }
  }
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(csv_column(csv, "key")[i], records[i].key);
    EXPECT_EQ(csv_column(csv, "status")[i], name(records[i].status));
    EXPECT_EQ(csv_column(csv, "reason")[i], records[i].reason);
    EXPECT_EQ(csv_column(csv, "recipe")[i], describe(parse_experiment(records[i].experiment).recipe));
    EXPECT_EQ(csv_column(csv, "numerics")[i], records[i].numerics);
    EXPECT_EQ(std::strtod(csv_column(csv, "seconds")[i].c_str(), nullptr), records[i].seconds);
  }
}

TEST_F(SweepVerbs, an_export_that_cannot_be_written_leaves_nothing) {
  HALFULP_NEEDS_DATA("digits");
  sweep("1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16");
  expect_unusable({"export", store_, "/nonexistent/out.csv"}, {"/nonexistent/out.csv", "No such file or directory"});
  expect_unusable({"export", store_, "/dev/full"}, {"/dev/full", "No space left on device"});
  const std::string path = folder_.file("out.csv");
  // [512 bytes]: enough to read the store, too little for the table
  const std::string command = fmt::format("trap '' XFSZ; ulimit -f 70; exec halfulp export {} {}", store_, path);
  const size_t files = folder_.file_count();
  expect_unusable(shell(command), {path, "File too large"});
  EXPECT_EQ(folder_.file_count(), files);
  write_file(path, "older table");
  expect_unusable(shell(command), {path, "File too large"});
  EXPECT_TRUE(read_file(path) == "older table");
}

}  // namespace
}  // namespace halfulp
