#include "bench/race.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <new>
#include <string_view>
#include <utility>

#include "formats/isa.h"
#include "formats/philox.h"

namespace halfulp {
namespace {

constexpr double kShortest = 20e-6;         // [s] what the clock can tell well
constexpr double kLongest = 50e-3;          // [s] what a round of large arrays may take per contestant
constexpr size_t kProbe = size_t{1} << 16;  // elements of a contestant's first run

double seconds_of(const std::function<void(size_t)>& work, size_t count, size_t repeats) {
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < repeats; ++i) {
    work(count);
    benchmark::ClobberMemory();
  }
  const std::chrono::duration<double> all = std::chrono::steady_clock::now() - start;
  return all.count() / double(repeats);
}

const Race::Result* best_of(const std::vector<Race::Result>& results, Role role) {
  const Race::Result* best = nullptr;
  for (const Race::Result& result : results)
    if (result.role == role && (best == nullptr || result.ns < best->ns)) best = &result;
  return best;
}

}  // namespace

std::string size_text(size_t bytes) {
  return bytes >> 20 > 0 ? fmt::format("{}MiB", bytes >> 20) : fmt::format("{}KiB", bytes >> 10);
}

void Race::add(Role role, std::string name, std::function<void(size_t count)> work) {
  const auto whole_units = [&](size_t count) { return std::clamp(count / unit_ * unit_, unit_, elements_); };
  const size_t probe = whole_units(kProbe);
  work(probe);
  const double per_element = seconds_of(work, probe, 1) / double(probe);
  const size_t affordable = std::max(size_t(kLongest / per_element), kProbe);
  const size_t count = per_element < 1e-9 ? elements_ : whole_units(affordable);
  const size_t repeats = 1 + size_t(kShortest / (per_element * double(count)));
  contestants_.push_back({role, std::move(name), std::move(work), count, repeats, std::numeric_limits<double>::max()});
}

double Race::run_round() {
  double ours = 0;
  for (Contestant& c : contestants_) {
    const double seconds = seconds_of(c.work, c.count, c.repeats) / double(c.count);
    c.best = std::min(c.best, seconds);
    if (c.role == Role::Ours) ours = seconds * double(elements_);
  }
  return ours;
}

std::vector<Race::Result> Race::results() const {
  std::vector<Result> results;
  for (const Contestant& c : contestants_) results.push_back({c.role, c.name, 1e9 * c.best});
  return results;
}

void run_race(benchmark::State& state, Race& race) {
  for (auto _ : state) state.SetIterationTime(race.run_round());
  const std::vector<Race::Result> results = race.results();
  const Race::Result *ours = best_of(results, Role::Ours), *peer = best_of(results, Role::Peer),
                     *limit = best_of(results, Role::Limit);
  state.counters["ns"] = ours->ns;
  if (peer != nullptr) state.counters["of_peer"] = peer->ns / ours->ns;
  if (limit != nullptr) state.counters["of_limit"] = limit->ns / ours->ns;
  std::string others;
  for (const Race::Result& result : results)
    if (result.role != Role::Ours)
      others += fmt::format("{}{} {:.3f}", others.empty() ? "" : ", ", result.name, result.ns);
  state.SetLabel(others);
}

bool RaceTable::ReportContext(const Context&) {
  fmt::print("best of {} or more interleaved rounds, {} kernels, one thread\n", kRaceRounds, name(active_isa()));
  fmt::print("{:<44} {:>10} {:>12} {:>11}  {}\n", "work", "ns/element", "x best peer", "% of limit",
             "others' ns/element");
  return true;
}

void RaceTable::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    const auto text = [&](const char* counter, auto format) -> std::string {
      const auto found = run.counters.find(counter);
      return found == run.counters.end() ? "-" : format(found->second.value);
    };
    fmt::print("{:<44} {:>10} {:>12} {:>11}  {}\n", run.run_name.function_name,
               text("ns", [](double ns) { return fmt::format("{:.3f}", ns); }),
               text("of_peer", [](double ratio) { return fmt::format("{:.2f}", ratio); }),
               text("of_limit", [](double share) { return fmt::format("{:.0f}", 100 * share); }), run.report_label);
    std::fflush(stdout);
  }
}

int run_races(int argc, char** argv) {
  const bool has_format = std::any_of(argv, argv + argc, [](const char* argument) {
    return std::string_view(argument).starts_with("--benchmark_format");
  });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  RaceTable table;
  benchmark::RunSpecifiedBenchmarks(has_format ? nullptr : &table);
  return 0;
}

Buffer::Buffer(size_t bytes, size_t shift) : shift_(shift) {
  // Large pages, where the system has any: which small ones share a cache set is a matter of luck.
  constexpr size_t kPage = size_t{2} << 20;
  const size_t size = (bytes + shift + kPage - 1) / kPage * kPage;
  memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kPage, size)));
  if (memory_ == nullptr) throw std::bad_alloc();
  madvise(memory_.get(), size, MADV_HUGEPAGE);
}

void fill_with_exponents(std::span<float> x, int lowest, int highest) {
  for (size_t i = 0; i < x.size(); ++i) {
    const uint32_t bits = random_word({.stream = Stream::Data}, uint32_t(i));
    const int exponent = lowest + int(bits % uint32_t(highest - lowest + 1));
    const float magnitude = std::ldexp(1.0f + float(bits >> 9) * 0x1p-23f, exponent);
    x[i] = bits % 200 == 7 ? 0.0f : bits & 0x100 ? -magnitude : magnitude;
  }
}

}  // namespace halfulp
