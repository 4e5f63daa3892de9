// Errors, biases and crossovers of block formats on random numbers against published and independently computed ones.
//
// Gaussian numbers are Box-Muller transforms of Philox words. Relative errors of formats with power-of-two scales
// depend on where amax lies in its octave, so they are averaged over sigma = 2^(t/64), t = 0 … 63, unless said
// otherwise.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "formats/block.h"
#include "formats/codec.h"
#include "formats/philox.h"

namespace halfulp {
namespace {

constexpr int kPhases = 64;

double uniform(uint32_t word) { return (word + 0.5) * 0x1p-32; }

/// Number i of an endless row of independent normal numbers.
std::vector<double> normal_numbers(size_t count, uint32_t step) {
  std::vector<double> numbers;
  for (uint32_t i = 0; numbers.size() < count; ++i) {
    const PhiloxCounter words = random_words({.seed = 2024, .step = step}, i);
    for (uint32_t pair = 0; pair < 4; pair += 2) {
      const double radius = std::sqrt(-2 * std::log(uniform(words[pair])));
      const double angle = 2 * std::numbers::pi * uniform(words[pair + 1]);
      numbers.push_back(radius * std::cos(angle));
      numbers.push_back(radius * std::sin(angle));
    }
  }
  numbers.resize(count);
  return numbers;
}

/// Student's t with three degrees of freedom.
std::vector<double> student_numbers(size_t count, uint32_t step) {
  const std::vector<double> z = normal_numbers(4 * count, step);
  std::vector<double> t;
  for (size_t i = 0; i < count; ++i) {
    const double chi = z[4 * i + 1] * z[4 * i + 1] + z[4 * i + 2] * z[4 * i + 2] + z[4 * i + 3] * z[4 * i + 3];
    t.push_back(z[4 * i] / std::sqrt(chi / 3));
  }
  return t;
}

struct Quality {
  double error = 0;    // relative squared error
  double deficit = 0;  // 1 - <x, q> / <x, x>

