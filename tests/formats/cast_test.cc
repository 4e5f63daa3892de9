#include "formats/cast.h"

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "formats/codec.h"
#include "formats/kernels.h"
#include "tests/cast_cases.h"
#include "tests/control_register.h"
#include "tests/oracle.h"

namespace halfulp {
namespace {

using oracle::Oracle;

constexpr RandomSite kSite = {.seed = 0x0123456789abcdef, .stream = Stream::Rounding, .step = 5, .site = 11};

/// The kernels of one instruction set.
struct Kernels {
  const char* name;
  bool is_available;
  void (*round)(const CastJob&, const float*, float*, size_t);
  void (*encode8)(const CastJob&, const float*, uint8_t*, size_t);
  void (*encode16)(const CastJob&, const float*, uint16_t*, size_t);
  void (*encode32)(const CastJob&, const float*, uint32_t*, size_t);

  void encode(const CastJob& job, const float* x, uint8_t* codes, size_t n) const { encode8(job, x, codes, n); }
  void encode(const CastJob& job, const float* x, uint16_t* codes, size_t n) const { encode16(job, x, codes, n); }
  void encode(const CastJob& job, const float* x, uint32_t* codes, size_t n) const { encode32(job, x, codes, n); }
};

std::vector<Kernels> available_kernels() {
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512vl");
  std::vector<Kernels> all = {
      {"portable", true, portable::round_values, portable::encode_codes, portable::encode_codes,
       portable::encode_codes},
      {"avx2", bool(__builtin_cpu_supports("avx2")), avx2::round_values, avx2::encode_codes, avx2::encode_codes,
       avx2::encode_codes},
      {"avx512", has_avx512, avx512::round_values, avx512::encode_codes, avx512::encode_codes, avx512::encode_codes}};
  std::erase_if(all, [](const Kernels& kernels) { return !kernels.is_available; });
  return all;
}

/// Random bits by their definition, computed once per number of bits.
class RandomBits {
 public:
  RandomBits(uint32_t first_index, size_t count) : first_index_(first_index), count_(count) {}

  uint32_t operator()(const Projection& projection, size_t i) {
    if (!is_stochastic(projection.rounding)) return 0;
    std::vector<uint32_t>& list = lists_[projection.random_bits];
    for (size_t k = list.size(); k < count_; ++k)
      list.push_back(random_bits(kSite, first_index_ + uint32_t(k), projection.random_bits));
    return list[i];
  }

 private:
  uint32_t first_index_;
  size_t count_;
  std::map<int, std::vector<uint32_t>> lists_;
};

/// Casts arrays in every fast way there is and compares each result with the reference.
class Comparison {
 public:
  Comparison(const Oracle& oracle, std::span<const float> x, RandomBits& random, uint32_t first_index = 0)
      : oracle_(oracle), x_(x), random_(random), first_index_(first_index), mismatches_(oracle) {}

  void run(const Projection& projection) {
    const Format& format = oracle_.format();
    const Caster caster(format, projection);
    want_.resize(x_.size());
    want_values_.resize(x_.size());
    for (size_t i = 0; i < x_.size(); ++i) {
      want_[i] = halfulp::encode(format, projection, Real::of(x_[i]), random_(projection, i));
      want_values_[i] = float(decode(format, want_[i]));
    }
    if (format.bits() <= 8)
      encode_with<uint8_t>(caster);
    else if (format.bits() <= 16)
      encode_with<uint16_t>(caster);
    else
      encode_with<uint32_t>(caster);
    round_with(caster);
  }

 private:
  template <class Code>
  void encode_with(const Caster& caster) {
    std::vector<Code> got(x_.size());
    caster.encode(x_, std::span(got), kSite, first_index_);
    compare("Caster", caster, got);
    if (caster.encoder() == nullptr) return;
    for (const Kernels& kernels : kernels_) {
      std::fill(got.begin(), got.end(), Code{0});
      kernels.encode({caster.encoder(), caster.projection().rounding, kSite, first_index_}, x_.data(), got.data(),
                     x_.size());
      compare(kernels.name, caster, got);
    }
  }

  template <class Code>
  void compare(const char* who, const Caster& caster, const std::vector<Code>& got) {
    for (size_t i = 0; i < got.size(); ++i)
      if (got[i] != want_[i]) [[unlikely]]
        report(who, caster, i, got[i]);
  }

