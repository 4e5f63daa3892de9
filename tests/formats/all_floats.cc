// The fast casts of all 2^32 floats against the reference: `formats_all_floats [format [rounding]]`.
//
// Without arguments: every catalogue float of at most 8 bits under every deterministic rounding, bfloat16, binary16 and
// tf32 to nearest, each with the policies of two profiles, and a few stochastic casts. HALFULP_ISA chooses the kernels
// and OMP_NUM_THREADS how many casts are checked at a time. The exit status is 1 if anything differs.
//
// The reference takes about 50 ns per number, minutes for all of them. A deterministic cast is a step function,
// though: for numbers of one sign, a larger magnitude never gets an earlier code. So the reference is asked only where
// its steps begin: a search by halving finds the first float of the next code, whose predecessor still has the code
// before. Between two such floats every code is the same, or the reference would not be monotone, which the same
// program checks on 2^20 floats in between, codec_test at all midpoints and their neighbours, and the order of the
// steps found. Stochastic casts are no step functions; there the reference is asked for every float.
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/cast.h"
#include "formats/codec.h"
#include "formats/isa.h"
#include "sim/progress.h"

namespace halfulp {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000, kLastMagnitude = 0x7fffffff, kSignBit = 0x80000000;
constexpr uint64_t kFloats = uint64_t{1} << 32;
constexpr uint32_t kStride = 4093;  // a prime, so that samples meet every residue

struct Case {
  Format format;
  Projection projection;
  std::string_view profile;

  std::string text() const {
    const std::string bits = projection.random_bits > 0 ? fmt::format(" {} bits", projection.random_bits) : "";
    return fmt::format("{} {}{} {}", std::string_view(format.name), name(projection.rounding), bits, profile);
  }
};

struct Outcome {
  uint64_t differences = 0;
  std::string first;  // the first of them, told in full
  double seconds = 0;
};

/// Floats of one sign from `first` on, by their magnitudes' bits, up to the next step.
struct Step {
  uint32_t first;
  uint32_t code;
  uint32_t value;  // binary32 bits
};

class Reference {
 public:
  explicit Reference(const Caster& caster) : caster_(caster) {}

  uint32_t code(uint32_t bits, uint32_t random = 0) const {
    return caster_.encode_reference(std::bit_cast<float>(bits), random);
  }
  uint32_t value(uint32_t code) const { return std::bit_cast<uint32_t>(float(decode(caster_.format(), code))); }

  /// The steps of the numbers with this sign bit, and of its NaNs.
  std::vector<Step> steps(uint32_t sign) const {
    std::vector<Step> result;
    add_steps(sign, 0, kInfinityBits, result);
    add_steps(sign, kInfinityBits + 1, kLastMagnitude, result);
    return result;
  }

 private:
  void add_steps(uint32_t sign, uint32_t first, uint32_t last, std::vector<Step>& result) const {
    for (uint32_t at = first;;) {
      const uint32_t here = code(sign | at);
      result.push_back({at, here, value(here)});
      if (code(sign | last) == here) return;
      // `low` has this code and `high` a later one.
      uint32_t low = at, high = last;
      for (uint32_t reach = 1; low + reach < last; reach *= 2) {
        if (code(sign | (low + reach)) != here) {
          high = low + reach;
          break;
        }
        low += reach;
      }
      while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        (code(sign | middle) == here ? low : high) = middle;
      }
      at = high;
    }
  }

  const Caster& caster_;
};

/// What the floats of a batch must become, in the same order.
template <class Code>
class Expectation {
 public:
  explicit Expectation(const Caster& caster) : caster_(caster), reference_(caster) {
    if (!is_stochastic(caster.projection().rounding))
      for (const uint32_t sign : {0u, 1u}) steps_[sign] = reference_.steps(sign << 31);
  }

