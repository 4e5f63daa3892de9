#include "bench/cast_peers.h"

#include <immintrin.h>

#include <bit>
#include <cmath>

#ifdef HALFULP_HAS_CUDA_HEADERS
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>
#endif
#ifdef HALFULP_HAS_EIGEN
#include <Eigen/Core>
#endif
#ifdef HALFULP_HAS_HIGHWAY
#include <hwy/highway.h>
#endif
#ifdef HALFULP_HAS_LLVM
#include <llvm/ADT/APFloat.h>
#endif

namespace halfulp {
namespace {

// Arrays from a function for one number.
template <auto cast, class From, class To>
void each(const From* x, To* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = cast(x[i]);
}

// What one writes first: a branch for every case. Saturates.
template <int kExponentBits, int kMantissaBits, int kBias, int kMaxIndex>
uint8_t branchy(float x) {
  const uint8_t sign = std::signbit(x) ? 1 << (kExponentBits + kMantissaBits) : 0;
  if (std::isnan(x)) return (1 << (kExponentBits + kMantissaBits)) - 1;
  if (std::isinf(x)) return sign | kMaxIndex;
  if (x == 0) return sign;
  const uint32_t bits = std::bit_cast<uint32_t>(x) & 0x7fffffff;
  const int exponent = int(bits >> 23) - 127;
  uint32_t significand = (bits & 0x7fffff) | 0x800000;
  int drop = 23 - kMantissaBits;
  int field = exponent + kBias;
  if (field < 1) {
    drop += 1 - field;
    field = 1;
    if (drop > 25) return sign;
  }
  uint32_t kept = significand >> drop;
  const uint32_t rest = significand & ((1u << drop) - 1), half = 1u << (drop - 1);
  if (rest > half || (rest == half && (kept & 1))) ++kept;
  const int index = int(kept) + ((field - 1) << kMantissaBits);
  return sign | uint8_t(index > kMaxIndex ? kMaxIndex : index);
}

constexpr CastPeer kBranchy[] = {
    {.name = "branchy scalar", .format = "e4m3fn", .to_bytes = each<branchy<4, 3, 7, 126>>},
    {.name = "branchy scalar", .format = "e5m2", .to_bytes = each<branchy<5, 2, 15, 123>>},
    {.name = "branchy scalar", .format = "e3m2", .to_bytes = each<branchy<3, 2, 3, 31>>},
    {.name = "branchy scalar", .format = "e2m1", .to_bytes = each<branchy<2, 1, 1, 7>>},
};

#ifdef HALFULP_HAS_CUDA_HEADERS
template <__nv_fp8_interpretation_t kind>
uint8_t cuda_fp8(float x) {
  return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, kind);
}
template <__nv_fp8_interpretation_t kind>
float cuda_from_fp8(uint8_t code) {
  return __half2float(__half(__nv_cvt_fp8_to_halfraw(code, kind)));
}
uint8_t cuda_e3m2(float x) { return __nv_cvt_float_to_fp6(x, __NV_E3M2, cudaRoundNearest); }
uint8_t cuda_e2m1(float x) { return __nv_cvt_float_to_fp4(x, __NV_E2M1, cudaRoundNearest); }
float cuda_from_e3m2(uint8_t code) { return __half2float(__half(__nv_cvt_fp6_to_halfraw(code, __NV_E3M2))); }
float cuda_from_e2m1(uint8_t code) { return __half2float(__half(__nv_cvt_fp4_to_halfraw(code, __NV_E2M1))); }
uint16_t cuda_half(float x) { return __half_raw(__float2half_rn(x)).x; }
uint16_t cuda_bfloat16(float x) { return __nv_bfloat16_raw(__float2bfloat16_rn(x)).x; }

template <auto encode, auto decode>
float through(float x) {
  return decode(encode(x));
}
template <auto encode, auto decode>
constexpr CastPeer cuda(const char* format) {
  return {.name = "CUDA headers",
          .format = format,
          .to_bytes = each<encode>,
          .to_values = each<through<encode, decode>>,
          .from_bytes = each<decode>};
}
constexpr CastPeer kCuda[] = {
    cuda<cuda_fp8<__NV_E4M3>, cuda_from_fp8<__NV_E4M3>>("e4m3fn"),
    cuda<cuda_fp8<__NV_E5M2>, cuda_from_fp8<__NV_E5M2>>("e5m2"),
    cuda<cuda_e3m2, cuda_from_e3m2>("e3m2"),
    cuda<cuda_e2m1, cuda_from_e2m1>("e2m1"),
    {.name = "CUDA headers", .format = "binary16", .to_words = each<cuda_half>},
    {.name = "CUDA headers", .format = "bfloat16", .to_words = each<cuda_bfloat16>},
};
#endif

#ifdef HALFULP_HAS_EIGEN
uint16_t eigen_half(float x) { return std::bit_cast<uint16_t>(Eigen::half(x)); }
uint16_t eigen_bfloat16(float x) { return std::bit_cast<uint16_t>(Eigen::bfloat16(x)); }
template <class Half>
float eigen_through(float x) {
  return float(Half(x));
}
constexpr CastPeer kEigen[] = {
    {.name = "Eigen",
     .format = "binary16",
     .to_words = each<eigen_half>,
     .to_values = each<eigen_through<Eigen::half>>},
    {.name = "Eigen",
     .format = "bfloat16",
     .to_words = each<eigen_bfloat16>,
     .to_values = each<eigen_through<Eigen::bfloat16>>},
};
#endif

#ifdef HALFULP_HAS_HIGHWAY
namespace hn = hwy::HWY_NAMESPACE;
void highway_half(const float* x, uint16_t* codes, size_t count) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  for (size_t i = 0; i + hn::Lanes(d) <= count; i += hn::Lanes(d))
    hn::StoreU(hn::DemoteTo(d16, hn::LoadU(d, x + i)), d16, reinterpret_cast<hwy::float16_t*>(codes + i));
}
constexpr CastPeer kHighway[] = {{.name = "Highway", .format = "binary16", .to_words = highway_half}};
#endif

