// What was measured, by the key of its experiment: one SQLite file per study.
//
// insert() returns when its runs are on the disk, all in one transaction: a sweep killed at any instant keeps every run
// whose insert had returned and no part of any other. Threads and processes of one machine may share a file. Machines
// may not, because a write-ahead log needs shared memory: give each its own file on a local disk and merge.
//
// Any SQLite client can query the file. Table `runs` has one row per key; `metrics` one per key and name. There `bits`
// is the double itself and `value` is for queries: SQLite keeps neither NaN (NULL in `value`) nor the sign of zero.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace halfulp {

enum class RunStatus {
  Finished,
  Diverged,  // a result like any other
  Failed,    // no result: an exception ended the run
};

std::string_view name(RunStatus status);

/// One run. Everything but the last three fields is a function of the experiment alone.
struct RunRecord {
  std::string key;         // of the experiment, hex
  std::string experiment;  // canonical text: TOML lines `name = value`
  RunStatus status = RunStatus::Finished;
  int64_t steps = 0;  // taken
  std::optional<int64_t> diverged_step;
  std::string reason;                     // why it diverged or failed; empty otherwise
  std::map<std::string, double> metrics;  // validation_loss, train_loss, accuracy, …
  std::string curve;                      // learning curve, JSON
  std::string counters;                   // numeric events per operand slot, JSON
  std::string numerics;                   // version of the arithmetic
  double seconds = 0;                     // wall time of the run
  std::string finished_at;                // UTC, ISO 8601
  std::string host_info;
};

/// Everything but seconds, finished_at and host_info, a line each, doubles as hexfloats. Equal text: the same result.
/// A NaN is `nan` whatever its sign and payload, which compilers choose freely.
std::string canonical_text(const RunRecord& record);

/// The first line of canonical_text that differs, from either record; none when they hold the same result.
std::optional<std::pair<std::string, std::string>> first_difference(const RunRecord& a, const RunRecord& b);

enum class StoreMode {
  ReadWrite,  // makes the file where there is none
  ReadOnly,   // also in a directory that cannot be written
};

/// Every member throws std::runtime_error with one line that names the file, what is wrong and what to do.
class ResultStore {
 public:
  explicit ResultStore(const std::filesystem::path& path, StoreMode mode = StoreMode::ReadWrite);
  ~ResultStore();

  bool contains(std::string_view key) const;

  /// A result that is already there is kept, and one that contradicts it is an error that shows both. A failed run is
  /// no result: it gives way to whatever comes later and never takes a result's place.
  void insert(const RunRecord& record);
  void insert(std::span<const RunRecord> records);  // all or none

  std::vector<RunRecord> find(std::string_view key_prefix) const;  // in key order
  std::vector<RunRecord> all() const { return find(""); }          // in key order

  /// canonical_text of all runs in key order: equal for two stores that hold the same results.
  std::string canonical_dump() const;

 private:
  class Database;
  mutable std::mutex mutex_;
  std::unique_ptr<Database> database_;
};

}  // namespace halfulp