  void fill(uint32_t first, std::span<Code> codes, std::span<uint32_t> values) const {
    if (is_stochastic(caster_.projection().rounding)) return ask(first, codes, values);
    const std::vector<Step>& steps = steps_[first >> 31];
    const uint32_t magnitude = first & kLastMagnitude;
    auto step = std::ranges::upper_bound(steps, magnitude, {}, &Step::first) - 1;
    for (size_t i = 0; i < codes.size(); ++step) {
      const uint64_t end = step + 1 == steps.end() ? uint64_t{kSignBit} : (step + 1)->first;
      const size_t size = std::min<uint64_t>(codes.size() - i, end - (magnitude + i));
      std::fill_n(codes.begin() + i, size, Code(step->code));
      std::fill_n(values.begin() + i, size, step->value);
      i += size;
    }
  }

  /// How many samples do not fit the steps, and steps that do not go up.
  uint64_t misfits() const {
    uint64_t count = 0;
    if (is_stochastic(caster_.projection().rounding)) return 0;
    for (const std::vector<Step>& steps : steps_)
      for (size_t i = 1; i < steps.size() && steps[i].first <= kInfinityBits; ++i)
        count += (steps[i].value & kLastMagnitude) < (steps[i - 1].value & kLastMagnitude);
    for (uint64_t bits = 0; bits < kFloats; bits += kStride) {
      const std::vector<Step>& steps = steps_[bits >> 31];
      const auto step = std::ranges::upper_bound(steps, uint32_t(bits) & kLastMagnitude, {}, &Step::first) - 1;
      count += step->code != reference_.code(uint32_t(bits));
    }
    return count;
  }

 private:
  void ask(uint32_t first, std::span<Code> codes, std::span<uint32_t> values) const {
    for (size_t i = 0; i < codes.size(); ++i) {
      const uint32_t bits = first + uint32_t(i);
      codes[i] = Code(reference_.code(bits, random_bits({}, bits, caster_.projection().random_bits)));
      values[i] = reference_.value(codes[i]);
    }
  }

  const Caster& caster_;
  Reference reference_;
  std::vector<Step> steps_[2];
};

template <class Code>
Outcome check(const Caster& caster) {
  constexpr size_t kBatch = 1 << 14;
  Outcome outcome;
  const Expectation<Code> expectation(caster);
  if (const uint64_t misfits = expectation.misfits(); misfits > 0)
    outcome = {.differences = misfits, .first = "the reference is not monotone"};
  std::vector<float> inputs(kBatch), values(kBatch);
  std::vector<uint32_t> want_values(kBatch);
  std::vector<Code> codes(kBatch), want_codes(kBatch);
  for (uint64_t first = 0; first < kFloats; first += kBatch) {
    for (size_t i = 0; i < kBatch; ++i) inputs[i] = std::bit_cast<float>(uint32_t(first + i));
    caster.encode(inputs, std::span(codes), {}, uint32_t(first));
    caster.round(inputs, values, {}, uint32_t(first));
    expectation.fill(uint32_t(first), want_codes, want_values);
    if (codes == want_codes && std::memcmp(values.data(), want_values.data(), kBatch * sizeof(float)) == 0) continue;
    for (size_t i = 0; i < kBatch; ++i) {
      const uint32_t value = std::bit_cast<uint32_t>(values[i]);
      if (codes[i] == want_codes[i] && value == want_values[i]) continue;
      if (outcome.differences++ == 0)
        outcome.first = fmt::format("{:a}: code {:#x} instead of {:#x}, value {:a} instead of {:a}", inputs[i],
                                    codes[i], want_codes[i], values[i], std::bit_cast<float>(want_values[i]));
    }
  }
  return outcome;
}