#ifdef __F16C__
void f16c_half(const float* x, uint16_t* codes, size_t count) {
  for (size_t i = 0; i + 8 <= count; i += 8) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i), half);
  }
}
void f16c_through(const float* x, float* y, size_t count) {
  for (size_t i = 0; i + 8 <= count; i += 8)
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT)));
}
constexpr CastPeer kF16c[] = {{.name = "F16C", .format = "binary16", .to_words = f16c_half, .to_values = f16c_through}};
#endif

#ifdef __AVX512BF16__
// Takes subnormal numbers for zero, which a cast must not, but is what the hardware has.
void avx512_bfloat16(const float* x, uint16_t* codes, size_t count) {
  for (size_t i = 0; i + 16 <= count; i += 16) {
    const __m256bh narrow = _mm512_cvtneps_pbh(_mm512_loadu_ps(x + i));
    __builtin_memcpy(codes + i, &narrow, sizeof narrow);
  }
}
constexpr CastPeer kAvx512Bf16[] = {{.name = "AVX512-BF16", .format = "bfloat16", .to_words = avx512_bfloat16}};
#endif

#ifdef HALFULP_HAS_LLVM
template <auto semantics, class Code>
Code apfloat(float x) {
  llvm::APFloat number(x);
  bool loses_info;
  number.convert(semantics(), llvm::RoundingMode::NearestTiesToEven, &loses_info);
  return Code(number.bitcastToAPInt().getZExtValue());
}
using llvm::APFloat;
constexpr CastPeer kApfloat[] = {
    {.name = "APFloat", .format = "e4m3fn", .to_bytes = each<apfloat<APFloat::Float8E4M3FN, uint8_t>>},
    {.name = "APFloat", .format = "e5m2", .to_bytes = each<apfloat<APFloat::Float8E5M2, uint8_t>>},
    {.name = "APFloat", .format = "e3m2", .to_bytes = each<apfloat<APFloat::Float6E3M2FN, uint8_t>>},
    {.name = "APFloat", .format = "e2m1", .to_bytes = each<apfloat<APFloat::Float4E2M1FN, uint8_t>>},
    {.name = "APFloat", .format = "binary16", .to_words = each<apfloat<APFloat::IEEEhalf, uint16_t>>},
    {.name = "APFloat", .format = "bfloat16", .to_words = each<apfloat<APFloat::BFloat, uint16_t>>},
};
#endif

}  // namespace

std::vector<CastPeer> cast_peers() {
  std::vector<CastPeer> all(std::begin(kBranchy), std::end(kBranchy));
  const auto add = [&](const auto& peers) { all.insert(all.end(), std::begin(peers), std::end(peers)); };
#ifdef HALFULP_HAS_CUDA_HEADERS
  add(kCuda);
#endif
#ifdef HALFULP_HAS_EIGEN
  add(kEigen);
#endif
#ifdef HALFULP_HAS_HIGHWAY
  add(kHighway);
#endif
#ifdef __F16C__
  add(kF16c);
#endif
#ifdef __AVX512BF16__
  add(kAvx512Bf16);
#endif
#ifdef HALFULP_HAS_LLVM
  add(kApfloat);
#endif
  return all;
}

void stream_copy(const float* x, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = x[i];
}
void stream_in_place(float* x, size_t count) {
  for (size_t i = 0; i < count; ++i) x[i] = -x[i];
}
void stream_to_bytes(const float* x, uint8_t* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = uint8_t(std::bit_cast<uint32_t>(x[i]) >> 24);
}
void stream_to_words(const float* x, uint16_t* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = uint16_t(std::bit_cast<uint32_t>(x[i]) >> 16);
}
void stream_from_bytes(const uint8_t* x, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = std::bit_cast<float>(uint32_t{x[i]});
}

}  // namespace halfulp