  void round_with(const Caster& caster) {
    std::vector<float> got(x_.size());
    caster.round(x_, got, kSite, first_index_);
    compare_values("Caster", caster, got);
    if (caster.encoder() == nullptr) return;
    for (const Kernels& kernels : kernels_) {
      std::fill(got.begin(), got.end(), 0.0f);
      kernels.round({caster.encoder(), caster.projection().rounding, kSite, first_index_}, x_.data(), got.data(),
                    x_.size());
      compare_values(kernels.name, caster, got);
    }
  }

  void compare_values(const char* who, const Caster& caster, const std::vector<float>& got) {
    for (size_t i = 0; i < got.size(); ++i) {
      const float want = want_values_[i];
      if (std::bit_cast<uint32_t>(got[i]) == std::bit_cast<uint32_t>(want)) [[likely]]
        continue;
      mismatches_.report(
          fmt::format("{} rounds to {:a} instead of {:a}: {}", who, got[i], want, explain(caster, i, want_[i])));
    }
  }

  void report(const char* who, const Caster& caster, size_t i, uint32_t got) {
    mismatches_.report(fmt::format("{}, element {}: {}", who, i, explain(caster, i, got)));
  }

  std::string explain(const Caster& caster, size_t i, uint32_t got) {
    return describe(oracle_, caster.projection(), x_[i], random_(caster.projection(), i), got, want_[i]);
  }

  const Oracle& oracle_;
  std::span<const float> x_;
  RandomBits& random_;
  uint32_t first_index_;
  Mismatches mismatches_;
  std::vector<Kernels> kernels_ = available_kernels();
  std::vector<uint32_t> want_;
  std::vector<float> want_values_;
};

/// All 2^16 bfloat16 numbers, and 30,000 floats of random bits.
std::vector<float> common_inputs() {
  std::vector<float> result = random_floats(30'000, 5);
  for (uint32_t code = 0; code < 1 << 16; ++code) result.push_back(std::bit_cast<float>(code << 16));
  return result;
}

TEST(Caster, equals_the_reference_on_all_bfloat16_and_on_random_floats) {
  const std::vector<float> inputs = common_inputs();
  RandomBits random(0, inputs.size());
  for (const Format& format : formats_up_to(19)) {
    const Oracle oracle(format);
    Comparison comparison(oracle, inputs, random);
    for (const Projection& projection : projections({4, 13, 32}, policies(Profile::Cuda, Source::Binary32)))
      comparison.run(projection);
  }
}

TEST(Caster, equals_the_reference_on_every_number_and_midpoint_and_their_neighbours) {
  for (const Format& format : test_formats(19)) {
    const Oracle oracle(format);
    const std::vector<float> inputs = structured_floats(oracle, format.bits() <= 8 ? 8 : 2);
    RandomBits random(0, inputs.size());
    Comparison comparison(oracle, inputs, random);
    const bool is_small = format.bits() <= 8;
    for (const Projection& projection : is_small ? projections({1, 2, 8, 9, 16, 17, 32}, {}) : projections({8, 24}, {}))
      comparison.run(projection);
  }
}

TEST(Caster, equals_the_reference_under_every_combination_of_policies) {
  for (const Format& format : test_formats(19)) {
    const Oracle oracle(format);
    std::vector<float> inputs = special_floats();
    for (const double x : edge_doubles(oracle))
      if (std::fabs(x) <= double(std::numeric_limits<float>::max())) push_neighbourhood(inputs, float(x));
    RandomBits random(0, inputs.size());
    Comparison comparison(oracle, inputs, random);
    for (const Policies& policies : policies_for(format))
      for (const Projection& projection : projections({2, 16, 32}, policies)) comparison.run(projection);
  }
}

/// The bits of a float as a code of binary32 itself: what a cast of binary32 to binary32 gives but for NaNs.
TEST(Caster, leaves_binary32_alone) {
  const Oracle bfloat16(parse_format("bfloat16"));
  const std::vector<float> inputs = structured_floats(bfloat16);
  std::vector<uint32_t> codes(inputs.size());
  std::vector<float> values(inputs.size());
  for (const Projection& projection : projections({1, 32}, {.nan = NanPolicy::Payload})) {
    const Caster caster(parse_format("binary32"), projection);
    caster.encode(inputs, std::span(codes), kSite);
    caster.round(inputs, values, kSite);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const bool is_nan = std::isnan(inputs[i]);
      const uint32_t want = std::bit_cast<uint32_t>(inputs[i]) | (is_nan ? 0x00400000 : 0);
      ASSERT_EQ(codes[i], want) << name(projection.rounding) << " " << inputs[i];
      if (is_nan) continue;
      ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), want) << name(projection.rounding) << " " << inputs[i];
    }
  }
}