Outcome check(const Case& test) {
  const auto start = std::chrono::steady_clock::now();
  const Caster caster(test.format, test.projection);
  const int bits = test.format.bits();
  Outcome outcome = bits <= 8 ? check<uint8_t>(caster) : bits <= 16 ? check<uint16_t>(caster) : check<uint32_t>(caster);
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

/// Whether it has kernels: the other casts are the reference itself.
bool is_fast(const Case& test) { return Caster(test.format, test.projection).encoder() != nullptr; }

void add(std::vector<Case>& cases, const Format& format, Rounding rounding, int random_bits) {
  for (const auto& [profile, profile_name] : EnumNames<Profile>::values)
    if (const Case test{format, {rounding, random_bits, policies(profile, Source::Binary32)}, profile_name};
        is_fast(test))
      cases.push_back(test);
}

std::vector<Rounding> deterministic_roundings() {
  std::vector<Rounding> result;
  for (const auto& [rounding, text] : EnumNames<Rounding>::values)
    if (!is_stochastic(rounding)) result.push_back(rounding);
  return result;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const Format& format : formats())
    if (format.bits() <= 8 && format.encoding != Encoding::TwosComplement)
      for (const Rounding rounding : deterministic_roundings()) add(cases, format, rounding, 0);
  for (const char* text : {"bfloat16", "binary16", "tf32"}) add(cases, parse_format(text), Rounding::TiesToEven, 0);
  const Policies ocp = policies(Profile::Ocp, Source::Binary32);
  cases.push_back({parse_format("e4m3fn"), {Rounding::StochasticA, 8, ocp}, "ocp"});
  cases.push_back({parse_format("e5m2"), {Rounding::StochasticB, 16, ocp}, "ocp"});
  cases.push_back({parse_format("e2m1"), {Rounding::StochasticC, 32, ocp}, "ocp"});
  cases.push_back({parse_format("bfloat16"), {Rounding::StochasticB, 8, ocp}, "ocp"});
  return cases;
}

/// The casts that the arguments name.
std::vector<Case> chosen_cases(std::span<const char* const> arguments) {
  if (arguments.empty()) return all_cases();
  if (arguments.size() > 2) throw std::invalid_argument("usage: formats_all_floats [format [rounding]]");
  std::vector<Case> cases;
  const Format format = parse_format(arguments[0]);
  const std::vector<Rounding> roundings =
      arguments.size() == 2 ? std::vector{parse<Rounding>(arguments[1])} : deterministic_roundings();
  for (const Rounding rounding : roundings) add(cases, format, rounding, is_stochastic(rounding) ? 16 : 0);
  if (cases.empty()) throw std::invalid_argument(fmt::format("{}: no cast to it has kernels", arguments[0]));
  return cases;
}

int run(std::span<const char* const> arguments) {
  const std::vector<Case> cases = chosen_cases(arguments);
  const int parallelism = std::min(omp_get_max_threads(), int(cases.size()));
  std::vector<Outcome> outcomes(cases.size());
  const auto start = std::chrono::steady_clock::now();
  {
    Progress progress({.total = int64_t(cases.size()), .parallelism = parallelism});
#pragma omp parallel for num_threads(parallelism) schedule(dynamic)
    for (size_t i = 0; i < cases.size(); ++i) {
      outcomes[i] = check(cases[i]);
      progress.finished(cases[i].text(), outcomes[i].seconds, outcomes[i].differences > 0);
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  uint64_t differences = 0;
  double slowest = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const Outcome& outcome = outcomes[i];
    differences += outcome.differences;
    if (!is_stochastic(cases[i].projection.rounding)) slowest = std::max(slowest, outcome.seconds);
    if (outcome.differences > 0)
      fmt::print("{}: {} differences; {}\n", cases[i].text(), outcome.differences, outcome.first);
  }
  fmt::print(
      "{} casts of 2^32 floats each with the {} kernels: {} differences, {:.0f} s; slowest deterministic {:.1f} s\n",
      cases.size(), name(active_isa()), differences, seconds.count(), slowest);
  return differences == 0 ? 0 : 1;
}

}  // namespace
}  // namespace halfulp

int main(int argc, char** argv) {
  try {
    return halfulp::run(std::span<const char* const>(argv + 1, size_t(argc - 1)));
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
