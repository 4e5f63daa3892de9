// CUDA's host conversion functions as a second oracle, for the casts they have.
#include <gtest/gtest.h>

#ifdef HALFULP_HAS_CUDA_HEADERS

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/cast.h"
#include "formats/codec.h"
#include "formats/profile.h"
#include "tests/cast_cases.h"
#include "tests/oracle.h"

namespace halfulp {
namespace {

using oracle::Oracle;

/// One conversion of the headers and the cast that should equal it.
struct Peer {
  const char* format;
  Rounding rounding;
  Overflow overflow;
  uint8_t (*from_float)(float);
  uint8_t (*from_double)(double);
};

template <__nv_saturation_t saturation, __nv_fp8_interpretation_t kind>
constexpr Peer fp8(const char* format) {
  return {format, Rounding::TiesToEven, saturation == __NV_SATFINITE ? Overflow::Saturate : Overflow::ToInfinity,
          [](float x) -> uint8_t { return __nv_cvt_float_to_fp8(x, saturation, kind); },
          [](double x) -> uint8_t { return __nv_cvt_double_to_fp8(x, saturation, kind); }};
}

template <__nv_fp6_interpretation_t kind, cudaRoundMode mode>
constexpr Peer fp6(const char* format) {
  return {format, mode == cudaRoundZero ? Rounding::TowardZero : Rounding::TiesToEven, Overflow::Saturate,
          [](float x) -> uint8_t { return __nv_cvt_float_to_fp6(x, kind, mode); },
          [](double x) -> uint8_t { return __nv_cvt_double_to_fp6(x, kind, mode); }};
}

template <cudaRoundMode mode>
constexpr Peer fp4() {
  return {"e2m1", mode == cudaRoundZero ? Rounding::TowardZero : Rounding::TiesToEven, Overflow::Saturate,
          [](float x) -> uint8_t { return __nv_cvt_float_to_fp4(x, __NV_E2M1, mode); },
          [](double x) -> uint8_t { return __nv_cvt_double_to_fp4(x, __NV_E2M1, mode); }};
}

template <__nv_saturation_t saturation, cudaRoundMode mode>
constexpr Peer e8m0() {
  return {"e8m0", mode == cudaRoundZero ? Rounding::TowardZero : Rounding::TowardPositive,
          saturation == __NV_SATFINITE ? Overflow::Saturate : Overflow::ToInfinity,
          [](float x) -> uint8_t { return __nv_cvt_float_to_e8m0(x, saturation, mode); },
          [](double x) -> uint8_t { return __nv_cvt_double_to_e8m0(x, saturation, mode); }};
}

const Peer kPeers[] = {
    fp8<__NV_SATFINITE, __NV_E4M3>("e4m3fn"),
    fp8<__NV_NOSAT, __NV_E4M3>("e4m3fn"),
    fp8<__NV_SATFINITE, __NV_E5M2>("e5m2"),
    fp8<__NV_NOSAT, __NV_E5M2>("e5m2"),
    fp6<__NV_E3M2, cudaRoundNearest>("e3m2"),
    fp6<__NV_E3M2, cudaRoundZero>("e3m2"),
    fp6<__NV_E2M3, cudaRoundNearest>("e2m3"),
    fp6<__NV_E2M3, cudaRoundZero>("e2m3"),
    fp4<cudaRoundNearest>(),
    fp4<cudaRoundZero>(),
    e8m0<__NV_SATFINITE, cudaRoundZero>(),
    e8m0<__NV_NOSAT, cudaRoundZero>(),
    e8m0<__NV_SATFINITE, cudaRoundPosInf>(),
    e8m0<__NV_NOSAT, cudaRoundPosInf>(),
};

Projection projection_of(const Peer& peer, Source source) {
  Projection projection{peer.rounding, 0, policies(Profile::Cuda, source)};
  projection.policies.overflow = peer.overflow;
  return projection;
}

void expect_alike(const Peer& peer, const Oracle& oracle, Mismatches& mismatches, std::span<const float> inputs) {
  const Projection projection = projection_of(peer, Source::Binary32);
  std::vector<uint8_t> codes(inputs.size());
  Caster(oracle.format(), projection).encode(inputs, std::span(codes));
  for (size_t i = 0; i < inputs.size(); ++i)
    mismatches.expect_equal(codes[i], peer.from_float(inputs[i]), projection, inputs[i]);
}

TEST(CudaHeaders, cast_two_to_the_24_random_floats_alike) {
  constexpr uint32_t kCount = 1 << 24, kBatch = 1 << 16;
  for (const Peer& peer : kPeers) {
    const Oracle oracle(parse_format(peer.format));
    Mismatches mismatches(oracle);
    for (uint32_t first = 0; first < kCount; first += kBatch) {
      std::vector<float> inputs;
      for (uint32_t i = 0; i < kBatch; i += 4)
        for (const uint32_t word : random_words({.seed = 9, .stream = Stream::Data}, (first + i) / 4).word)
          inputs.push_back(std::bit_cast<float>(word));
      expect_alike(peer, oracle, mismatches, inputs);
    }
  }
}

TEST(CudaHeaders, cast_every_number_and_midpoint_and_their_float_neighbours_alike) {
  for (const Peer& peer : kPeers) {
    const Oracle oracle(parse_format(peer.format));
    Mismatches mismatches(oracle);
    expect_alike(peer, oracle, mismatches, structured_floats(oracle, 8));
  }
}

TEST(CudaHeaders, cast_doubles_alike) {
  for (const Peer& peer : kPeers) {
    const Oracle oracle(parse_format(peer.format));
    Mismatches mismatches(oracle);
    const Projection projection = projection_of(peer, Source::Binary64);
    for (const double x : structured_doubles(oracle, 8))
      mismatches.expect_equal(encode(oracle.format(), projection, Real::of(x)), peer.from_double(x), projection, x);
  }
}

/// One constructor of the headers, or a conversion function of theirs, and the profile that should equal it.
struct DefaultCast {
  Profile profile;
  const char* format;
  uint32_t (*from_float)(float);
  uint32_t (*from_double)(double);
};

template <class Type>
constexpr DefaultCast constructor(const char* format) {
  return {Profile::Cuda, format, [](float x) { return uint32_t{Type(x).__x}; },
          [](double x) { return uint32_t{Type(x).__x}; }};
}

template <__nv_fp8_interpretation_t kind>
constexpr DefaultCast without_saturation(const char* format) {
  return {Profile::CudaNosat, format, [](float x) { return uint32_t{__nv_cvt_float_to_fp8(x, __NV_NOSAT, kind)}; },
          [](double x) { return uint32_t{__nv_cvt_double_to_fp8(x, __NV_NOSAT, kind)}; }};
}

const DefaultCast kDefaultCasts[] = {
    constructor<__nv_fp8_e4m3>("e4m3fn"),
    constructor<__nv_fp8_e5m2>("e5m2"),
    constructor<__nv_fp6_e3m2>("e3m2"),
    constructor<__nv_fp6_e2m3>("e2m3"),
    constructor<__nv_fp4_e2m1>("e2m1"),
    constructor<__nv_fp8_e8m0>("e8m0"),
    without_saturation<__NV_E4M3>("e4m3fn"),
    without_saturation<__NV_E5M2>("e5m2"),
    {Profile::CudaNosat, "e8m0",
     [](float x) { return uint32_t{__nv_cvt_float_to_e8m0(x, __NV_NOSAT, cudaRoundPosInf)}; },
     [](double x) { return uint32_t{__nv_cvt_double_to_e8m0(x, __NV_NOSAT, cudaRoundPosInf)}; }},
    {Profile::Cuda, "binary16", [](float x) { return uint32_t{__half_raw(__float2half(x)).x}; },
     [](double x) { return uint32_t{__half_raw(__double2half(x)).x}; }},
    {Profile::Cuda, "bfloat16", [](float x) { return uint32_t{__nv_bfloat16_raw(__float2bfloat16(x)).x}; },
     [](double x) { return uint32_t{__nv_bfloat16_raw(__double2bfloat16(x)).x}; }},
};

TEST(CudaHeaders, cast_by_default_as_the_profiles) {
  for (const DefaultCast& peer : kDefaultCasts) {
    const Format format = parse_format(peer.format);
    const Oracle oracle(format);
    Mismatches mismatches(oracle);
    const ProfileCast single = profile_cast(peer.profile, format, Source::Binary32);
    const ProfileCast twice = profile_cast(peer.profile, format, Source::Binary64);
    for (const float x : structured_floats(oracle, 2))
      mismatches.expect_equal(*single.encode(Real::of(x)), peer.from_float(x), single.projection, x);
    for (const double x : structured_doubles(oracle, 2))
      mismatches.expect_equal(*twice.encode(Real::of(x)), peer.from_double(x), twice.projection, x);
  }
}

TEST(CudaHeaders, decode_every_code_alike) {
  const auto half = [](__half_raw raw) { return decode(parse_format("binary16"), raw.x); };
  const auto bfloat16 = [](__nv_bfloat16_raw raw) { return decode(parse_format("bfloat16"), raw.x); };
  const auto check = [](const char* text, const auto& peer) {
    const Format format = parse_format(text);
    for (uint32_t code = 0; code < 1u << format.bits(); ++code) {
      const double got = decode(format, code), want = peer(uint8_t(code));
      ASSERT_EQ(std::isnan(got), std::isnan(want)) << text << " " << code;
      if (std::isnan(got)) continue;
      ASSERT_EQ(std::bit_cast<uint64_t>(got), std::bit_cast<uint64_t>(want)) << text << " " << code;
    }
  };
  check("e4m3fn", [&](uint8_t code) { return half(__nv_cvt_fp8_to_halfraw(code, __NV_E4M3)); });
  check("e5m2", [&](uint8_t code) { return half(__nv_cvt_fp8_to_halfraw(code, __NV_E5M2)); });
  check("e3m2", [&](uint8_t code) { return half(__nv_cvt_fp6_to_halfraw(code, __NV_E3M2)); });
  check("e2m3", [&](uint8_t code) { return half(__nv_cvt_fp6_to_halfraw(code, __NV_E2M3)); });
  check("e2m1", [&](uint8_t code) { return half(__nv_cvt_fp4_to_halfraw(code, __NV_E2M1)); });
  check("e8m0", [&](uint8_t code) { return bfloat16(__nv_cvt_e8m0_to_bf16raw(code)); });
}

}  // namespace
}  // namespace halfulp

#else

TEST(CudaHeaders, are_installed) { GTEST_SKIP() << "cuda_fp8.h was not found when this was configured"; }

#endif
