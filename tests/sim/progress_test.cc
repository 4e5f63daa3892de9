#include "sim/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

namespace halfulp {
namespace {

/// A terminal of a given width and a clock that stands still until told.
struct Screen {
  int columns = 0;
  double time = 1000;
  std::string text = "";

  ProgressOutput output() {
    return {[this](std::string_view more) { text += more; }, [this] { return time; }, [this] { return columns; }};
  }
  std::string take() { return std::exchange(text, ""); }
};

/// One redraw, without the control characters around it.
std::string drawn(const std::string& text) {
  EXPECT_TRUE(text.starts_with("\r") && text.ends_with("\x1b[K")) << text;
  return text.substr(1, text.size() - 4);
}

TEST(Progress, a_terminal_shows_bar_rate_times_divergences_and_label) {
  Screen screen{.columns = 120};
  Progress progress({.total = 100, .done = 40, .parallelism = 2}, screen.output());
  EXPECT_EQ(drawn(screen.take()), "[############..................] 40/100 runs  elapsed 0:00:00");
  screen.time += 12;
  progress.finished("e4m3fn seed=1", 24, false);
  // 59 runs left of 24 s each, two at a time
  EXPECT_EQ(drawn(screen.take()),
            "[############..................] 41/100 runs  5.00/min  elapsed 0:00:12  left 0:11:48  e4m3fn seed=1");
  screen.time += 48;
  progress.finished("e5m2 seed=1", 12, true);
  // 58 runs left of 18 s each, two at a time
  EXPECT_EQ(
      drawn(screen.take()),
      "[############..................] 42/100 runs  2.00/min  elapsed 0:01:00  left 0:08:42  1 diverged  e5m2 seed=1");
}

TEST(Progress, time_left_runs_down_between_runs_but_not_below_zero) {
  Screen screen{.columns = 60};
  Progress progress({.total = 3, .parallelism = 8}, screen.output());
  screen.time += 10;
  progress.finished("", 10, false);
  const auto left = [&] {
    screen.take();
    progress.update();
    const size_t at = screen.text.find("left ");
    return screen.text.substr(at + 5, 7);
  };
  screen.time += 4;
  EXPECT_EQ(left(), "0:00:06");  // two runs at once, on more threads than runs
  screen.time += 100;
  EXPECT_EQ(left(), "0:00:00");
}

TEST(Progress, a_terminal_is_redrawn_at_most_ten_times_a_second) {
  Screen screen{.columns = 80};
  Progress progress({.total = 100'000}, screen.output());
  for (int i = 0; i < 10'000; ++i) {
    screen.time += 0.001;
    progress.finished("label", 0.001, false);
  }
  const auto redraws = std::ranges::count(screen.text, '\r');
  EXPECT_GE(redraws, 90);
  EXPECT_LE(redraws, 101);
}

TEST(Progress, no_line_is_as_wide_as_the_window) {
  for (int columns = 1; columns < 200; ++columns) {
    Screen screen{.columns = columns};
    Progress progress({.total = 1000, .done = 10, .parallelism = 3}, screen.output());
    screen.time += 100;
    screen.take();
    progress.finished(std::string(300, 'x'), 20, true);
    EXPECT_EQ(drawn(screen.take()).size(), static_cast<size_t>(columns - 1));
  }
}

TEST(Progress, the_width_of_the_window_may_change) {
  Screen screen{.columns = 100};
  Progress progress({.total = 10}, screen.output());
  screen.columns = 30;
  screen.time += 1;
  screen.take();
  progress.update();
  EXPECT_EQ(drawn(screen.take()), "0/10 runs  elapsed 0:00:01");
}

TEST(Progress, a_label_cannot_break_the_line) {
  Screen screen{.columns = 150};
  Progress progress({.total = 10}, screen.output());
  screen.time += 1;
  screen.take();
  progress.finished("a\nb\tc\x1b[2Jµ", 1, false);
  EXPECT_TRUE(drawn(screen.take()).ends_with("  a?b?c?[2J??"));
}

TEST(Progress, the_end_of_a_terminal_is_a_whole_line) {
  Screen screen{.columns = 100};
  {
    Progress progress({.total = 2}, screen.output());
    progress.finished("a", 1, false);
    progress.finished("b", 1, false);
    screen.time += 30;
    screen.take();
  }
  ASSERT_TRUE(screen.text.ends_with("\n"));
  screen.text.pop_back();
  EXPECT_EQ(drawn(screen.take()), "[##############################] 2/2 runs  4.00/min  elapsed 0:00:30  b");
}

TEST(Progress, a_file_gets_a_line_at_the_start_one_a_minute_and_one_at_the_end) {
  Screen screen;
  {
    Progress progress({.total = 400, .done = 100, .parallelism = 1}, screen.output());
    for (int i = 0; i < 150; ++i) {
      screen.time += 1;
      progress.finished("label", 1, i % 50 == 0);
    }
  }
  EXPECT_EQ(screen.text,
            "100/400 runs  elapsed 0:00:00\n"
            "160/400 runs  60.0/min  elapsed 0:01:00  left 0:04:00  2 diverged\n"
            "220/400 runs  60.0/min  elapsed 0:02:00  left 0:03:00  3 diverged\n"
            "250/400 runs  60.0/min  elapsed 0:02:30  left 0:02:30  3 diverged\n");
}

TEST(Progress, a_study_that_is_done_or_empty_is_shown_as_such) {
  for (int64_t total : {0, 5}) {
    Screen screen{.columns = 80};
    Progress progress({.total = total, .done = total}, screen.output());
    EXPECT_TRUE(screen.text.find(total == 0 ? "] 0/0 runs" : "#] 5/5 runs") != std::string::npos) << screen.text;
    EXPECT_EQ(screen.text.find("left"), std::string::npos);
  }
}

TEST(Progress, counts_runs_of_several_threads) {
  Screen screen{.columns = 100};
  ProgressOutput output = screen.output();
  output.ticks = true;
  {
    Progress progress({.total = 4000}, output);
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) progress.finished("label", 1, i % 2 == 0);
      });
  }
  EXPECT_NE(screen.text.find("4000/4000 runs"), std::string::npos);
  EXPECT_NE(screen.text.find("2000 diverged"), std::string::npos);
}

}  // namespace
}  // namespace halfulp