TEST(Caster, casts_the_same_however_the_array_is_split) {
  const std::vector<float> inputs = random_floats(500, 6);
  for (const char* text : {"e4m3fn", "e2m1", "e8m0", "bfloat16"}) {
    const Oracle oracle(parse_format(text));
    for (const Projection& projection : projections({1, 8, 9, 16, 17, 32}, {})) {
      const Caster caster(oracle.format(), projection);
      std::vector<uint32_t> whole(inputs.size()), parts(inputs.size());
      std::vector<float> whole_values(inputs.size()), part_values(inputs.size());
      const uint32_t first_index = 3;
      caster.encode(inputs, std::span(whole), kSite, first_index);
      caster.round(inputs, whole_values, kSite, first_index);
      const std::span<const float> x(inputs);
      for (size_t split = 0; split <= inputs.size(); ++split) {
        caster.encode(x.first(split), std::span(parts).first(split), kSite, first_index);
        caster.encode(x.subspan(split), std::span(parts).subspan(split), kSite, first_index + uint32_t(split));
        ASSERT_EQ(parts, whole) << text << " " << name(projection.rounding) << " split at " << split;
        part_values = inputs;  // the second part is rounded in place
        caster.round(x.first(split), std::span(part_values).first(split), kSite, first_index);
        const std::span<float> rest = std::span(part_values).subspan(split);
        caster.round(rest, rest, kSite, first_index + uint32_t(split));
        for (size_t i = 0; i < inputs.size(); ++i)
          ASSERT_EQ(std::bit_cast<uint32_t>(part_values[i]), std::bit_cast<uint32_t>(whole_values[i]))
              << text << " " << name(projection.rounding) << " split at " << split;
      }
    }
  }
}

/// What a cast of `x` must give, by the reference.
struct Wanted {
  std::vector<uint32_t> codes;
  std::vector<float> values;

  Wanted(const Caster& caster, std::span<const float> x, uint32_t first_index) {
    const Projection& projection = caster.projection();
    for (size_t i = 0; i < x.size(); ++i) {
      const uint32_t random = is_stochastic(projection.rounding)
                                  ? random_bits(kSite, first_index + uint32_t(i), projection.random_bits)
                                  : 0;
      codes.push_back(caster.encode_reference(x[i], random));
      values.push_back(float(decode(caster.format(), codes.back())));
    }
  }
};

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return std::ranges::equal(a, b, {}, std::bit_cast<uint32_t, float>, std::bit_cast<uint32_t, float>);
}

/// Projections with each way that the kernels have, and one format for each.
std::vector<Caster> casters_of_every_way() {
  std::vector<Caster> result;
  for (const char* text : {"e4m3fn", "e2m1", "e3m0", "bfloat16", "binary16", "int8", "ue4m3"})
    for (const Overflow overflow : {Overflow::Saturate, Overflow::ToInfinity})
      for (const Projection& projection :
           projections({3, 16, 32}, {.overflow = overflow, .negative = NegativePolicy::Absolute})) {
        result.emplace_back(parse_format(text), projection);
        if (result.back().encoder() == nullptr) result.pop_back();
      }
  return result;
}

TEST(Caster, casts_arrays_of_any_length_and_alignment_and_nothing_beyond_them) {
  std::vector<float> inputs = random_floats(80, 8);
  inputs[40] = std::numeric_limits<float>::quiet_NaN();
  constexpr uint32_t kFirstIndex = 7;
  constexpr uint16_t kGuard = 0xa5c3;
  for (const Caster& caster : casters_of_every_way()) {
    const std::string who =
        fmt::format("{} {}", std::string_view(caster.format().name), name(caster.projection().rounding));
    for (const Kernels& kernels : available_kernels())
      for (size_t length = 0; length <= 70; ++length) {
        const size_t start = length % 9;
        const std::span<const float> x = std::span(inputs).subspan(start, length);
        const Wanted want(caster, x, kFirstIndex);
        const CastJob job{caster.encoder(), caster.projection().rounding, kSite, kFirstIndex};
        std::vector<uint16_t> codes(length + 2, kGuard);
        kernels.encode(job, x.data(), codes.data() + 1, length);
        ASSERT_TRUE(std::equal(want.codes.begin(), want.codes.end(), codes.begin() + 1))
            << who << " " << kernels.name << " " << length;
        ASSERT_TRUE(codes.front() == kGuard && codes.back() == kGuard) << who << " " << kernels.name << " " << length;
        std::vector<float> in_place = inputs;
        kernels.round(job, in_place.data() + start, in_place.data() + start, length);
        ASSERT_TRUE(same_bits(std::span(in_place).subspan(start, length), want.values))
            << who << " " << kernels.name << " " << length;
        ASSERT_TRUE(same_bits(std::span(in_place).first(start), std::span(inputs).first(start)));
        ASSERT_TRUE(same_bits(std::span(in_place).subspan(start + length), std::span(inputs).subspan(start + length)));
      }
  }
}

