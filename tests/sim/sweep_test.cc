#include "sim/sweep.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "sim/numerics.h"
#include "sim/run.h"
#include "tests/cli/command.h"
#include "tests/sim/digits_study.h"

namespace halfulp {
namespace {

using namespace std::chrono_literals;

SweepOptions quiet(SweepOptions options = {}) {
  options.shows_progress = false;
  return options;
}

/// What a store holds after an undisturbed sweep.
std::string dump_of(const Plan& plan) {
  const ScratchFolder folder;
  ResultStore store(folder.file("whole.db"));
  sweep(plan, store, quiet());
  return store.canonical_dump();
}

std::vector<RunRecord> records_in(const std::string& path) {
  if (!std::filesystem::exists(path)) return {};
  return ResultStore(path, StoreMode::ReadOnly).all();
}

/// How many runs a store holds that another process may be making just now.
size_t count_in(const std::string& path) {
  try {
    return records_in(path).size();
  } catch (const std::runtime_error&) {
    return 0;
  }
}

std::string dump_in(const std::string& path) { return ResultStore(path, StoreMode::ReadOnly).canonical_dump(); }

/// The command in the background, its standard error in a file.
class Background {
 public:
  Background(std::vector<std::string> arguments, const std::string& err) {
    arguments.insert(arguments.begin(), HALFULP_COMMAND);
    std::vector<char*> words;
    for (std::string& argument : arguments) words.push_back(argument.data());
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EXPECT_EQ(posix_spawn(&process_, HALFULP_COMMAND, &actions, nullptr, words.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Background() {
    if (process_ != 0) end(SIGKILL);
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Sends a signal and waits; the status of waitpid.
  int end(int signal_number) {
    int status = 0;
    kill(process_, signal_number);
    waitpid(process_, &status, 0);
    process_ = 0;
    return status;
  }

 private:
  pid_t process_ = 0;
};

/// Waits until a condition holds, at most 20 s.
void wait_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::sleep_for(2ms);
  }
}

class Sweep : public testing::Test {
 protected:
  void SetUp() override { HALFULP_NEEDS_DATA("digits"); }

  std::string write_study(std::string_view toml) {
    const std::string path = folder_.file("study.toml");
    write_file(path, toml);
    return path;
  }

  const ScratchFolder folder_;
};

TEST_F(Sweep, any_number_of_jobs_gives_the_same_store) {
  const Plan plan = digits_plan("1, 2");
  const std::string want = dump_of(plan);
  for (int jobs : {1, 2, 5}) {
    ResultStore store(folder_.file(fmt::format("{}.db", jobs)));
    const SweepSummary summary = sweep(plan, store, quiet({.jobs = jobs}));
    EXPECT_EQ(summary.planned, 12);
    EXPECT_EQ(summary.kept, 0);
    EXPECT_EQ(summary.run, 12);
    EXPECT_EQ(summary.failed, 0);
    EXPECT_FALSE(summary.cancelled);
    EXPECT_EQ(store.canonical_dump(), want) << jobs << " jobs";
  }
}

TEST_F(Sweep, every_run_of_the_plan_is_stored_under_its_key_as_it_comes_alone) {
  const Plan plan = digits_plan("1");
  ResultStore store(folder_.file("s.db"));
  sweep(plan, store, quiet({.jobs = 2}));
  for (const PlannedRun& run : plan.runs) {
    const std::vector<RunRecord> found = store.find(run.key);
    ASSERT_EQ(found.size(), 1u) << run.key;
    EXPECT_EQ(first_difference(found[0], *run_experiment(run.experiment)), std::nullopt);
  }
  EXPECT_EQ(store.all().size(), plan.runs.size());
}

TEST_F(Sweep, running_again_runs_nothing_and_touches_nothing) {
  const Plan plan = digits_plan("1");
  ResultStore store(folder_.file("s.db"));
  sweep(plan, store, quiet());
  const std::vector<RunRecord> before = store.all();
  EXPECT_TRUE(remaining(plan, &store, {}).empty());
  const SweepSummary again = sweep(plan, store, quiet({.jobs = 2}));
  EXPECT_EQ(again.kept, 6);
  EXPECT_EQ(again.run, 0);
  const std::vector<RunRecord> after = store.all();
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) EXPECT_EQ(after[i].seconds, before[i].seconds);
}

TEST_F(Sweep, a_larger_study_runs_only_what_is_new) {
  ResultStore store(folder_.file("s.db"));
  sweep(digits_plan("1"), store, quiet());
  const SweepSummary more = sweep(digits_plan("2, 1"), store, quiet());
  EXPECT_EQ(more.kept, 6);
  EXPECT_EQ(more.run, 6);
  EXPECT_EQ(store.canonical_dump(), dump_of(digits_plan("1, 2")));
}

TEST_F(Sweep, a_limit_stops_after_so_many_runs_in_the_order_of_the_plan) {
  const Plan plan = digits_plan("1");
  ResultStore store(folder_.file("s.db"));
  EXPECT_EQ(sweep(plan, store, quiet({.limit = 0})).run, 0);
  EXPECT_EQ(sweep(plan, store, quiet({.limit = 4})).run, 4);
  for (size_t i = 0; i < plan.runs.size(); ++i) EXPECT_EQ(store.contains(plan.runs[i].key), i < 4);
  const SweepSummary rest = sweep(plan, store, quiet({.limit = 4}));
  EXPECT_EQ(rest.kept, 4);
  EXPECT_EQ(rest.run, 2);
  EXPECT_EQ(store.canonical_dump(), dump_of(plan));
}

TEST_F(Sweep, shards_in_stores_of_their_own_merge_to_the_whole) {
  const Plan plan = digits_plan("1, 2");
  ResultStore a(folder_.file("a.db")), b(folder_.file("b.db"));
  const SweepSummary first = sweep(plan, a, quiet({.shard = 0, .shards = 2}));
  const SweepSummary second = sweep(plan, b, quiet({.shard = 1, .shards = 2}));
  EXPECT_GT(first.run, 0);
  EXPECT_GT(second.run, 0);
  EXPECT_EQ(first.run, first.planned);
  EXPECT_EQ(first.planned + second.planned, 12);
  a.insert(b.all());
  EXPECT_EQ(a.canonical_dump(), dump_of(plan));
}

TEST_F(Sweep, failed_runs_are_done_again) {
  const Plan plan = digits_plan("1");
  ResultStore store(folder_.file("s.db"));
  store.insert(RunRecord{.key = plan.runs[2].key,
                         .experiment = canonical_text(plan.runs[2].experiment),
                         .status = RunStatus::Failed,
                         .reason = "the machine was on fire",
                         .curve = "[]",
                         .counters = "{}",
                         .numerics = numerics_version()});
  EXPECT_EQ(remaining(plan, &store, {}).size(), plan.runs.size());
  EXPECT_EQ(sweep(plan, store, quiet()).run, 6);
  EXPECT_EQ(store.canonical_dump(), dump_of(plan));
}

TEST_F(Sweep, diverged_runs_are_results_and_are_not_done_again) {
  const std::vector<Setting> wildness = {
      {"optimizer.kind", "sgd"}, {"optimizer.lr", "1000"}, {"optimizer.momentum", "1"}, {"optimizer.clip", "0"}};
  Plan wild = digits_plan("1", 60);
  wild.runs.resize(3);  // the others differ by the learning rate that is set here
  for (PlannedRun& run : wild.runs) {
    run.experiment = with_settings(run.experiment, wildness);
    run.key = experiment_key(run.experiment);
  }
  ResultStore store(folder_.file("s.db"));
  const SweepSummary summary = sweep(wild, store, quiet());
  EXPECT_EQ(summary.run, 3);
  EXPECT_EQ(summary.diverged, 3);
  EXPECT_EQ(summary.failed, 0);
  for (const RunRecord& record : store.all()) {
    EXPECT_EQ(record.status, RunStatus::Diverged);
    EXPECT_FALSE(record.reason.empty());
    EXPECT_TRUE(record.diverged_step);
  }
  EXPECT_EQ(sweep(wild, store, quiet()).kept, 3);
}

TEST_F(Sweep, an_exception_fails_its_run_only) {
  Plan plan = digits_plan("1");
  PlannedRun& bad = plan.runs[1];
  bad.experiment.recipe.fprop_x.format = "e99m99";
  bad.key = std::string(64, '5');
  ResultStore store(folder_.file("s.db"));
  for (int jobs : {1, 2}) {
    const SweepSummary summary = sweep(plan, store, quiet({.jobs = jobs}));
    EXPECT_EQ(summary.run, jobs == 1 ? 5 : 0);
    EXPECT_EQ(summary.kept, jobs == 1 ? 0 : 5);
    EXPECT_EQ(summary.failed, 1);
  }
  const RunRecord record = store.find(bad.key).at(0);
  EXPECT_EQ(record.status, RunStatus::Failed);
  EXPECT_NE(record.reason.find("e99m99"), std::string::npos) << record.reason;
  EXPECT_EQ(store.all().size(), 6u);
}

TEST_F(Sweep, an_error_of_the_store_ends_the_sweep) {
  Plan plan = digits_plan("1, 2");
  ResultStore store(folder_.file("s.db"));
  // the first run's result contradicts what is stored under its key, which the plan names wrongly
  RunRecord other = *run_experiment(plan.runs[0].experiment);
  other.metrics["validation_loss"] += 1;
  store.insert(other);
  plan.runs[0].key = std::string(64, '0');
  for (int jobs : {1, 2}) {
    try {
      sweep(plan, store, quiet({.jobs = jobs}));
      ADD_FAILURE() << "no error";
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()).find("validation_loss"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("s.db"), std::string::npos) << error.what();
    }
    EXPECT_LT(store.all().size(), plan.runs.size());
  }
}

TEST_F(Sweep, cancelled_before_the_start_nothing_is_run) {
  const std::atomic<bool> cancelled = true;
  ResultStore store(folder_.file("s.db"));
  const SweepSummary summary = sweep(digits_plan("1"), store, quiet({.cancelled = &cancelled}));
  EXPECT_EQ(summary.run, 0);
  EXPECT_TRUE(summary.cancelled);
  EXPECT_TRUE(store.all().empty());
}

TEST_F(Sweep, cancellation_leaves_only_whole_runs) {
  const Plan plan = digits_plan("1, 2, 3", 400, 32);
  const std::string whole = dump_of(plan);
  ResultStore store(folder_.file("s.db"));
  std::atomic<bool> cancelled = false;
  std::jthread canceller([&] {
    wait_until([&] { return store.all().size() >= 3; });
    cancelled = true;
  });
  const SweepSummary summary = sweep(plan, store, quiet({.jobs = 2, .cancelled = &cancelled}));
  EXPECT_TRUE(summary.cancelled);
  const std::vector<RunRecord> records = store.all();
  EXPECT_EQ(int64_t(records.size()), summary.run);
  EXPECT_LT(records.size(), plan.runs.size());
  for (const RunRecord& record : records) EXPECT_NE(whole.find(canonical_text(record)), std::string::npos);
  EXPECT_FALSE(sweep(plan, store, quiet({.jobs = 2})).cancelled);
  EXPECT_EQ(store.canonical_dump(), whole);
}

TEST_F(Sweep, missing_data_end_the_sweep_before_anything_is_run) {
  const std::string study = write_study(digits_study("1"));
  const CommandResult result = run_program(
      "/usr/bin/env", {"HALFULP_DATA=/nonexistent", HALFULP_COMMAND, "sweep", study, "--store", folder_.file("s.db")});
  expect_unusable(result, {"/nonexistent", "`tools/fetch_data digits`"});
  EXPECT_TRUE(records_in(folder_.file("s.db")).empty());
}

TEST_F(Sweep, killed_at_any_instant_it_loses_no_finished_run_and_does_none_twice) {
  constexpr int kKills = 15;
  const std::string text = digits_study("1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12", 300, 48);
  const std::string study = write_study(text), path = folder_.file("s.db"), whole_path = folder_.file("whole.db");
  const CommandResult whole = halfulp_command({"sweep", study, "--store", whole_path, "--jobs", "2"});
  ASSERT_EQ(whole.exit_code, 0) << whole.err;

  std::mt19937 random(20240229);
  std::map<std::string, RunRecord> known;
  int kills = 0, partial_stores = 0;
  for (int start = 0; start < kKills; ++start) {
    Background command({"sweep", study, "--store", path, "--jobs", "2"}, folder_.file("err"));
    // every third kill comes at the start, the others a moment after one or two more runs were stored
    const size_t more = size_t(start % 3);
    wait_until([&] { return count_in(path) >= std::min<size_t>(known.size() + more, 72); });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % (more == 0 ? 60'000 : 10'000)));
    kills += WIFSIGNALED(command.end(SIGKILL));
    const std::vector<RunRecord> records = records_in(path);
    partial_stores += !records.empty() && records.size() < 72;
    std::map<std::string, RunRecord> now;
    for (const RunRecord& record : records) now.emplace(record.key, record);
    for (const auto& [key, before] : known) {
      ASSERT_TRUE(now.contains(key)) << key << " was lost by kill " << kills;
      const RunRecord& after = now.at(key);
      EXPECT_EQ(after.seconds, before.seconds) << key << " was done twice";
      EXPECT_EQ(after.finished_at, before.finished_at);
      EXPECT_EQ(first_difference(after, before), std::nullopt);
    }
    known = std::move(now);
  }
  EXPECT_GE(kills, 10);
  EXPECT_GE(partial_stores, 5) << "too few kills came in the middle";

