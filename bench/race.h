// Kernels raced against each other and against the machine's limits.
//
// Every round runs each contestant once, one after the other, so that all meet the same clock and the same neighbours;
// the best of all rounds counts. Only ratios within one race mean anything: absolute times change with the hour.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace halfulp {

/// Sizes that a cast is measured at, in bytes of binary32 numbers: level 1 cache, level 2, memory.
inline constexpr size_t kRaceBytes[] = {size_t{16} << 10, size_t{1} << 20, size_t{256} << 20};

/// How often contestants meet at least, and where that takes no time at all: a virtual machine has its pauses.
inline constexpr int kRaceRounds = 25, kShortRaceRounds = 400;
inline constexpr int race_rounds(size_t bytes) { return bytes <= size_t{1} << 20 ? kShortRaceRounds : kRaceRounds; }

std::string size_text(size_t bytes);

/// What a contestant is, besides a name.
enum class Role {
  Ours,     // what a user gets
  Variant,  // ours, in another form or on another instruction set
  Peer,     // somebody else's
  Limit,    // what only moving the data takes
};

class Race {
 public:
  /// For arrays of this many elements, a multiple of `unit`, of which only whole units are worked on.
  explicit Race(size_t elements, size_t unit = 1) : elements_(elements), unit_(unit) {}

  /// `work` does its job on the first `count` elements. Slow ones get fewer elements of large arrays, as many as take
  /// about as long as copying all of them.
  void add(Role role, std::string name, std::function<void(size_t count)> work);

  /// Seconds that a contestant of role Ours took in this round, per array.
  double run_round();

  struct Result {
    Role role;
    std::string name;
    double ns;  // per element
  };
  std::vector<Result> results() const;

 private:
  struct Contestant {
    Role role;
    std::string name;
    std::function<void(size_t)> work;
    size_t count;    // elements at a time
    size_t repeats;  // so that the clock can tell
    double best;     // [s] per element
  };

  size_t elements_, unit_;
  std::vector<Contestant> contestants_;
};

/// Runs a race as a benchmark of race_rounds iterations. Its counters: `ns` per element of the one Ours, `of_peer` how
/// many times faster that is than the best peer, `of_limit` its share of the limit's speed; its label tells the others.
void run_race(benchmark::State& state, Race& race);

/// Prints one line per race: work, ns/element, × best peer, % of limit, and the others' ns.
class RaceTable : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
};

/// Runs the registered benchmarks and prints the table, or what --benchmark_format asks for.
int run_races(int argc, char** argv);

/// Memory for arrays whose places within a page differ by `shift` bytes: a store and a load that agree in their
/// lowest 12 address bits wait for each other.
class Buffer {
 public:
  Buffer(size_t bytes, size_t shift);

  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(memory_.get() + shift_);
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  size_t shift_;
  std::unique_ptr<std::byte, Free> memory_;
};

/// Signed numbers, their exponents even over lowest … highest, one in 200 zero.
void fill_with_exponents(std::span<float> x, int lowest, int highest);

}  // namespace halfulp