TEST(Caster, does_not_depend_on_the_callers_control_register_and_leaves_it_alone) {
  std::vector<float> inputs = special_floats();
  for (const char* text : {"e4m3fn", "binary16"})
    for (const double x : edge_doubles(Oracle(parse_format(text)))) inputs.push_back(float(x));
  for (const float x : random_floats(200, 9)) inputs.push_back(x);
  for (const Caster& caster : casters_of_every_way()) {
    const Wanted want(caster, inputs, 0);
    for (const Kernels& kernels : available_kernels())
      for (const uint32_t control : {kMasks | kFlushToZero | kSubnormalsAreZero, kMasks | kDown, kMasks | kUp,
                                     kMasks | kTowardZero, kUnmaskedAll}) {
        std::vector<uint32_t> codes(inputs.size());
        std::vector<float> values(inputs.size());
        const CastJob job{caster.encoder(), caster.projection().rounding, kSite, 0};
        uint32_t after;
        {
          const ControlRegister callers(control);
          kernels.encode(job, inputs.data(), codes.data(), inputs.size());
          kernels.round(job, inputs.data(), values.data(), inputs.size());
          after = _mm_getcsr();
        }
        ASSERT_EQ(after, control);
        ASSERT_EQ(codes, want.codes) << kernels.name << " " << std::string_view(caster.format().name) << " "
                                     << name(caster.projection().rounding) << " under " << control;
        ASSERT_TRUE(same_bits(values, want.values))
            << kernels.name << " " << std::string_view(caster.format().name) << " "
            << name(caster.projection().rounding) << " under " << control;
      }
  }
}

