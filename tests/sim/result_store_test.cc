#include "sim/result_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>  // bit_cast
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <random>
#include <stdexcept>
#include <thread>

namespace halfulp {
namespace {

namespace fs = std::filesystem;

class ResultStoreTest : public testing::Test {
 protected:
  ResultStoreTest() {
    std::string name = (fs::temp_directory_path() / "halfulp_store_XXXXXX").string();
    directory_ = mkdtemp(name.data());
    store_ = directory_ / "study.db";
  }
  ~ResultStoreTest() override {
    fs::permissions(directory_, fs::perms::owner_all);
    fs::remove_all(directory_);
  }

  fs::path directory_, store_;
};

/// A record whose every field follows from i, so that half a record cannot pass for a whole one.
RunRecord record_of(int i) {
  RunRecord r;
  r.key = fmt::format("{:08x}", static_cast<uint32_t>(i) * 2654435761u);
  r.experiment = fmt::format("seed = {}\ntask = \"parity\"\n", i);
  r.status = i % 3 == 0 ? RunStatus::Diverged : RunStatus::Finished;
  r.steps = 100 + i;
  if (i % 3 == 0) r.diverged_step = i;
  if (i % 3 == 0) r.reason = "loss is not finite";
  r.metrics = {{"accuracy", 1.0 / (i + 1)}, {"train_loss", i * 0.1}, {"validation_loss", std::sqrt(double(i))}};
  r.curve = fmt::format("[{}{}]", std::string(static_cast<size_t>(i % 7) * 1500, '1'), i);
  r.counters = fmt::format("{{\"fprop.x\": {}}}", i);
  r.numerics = "v1";
  r.seconds = 0.5 * i;
  r.finished_at = "2026-01-02T03:04:05Z";
  r.host_info = "host";
  return r;
}

std::string dump_of(int count) {
  std::vector<RunRecord> records;
  for (int i = 0; i < count; ++i) records.push_back(record_of(i));
  std::ranges::sort(records, {}, &RunRecord::key);
  std::string text;
  for (const RunRecord& record : records) text += canonical_text(record);
  return text;
}

std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void overwrite(const fs::path& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

/// One line that names the file, what is wrong and what to do.
void expect_message(const std::string& message, const fs::path& file, const std::string& what,
                    const std::string& advice) {
  EXPECT_TRUE(message.starts_with(file.string() + ": ")) << message;
  EXPECT_NE(message.find(what), std::string::npos) << message;
  EXPECT_NE(message.find(advice, message.rfind("; ")), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

/// Runs `body` in a child process, which ends with 0 unless the body throws or an expectation in it fails.
pid_t start_process(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child != 0) return child;
  const std::string message = message_of(body);
  if (!message.empty()) fmt::print(stderr, "{}\n", message);
  _exit(message.empty() && !testing::Test::HasFailure() ? 0 : 1);
}

int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

/// What `body` writes to its file descriptor in a child process.
std::string output_of_process(const std::function<void(int)>& body) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("no pipe");
  const pid_t child = start_process([&] { body(ends[1]); });
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  EXPECT_EQ(wait_for(child), 0);
  return text;
}

void send(int fd, const std::string& text) {
  if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error("pipe is shut");
}

void become_nobody() {
  if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) throw std::runtime_error("cannot leave root");
}

TEST_F(ResultStoreTest, gives_back_every_field_in_key_order) {
  {
    ResultStore store(store_);
    for (int i = 0; i < 20; ++i) store.insert(record_of(i));
  }
  const std::vector<RunRecord> records = ResultStore(store_, StoreMode::ReadOnly).all();
  ASSERT_EQ(records.size(), 20u);
  EXPECT_TRUE(std::ranges::is_sorted(records, {}, &RunRecord::key));
  for (int i = 0; i < 20; ++i) {
    const RunRecord want = record_of(i);
    const RunRecord& got = *std::ranges::find(records, want.key, &RunRecord::key);
    EXPECT_EQ(got.experiment, want.experiment);
    EXPECT_EQ(got.status, want.status);
    EXPECT_EQ(got.steps, want.steps);
    EXPECT_EQ(got.diverged_step, want.diverged_step);
    EXPECT_EQ(got.reason, want.reason);
    EXPECT_EQ(got.metrics, want.metrics);
    EXPECT_EQ(got.curve, want.curve);
    EXPECT_EQ(got.counters, want.counters);
    EXPECT_EQ(got.numerics, want.numerics);
    EXPECT_EQ(got.seconds, want.seconds);
    EXPECT_EQ(got.finished_at, want.finished_at);
    EXPECT_EQ(got.host_info, want.host_info);
  }
}

TEST_F(ResultStoreTest, keeps_every_bit_of_every_double) {
  RunRecord record = record_of(1);
  record.metrics.clear();
  std::mt19937_64 random(1);
  using Limits = std::numeric_limits<double>;
  for (double special : {0.0, -0.0, 3.0, -7.0, 9007199254740993.0, Limits::infinity(), -Limits::infinity(),
                         Limits::quiet_NaN(), -Limits::quiet_NaN(), std::bit_cast<double>(0x7ff8'0000'dead'beef),
                         Limits::denorm_min(), Limits::min(), Limits::max(), Limits::lowest()})
    record.metrics[fmt::format("m{}", record.metrics.size())] = special;
  while (record.metrics.size() < 1000)
    record.metrics[fmt::format("m{}", record.metrics.size())] = std::bit_cast<double>(random());
  ResultStore(store_).insert(record);
  const RunRecord stored = ResultStore(store_).all().at(0);
  ASSERT_EQ(stored.metrics.size(), record.metrics.size());
  for (const auto& [name, value] : record.metrics)
    EXPECT_EQ(std::bit_cast<uint64_t>(stored.metrics.at(name)), std::bit_cast<uint64_t>(value)) << name << " " << value;
}

TEST_F(ResultStoreTest, keeps_any_text) {
  RunRecord record = record_of(2);
  record.reason = std::string("quote ' \" percent % zero \0 end", 31) + "\nµ\xff";
  record.curve = std::string(3'000'000, 'x');
  record.counters = "";
  ResultStore(store_).insert(record);
  const RunRecord stored = ResultStore(store_).all().at(0);
  EXPECT_EQ(stored.reason, record.reason);
  EXPECT_EQ(stored.curve, record.curve);
  EXPECT_EQ(stored.counters, "");
}

TEST_F(ResultStoreTest, finds_by_key_and_by_prefix) {
  ResultStore store(store_);
  for (const char* key : {"ab", "ab00", "abff", "ac00", "aaff", "b"}) {
    RunRecord record = record_of(1);
    record.key = key;
    store.insert(record);
  }
  const auto keys = [&](std::string_view prefix) {
    std::vector<std::string> found;
    for (const RunRecord& record : store.find(prefix)) found.push_back(record.key);
    return found;
  };
  using Keys = std::vector<std::string>;
  EXPECT_EQ(keys("ab"), (Keys{"ab", "ab00", "abff"}));
  EXPECT_EQ(keys("abf"), (Keys{"abff"}));
  EXPECT_EQ(keys("d"), Keys{});
  EXPECT_EQ(keys(""), (Keys{"aaff", "ab", "ab00", "abff", "ac00", "b"}));
  EXPECT_TRUE(store.contains("abff"));
  EXPECT_FALSE(store.contains("abf"));
  EXPECT_FALSE(store.contains(""));
}

TEST_F(ResultStoreTest, ignores_the_same_result_and_keeps_its_first_timings) {
  ResultStore store(store_);
  store.insert(record_of(5));
  RunRecord again = record_of(5);
  again.seconds = 99;
  again.finished_at = "later";
  again.host_info = "elsewhere";
  store.insert(again);
  EXPECT_EQ(store.all().size(), 1u);
  EXPECT_EQ(store.all().at(0).host_info, "host");
}

TEST_F(ResultStoreTest, refuses_a_contradicting_result_and_shows_both) {
  ResultStore store(store_);
  store.insert(record_of(4));
  const std::vector<std::function<void(RunRecord&)>> changes = {
      [](RunRecord& r) { r.experiment += "x"; },
      [](RunRecord& r) { r.status = RunStatus::Diverged; },
      [](RunRecord& r) { r.steps += 1; },
      [](RunRecord& r) { r.diverged_step = 1; },
      [](RunRecord& r) { r.reason = "why"; },
      [](RunRecord& r) { r.metrics["accuracy"] = 0.25; },
      [](RunRecord& r) { r.metrics.erase("accuracy"); },
      [](RunRecord& r) { r.metrics["new"] = 0; },
      [](RunRecord& r) { r.curve += "1"; },
      [](RunRecord& r) { r.counters += "1"; },
      [](RunRecord& r) { r.numerics = "v2"; },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    RunRecord changed = record_of(4);
    changes[i](changed);
    expect_message(message_of([&] { store.insert(changed); }), store_, changed.key, "replay");
    EXPECT_EQ(store.canonical_dump(), canonical_text(record_of(4))) << "change " << i;
  }
  RunRecord changed = record_of(4);
  changed.metrics["accuracy"] = 0.25;
  const std::string message = message_of([&] { store.insert(changed); });
  EXPECT_NE(message.find("'metrics.accuracy = 0x1.999999999999ap-3'"), std::string::npos) << message;
  EXPECT_NE(message.find("'metrics.accuracy = 0x1p-2'"), std::string::npos) << message;
}

TEST_F(ResultStoreTest, a_difference_in_a_long_line_is_shown_briefly) {
  RunRecord a = record_of(1), b = record_of(1);
  a.curve = std::string(10'000, '1') + "2" + std::string(10'000, '3');
  b.curve = std::string(10'000, '1') + "4" + std::string(10'000, '3');
  const auto difference = first_difference(a, b);
  ASSERT_TRUE(difference);
  EXPECT_EQ(difference->first, "curve = 111111111111 … 111111111111111111112" + std::string(39, '3') + " …");
  EXPECT_EQ(difference->second, "curve = 111111111111 … 111111111111111111114" + std::string(39, '3') + " …");
  EXPECT_FALSE(first_difference(a, a));
}

TEST_F(ResultStoreTest, a_failed_run_gives_way_to_a_result_and_never_replaces_one) {
  ResultStore store(store_);
  RunRecord failed = record_of(7);
  failed.status = RunStatus::Failed;
  failed.reason = "out of memory";
  failed.metrics = {{"only_of_the_failed_run", 1}};
  store.insert(failed);
  failed.reason = "out of memory again";
  store.insert(failed);
  EXPECT_EQ(store.canonical_dump(), canonical_text(failed));
  store.insert(record_of(7));
  EXPECT_EQ(store.canonical_dump(), canonical_text(record_of(7)));
  store.insert(failed);
  EXPECT_EQ(store.canonical_dump(), canonical_text(record_of(7)));
}

TEST_F(ResultStoreTest, several_records_are_stored_together_or_not_at_all) {
  ResultStore store(store_);
  store.insert(record_of(2));
  RunRecord contradiction = record_of(2);
  contradiction.steps = 0;
  const std::vector<RunRecord> records = {record_of(0), record_of(1), contradiction};
  EXPECT_THROW(store.insert(records), std::runtime_error);
  EXPECT_EQ(store.canonical_dump(), canonical_text(record_of(2)));
  store.insert(std::span(records).first(2));
  EXPECT_EQ(store.canonical_dump(), dump_of(3));
}

TEST_F(ResultStoreTest, dumps_are_equal_whatever_the_order_timings_and_kind_of_nan) {
  ResultStore forward(directory_ / "forward.db"), backward(directory_ / "backward.db");
  for (int i = 0; i < 10; ++i) {
    RunRecord a = record_of(i), b = record_of(9 - i);
    a.metrics["nan"] = std::numeric_limits<double>::quiet_NaN();
    b.metrics["nan"] = -std::numeric_limits<double>::quiet_NaN();
    b.seconds = -1;
    forward.insert(a);
    backward.insert(b);
  }
  EXPECT_EQ(forward.canonical_dump(), backward.canonical_dump());
  EXPECT_NE(forward.canonical_dump().find("metrics.nan = nan\n"), std::string::npos);
  EXPECT_NE(forward.canonical_dump().find("metrics.train_loss = 0x1.999999999999ap-4\n"), std::string::npos);
}

TEST_F(ResultStoreTest, several_threads_may_insert_and_read) {
  ResultStore store(store_);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&store, t] {
        for (int i = t; i < 200; i += 4) {
          store.insert(record_of(i));
          EXPECT_TRUE(store.contains(record_of(i).key));
        }
      });
  }
  EXPECT_EQ(store.canonical_dump(), dump_of(200));
}

