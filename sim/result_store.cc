#include "sim/result_store.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>
#include <zlib.h>  // crc32

#include <algorithm>
#include <bit>  // bit_cast
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace halfulp {
namespace {

constexpr int64_t kApplicationId = 0x48554c50;  // "HULP"
constexpr int64_t kSchemaVersion = 1;
constexpr std::chrono::seconds kBusyTimeout{60};

constexpr const char* kSchema = R"(
  CREATE TABLE runs (
    key           TEXT PRIMARY KEY NOT NULL,
    experiment    TEXT NOT NULL,
    status        TEXT NOT NULL,
    steps         INTEGER NOT NULL,
    diverged_step INTEGER,
    reason        TEXT NOT NULL,
    curve         TEXT NOT NULL,
    counters      TEXT NOT NULL,
    numerics      TEXT NOT NULL,
    seconds       REAL,
    finished_at   TEXT NOT NULL,
    host_info     TEXT NOT NULL,
    checksum      INTEGER NOT NULL  -- CRC-32 of canonical_text
  ) WITHOUT ROWID;
  CREATE TABLE metrics (
    key   TEXT NOT NULL,
    name  TEXT NOT NULL,
    value REAL,
    bits  INTEGER NOT NULL,
    PRIMARY KEY (key, name)
  ) WITHOUT ROWID;)";

constexpr const char* kRunColumns =
    "key, experiment, status, steps, diverged_step, reason, curve, counters, numerics, seconds, finished_at, "
    "host_info, "
    "checksum";

/// The columns of `runs` that belong to a record, in the order of kRunColumns.
template <class Visitor, class Record>
void visit_columns(Visitor&& v, Record& record) {
  v(record.key);
  v(record.experiment);
  v(record.status);
  v(record.steps);
  v(record.diverged_step);
  v(record.reason);
  v(record.curve);
  v(record.counters);
  v(record.numerics);
  v(record.seconds);
  v(record.finished_at);
  v(record.host_info);
}

int64_t checksum(const RunRecord& record) {
  const std::string text = canonical_text(record);
  return static_cast<int64_t>(crc32_z(0, reinterpret_cast<const unsigned char*>(text.data()), text.size()));
}

/// `name = value`; further lines of the value are indented, so that no value can look like another line.
std::string line(std::string_view name, std::string_view value) {
  std::string out = fmt::format("{} = ", name);
  for (char c : value) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out + '\n';
}

const char* advice(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL: return "nothing was stored by this call; free some space and start again";
    case SQLITE_READONLY:
    case SQLITE_PERM: return "make the file and its directory writable, or name another file";
    case SQLITE_CANTOPEN: return "check the path and the permissions of the file and its directory";
    case SQLITE_BUSY: return "another process has kept it locked for a minute; end that process and start again";
    case SQLITE_NOTADB: return "this is not a result store; name another file";
    case SQLITE_CORRUPT:
      return "it is damaged: use a copy, or save what is readable with the .recover command of sqlite3";
    default: return "nothing was stored by this call; check the disk and start again";
  }
}

/// The URI of a file that SQLite takes as it is: no locks, no log.
std::string immutable_uri(const std::string& file) {
  std::string uri = "file:";
  for (char c : file) c == '?' || c == '#' || c == '%' ? uri += fmt::format("%{:02x}", c) : uri += c;
  return uri + "?immutable=1";
}

}  // namespace

std::string_view name(RunStatus status) {
  switch (status) {
    case RunStatus::Finished: return "finished";
    case RunStatus::Diverged: return "diverged";
    case RunStatus::Failed: return "failed";
  }
  return "";
}

std::string canonical_text(const RunRecord& record) {
  std::string text = line("key", record.key);
  text += line("status", name(record.status));
  text += line("steps", fmt::to_string(record.steps));
  text += line("diverged_step", record.diverged_step ? fmt::to_string(*record.diverged_step) : "none");
  text += line("reason", record.reason);
  for (const auto& [metric, value] : record.metrics)
    text += line("metrics." + metric, std::isnan(value) ? "nan" : fmt::format("{:a}", value));
  text += line("curve", record.curve);
  text += line("counters", record.counters);
  text += line("numerics", record.numerics);
  text += line("experiment", record.experiment);
  return text;
}