TEST(Caster, gives_the_same_bits_on_any_number_of_threads) {
  const std::vector<float> inputs = random_floats(100'003, 12);
  for (const Projection& projection : {Projection{}, Projection{Rounding::StochasticB, 8, {}}})
    for (const char* text : {"e4m3fn", "e8m0"}) {
      const Caster caster(parse_format(text), projection);
      std::vector<uint8_t> one(inputs.size()), codes(inputs.size());
      std::vector<float> one_value(inputs.size()), values(inputs.size()), decoded(inputs.size());
      caster.encode(inputs, std::span(one), kSite, 5);
      caster.round(inputs, one_value, kSite, 5);
      for (const int threads : {0, 2, 3, 5, 64}) {
        std::ranges::fill(codes, uint8_t{0});
        std::ranges::fill(values, 0.0f);
        caster.encode(inputs, std::span(codes), kSite, 5, threads);
        caster.round(inputs, values, kSite, 5, threads);
        EXPECT_EQ(codes, one) << text << " " << threads;
        EXPECT_TRUE(same_bits(values, one_value)) << text << " " << threads;
        decode(caster.format(), std::span<const uint8_t>(codes), std::span(decoded), threads);
        EXPECT_TRUE(same_bits(decoded, one_value)) << text << " " << threads;
      }
      EXPECT_THROW(caster.round(inputs, values, kSite, 0, -1), std::invalid_argument);
    }
}

TEST(Caster, counts_random_bits_on_from_the_last_index_to_the_first) {
  const std::vector<float> inputs = random_floats(400, 13);
  constexpr uint32_t kFirstIndex = 0u - 100;
  for (const Projection& projection : projections({8, 16, 32}, {})) {
    const Caster caster(parse_format("e5m2"), projection);
    const Wanted want(caster, inputs, kFirstIndex);
    for (const Kernels& kernels : available_kernels()) {
      std::vector<uint32_t> codes(inputs.size());
      kernels.encode({caster.encoder(), projection.rounding, kSite, kFirstIndex}, inputs.data(), codes.data(),
                     inputs.size());
      EXPECT_EQ(codes, want.codes) << kernels.name << " " << name(projection.rounding);
    }
  }
}

TEST(Caster, takes_random_bits_by_the_index_of_the_element) {
  const std::vector<float> inputs = random_floats(300, 7);
  for (const char* text : {"e4m3fn", "e2m1", "e8m0", "binary16", "int8"}) {
    const Oracle oracle(parse_format(text));
    for (const uint32_t first_index : {1u, 2u, 3u, 7u, 15u, 16u, 17u, 1000003u, 0x7ffffffdu, 0xffffff00u}) {
      RandomBits random(first_index, inputs.size());
      Comparison comparison(oracle, inputs, random, first_index);
      for (const Projection& projection : projections({1, 7, 8, 9, 15, 16, 17, 31, 32}, {})) comparison.run(projection);
    }
  }
}

TEST(Caster, uses_every_part_of_the_site) {
  const std::vector<float> inputs(256, 1.03125f);
  const Caster caster(parse_format("e4m3fn"), {Rounding::StochasticA, 8, {}});
  const auto codes = [&](const RandomSite& site) {
    std::vector<uint8_t> result(inputs.size());
    caster.encode(inputs, std::span(result), site);
    return result;
  };
  const std::vector<uint8_t> first = codes({});
  EXPECT_NE(first, codes({.seed = 1}));
  EXPECT_NE(first, codes({.seed = 1ull << 32}));
  EXPECT_NE(first, codes({.stream = Stream::Data}));
  EXPECT_NE(first, codes({.step = 1}));
  EXPECT_NE(first, codes({.site = 1}));
}

TEST(Caster, casts_one_number_by_the_reference) {
  for (const Format& format : formats()) {
    const Projection projection{Rounding::StochasticC, 8, {}};
    const Caster caster(format, projection);
    for (const float x : special_floats())
      for (const uint32_t random : {0u, 127u, 255u})
        EXPECT_EQ(caster.encode_reference(x, random), encode(format, projection, Real::of(x), random));
  }
}

TEST(Caster, accepts_empty_arrays) {
  const Caster caster(parse_format("e4m3fn"), {});
  caster.encode(std::span<const float>(), std::span<uint8_t>());
  caster.round({}, {});
}

template <class Code>
std::vector<uint32_t> codes_in_width(const Caster& caster, const Kernels& kernels, std::span<const float> x) {
  std::vector<Code> codes(x.size());
  kernels.encode({caster.encoder(), caster.projection().rounding, kSite, 0}, x.data(), codes.data(), x.size());
  return {codes.begin(), codes.end()};
}

TEST(Caster, gives_the_same_codes_in_every_width) {
  for (const char* text : {"e4m3fn", "e2m1", "int8", "binary16", "int13"}) {
    const Oracle oracle(parse_format(text));
    const std::vector<float> inputs = structured_floats(oracle);
    for (const Projection& projection : projections({8, 32}, {})) {
      const Caster caster(oracle.format(), projection);
      for (const Kernels& kernels : available_kernels()) {
        const std::vector<uint32_t> codes = codes_in_width<uint32_t>(caster, kernels, inputs);
        EXPECT_EQ(codes_in_width<uint16_t>(caster, kernels, inputs), codes) << kernels.name << " " << text;
        if (oracle.format().bits() > 8) continue;
        EXPECT_EQ(codes_in_width<uint8_t>(caster, kernels, inputs), codes) << kernels.name << " " << text;
      }
    }
  }
}

TEST(Caster, is_fast_for_what_training_casts_to) {
  for (const char* text : {"e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e3m2", "e2m3", "e2m1", "binary16", "bfloat16",
                           "tf32", "int8", "int4", "s2f6"})
    for (const Projection& projection : projections({1, 32}, {}))
      EXPECT_NE(Caster(parse_format(text), projection).encoder(), nullptr) << text << " " << name(projection.rounding);
  const Policies cuda = policies(Profile::Cuda, Source::Binary32);
  for (const char* text : {"ue4m3", "ue5m3"})
    EXPECT_NE(Caster(parse_format(text), {Rounding::TiesToEven, 0, cuda}).encoder(), nullptr) << text;
}

TEST(Caster, refuses_stochastic_rounding_without_a_number_of_random_bits) {
  const Format format = parse_format("e4m3fn");
  for (const int bits : {-1, 0, 33, std::numeric_limits<int>::max()}) {
    EXPECT_THROW(Caster(format, {Rounding::StochasticA, bits, {}}), std::invalid_argument) << bits;
    EXPECT_NO_THROW(Caster(format, {Rounding::ToOdd, bits, {}})) << bits;
  }
}

TEST(Caster, decodes_whatever_the_callers_control_register_and_leaves_it_alone) {
  for (const char* text : {"e4m3fn", "bfloat16", "e5m2", "int8", "e8m0", "posit8"}) {
    const Format format = parse_format(text);
    std::vector<uint16_t> codes(size_t{1} << format.bits());
    std::iota(codes.begin(), codes.end(), uint16_t{0});
    std::vector<float> want(codes.size());
    decode(format, std::span<const uint16_t>(codes), std::span(want));
    for (const uint32_t control : {kMasks | kFlushToZero | kSubnormalsAreZero, kMasks | kDown, kUnmaskedAll}) {
      std::vector<float> values(codes.size());
      uint32_t after;
      {
        const ControlRegister callers(control);
        decode(format, std::span<const uint16_t>(codes), std::span(values));
        after = _mm_getcsr();
      }
      EXPECT_EQ(after, control) << text;
      EXPECT_TRUE(same_bits(values, want)) << text << " under " << control;
    }
  }
}

template <class Code>
void expect_decoded(const Format& format) {
  std::vector<Code> codes(size_t{1} << format.bits());
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = Code(i);
  std::vector<float> values(codes.size());
  decode(format, std::span<const Code>(codes), std::span(values));
  for (size_t i = 0; i < codes.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(values[i]),
              std::bit_cast<uint32_t>(float(oracle::meaning(format, uint32_t(i)).value())))
        << std::string_view(format.name) << " " << i;
}

TEST(Caster, decodes_arrays_of_every_code_width) {
  for (const Format& format : test_formats(19)) {
    if (format.bits() <= 8) expect_decoded<uint8_t>(format);
    if (format.bits() <= 16) expect_decoded<uint16_t>(format);
    expect_decoded<uint32_t>(format);
  }
}

TEST(ScaleGrid, casts_on_the_grid_times_a_power_of_two) {
  int fast = 0;
  std::vector<int> every_power(2 * 126 + 1);
  std::iota(every_power.begin(), every_power.end(), -126);
  const std::vector<int> some_powers = {-120, -60, -20, -1, 0, 1, 3, 40, 100, 126};
  for (const Format& format : test_formats(16)) {
    const Oracle oracle(format);
    Mismatches mismatches(oracle);
    for (const Projection& projection : projections({8}, {})) {
      const Caster caster(format, projection);
      if (caster.encoder() == nullptr) continue;
      for (const int power : format.bits() <= 4 ? every_power : some_powers) {
        Encoder encoder = *caster.encoder();
        if (!detail::scale_grid(encoder, power)) continue;
        ++fast;
        std::vector<float> inputs = special_floats();
        if (format.bits() <= 8)
          visit_landmarks(oracle, 2, [&](double x) { push_neighbourhood(inputs, float(std::ldexp(x, power))); });
        std::vector<uint16_t> codes(inputs.size());
        std::vector<float> values(inputs.size());
        for (const Kernels& kernels : available_kernels()) {
          const CastJob job{&encoder, projection.rounding, kSite, 0};
          kernels.encode(job, inputs.data(), codes.data(), inputs.size());
          kernels.round(job, inputs.data(), values.data(), inputs.size());
          for (size_t i = 0; i < inputs.size(); ++i) {
            const double x = std::ldexp(double(inputs[i]), -power);
            const uint32_t random = is_stochastic(projection.rounding) ? random_bits(kSite, uint32_t(i), 8) : 0;
            const uint32_t want = oracle.encode(projection, x, random);
            mismatches.expect_equal(codes[i], want, projection, x, random);
            const float value = float(std::ldexp(decode(format, want), power));
            if (std::bit_cast<uint32_t>(values[i]) != std::bit_cast<uint32_t>(value))
              mismatches.report(fmt::format("{} rounds to {:a} instead of {:a}, scaled by 2^{}: {}", kernels.name,
                                            values[i], value, power,
                                            describe(oracle, projection, x, random, codes[i], want)));
          }
        }
      }
    }
  }
  EXPECT_GT(fast, 1000);
}

TEST(ScaleGrid, reaches_every_power_that_stays_in_the_normal_range_of_binary32) {
  const auto reaches = [](int power) {
    Encoder encoder = *Caster(parse_format("e2m1"), {}).encoder();
    return detail::scale_grid(encoder, power);
  };
  for (int power = -125; power <= 124; ++power) EXPECT_TRUE(reaches(power)) << power;
  for (const int power : {-160, -127, 126, 127}) EXPECT_FALSE(reaches(power)) << power;
}

}  // namespace
}  // namespace halfulp
