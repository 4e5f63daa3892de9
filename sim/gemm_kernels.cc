// Definition and order of the products: sim/gemm.h. The portable copy is that definition, written down.
//
// The vector copies keep it by giving every output its own lane: a tile of C stays in registers while t ascends, and
// each step is one fma per vector, a broadcast element of `a` times a vector of `b`. For that, `b` is packed into
// panels: kPanel rows of b wide, t-major, so that a step reads one contiguous line. Deep products are cut along k only
// between fmas; the tile then continues from the C it stored, which costs no bit.
#include "sim/gemm_kernels.h"

#include <cmath>
#include <cstddef>
#include <utility>  // integer_sequence

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace halfulp::HALFULP_ISA {

#if defined(__AVX2__) && defined(__FMA__)

namespace {

#if defined(__AVX512F__)

using Vector = __m512;
using Mask = __mmask16;
constexpr int kLanes = 16;
constexpr int kRows = 14;  // of C per tile: 28 sums, 2 vectors of b and 1 of a fill 31 of 32 registers
constexpr Mask kAll = 0xffff;

Mask first(int lanes) { return Mask((1u << lanes) - 1); }
Vector zero() { return _mm512_setzero_ps(); }
Vector broadcast(const float* p) { return _mm512_set1_ps(*p); }
Vector load(const float* p) { return _mm512_loadu_ps(p); }
Vector load(const float* p, Mask mask) { return _mm512_maskz_loadu_ps(mask, p); }
void store(float* p, Vector x) { _mm512_storeu_ps(p, x); }
void store(float* p, Vector x, Mask mask) { _mm512_mask_storeu_ps(p, mask, x); }
Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }

Vector canonical(Vector x) {
  const Vector nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000));
  return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), nan);
}

// Columns j … j + 3 of rows i, i + 4, i + 8, i + 12: one 128-bit group each.
template <class Row>
Vector load_groups(Row row, int i, int j) {
  Vector x = _mm512_castps128_ps512(_mm_loadu_ps(row(i) + j));
  x = _mm512_insertf32x4(x, _mm_loadu_ps(row(i + 4) + j), 1);
  x = _mm512_insertf32x4(x, _mm_loadu_ps(row(i + 8) + j), 2);
  return _mm512_insertf32x4(x, _mm_loadu_ps(row(i + 12) + j), 3);
}

// the zero-masking forms with a full mask: g++ 12 takes the plain ones for a use of an uninitialised register
Vector low_pairs(Vector a, Vector b) { return _mm512_maskz_unpacklo_ps(kAll, a, b); }
Vector high_pairs(Vector a, Vector b) { return _mm512_maskz_unpackhi_ps(kAll, a, b); }
Vector low_halves(Vector a, Vector b) { return _mm512_maskz_shuffle_ps(kAll, a, b, 0x44); }
Vector high_halves(Vector a, Vector b) { return _mm512_maskz_shuffle_ps(kAll, a, b, 0xee); }

#else

using Vector = __m256;
using Mask = __m256i;
constexpr int kLanes = 8;
constexpr int kRows = 6;  // of C per tile: 12 sums, 2 vectors of b and 1 of a fill 15 of 16 registers

Mask first(int lanes) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
Vector zero() { return _mm256_setzero_ps(); }
Vector broadcast(const float* p) { return _mm256_broadcast_ss(p); }
Vector load(const float* p) { return _mm256_loadu_ps(p); }
Vector load(const float* p, Mask mask) { return _mm256_maskload_ps(p, mask); }
void store(float* p, Vector x) { _mm256_storeu_ps(p, x); }
void store(float* p, Vector x, Mask mask) { _mm256_maskstore_ps(p, mask, x); }
Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }

Vector canonical(Vector x) {
  const Vector nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
  return _mm256_blendv_ps(x, nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

// Columns j … j + 3 of rows i, i + 4: one 128-bit group each.
template <class Row>
Vector load_groups(Row row, int i, int j) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row(i) + j)), _mm_loadu_ps(row(i + 4) + j), 1);
}

Vector low_pairs(Vector a, Vector b) { return _mm256_unpacklo_ps(a, b); }
Vector high_pairs(Vector a, Vector b) { return _mm256_unpackhi_ps(a, b); }
Vector low_halves(Vector a, Vector b) { return _mm256_shuffle_ps(a, b, 0x44); }
Vector high_halves(Vector a, Vector b) { return _mm256_shuffle_ps(a, b, 0xee); }

#endif

constexpr int kPanel = 2 * kLanes;                      // rows of b side by side in a panel
constexpr int kDepth = 256;                             // terms of a panel: with kRows rows of a it fits in L1
constexpr int kColumns = int(kGemmWorkspace) / kDepth;  // rows of b packed at a time
static_assert(kColumns % kPanel == 0);
constexpr int kBlock = 16;  // rows transposed together: one line of output

int smaller(int a, int b) { return a < b ? a : b; }
int ceil_divide(int a, int b) { return a / b + (a % b != 0); }

// Part `index` of `parts` nearly equal parts of `count` begins here.
int part(int count, int parts, int index) { return count / parts * index + smaller(index, count % parts); }