std::optional<std::pair<std::string, std::string>> first_difference(const RunRecord& a, const RunRecord& b) {
  const std::string text_a = canonical_text(a), text_b = canonical_text(b);
  const auto [at_a, at_b] = std::ranges::mismatch(text_a, text_b);
  if (at_a == text_a.end() && at_b == text_b.end()) return std::nullopt;

  // the line around the first difference, without the far parts of a long one
  const auto line_at = [](const std::string& text, std::string::const_iterator difference) {
    const auto begin = std::find(std::make_reverse_iterator(difference), text.rend(), '\n').base();
    const auto end = std::find(difference, text.end(), '\n');
    const bool long_before = difference - begin > 60, long_after = end - difference > 60;
    return (long_before ? std::string(begin, begin + 20) + " … " + std::string(difference - 20, difference)
                        : std::string(begin, difference)) +
           (long_after ? std::string(difference, difference + 40) + " …" : std::string(difference, end));
  };
  return std::pair(line_at(text_a, at_a), line_at(text_b, at_b));
}

/// One connection, and errors that say what to do.
class ResultStore::Database {
 public:
  class Statement;
  class Transaction;

  Database(const std::filesystem::path& path, StoreMode mode);
  ~Database() { sqlite3_close(handle_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  [[noreturn]] void fail(std::string_view what, int code) const {
    throw std::runtime_error(fmt::format("{}: {}; {}", path_, what, advice(code)));
  }
  void check(int code) const;
  void execute(const char* sql) { check(sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr)); }

  std::optional<RunRecord> find(const std::string& key);
  std::vector<RunRecord> find_all(const std::string& key_prefix);
  void insert(const RunRecord& record);

 private:
  int open(const std::string& file, int flags);
  int open_for_reading(const std::filesystem::path& file);
  bool is_blank();
  void create();
  void identify();
  void use_write_ahead_log();
  void look_for_damage();
  RunRecord read(Statement& run, Statement& metrics);
  void write(const RunRecord& record);

  std::string path_;  // as the user named it
  sqlite3* handle_ = nullptr;
};

/// A prepared statement: parameters are bound, and columns of a row read, from left to right.
class ResultStore::Database::Statement {
 public:
  Statement(const Database& database, const std::string& sql) : database_(database) {
    database_.check(sqlite3_prepare_v2(database_.handle_, sql.c_str(), -1, &statement_, nullptr));
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(const std::string& text) {
    return bound(
        sqlite3_bind_text64(statement_, ++parameter_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  }
  Statement& bind(RunStatus status) { return bind(std::string(name(status))); }
  Statement& bind(int64_t number) { return bound(sqlite3_bind_int64(statement_, ++parameter_, number)); }
  Statement& bind(double number) { return bound(sqlite3_bind_double(statement_, ++parameter_, number)); }
  Statement& bind(std::optional<int64_t> number) {
    return number ? bind(*number) : bound(sqlite3_bind_null(statement_, ++parameter_));
  }

  /// Whether there is a row.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) database_.check(code);
    column_ = 0;
    return code == SQLITE_ROW;
  }
  void reset() {
    sqlite3_reset(statement_);
    parameter_ = 0;
  }

  void read(std::string& text) {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column_));
    const int size = sqlite3_column_bytes(statement_, column_++);
    text.assign(size == 0 ? "" : bytes, static_cast<size_t>(size));
  }
  void read(RunStatus& status) {  // an unknown spelling is left to the checksum
    const std::string spelling = get<std::string>();
    for (RunStatus candidate : {RunStatus::Finished, RunStatus::Diverged, RunStatus::Failed})
      if (spelling == name(candidate)) status = candidate;
  }
  void read(int64_t& number) { number = sqlite3_column_int64(statement_, column_++); }
  void read(double& number) { number = sqlite3_column_double(statement_, column_++); }
  void read(std::optional<int64_t>& number) {
    number.reset();
    if (sqlite3_column_type(statement_, column_) != SQLITE_NULL) number = sqlite3_column_int64(statement_, column_);
    ++column_;
  }
  template <class T>
  T get() {
    T value;
    read(value);
    return value;
  }

 private:
  Statement& bound(int code) {
    database_.check(code);
    return *this;
  }

