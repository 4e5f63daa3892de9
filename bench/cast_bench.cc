// Casts beside their peers and beside what only moving the data takes.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "bench/cast_peers.h"
#include "bench/race.h"
#include "formats/cast.h"
#include "formats/kernels.h"

namespace halfulp {
namespace {

constexpr size_t kShift = 2048 + 64;  // between the places of an input and its output in their pages

/// The arrays of one race.
struct Arrays {
  size_t count;
  Buffer input, output, in_place;

  Arrays(size_t bytes, const Format& format)
      : count(bytes / sizeof(float)), input(bytes, 0), output(bytes, kShift), in_place(bytes, 0) {
    // From below the subnormals to above the largest number.
    const int lowest = format.min_quantum_exponent() - 2, highest = max_exponent(format) + 1;
    fill_with_exponents({x(), count}, std::max(lowest, -120), std::min(highest, 120));
    std::copy_n(x(), count, z());
    std::fill_n(y(), count, 0.0f);
  }

  float* x() const { return input.as<float>(); }
  float* y() const { return output.as<float>(); }
  float* z() const { return in_place.as<float>(); }
};

std::span<const float> first(const float* x, size_t n) { return {x, n}; }

/// Overflow is that of the peers: 8 bits saturate, 16 have an infinity.
Caster to_nearest(std::string_view text) {
  const Format format = parse_format(text);
  return Caster(format, {.policies = {.overflow = format.bits() > 8 ? Overflow::ToInfinity : Overflow::Saturate}});
}

Caster saturating(std::string_view format, Rounding rounding = Rounding::TiesToEven, int random_bits = 0) {
  return Caster(parse_format(format), {rounding, random_bits, {.overflow = Overflow::Saturate}});
}

bool has_avx2() { return __builtin_cpu_supports("avx2"); }

void race_to_values(benchmark::State& state, std::string_view format, size_t bytes) {
  const Caster caster = to_nearest(format);
  const Arrays a(bytes, caster.format());
  const CastJob job{caster.encoder(), Rounding::TiesToEven, {}, 0};
  Race race(a.count);
  race.add(Role::Limit, "copy", [&](size_t n) { stream_copy(a.x(), a.y(), n); });
  race.add(Role::Ours, "ours", [&](size_t n) { caster.round(first(a.x(), n), {a.y(), n}); });
  if (has_avx2()) race.add(Role::Variant, "AVX2", [&](size_t n) { avx2::round_values(job, a.x(), a.y(), n); });
  race.add(Role::Variant, "portable", [&](size_t n) { portable::round_values(job, a.x(), a.y(), n); });
  for (const CastPeer& peer : cast_peers())
    if (peer.format == format && peer.to_values != nullptr)
      race.add(Role::Peer, std::string(peer.name), [&, peer](size_t n) { peer.to_values(a.x(), a.y(), n); });
  run_race(state, race);
}

void race_in_place(benchmark::State& state, std::string_view format, size_t bytes) {
  const Caster caster = saturating(format);
  const Arrays a(bytes, caster.format());
  Race race(a.count);
  race.add(Role::Limit, "in-place stream", [&](size_t n) { stream_in_place(a.z(), n); });
  race.add(Role::Ours, "ours", [&](size_t n) { caster.round(first(a.z(), n), {a.z(), n}); });
  run_race(state, race);
}

template <class Code>
void race_to_codes(benchmark::State& state, std::string_view format, size_t bytes) {
  constexpr bool kBytes = std::is_same_v<Code, uint8_t>;
  const Caster caster = to_nearest(format);
  const Arrays a(bytes, caster.format());
  const CastJob job{caster.encoder(), Rounding::TiesToEven, {}, 0};
  Code* const codes = a.output.as<Code>();
  Race race(a.count);
  race.add(Role::Limit, "stream", [&](size_t n) {
    if constexpr (kBytes)
      stream_to_bytes(a.x(), codes, n);
    else
      stream_to_words(a.x(), codes, n);
  });
  race.add(Role::Ours, "ours", [&](size_t n) { caster.encode(first(a.x(), n), std::span(codes, n)); });
  if (has_avx2()) race.add(Role::Variant, "AVX2", [&](size_t n) { avx2::encode_codes(job, a.x(), codes, n); });
  race.add(Role::Variant, "portable", [&](size_t n) { portable::encode_codes(job, a.x(), codes, n); });
  for (const CastPeer& peer : cast_peers()) {
    const auto cast = [&] {
      if constexpr (kBytes)
        return peer.to_bytes;
      else
        return peer.to_words;
    }();
    if (peer.format == format && cast != nullptr)
      race.add(Role::Peer, std::string(peer.name), [&, cast](size_t n) { cast(a.x(), codes, n); });
  }
  run_race(state, race);
}

void race_from_codes(benchmark::State& state, std::string_view format, size_t bytes) {
  const Caster caster = saturating(format);
  const Arrays a(bytes, caster.format());
  uint8_t* const codes = a.in_place.as<uint8_t>();
  caster.encode(first(a.x(), a.count), std::span(codes, a.count));
  Race race(a.count);
  race.add(Role::Limit, "stream", [&](size_t n) { stream_from_bytes(codes, a.y(), n); });
  race.add(Role::Ours, "ours",
           [&](size_t n) { decode(caster.format(), std::span<const uint8_t>(codes, n), std::span(a.y(), n)); });
  for (const CastPeer& peer : cast_peers())
    if (peer.format == format && peer.from_bytes != nullptr)
      race.add(Role::Peer, std::string(peer.name), [&, peer](size_t n) { peer.from_bytes(codes, a.y(), n); });
  run_race(state, race);
}

/// Other roundings of one format beside ties_to_even, which is the one timed; the label has the others.
void race_roundings(benchmark::State& state, std::string_view format, std::span<const Caster> others, size_t bytes) {
  const Caster nearest = saturating(format);
  const Arrays a(bytes, nearest.format());
  Race race(a.count);
  race.add(Role::Limit, "copy", [&](size_t n) { stream_copy(a.x(), a.y(), n); });
  race.add(Role::Ours, "ties_to_even", [&](size_t n) { nearest.round(first(a.x(), n), {a.y(), n}); });
  for (const Caster& other : others) {
    const Projection& projection = other.projection();
    std::string text(name(projection.rounding));
    if (projection.random_bits > 0) text += fmt::format("/{}", projection.random_bits);
    race.add(Role::Variant, text, [&](size_t n) { other.round(first(a.x(), n), {a.y(), n}); });
  }
  run_race(state, race);
}

std::vector<Caster> deterministic(std::string_view format) {
  std::vector<Caster> result;
  for (const auto& [rounding, text] : EnumNames<Rounding>::values)
    if (!is_stochastic(rounding) && rounding != Rounding::TiesToEven) result.push_back(saturating(format, rounding));
  return result;
}

std::vector<Caster> stochastic(std::string_view format) {
  std::vector<Caster> result;
  for (const auto& [rounding, text] : EnumNames<Rounding>::values)
    for (const int bits : {8, 16, 32})
      if (is_stochastic(rounding)) result.push_back(saturating(format, rounding, bits));
  return result;
}

using Work = std::function<void(benchmark::State&, size_t bytes)>;

void add(const std::string& name, const Work& work) {
  for (const size_t bytes : kRaceBytes)
    benchmark::RegisterBenchmark(fmt::format("{}/{}", name, size_text(bytes)).c_str(), work, bytes)
        ->UseManualTime()
        ->Iterations(race_rounds(bytes));
}

void add_all() {
  for (const std::string_view format : {"e4m3fn", "e5m2", "e3m2", "e2m1"}) {
    add(fmt::format("round/{}", format), [=](auto& state, size_t bytes) { race_to_values(state, format, bytes); });
    add(fmt::format("round_in_place/{}", format),
        [=](auto& state, size_t bytes) { race_in_place(state, format, bytes); });
    add(fmt::format("encode/{}", format),
        [=](auto& state, size_t bytes) { race_to_codes<uint8_t>(state, format, bytes); });
    add(fmt::format("decode/{}", format), [=](auto& state, size_t bytes) { race_from_codes(state, format, bytes); });
  }
  for (const std::string_view format : {"bfloat16", "binary16"}) {
    add(fmt::format("round/{}", format), [=](auto& state, size_t bytes) { race_to_values(state, format, bytes); });
    add(fmt::format("encode/{}", format),
        [=](auto& state, size_t bytes) { race_to_codes<uint16_t>(state, format, bytes); });
  }
  add("roundings/e4m3fn",
      [](auto& state, size_t bytes) { race_roundings(state, "e4m3fn", deterministic("e4m3fn"), bytes); });
  add("stochastic/e4m3fn",
      [](auto& state, size_t bytes) { race_roundings(state, "e4m3fn", stochastic("e4m3fn"), bytes); });
}

}  // namespace
}  // namespace halfulp

int main(int argc, char** argv) {
  halfulp::add_all();
  return halfulp::run_races(argc, argv);
}