// ---- transposes ----

struct Quad {
  Vector column[4];
};

// Columns j … j + 3 of a tile of kLanes rows, row i of which begins at row(i). Loading by groups leaves 4 x 4
// transposes inside the groups, two shuffles per vector.
template <class Row>
Quad transpose_quad(Row row, int j) {
  const Vector row0 = load_groups(row, 0, j), row1 = load_groups(row, 1, j);
  const Vector row2 = load_groups(row, 2, j), row3 = load_groups(row, 3, j);
  const Vector low01 = low_pairs(row0, row1), high01 = high_pairs(row0, row1);
  const Vector low23 = low_pairs(row2, row3), high23 = high_pairs(row2, row3);
  return {low_halves(low01, low23), high_halves(low01, low23), low_halves(high01, high23), high_halves(high01, high23)};
}

template <class Row>
void transpose_tile(Row row, float* out, std::ptrdiff_t out_stride) {
#pragma GCC unroll 4
  for (int j = 0; j < kLanes; j += 4) {
    const Quad quad = transpose_quad(row, j);
    store(out + j * out_stride, quad.column[0]);
    store(out + (j + 1) * out_stride, quad.column[1]);
    store(out + (j + 2) * out_stride, quad.column[2]);
    store(out + (j + 3) * out_stride, quad.column[3]);
  }
}

void transpose_tile(const float* in, std::ptrdiff_t in_stride, float* out, std::ptrdiff_t out_stride) {
  transpose_tile([=](int i) { return in + i * in_stride; }, out, out_stride);
}

// As above where only `rows` rows exist: the lanes beyond them repeat the last one.
void transpose_low_tile(const float* in, std::ptrdiff_t in_stride, float* out, std::ptrdiff_t out_stride, int rows) {
  transpose_tile([=](int i) { return in + smaller(i, rows - 1) * in_stride; }, out, out_stride);
}

// rows x columns of a tile; `stored` lanes of each output line are written, those beyond `rows` with zeros.
void transpose_ragged_tile(const float* in, std::ptrdiff_t in_stride, float* out, std::ptrdiff_t out_stride, int rows,
                           int columns, int stored) {
  alignas(64) float square[kLanes * kLanes];
  alignas(64) float turned[kLanes * kLanes];
  const Mask in_mask = first(columns), out_mask = first(stored);
  for (int i = 0; i < rows; ++i) store(square + i * kLanes, load(in + i * in_stride, in_mask));
  for (int i = rows; i < kLanes; ++i) store(square + i * kLanes, zero());
  transpose_tile(square, kLanes, turned, kLanes);
  for (int j = 0; j < columns; ++j) store(out + j * out_stride, load(turned + j * kLanes), out_mask);
}

// Packs `depth` terms of `columns` rows of b, which lie `k` apart, into a panel `width` lanes wide. What the lanes
// beyond `columns` hold is never stored; it is data or zeros, so that it costs no more than data does.
void pack(const float* b, std::ptrdiff_t k, int columns, int depth, float* panel, int width) {
  for (int j = 0; j < width; j += kLanes) {
    const int rows = smaller(kLanes, columns - j), full = depth / kLanes * kLanes;
    const float* in = b + j * k;
    float* out = panel + j;
    for (int t = 0; t < full; t += kLanes) {
      float* to = out + t * std::ptrdiff_t{width};
      if (rows == kLanes)
        transpose_tile(in + t, k, to, width);
      else
        transpose_low_tile(in + t, k, to, width, rows);
    }
    if (full < depth)
      transpose_ragged_tile(in + full, k, out + full * std::ptrdiff_t{width}, width, rows, depth - full, kLanes);
  }
}

// ---- products ----

struct TileWork {
  const float* a;  // first row of the tile, first term
  std::ptrdiff_t a_stride;
  const float* panel;
  float* c;
  std::ptrdiff_t c_stride;
  int depth;
  bool from_c;     // the chains continue from c, not from +0
  int last_lanes;  // lanes in use in the last vector of each row
};

template <int rows, int vectors>
void multiply_tile(const TileWork& work) {
  const std::ptrdiff_t a_stride = work.a_stride, c_stride = work.c_stride;
  const Mask last = first(work.last_lanes);
  Vector sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      const float* c = work.c + i * c_stride + v * kLanes;
      sum[i][v] = !work.from_c ? zero() : v == vectors - 1 ? load(c, last) : load(c);
    }

  const float* a = work.a;
  const float* panel = work.panel;
  for (int t = 0; t < work.depth; ++t, ++a, panel += vectors * kLanes) {
    Vector b[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) b[v] = load(panel + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const Vector x = broadcast(a + i * a_stride);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sum[i][v] = fma(x, b[v], sum[i][v]);
    }
  }

#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      float* c = work.c + i * c_stride + v * kLanes;
      if (v == vectors - 1)
        store(c, canonical(sum[i][v]), last);
      else
        store(c, canonical(sum[i][v]));
    }
}

