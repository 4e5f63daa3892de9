// How far a set of runs has come, on the standard error.
//
// A terminal gets one line, redrawn at most ten times a second and never wider than the window; anything else gets a
// plain line at the start, one a minute, and one at the end.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace halfulp {

/// Where the lines go and what time it is.
struct ProgressOutput {
  std::function<void(std::string_view)> write;
  std::function<double()> now;   // [s], never going back
  std::function<int()> columns;  // width of the terminal; 0: not a terminal
  bool ticks = false;            // a thread keeps the clock on the line moving between runs
};

ProgressOutput standard_error();

/// Shows itself from construction to destruction; every member may be called from any thread.
class Progress {
 public:
  struct Runs {
    int64_t total = 0;
    int64_t done = 0;     // of these, before the start
    int parallelism = 1;  // runs at a time
  };

  explicit Progress(const Runs& runs, ProgressOutput output = standard_error());
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// One more run is done; it took `seconds`. The label of the latest is shown where there is room.
  void finished(std::string_view label, double seconds, bool diverged);

  /// Redraws if it is time to.
  void update();

 private:
  void show();
  void show_if_due();
  std::string status(double now) const;
  std::string terminal_line(double now, int columns) const;
  double seconds_left(double now) const;

  const Runs runs_;
  const ProgressOutput output_;
  const double start_;    // [s], like every time here
  int64_t finished_ = 0;  // since the start
  int64_t diverged_ = 0;
  double run_seconds_ = 0;  // of the finished runs, summed
  double latest_finish_;
  double latest_show_;
  std::string latest_label_;
  std::mutex mutex_;
  std::condition_variable_any stop_;
  std::jthread ticker_;
};

}  // namespace halfulp