  const CommandResult last = halfulp_command({"sweep", study, "--store", path, "--jobs", "2"});
  EXPECT_EQ(last.exit_code, 0) << last.err;
  EXPECT_NE(last.err.find(fmt::format("{} were in", known.size())), std::string::npos) << last.err;
  EXPECT_EQ(dump_in(path), dump_in(whole_path));
  for (const RunRecord& record : records_in(path))
    if (const auto before = known.find(record.key); before != known.end()) {
      EXPECT_EQ(record.seconds, before->second.seconds);
    }
}

TEST_F(Sweep, interrupted_it_says_so_and_goes_on_from_there) {
  const std::string study = write_study(digits_study("1, 2, 3, 4", 400, 48));
  for (int signal_number : {SIGINT, SIGTERM}) {
    const std::string path = folder_.file(fmt::format("{}.db", signal_number)), err = folder_.file("err");
    Background command({"sweep", study, "--store", path, "--jobs", "2"}, err);
    wait_until([&] { return std::filesystem::exists(path) && ResultStore(path).all().size() >= 2; });
    const int status = command.end(signal_number);
    ASSERT_TRUE(WIFEXITED(status)) << "the signal killed it";
    EXPECT_EQ(WEXITSTATUS(status), 1);
    EXPECT_NE(read_file(err).find("stopped; the same command goes on from here"), std::string::npos) << read_file(err);
    const size_t done = records_in(path).size();
    EXPECT_GE(done, 2u);
    EXPECT_LT(done, 24u);
    const CommandResult again = halfulp_command({"sweep", study, "--store", path, "--jobs", "2"});
    EXPECT_EQ(again.exit_code, 0);
    EXPECT_NE(again.err.find(fmt::format("24 of 24 experiments: {} run", 24 - done)), std::string::npos) << again.err;
  }
  EXPECT_EQ(dump_in(folder_.file(fmt::format("{}.db", SIGINT))), dump_in(folder_.file(fmt::format("{}.db", SIGTERM))));
}