// The product for m = 1: nothing of b is used twice, so it goes from the transpose straight into the sums.
void multiply_row(const float* a, const float* b, float* c, int n, int k, bool accumulate) {
  for (int j = 0; j < n; j += kLanes) {
    const int lanes = smaller(kLanes, n - j), full = k / 4 * 4;
    const float* in = b + std::ptrdiff_t{j} * k;
    const auto row = [=](int i) { return in + smaller(i, lanes - 1) * std::ptrdiff_t{k}; };
    Vector sum = accumulate ? load(c + j, first(lanes)) : zero();
    for (int t = 0; t < full; t += 4) {
      const Quad quad = transpose_quad(row, t);
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) sum = fma(broadcast(a + t + u), quad.column[u], sum);
    }
    for (int t = full; t < k; ++t) {
      alignas(64) float column[kLanes];
      for (int i = 0; i < kLanes; ++i) column[i] = row(i)[t];
      sum = fma(broadcast(a + t), load(column), sum);
    }
    store(c + j, canonical(sum), first(lanes));
  }
}

using Tile = void(const TileWork&);

// multiply_tile<1 … kRows, vectors>, at index rows - 1.
template <int vectors, class Rows = std::make_integer_sequence<int, kRows>>
struct Tiles;
template <int vectors, int... index>
struct Tiles<vectors, std::integer_sequence<int, index...>> {
  static constexpr Tile* of_rows[] = {multiply_tile<index + 1, vectors>...};
};

}  // namespace

void gemm(const float* a, const float* b, float* c, int m, int n, int k, bool accumulate, float* workspace) {
  // a single column lies in memory as a single row does, and as a row it fills the lanes
  if (n == 1) return multiply_row(b, a, c, m, k, accumulate);
  if (m == 1) return multiply_row(a, b, c, n, k, accumulate);

  const int depths = k == 0 ? 1 : ceil_divide(k, kDepth);
  const int row_blocks = ceil_divide(m, kRows);
  for (int d = 0; d < depths; ++d) {
    const int t0 = part(k, depths, d), depth = part(k, depths, d + 1) - t0;
    for (int j0 = 0; j0 < n; j0 += kColumns) {
      const int columns = smaller(kColumns, n - j0);
      for (int block = 0; block < row_blocks; ++block) {
        const int i0 = part(m, row_blocks, block), rows = part(m, row_blocks, block + 1) - i0;
        for (int j = 0; j < columns; j += kPanel) {
          const int lanes = smaller(kPanel, columns - j), vectors = ceil_divide(lanes, kLanes);
          float* panel = workspace + std::ptrdiff_t{j} * depth;
          if (block == 0) pack(b + std::ptrdiff_t{j0 + j} * k + t0, k, lanes, depth, panel, vectors * kLanes);
          const TileWork work{.a = a + std::ptrdiff_t{i0} * k + t0,
                              .a_stride = k,
                              .panel = panel,
                              .c = c + std::ptrdiff_t{i0} * n + j0 + j,
                              .c_stride = n,
                              .depth = depth,
                              .from_c = accumulate || d > 0,
                              .last_lanes = lanes - (vectors - 1) * kLanes};
          (vectors == 1 ? Tiles<1>::of_rows : Tiles<2>::of_rows)[rows - 1](work);
        }
      }
    }
  }
}

void transpose(const float* in, float* out, int rows, int columns) {
  for (int i0 = 0; i0 < rows; i0 += kBlock)
    for (int j = 0; j < columns; j += kLanes)
      for (int i = i0; i < rows && i < i0 + kBlock; i += kLanes) {
        const float* from = in + std::ptrdiff_t{i} * columns + j;
        float* to = out + std::ptrdiff_t{j} * rows + i;
        const int height = smaller(kLanes, rows - i), width = smaller(kLanes, columns - j);
        if (height == kLanes && width == kLanes)
          transpose_tile(from, columns, to, rows);
        else
          transpose_ragged_tile(from, columns, to, rows, height, width, height);
      }
}

#else

namespace {

float canonical(float x) { return std::isnan(x) ? __builtin_nanf("") : x; }

}  // namespace

void gemm(const float* a, const float* b, float* c, int m, int n, int k, bool accumulate, float*) {
  for (std::ptrdiff_t i = 0; i < m; ++i)
    for (std::ptrdiff_t j = 0; j < n; ++j) {
      float sum = accumulate ? c[i * n + j] : 0.0f;
      for (std::ptrdiff_t t = 0; t < k; ++t) sum = std::fma(a[i * k + t], b[j * k + t], sum);
      c[i * n + j] = canonical(sum);
    }
}

void transpose(const float* in, float* out, int rows, int columns) {
  constexpr int kBlock = 16;  // rows transposed together: one line of output
  for (std::ptrdiff_t i0 = 0; i0 < rows; i0 += kBlock)
    for (std::ptrdiff_t j = 0; j < columns; ++j)
      for (std::ptrdiff_t i = i0; i < rows && i < i0 + kBlock; ++i) out[j * rows + i] = in[i * columns + j];
}

#endif

}  // namespace halfulp::HALFULP_ISA