  double db() const { return -10 * std::log10(error); }
};

struct Mode {
  Rounding rounding = Rounding::TiesToEven;
  int random_bits = 0;
};
constexpr Mode kNearest, kStochastic = {Rounding::StochasticB, 24};

Quality quality(const BlockQuantizer& quantizer, std::vector<float> x, int rows, uint32_t step) {
  std::vector<float> q(x.size());
  const int cols = int(x.size()) / rows;
  const double scale = double(quantizer.quantize(x, q, rows, cols, {.seed = 5, .step = step}));
  double xx = 0, xq = 0, error = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double value = double(q[i]) * scale, difference = value - double(x[i]);
    xx += double(x[i]) * double(x[i]);
    xq += double(x[i]) * value;
    error += difference * difference;
  }
  return {error / xx, 1 - xq / xx};
}

enum class Draw { Normal, Student };

/// The mean over arrays of `rows` rows of 256 numbers, one for each phase, or all of sigma 1.
Quality mean_quality(const std::string& text, Mode mode, int rows, bool over_phases = true, Draw draw = Draw::Normal) {
  const BlockQuantizer quantizer(make_block_format(text), mode.rounding, mode.random_bits);
  Quality mean;
  for (int t = 0; t < kPhases; ++t) {
    const size_t count = size_t(rows) * 256;
    const std::vector<double> numbers =
        draw == Draw::Normal ? normal_numbers(count, uint32_t(t)) : student_numbers(count, uint32_t(t));
    std::vector<float> x;
    for (double z : numbers) x.push_back(float(over_phases ? z * std::exp2(double(t) / kPhases) : z));
    const Quality one = quality(quantizer, x, rows, uint32_t(t));
    mean.error += one.error / kPhases;
    mean.deficit += one.deficit / kPhases;
  }
  return mean;
}

struct Golden {
  const char* text;
  Mode mode;
  double error;                        // x 1000
  std::optional<double> deficit = {};  // absolute
  bool over_phases = true;
};

void check(const Golden& golden, int rows, double tolerance) {
  const Quality got = mean_quality(golden.text, golden.mode, rows, golden.over_phases);
  EXPECT_NEAR(1000 * got.error / golden.error, 1, tolerance)
      << golden.text << " " << name(golden.mode.rounding) << ": " << 1000 * got.error;
  if (golden.deficit) {
    EXPECT_NEAR(got.deficit, *golden.deficit, is_stochastic(golden.mode.rounding) ? 6e-4 : 3e-4)
        << golden.text << " " << name(golden.mode.rounding);
  }
}

// 64 arrays of 16,384 numbers. Their errors scatter by 1.5 % (NVFP4) to 4 % (MX), so the mean of 64 has a standard
// error of 0.2 to 0.5 %; deficits have one of 2e-4 under stochastic rounding, less otherwise.
TEST(BlockGolden, errors_and_alignment_of_formats_with_kernels) {
  const Golden goldens[] = {
      {"nvfp4", kNearest, 9.045, 0.0045},
      {"nvfp4:shape=16x16", kNearest, 12.45},
      {"nvfp4", kStochastic, 18.86, 0.0034},
      {"nvfp4:headroom=17/16", kStochastic, 23.52, 0.0},
      {"nvint4", kNearest, 7.44},
      {"e2m1/ue5m3/1x16:outer=tensor,target=448", kNearest, 9.045},
      {"mxfp4:rule=floor", kNearest, 13.36, 0.0218},
      {"mxfp4:rule=floor,prescale=3/4", kNearest, 13.67, 0.0095},
      {"mxfp4:rule=rceil", kNearest, 13.66, 0.0094},
      {"mxfp4:rule=near_log", kNearest, 14.66},
      {"mxfp4:rule=floor,prescale=3/4", kStochastic, 27.79, 0.0},
      {"mxfp4:rule=rceil", kStochastic, 27.78, 0.0},
      {"nvfp4:shape=1x8", kNearest, 7.30},
      {"nvfp4:shape=1x32", kNearest, 10.33},
      {"nvfp4:shape=1x64", kNearest, 11.23},
      {"nvfp4:shape=1x128", kNearest, 11.89},
      {"e2m1/e8m0/1x8:rule=rceil", kNearest, 12.12, {}, false},
      {"e2m1/e8m0/1x16:rule=rceil", kNearest, 12.72, {}, false},
      {"e2m1/e8m0/1x32:rule=rceil", kNearest, 13.31, {}, false},
      {"e2m1/e8m0/1x64:rule=rceil", kNearest, 14.11, {}, false},
      {"e2m1/e8m0/1x128:rule=rceil", kNearest, 15.50, {}, false},
  };
  for (const Golden& golden : goldens) check(golden, 64, 0.015);
}

// 64 arrays of 4,096 numbers: twice the standard error.
TEST(BlockGolden, errors_and_alignment_of_formats_without_kernels) {
  const Golden goldens[] = {
      {"nvfp4_4over6", kNearest, 7.560},
      {"nvfp4_4over6:shape=16x16", kNearest, 12.44},
      {"nvfp4_eden", kNearest, 9.73},
      {"if4", kNearest, 6.15},
      {"mxfp4:rule=rceil,search=nearby*2", kNearest, 12.5},
      {"mxfp4:rule=near_log,statistic=rms*2.92247856/6", kNearest, 13.37},
      {"mxfp4:rule=rceil,statistic=rms*2.92247856/6", kNearest, 15.5},
      {"e2m1/binary32/allxall:statistic=rms*0.4919", kNearest, 12.72},
      {"e2m1/binary32/1xall:statistic=rms*0.487079", kNearest, 12.6849},
      {"int2_narrow/binary32/1xall:statistic=rms*1.224009", kNearest, 190.174},
      {"midrise1/binary32/1xall:statistic=rms*0.797885/0.5", kNearest, 363.38},
      {"midrise2/binary32/1xall:statistic=rms*1.493535/1.5", kNearest, 118.846},
      {"midrise3/binary32/1xall:statistic=rms*2.051068/3.5", kNearest, 37.440},
      {"midrise4/binary32/1xall:statistic=rms*2.513931/7.5", kNearest, 11.543},
  };
  for (const Golden& golden : goldens) check(golden, 16, 0.02);
  // published as 22.3; a program of its own on 192,000 numbers gave 21.6
  check({"mxfp4:rule=round_down,statistic=rms*2.92247856/6", kNearest, 22.3}, 16, 0.05);
  // an eighth of it comes from the 27 of 262,144 numbers that lie beyond the largest
  check({"midrise8/binary32/1xall:statistic=rms*3.884939/127.5", kNearest, 0.08782}, 16, 0.05);
  // published with a deficit of 0.0006; corrected scales have none but by chance
  EXPECT_NEAR(mean_quality("nvfp4_eden", kNearest, 16).deficit, 0, 7e-4);
}

// Signal to error in dB, at sigma 1 alone. The largest numbers of Student's t with three degrees decide much of both
// sums, so its bounds are wide.
TEST(BlockGolden, signal_to_error_of_integers_and_floats) {
  struct Row {
    const char* text;
    double normal, student;
  };
  const Row rows[] = {{"mxint8:rule=rceil", 41.6, 37.7},
                      {"mxint8:rule=floor", 41.7, 37.7},
                      {"mxfp8_e4m3:rule=rceil", 31.5, 31.6},
                      {"mxfp8_e4m3:rule=floor", 30.6, 29.0},
                      {"int6/e8m0/1x32:rule=rceil", 29.4, 25.7},
                      {"int6/e8m0/1x32:rule=floor", 29.6, 25.7},
                      {"mxfp6_e2m3:rule=rceil", 31.0, 29.0},
                      {"mxfp6_e2m3:rule=floor", 31.0, 29.0},
                      {"int4/e8m0/1x32:rule=rceil", 16.8, 13.8},
                      {"int4/e8m0/1x32:rule=floor", 17.6, 14.8},
                      {"mxfp4:rule=rceil", 18.7, 16.5},
                      {"mxfp4:rule=floor", 18.8, 16.9},
                      {"nvfp4", 20.4, 20.9},
                      {"nvint4", 21.3, 18.9}};
  for (const Row& row : rows) {
    EXPECT_NEAR(mean_quality(row.text, kNearest, 16, false).db(), row.normal, 0.12) << row.text;
    EXPECT_NEAR(mean_quality(row.text, kNearest, 16, false, Draw::Student).db(), row.student, 0.6) << row.text;
  }
}

/// The relative error of blocks of Gaussian numbers whose largest, planted, is `crest` times their root mean square.
double planted_error(const std::string& text, int block, double crest) {
  const BlockQuantizer quantizer(make_block_format(text, std::nullopt, fmt::format("1x{}", block)),
                                 Rounding::TiesToEven);
  double mean = 0;
  for (uint32_t t = 0; t < kPhases; ++t) {
    std::vector<float> x;
    const std::vector<double> numbers = normal_numbers(size_t(block) * 256, t);
    for (size_t first = 0; first < numbers.size(); first += size_t(block)) {
      std::vector<double> rest(numbers.begin() + ptrdiff_t(first) + 1, numbers.begin() + ptrdiff_t(first) + block);
      double squares = 0, largest = 0;
      for (double z : rest) squares += z * z, largest = std::max(largest, std::fabs(z));
      const double planted = std::sqrt(squares * crest * crest / (block - crest * crest));
      if (planted < largest) continue;  // the planted number would not be the largest
      const double sigma = std::exp2(double(t) / kPhases) / planted;
      x.push_back(float(planted * sigma));
      for (double z : rest) x.push_back(float(z * sigma));
    }
    if (!x.empty()) mean += quality(quantizer, x, 1, t).error / kPhases;
  }
  return mean;
}

// Integers win where numbers are spread evenly below the largest one, floats where it stands out.
TEST(BlockGolden, integers_win_below_a_crest_factor) {
  struct Row {
    const char *integer, *floating;
    int block;
    double crossover;
  };
  const Row rows[] = {{"int6_narrow/e8m0/1x32:rule=rceil", "mxfp6_e2m3:rule=rceil", 32, 2.08},
                      {"int4_narrow/e8m0/1x32:rule=rceil", "mxfp4:rule=rceil", 32, 1.87},
                      {"nvint4", "nvfp4", 16, 2.24}};
  for (const Row& row : rows) {
    const auto advantage = [&](double crest) {
      return planted_error(row.floating, row.block, crest) / planted_error(row.integer, row.block, crest);
    };
    EXPECT_GT(advantage(row.crossover - 0.12), 1) << row.integer;
    EXPECT_LT(advantage(row.crossover + 0.12), 1) << row.integer;
  }
  for (double crest : {2.2, 3.0, 4.0, 5.4})
    EXPECT_LT(planted_error("mxint8:rule=rceil", 32, crest), planted_error("mxfp8_e4m3:rule=rceil", 32, crest))
        << crest;
}

// ---- the theory of integers against floats (arXiv 2510.25602) ----

// Blocks of Gaussian numbers of crest factor kappa, scaled by 1.5 amax in the root mean square where scales are powers
// of two, by amax exactly otherwise, where the largest of `block` numbers is free of error. Integers have steps of
// amax / 2^(bits - 1), and floats an error of step^2 / 12 beside a square that is twice the binade's lowest.
struct Theory {
  int bits, mantissa, bias;  // of the integer; of the float
  double largest;            // of the float
  int block;                 // 0: the scale is a power of two