  const Database& database_;
  sqlite3_stmt* statement_ = nullptr;
  int parameter_ = 0;
  int column_ = 0;
};

/// Takes the write lock at once; what is not committed is rolled back.
class ResultStore::Database::Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) { database_.execute("BEGIN IMMEDIATE"); }
  ~Transaction() {
    if (!sqlite3_get_autocommit(database_.handle_))
      sqlite3_exec(database_.handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit() { database_.execute("COMMIT"); }

 private:
  Database& database_;
};

ResultStore::Database::Database(const std::filesystem::path& path, StoreMode mode) : path_(path.string()) {
  // a whole path: SQLite gives the names "" and ":memory:" meanings of their own
  const std::filesystem::path file = std::filesystem::current_path() / path;
  const bool writing = mode == StoreMode::ReadWrite;
  const std::filesystem::path needed = writing && !std::filesystem::exists(file) ? file.parent_path() : file;
  if (access(needed.c_str(), writing ? R_OK | W_OK : R_OK) != 0)
    fail(fmt::format("cannot be opened for {} ({})", writing ? "writing" : "reading", std::strerror(errno)),
         SQLITE_CANTOPEN);
  try {
    check(writing ? open(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) : open_for_reading(file));
    sqlite3_extended_result_codes(handle_, 1);
    sqlite3_busy_timeout(handle_, static_cast<int>(std::chrono::milliseconds(kBusyTimeout).count()));
    if (writing && is_blank()) create();
    identify();
    if (writing) {
      use_write_ahead_log();  // a copy made by another tool may have none
      execute("PRAGMA synchronous = FULL");
    } else {
      execute("PRAGMA query_only = ON");
    }
    look_for_damage();
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

int ResultStore::Database::open(const std::string& file, int flags) {
  return sqlite3_open_v2(file.c_str(), &handle_, flags | SQLITE_OPEN_NOMUTEX, nullptr);
}

int ResultStore::Database::open_for_reading(const std::filesystem::path& file) {
  // readers, too, make the files of the write-ahead log; where they may not, a store without a log is read as it is
  if (access(file.parent_path().c_str(), W_OK) != 0 && !std::filesystem::exists(file.string() + "-wal"))
    return open(immutable_uri(file.string()), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
  // open for writing where that is allowed: the last to leave removes the log
  return open(file.string(), SQLITE_OPEN_READWRITE);
}

void ResultStore::Database::create() {
  use_write_ahead_log();
  Transaction transaction(*this);
  if (!is_blank()) return;  // another process was faster
  execute(kSchema);
  execute(fmt::format("PRAGMA application_id = {}", kApplicationId).c_str());
  execute(fmt::format("PRAGMA user_version = {}", kSchemaVersion).c_str());
  transaction.commit();
}

void ResultStore::Database::look_for_damage() {
  Statement query(*this, "PRAGMA quick_check(1)");
  query.step();
  const auto report = query.get<std::string>();
  if (report != "ok") fail(report.substr(report.find('\n') + 1), SQLITE_CORRUPT);  // without the heading
}

void ResultStore::Database::check(int code) const {
  if (code != SQLITE_OK) fail(sqlite3_errmsg(handle_), code);
}

/// A file that was just made, or whose making was cut short: nothing in it yet, and nobody's mark on it.
bool ResultStore::Database::is_blank() {
  Statement query(*this,
                  "SELECT count(*) + (SELECT application_id <> 0 FROM pragma_application_id) + "
                  "(SELECT user_version <> 0 FROM pragma_user_version) FROM sqlite_schema");
  return query.step() && query.get<int64_t>() == 0;
}

void ResultStore::Database::identify() {
  Statement query(*this, "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version");
  query.step();
  const auto application = query.get<int64_t>(), version = query.get<int64_t>();
  if (application != kApplicationId) fail("not written by halfulp", SQLITE_NOTADB);
  if (version != kSchemaVersion)
    throw std::runtime_error(
        fmt::format("{}: its schema is version {}, this halfulp knows version {}; use a newer halfulp", path_, version,
                    kSchemaVersion));
}

void ResultStore::Database::use_write_ahead_log() {
  // when two processes change a new file at once, SQLite reports one of them busy without waiting
  const auto deadline = std::chrono::steady_clock::now() + kBusyTimeout;
  int code;
  while (((code = sqlite3_exec(handle_, "PRAGMA journal_mode = WAL", nullptr, nullptr, nullptr)) & 0xff) ==
             SQLITE_BUSY &&
         std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  check(code);

  Statement mode(*this, "PRAGMA journal_mode");
  mode.step();
  if (mode.get<std::string>() != "wal")
    throw std::runtime_error(
        fmt::format("{}: this file system has no shared memory; put the store on a local disk", path_));
}

RunRecord ResultStore::Database::read(Statement& run, Statement& metrics) {
  RunRecord record;
  visit_columns([&](auto& field) { run.read(field); }, record);
  const auto stored_checksum = run.get<int64_t>();
  metrics.reset();
  metrics.bind(record.key);
  while (metrics.step()) {
    const auto metric = metrics.get<std::string>();
    record.metrics[metric] = std::bit_cast<double>(metrics.get<int64_t>());
  }
  if (stored_checksum != checksum(record))
    fail(fmt::format("run {} does not match its checksum", record.key), SQLITE_CORRUPT);
  return record;
}

std::vector<RunRecord> ResultStore::Database::find_all(const std::string& key_prefix) {
  // char(0x10ffff) sorts after every other character
  Statement run(*this, fmt::format("SELECT {} FROM runs WHERE key >= ?1 AND key < ?1 || char(0x10ffff) ORDER BY key",
                                   kRunColumns));
  Statement metrics(*this, "SELECT name, bits FROM metrics WHERE key = ?");
  std::vector<RunRecord> records;
  run.bind(key_prefix);
  while (run.step()) records.push_back(read(run, metrics));
  return records;
}

std::optional<RunRecord> ResultStore::Database::find(const std::string& key) {
  Statement run(*this, fmt::format("SELECT {} FROM runs WHERE key = ?", kRunColumns));
  Statement metrics(*this, "SELECT name, bits FROM metrics WHERE key = ?");
  run.bind(key);
  if (!run.step()) return std::nullopt;
  return read(run, metrics);
}

void ResultStore::Database::insert(const RunRecord& record) {
  const std::optional<RunRecord> stored = find(record.key);
  if (!stored || stored->status == RunStatus::Failed) return write(record);
  if (record.status == RunStatus::Failed) return;
  if (const auto difference = first_difference(*stored, record))
    throw std::runtime_error(fmt::format(
        "{}: run {} is stored with '{}', the new result has '{}'; one experiment has one result, so replay it "
        "to see which is right",
        path_, record.key, difference->first, difference->second));
}

void ResultStore::Database::write(const RunRecord& record) {
  for (const char* sql : {"DELETE FROM runs WHERE key = ?", "DELETE FROM metrics WHERE key = ?"})
    Statement(*this, sql).bind(record.key).step();

  Statement run(*this,
                fmt::format("INSERT INTO runs ({}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", kRunColumns));
  visit_columns([&](const auto& field) { run.bind(field); }, record);
  run.bind(checksum(record)).step();

  Statement metrics(*this, "INSERT INTO metrics (key, name, value, bits) VALUES (?, ?, ?, ?)");
  for (const auto& [metric, value] : record.metrics) {
    metrics.reset();
    metrics.bind(record.key).bind(metric).bind(value).bind(std::bit_cast<int64_t>(value)).step();
  }
}

ResultStore::ResultStore(const std::filesystem::path& path, StoreMode mode)
    : database_(std::make_unique<Database>(path, mode)) {}

ResultStore::~ResultStore() = default;

bool ResultStore::contains(std::string_view key) const {
  const std::lock_guard lock(mutex_);
  Database::Statement query(*database_, "SELECT 1 FROM runs WHERE key = ?");
  return query.bind(std::string(key)).step();
}

void ResultStore::insert(const RunRecord& record) { insert(std::span(&record, 1)); }

void ResultStore::insert(std::span<const RunRecord> records) {
  const std::lock_guard lock(mutex_);
  Database::Transaction transaction(*database_);
  for (const RunRecord& record : records) database_->insert(record);
  transaction.commit();
}

std::vector<RunRecord> ResultStore::find(std::string_view key_prefix) const {
  const std::lock_guard lock(mutex_);
  return database_->find_all(std::string(key_prefix));
}

std::string ResultStore::canonical_dump() const {
  std::string text;
  for (const RunRecord& record : all()) text += canonical_text(record);
  return text;
}

}  // namespace halfulp