TEST_F(Sweep, a_full_disk_ends_the_sweep_and_keeps_what_was_stored) {
  const std::string study = write_study(digits_study("1, 2, 3")), path = folder_.file("s.db");
  const std::string command = fmt::format("halfulp sweep {} --store {} --jobs 2", study, path);
  const CommandResult full = shell("trap '' XFSZ; ulimit -f 150; " + command);  // [512 bytes] of any file
  EXPECT_EQ(full.exit_code, 2) << full.err;
  EXPECT_NE(full.err.find("halfulp sweep: " + path + ": "), std::string::npos) << full.err;
  EXPECT_NE(full.err.find("start again"), std::string::npos) << full.err;
  const std::vector<RunRecord> kept = records_in(path);
  EXPECT_GT(kept.size(), 0u);
  EXPECT_LT(kept.size(), 18u);
  const CommandResult again = shell(command);
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.err.find(fmt::format("{} were in", kept.size())), std::string::npos) << again.err;
  EXPECT_EQ(dump_in(path), dump_of(digits_plan("1, 2, 3")));
}

TEST_F(Sweep, two_processes_on_one_store_end_with_the_whole) {
  const std::string study = write_study(digits_study("1, 2, 3")), path = folder_.file("s.db");
  Background other({"sweep", study, "--store", path, "--shard", "1/2"}, folder_.file("err"));
  const CommandResult whole = halfulp_command({"sweep", study, "--store", path, "--shard", "0/2"});
  EXPECT_EQ(whole.exit_code, 0) << whole.err;
  const int status = other.end(0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << read_file(folder_.file("err"));
  EXPECT_EQ(dump_in(path), dump_of(digits_plan("1, 2, 3")));
}

TEST_F(Sweep, every_instruction_set_of_this_machine_gives_the_same_store) {
  struct Set {
    const char* name;
    bool is_here;
  };
  const Set sets[] = {{"portable", true},
                      {"avx2", __builtin_cpu_supports("avx2") != 0},
                      {"avx512", __builtin_cpu_supports("avx512bw") != 0}};
  // widths that are no multiple of any vector, and every recipe
  std::string recipe_list;
  for (const RecipeRow& row : recipes()) recipe_list += fmt::format("'{}', ", row.name);
  const std::string study =
      write_study("seeds = [1]\n" + digits_base(20, 37) + "[axes]\nrecipe = [" + recipe_list + "]\n");
  std::string want;
  for (const Set& set : sets) {
    if (!set.is_here) continue;
    const std::string path = folder_.file(fmt::format("{}.db", set.name));
    const CommandResult result = run_program("/usr/bin/env", {fmt::format("HALFULP_ISA={}", set.name), HALFULP_COMMAND,
                                                              "sweep", study, "--store", path, "--jobs", "2"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    for (const RunRecord& record : records_in(path)) EXPECT_EQ(record.host_info, set.name);
    if (want.empty()) want = dump_in(path);
    EXPECT_EQ(dump_in(path), want) << set.name;
  }
  EXPECT_EQ(records_in(folder_.file("portable.db")).size(), recipes().size());
}

}  // namespace
}  // namespace halfulp