  double overhead() const { return block == 0 ? 1.5 : 1; }
  // Integers that are symmetric have longer steps.
  double symmetric_db() const { return 20 * std::log10(1 - std::exp2(1 - bits)); }
  double integer_db(double kappa) const {
    const double exact = block == 0 ? 0 : 10 * std::log10(block / (block - 1.0));
    return 4.78 + 6.02 * bits - 20 * std::log10(overhead() * kappa) + exact;
  }
  double float_db(double kappa) const {
    const double normal = std::exp2(1 - bias) * overhead() * kappa / largest;  // the smallest one, over sigma
    const double tail = std::erfc(normal / std::numbers::sqrt2);               // of both sides
    const double density = std::exp(-normal * normal / 2) / std::sqrt(2 * std::numbers::pi);
    const double energy = 2 * normal * density + tail - (block == 0 ? 0 : kappa * kappa / block);
    const double normal_error = energy / (24 * std::pow(4, mantissa));
    const double step = std::exp2(1 - bias - mantissa) / largest * overhead() * kappa;
    return -10 * std::log10(normal_error + step * step / 12 * (1 - tail));
  }
  double crossover() const {
    double low = 1.01, high = 12;
    while (high - low > 1e-6) {
      const double middle = (low + high) / 2;
      (integer_db(middle) > float_db(middle) ? low : high) = middle;
    }
    return low;
  }
};
constexpr Theory kInt8Fp8 = {8, 3, 7, 448, 0}, kInt6Fp6 = {6, 3, 1, 7.5, 0}, kInt4Fp4 = {4, 1, 1, 6, 0},
                 kNvInt4Fp4 = {4, 1, 1, 6, 16};

TEST(BlockGolden, theory_gives_the_published_crest_factors) {
  EXPECT_NEAR(kInt8Fp8.crossover(), 7.55, 0.01);
  EXPECT_NEAR(kInt6Fp6.crossover(), 1.96, 0.01);
  EXPECT_NEAR(kInt4Fp4.crossover(), 2.04, 0.01);
  EXPECT_NEAR(kNvInt4Fp4.crossover(), 2.39, 0.1);
  EXPECT_NEAR(kInt8Fp8.integer_db(7.55), 31.86, 0.02);
  EXPECT_NEAR(kInt6Fp6.integer_db(1.96), 31.54, 0.02);
  EXPECT_NEAR(kInt4Fp4.integer_db(2.04), 19.14, 0.02);
}

// Amax fills its octave evenly, so 1.5 is 0.17 dB too much. Gaussian numbers crowd the lower ends of binades, where
// steps are long beside them.
TEST(BlockGolden, errors_are_near_the_theory) {
  struct Row {
    Theory theory;
    const char *integer, *floating;
    int block;
  };
  const Row rows[] = {{kInt8Fp8, "int8_narrow/e8m0/1x32:rule=rceil", "mxfp8_e4m3:rule=rceil", 32},
                      {kInt6Fp6, "int6_narrow/e8m0/1x32:rule=rceil", "mxfp6_e2m3:rule=rceil", 32},
                      {kInt4Fp4, "int4_narrow/e8m0/1x32:rule=rceil", "mxfp4:rule=rceil", 32},
                      {kNvInt4Fp4, "nvint4", "nvfp4", 16}};
  for (const Row& row : rows)
    for (const double crest : {2.2, 2.5, 3.0, 3.5}) {
      // The others are no longer as large as the theory has them where one has more than half of the energy.
      if (crest * crest > row.block / 2.0) continue;
      const double integer = -10 * std::log10(planted_error(row.integer, row.block, crest)),
                   floating = -10 * std::log10(planted_error(row.floating, row.block, crest)),
                   even_octave = row.theory.block == 0 ? 0.17 : 0;
      EXPECT_NEAR(integer, row.theory.integer_db(crest) + row.theory.symmetric_db() + even_octave, 0.05)
          << row.integer << " " << crest;
      EXPECT_NEAR(floating, row.theory.float_db(crest) - 0.25, 0.2) << row.floating << " " << crest;
    }
}

// Exact sums over all fractions that are multiples of 2^-12 and all random numbers.
TEST(BlockGolden, bias_of_few_random_bits) {
  const Format format = parse_format("int8");
  constexpr int kFractions = 1 << 12;
  for (int bits : {1, 2, 3, 4, 8}) {
    const double least = std::ldexp(1.0, -bits - 1);
    for (const auto& [rounding, mean, largest] :
         {std::tuple{Rounding::StochasticA, -least, 2 * least}, {Rounding::StochasticB, 0.0, least}}) {
      const Projection projection{.rounding = rounding, .random_bits = bits};
      double sum = 0, most = 0;
      for (int f = 0; f < kFractions; ++f) {
        const double x = 5 + double(f) / kFractions;
        double bias = 0;
        for (uint32_t random = 0; random < 1u << bits; ++random)
          bias += std::ldexp(decode(format, encode(format, projection, Real::of(x), random)) - x, -bits);
        sum += bias / kFractions;
        most = std::max(most, std::fabs(bias));
      }
      EXPECT_NEAR(sum, mean, 2.0 / kFractions) << name(rounding) << " " << bits;
      EXPECT_NEAR(most, largest, 2.0 / kFractions) << name(rounding) << " " << bits;
    }
  }
}

}  // namespace
}  // namespace halfulp
