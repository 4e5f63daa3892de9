#include "bench/block_peers.h"

#include <immintrin.h>

#include <cmath>

namespace halfulp {

[[gnu::target("avx2,fma")]] void quantize_int8_rows(const float* x, int8_t* codes, float* scales, size_t count) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (size_t i = 0; i < count; i += 32) {
    const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8), c = _mm256_loadu_ps(x + i + 16),
                 d = _mm256_loadu_ps(x + i + 24);
    const __m256 ab = _mm256_max_ps(_mm256_andnot_ps(sign, a), _mm256_andnot_ps(sign, b));
    const __m256 cd = _mm256_max_ps(_mm256_andnot_ps(sign, c), _mm256_andnot_ps(sign, d));
    const __m256 eight = _mm256_max_ps(ab, cd);
    __m128 largest = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    largest = _mm_max_ps(largest, _mm_movehl_ps(largest, largest));
    largest = _mm_max_ss(largest, _mm_movehdup_ps(largest));
    const float amax = _mm_cvtss_f32(largest);
    scales[i / 32] = amax / 127;
    const __m256 factor = _mm256_set1_ps(amax > 0 ? 127 / amax : 0);
    const __m256i ab_codes =
        _mm256_packs_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(a, factor)), _mm256_cvtps_epi32(_mm256_mul_ps(b, factor)));
    const __m256i cd_codes =
        _mm256_packs_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(c, factor)), _mm256_cvtps_epi32(_mm256_mul_ps(d, factor)));
    const __m256i all = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(ab_codes, cd_codes), in_order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + i), all);
  }
}

void hadamard_loop(const float* x, float* y, size_t size, size_t count) {
  const float factor = float(1 / std::sqrt(double(size)));
  for (size_t start = 0; start < count; start += size) {
    for (size_t i = start; i < start + size; ++i) y[i] = x[i] * factor;
    for (size_t half = 1; half < size; half *= 2)
      for (size_t group = start; group < start + size; group += 2 * half)
        for (size_t i = group; i < group + half; ++i) {
          const float a = y[i], b = y[i + half];
          y[i] = a + b;
          y[i + half] = a - b;
        }
  }
}

}  // namespace halfulp
