// Matrix products as matrix units compute them, beside the training GEMM in binary32 and the same by definition.
//
// An element is one multiplication with its addition: 1 / (ns per element) is 10^9 of these in a second.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/race.h"
#include "formats/cast.h"
#include "formats/dot_product.h"
#include "formats/matrix_multiply.h"
#include "formats/philox.h"
#include "sim/gemm.h"

namespace halfulp {
namespace {

constexpr int kSize = 512;  // rows, columns and depth
constexpr size_t kRow = size_t{kSize} * kSize;

enum class Data { Gaussian, Wide };

/// Numbers of the format, nearly gaussian, or of any magnitude that it has.
std::vector<float> numbers(const Format& format, Data data, uint32_t site) {
  std::vector<float> x(kRow);
  for (size_t i = 0; i < x.size(); ++i) {
    double sum = 0;  // of twelve uniform numbers: variance 1
    for (uint32_t j = 0; j < 12; ++j)
      sum += double(int32_t(random_word({.stream = Stream::Data, .site = site}, uint32_t(12 * i) + j))) * 0x1p-32;
    x[i] = float(sum);
  }
  if (data == Data::Wide) {
    std::vector<float> wide(kRow);
    const int highest = std::min(max_exponent(format), 60), lowest = std::max(format.min_exponent(), -60);
    fill_with_exponents(wide, lowest, highest - 1);
    return wide;
  }
  return x;
}

/// Operands of a unit in elements of one type.
template <class Code, class Accumulator>
class Product {
 public:
  Product(const MatrixUnit& unit, Data data) : unit_(unit), c_(kRow), d_(kRow) {
    a_ = codes(unit.a, data, 0);
    b_ = codes(unit.b, data, 1);
    if (!unit.scale.empty()) scales_per_line_ = size_t(kSize / unit.scale_block);
    scales_.resize(kSize * scales_per_line_);
    std::ranges::generate(scales_, [&, i = uint32_t{0}]() mutable {
      return uint8_t(one(unit.scale) + random_word({.stream = Stream::Data, .site = 2}, i++) % 8);
    });
  }
  void fast(int m, int threads) { multiply_matrices<Code, Accumulator>(unit_, in(m), outputs(m), {}, threads); }
  void reference(int m) { multiply_matrices_reference<Code, Accumulator>(unit_, in(m), outputs(m)); }

 private:
  static std::vector<Code> codes(std::string_view name, Data data, uint32_t site) {
    const Format format = parse_format(name);
    std::vector<Code> result(kRow);
    Caster(format, {}).encode<Code>(numbers(format, data, site), result);
    if (name == "tf32")
      for (Code& code : result) code = Code(uint64_t{code} << 13);
    return result;
  }
  // The code of 1.
  static uint32_t one(std::string_view scale) {
    const Format format = parse_format(scale);
    return uint32_t(format.bias) << format.mantissa_bits;
  }
  MatrixProduct<Code, Accumulator> in(int m) const {
    const size_t rows = size_t(m);
    return {m,
            kSize,
            kSize,
            std::span(a_).first(rows * kSize),
            b_,
            std::span(c_).first(rows * kSize),
            std::span(scales_).first(rows * scales_per_line_),
            scales_};
  }
  std::span<Accumulator> outputs(int m) { return std::span(d_).first(size_t(m) * kSize); }

  const MatrixUnit& unit_;
  std::vector<Code> a_, b_;
  std::vector<Accumulator> c_, d_;
  size_t scales_per_line_ = 0;
  std::vector<uint8_t> scales_;  // of both: 1 or a little more
};

int rows_of(size_t count) { return int(count / kRow); }

template <class Code, class Accumulator>
void race_as(benchmark::State& state, const MatrixUnit& unit) {
  Product<Code, Accumulator> gaussian(unit, Data::Gaussian), wide(unit, Data::Wide);
  std::vector<float> a = numbers(parse_format("binary32"), Data::Gaussian, 0), b = a, c(kRow);
  Race race(kRow * kSize, kRow);
  race.add(Role::Ours, "ours", [&](size_t n) { gaussian.fast(rows_of(n), 1); });
  race.add(Role::Variant, "two threads", [&](size_t n) { gaussian.fast(rows_of(n), 2); });
  race.add(Role::Variant, "wide exponents", [&](size_t n) { wide.fast(rows_of(n), 1); });
  race.add(Role::Variant, "by definition", [&](size_t n) { gaussian.reference(rows_of(n)); });
  race.add(Role::Limit, "binary32 GEMM", [&](size_t n) {
    const size_t rows = size_t(rows_of(n));
    gemm(std::span(a).first(rows * kSize), b, std::span(c).first(rows * kSize), int(rows), kSize, kSize);
  });
  run_race(state, race);
}

template <class Accumulator>
void race_as(benchmark::State& state, const MatrixUnit& unit) {
  switch (operand_bits(unit.a)) {
    case 16: return race_as<uint16_t, Accumulator>(state, unit);
    case 32: return race_as<uint32_t, Accumulator>(state, unit);
    default: return race_as<uint8_t, Accumulator>(state, unit);
  }
}

void run(benchmark::State& state, const MatrixUnit& unit) {
  unit.accumulator == "binary16" ? race_as<uint16_t>(state, unit) : race_as<uint32_t>(state, unit);
}

constexpr std::string_view kUnits[] = {
    "hopper.wgmma.e4m3",       "ada.mma.e4m3",           "ampere.mma.f16",
    "ampere.mma.bf16",         "ampere.mma.tf32",        "hopper.mma.f16",
    "hopper.mma.f16.f16",      "hopper.mma.bf16",        "hopper.mma.tf32",
    "blackwell.tcgen05.e4m3",  "blackwell.tcgen05.e2m1", "hopper.mma.e4m3",
    "blackwell.mxf8f6f4.e4m3", "blackwell.mxf4.e2m1",    "blackwell.mxf4nvf4.e2m1.ue4m3x16",
    "ampere.mma.s8",           "cdna3.mfma.f16",         "cdna3.mfma.e4m3fnuz",
    "cdna2.mfma.bf16_1k",      "x86.vdpbf16ps"};

}  // namespace
}  // namespace halfulp

int main(int argc, char** argv) {
  using namespace halfulp;
  for (const std::string_view name : kUnits)
    benchmark::RegisterBenchmark(fmt::format("mma/{}/512", name).c_str(),
                                 [name](benchmark::State& state) { run(state, find_matrix_unit(name)); })
        ->UseManualTime()
        ->Iterations(kRaceRounds);
  return run_races(argc, argv);
}
