#include "sim/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace halfulp {
namespace {

constexpr double kTerminalPeriod = 0.1;  // [s]
constexpr double kPlainPeriod = 60;      // [s]
constexpr int kWidestBar = 30;
constexpr int kNarrowestBar = 8;

int terminal_columns() {
  const char* terminal = std::getenv("TERM");
  if (!isatty(STDERR_FILENO) || terminal == nullptr || std::string_view(terminal) == "dumb") return 0;
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string clock_time(double seconds) {
  const auto s = std::llround(seconds);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string bar(double fraction, int width) {
  const auto full = static_cast<int>(std::min(fraction, 1.0) * width);
  return fmt::format("[{}{}] ", std::string(static_cast<size_t>(full), '#'),
                     std::string(static_cast<size_t>(width - full), '.'));
}

/// One column per byte, whatever the label holds.
std::string printable(std::string_view label) {
  std::string text(label);
  std::ranges::replace_if(
      text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

}  // namespace

ProgressOutput standard_error() {
  const auto write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  const auto now = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  return {write, now, terminal_columns, true};
}

Progress::Progress(const Runs& runs, ProgressOutput output)
    : runs_(runs), output_(std::move(output)), start_(output_.now()), latest_finish_(start_), latest_show_(start_) {
  show();
  if (!output_.ticks) return;
  ticker_ = std::jthread([this](std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (!stop_.wait_for(lock, stop, std::chrono::seconds(1), [&] { return stop.stop_requested(); })) show_if_due();
  });
}

Progress::~Progress() {
  ticker_ = {};  // stopped and joined
  show();
  if (output_.columns() > 0) output_.write("\n");
}

void Progress::finished(std::string_view label, double seconds, bool diverged) {
  const std::lock_guard lock(mutex_);
  finished_ += 1;
  diverged_ += diverged;
  run_seconds_ += seconds;
  latest_finish_ = output_.now();
  latest_label_ = printable(label);
  show_if_due();
}

void Progress::update() {
  const std::lock_guard lock(mutex_);
  show_if_due();
}

void Progress::show_if_due() {
  if (output_.now() - latest_show_ >= (output_.columns() > 0 ? kTerminalPeriod : kPlainPeriod)) show();
}

void Progress::show() {
  latest_show_ = output_.now();
  const int columns = output_.columns();
  output_.write(columns > 0 ? fmt::format("\r{}\x1b[K", terminal_line(latest_show_, columns))
                            : status(latest_show_) + "\n");
}

/// The runs to come take as long as the finished ones did on average; so do those under way, counted from the latest
/// finish.
double Progress::seconds_left(double now) const {
  const int64_t left = runs_.total - runs_.done - finished_;
  const auto at_once = std::clamp<int64_t>(left, 1, std::max(runs_.parallelism, 1));
  const double mean = run_seconds_ / static_cast<double>(finished_);
  return std::max(0.0, mean * static_cast<double>(left) / static_cast<double>(at_once) - (now - latest_finish_));
}

std::string Progress::status(double now) const {
  const double elapsed = now - start_;
  const int64_t done = runs_.done + finished_;
  std::string text = fmt::format("{}/{} runs", done, runs_.total);
  if (finished_ > 0 && elapsed > 0) {
    const double rate = static_cast<double>(finished_) * 60 / elapsed;
    text += fmt::format("  {:.{}f}/min", rate, rate < 10 ? 2 : rate < 100 ? 1 : 0);
  }
  text += "  elapsed " + clock_time(elapsed);
  if (finished_ > 0 && done < runs_.total) text += "  left " + clock_time(seconds_left(now));
  if (diverged_ > 0) text += fmt::format("  {} diverged", diverged_);
  return text;
}

std::string Progress::terminal_line(double now, int columns) const {
  const int room = columns - 1;  // a character in the last column makes some terminals wrap
  std::string text = status(now);
  const int bar_width = std::min(kWidestBar, room - static_cast<int>(text.size()) - 3);
  if (bar_width >= kNarrowestBar) {
    const double total = static_cast<double>(std::max<int64_t>(runs_.total, 1));
    text = bar(static_cast<double>(runs_.done + finished_) / total, bar_width) + text;
  }
  if (!latest_label_.empty()) text += "  " + latest_label_;
  return text.substr(0, static_cast<size_t>(room));
}

}  // namespace halfulp