TEST_F(ResultStoreTest, two_processes_may_insert_into_one_new_file) {
  std::vector<pid_t> children;
  for (int first : {0, 150})  // 50 records come from both
    children.push_back(start_process([&] {
      ResultStore store(store_);
      for (int i = first; i < first + 200; ++i) store.insert(record_of(i));
    }));
  for (pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  EXPECT_EQ(ResultStore(store_, StoreMode::ReadOnly).canonical_dump(), dump_of(350));
}

TEST_F(ResultStoreTest, many_processes_may_make_the_file_at_once) {
  for (int round = 0; round < 10; ++round) {
    const fs::path file = directory_ / fmt::format("{}.db", round);
    std::vector<pid_t> children;
    for (int i = 0; i < 8; ++i) children.push_back(start_process([&, i] { ResultStore(file).insert(record_of(i)); }));
    for (pid_t child : children) EXPECT_EQ(wait_for(child), 0);
    EXPECT_EQ(ResultStore(file).canonical_dump(), dump_of(8));
  }
}

// A writer reports each record once its insert has returned and is killed at a random moment. Whatever was reported
// must be there, at most the one in flight besides, and every record whole.
TEST_F(ResultStoreTest, loses_nothing_when_the_writer_is_killed) {
  std::mt19937 random(7);
  int next = 0;
  for (int round = 0; round < 60; ++round) {
    const bool anew = round % 4 == 0;  // the making of the file is killed, too
    if (anew) {
      fs::remove_all(directory_);
      fs::create_directory(directory_);
      next = 0;
    }
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = start_process([&] {
      ResultStore store(store_);
      for (int i = next;; ++i) {
        store.insert(record_of(i));
        send(ends[1], "x");
      }
    });
    close(ends[1]);
    int reported = 0;
    char byte;
    for (const int enough = anew ? 0 : static_cast<int>(1 + random() % 10); reported < enough; ++reported)
      ASSERT_EQ(read(ends[0], &byte, 1), 1);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 8'000));
    kill(child, SIGKILL);
    ASSERT_TRUE(WIFSIGNALED(wait_for(child)));
    while (read(ends[0], &byte, 1) == 1) ++reported;
    close(ends[0]);

    ResultStore store(store_);
    const auto stored = static_cast<int>(store.all().size());
    ASSERT_GE(stored, next + reported) << "round " << round;
    ASSERT_LE(stored, next + reported + 1) << "round " << round;
    ASSERT_EQ(store.canonical_dump(), dump_of(stored)) << "round " << round;
    next = stored;
  }
}

TEST_F(ResultStoreTest, readers_leave_no_files_behind_and_change_none) {
  { ResultStore(store_).insert(record_of(1)); }
  const std::string before = contents(store_);
  { EXPECT_EQ(ResultStore(store_, StoreMode::ReadOnly).all().size(), 1u); }
  EXPECT_EQ(contents(store_), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1);
}

TEST_F(ResultStoreTest, a_reader_cannot_insert) {
  { ResultStore(store_).insert(record_of(1)); }
  ResultStore reader(store_, StoreMode::ReadOnly);
  expect_message(message_of([&] { reader.insert(record_of(2)); }), store_, "readonly", "writable");
  EXPECT_EQ(reader.canonical_dump(), canonical_text(record_of(1)));
}

TEST_F(ResultStoreTest, a_reader_sees_what_a_killed_writer_left_in_the_log) {
  const pid_t child = start_process([&] {
    ResultStore store(store_);
    for (int i = 0; i < 5; ++i) store.insert(record_of(i));
    std::raise(SIGKILL);
  });
  EXPECT_TRUE(WIFSIGNALED(wait_for(child)));
  EXPECT_EQ(ResultStore(store_, StoreMode::ReadOnly).canonical_dump(), dump_of(5));
}

TEST_F(ResultStoreTest, can_be_read_where_nothing_can_be_written) {
  const fs::path odd_name = directory_ / "50%41 of #1?.db";
  { ResultStore(odd_name).insert(record_of(1)); }
  fs::permissions(directory_,
                  fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  const std::string dump = output_of_process([&](int out) {
    become_nobody();
    send(out, ResultStore(odd_name, StoreMode::ReadOnly).canonical_dump());
  });
  EXPECT_EQ(dump, canonical_text(record_of(1)));
}

TEST_F(ResultStoreTest, a_file_or_directory_without_permission_is_named) {
  { ResultStore(store_).insert(record_of(1)); }
  const auto read_only = fs::perms::owner_read | fs::perms::others_read;
  const auto and_enter = fs::perms::owner_exec | fs::perms::others_exec;
  fs::permissions(store_, read_only);
  fs::permissions(directory_, read_only | and_enter);
  const auto message = [&](const fs::path& file) {
    return output_of_process([&](int out) {
      become_nobody();
      send(out, message_of([&] { ResultStore store(file); }));
    });
  };
  expect_message(message(store_), store_, "writing (Permission denied)", "permissions");
  expect_message(message(directory_ / "new.db"), directory_ / "new.db", "Permission denied", "permissions");
}

TEST_F(ResultStoreTest, a_missing_file_or_directory_is_named) {
  const auto message = [](const fs::path& file, StoreMode mode) {
    return message_of([&] { ResultStore store(file, mode); });
  };
  expect_message(message(store_, StoreMode::ReadOnly), store_, "No such file", "check the path");
  EXPECT_FALSE(fs::exists(store_));
  const fs::path nowhere = directory_ / "no" / "study.db";
  expect_message(message(nowhere, StoreMode::ReadWrite), nowhere, "No such file", "check the path");
  expect_message(message(directory_, StoreMode::ReadWrite), directory_, "unable to open", "check the path");
}

TEST_F(ResultStoreTest, names_that_mean_something_to_sqlite_are_just_names) {
  expect_message(message_of([] { ResultStore store(""); }), "", "unable to open", "check the path");
  const fs::path before = fs::current_path();
  fs::current_path(directory_);
  { ResultStore(":memory:").insert(record_of(1)); }
  fs::current_path(before);
  EXPECT_EQ(ResultStore(directory_ / ":memory:").all().size(), 1u);
}

TEST_F(ResultStoreTest, other_files_are_refused_and_left_as_they_were) {
  { ResultStore(store_).insert(record_of(1)); }
  std::string other_application = contents(store_);
  other_application[68] = 'X';  // the application id, byte 68 of the SQLite file format
  for (const std::string& bytes : {std::string("key,loss\n1,2\n"), std::string(5000, 'x'), other_application}) {
    const fs::path file = directory_ / "other";
    overwrite(file, bytes);
    for (StoreMode mode : {StoreMode::ReadWrite, StoreMode::ReadOnly})
      expect_message(message_of([&] { ResultStore store(file, mode); }), file, "not a result store", "another file");
    EXPECT_EQ(contents(file), bytes);
  }
}

TEST_F(ResultStoreTest, an_empty_file_is_a_new_store_for_a_writer_only) {
  overwrite(store_, "");
  expect_message(message_of([&] { ResultStore store(store_, StoreMode::ReadOnly); }), store_, "not a result store",
                 "another file");
  ResultStore(store_).insert(record_of(1));
  EXPECT_EQ(ResultStore(store_).all().size(), 1u);
}

TEST_F(ResultStoreTest, a_newer_schema_is_refused_and_left_as_it_was) {
  { ResultStore(store_).insert(record_of(1)); }
  std::string bytes = contents(store_);
  bytes[63] = 2;  // the user version, bytes 60 to 63
  overwrite(store_, bytes);
  for (StoreMode mode : {StoreMode::ReadWrite, StoreMode::ReadOnly})
    expect_message(message_of([&] { ResultStore store(store_, mode); }), store_, "version 2", "newer halfulp");
  EXPECT_EQ(contents(store_), bytes);
}

/// Opens and reads everything: the dump, or the message of the error.
std::string read_all(const fs::path& file) {
  std::string dump;
  const std::string message = message_of([&] { dump = ResultStore(file, StoreMode::ReadOnly).canonical_dump(); });
  if (!message.empty()) expect_message(message, file, "", "");
  return message.empty() ? dump : message;
}

TEST_F(ResultStoreTest, a_truncated_file_is_an_error_at_every_length) {
  {
    ResultStore store(store_);
    for (int i = 0; i < 8; ++i) store.insert(record_of(i));
  }
  const std::string whole = contents(store_);
  const fs::path file = directory_ / "truncated.db";
  for (size_t size = 0; size < whole.size(); size += 509) {
    overwrite(file, whole.substr(0, size));
    EXPECT_TRUE(read_all(file).starts_with(file.string() + ": ")) << size << " of " << whole.size() << " bytes";
  }
}

TEST_F(ResultStoreTest, a_damaged_byte_is_an_error_or_harmless) {
  {
    ResultStore store(store_);
    for (int i = 0; i < 8; ++i) store.insert(record_of(i));
  }
  const std::string whole = contents(store_), want = read_all(store_);
  const fs::path file = directory_ / "damaged.db";
  std::mt19937 random(3);
  int errors = 0;
  for (int trial = 0; trial < 400; ++trial) {
    std::string bytes = whole;
    bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    overwrite(file, bytes);
    const std::string got = read_all(file);
    const bool error = got.starts_with(file.string() + ": ");
    EXPECT_TRUE(error || got == want) << "trial " << trial;
    errors += error;
  }
  EXPECT_GT(errors, 200);
}

TEST_F(ResultStoreTest, a_damaged_table_is_reported_before_any_run_is_added) {
  { ResultStore(store_).insert(record_of(1)); }
  std::string bytes = contents(store_);
  bytes.replace(4096, 4096, 4096, '\0');  // the second page, which opening alone has no need of
  overwrite(store_, bytes);
  for (StoreMode mode : {StoreMode::ReadWrite, StoreMode::ReadOnly})
    expect_message(message_of([&] { ResultStore store(store_, mode); }), store_, "", "damaged");
}

TEST_F(ResultStoreTest, a_write_that_fails_stores_nothing_of_its_run) {
  const std::string stored = output_of_process([&](int out) {
    ResultStore store(store_);
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {400'000, 400'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    int i = 0;
    std::string message;
    while (message.empty()) message = message_of([&] { store.insert(record_of(i++)); });
    expect_message(message, store_, "I/O error", "check the disk");
    send(out, fmt::to_string(i - 1));
  });
  EXPECT_GT(std::stoi(stored), 0);
  EXPECT_EQ(ResultStore(store_).canonical_dump(), dump_of(std::stoi(stored)));
}

/// Mounts an empty file system of `bytes` on `directory` that only this process sees; false where it may not.
bool mount_small_disk(const fs::path& directory, size_t bytes) {
  const uid_t user = getuid();
  const gid_t group = getgid();
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
    std::ofstream("/proc/self/gid_map") << "0 " << group << " 1";
  }
  return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("tmpfs", directory.c_str(), "tmpfs", 0, fmt::format("size={}", bytes).c_str()) == 0;
}

TEST_F(ResultStoreTest, a_full_disk_is_named_and_the_store_stays_whole) {
  const std::string outcome = output_of_process([&](int out) {
    if (!mount_small_disk(directory_, 600'000)) return send(out, "not permitted");
    std::ofstream(directory_ / "filler") << std::string(600'000, 'x');
    expect_message(message_of([&] { ResultStore store(store_); }), store_, "full", "free some space");
    fs::remove(directory_ / "filler");

    int i = 0;
    std::string message;
    {
      ResultStore store(store_);
      while (message.empty()) message = message_of([&] { store.insert(record_of(i++)); });
      EXPECT_EQ(store.canonical_dump(), dump_of(i - 1));
    }
    expect_message(message, store_, "full", "free some space");
    EXPECT_GT(i, 1);
    EXPECT_EQ(ResultStore(store_, StoreMode::ReadOnly).canonical_dump(), dump_of(i - 1));
    send(out, "checked");
  });
  if (outcome == "not permitted") GTEST_SKIP() << "this process may not mount a small disk to fill";
  EXPECT_EQ(outcome, "checked");
}

}  // namespace
}  // namespace halfulp
