#include "cuda/probes.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace halfulp::cuda {
namespace {

constexpr int kU = 7;

// A tile element by element: a(i, k), b(j, k) and c(i, j) give codes.
template <class A, class B, class C>
Tile make(const Shape& s, A a, B b, C c) {
  Tile tile;
  for (int i = 0; i < s.m; ++i)
    for (int k = 0; k < s.k; ++k) tile.a.push_back(a(i, k));
  for (int j = 0; j < s.n; ++j)
    for (int k = 0; k < s.k; ++k) tile.b.push_back(b(j, k));
  for (int i = 0; i < s.m; ++i)
    for (int j = 0; j < s.n; ++j) tile.c.push_back(c(i, j));
  return tile;
}

constexpr auto kNoC = [](int, int) { return uint64_t{0}; };

class Probes {
 public:
  Probes(const Shape& shape, int fraction)
      : shape_(shape),
        fraction_(fraction),
        a_(code_fields(shape.a)),
        b_(code_fields(shape.b)),
        c_(code_fields(shape.accumulator)) {}

  std::vector<Probe> of_floats() const {
    return {{"P1", {width_by_c()}},
            {"P2", {width_by_product()}},
            {"P3", {alignment_rounding()}},
            {"P4", {normalisation()}},
            {"P5", block_structure()},
            {"P6", {output_rounding()}},
            {"P7", {overflow(), cancelling_extremes()}},
            {"P8", {least_exponent(false, false)}},
            {"P9", {least_exponent(true, false)}},
            {"P10", {zero_signs(), least_exponent(false, true), least_exponent(true, true), underflow()}},
            {"P11", {special_pairs(), special_sums()}},
            {"P12", {accumulator_alone()}},
            {"P13", {subnormal_operands(), subnormal_sums()}},
            {"P14", {replicated()}}};
  }
  std::vector<Probe> of_integers() const {
    return {{"P7", {saturation(false), saturation(true)}}, {"P14", {replicated()}}};
  }

 private:
  // U^2 and -U^2 at places 0 and 1; what else a row has.
  template <class Rest>
  auto pair_a(Rest rest) const {
    return [=, this](int i, int k) { return k < 2 ? a_.code(k == 1, kU) : rest(i, k); };
  }
  template <class Rest>
  auto pair_b(Rest rest) const {
    return [=, this](int j, int k) { return k < 2 ? b_.code(false, kU) : rest(j, k); };
  }
  static uint64_t zero(int, int) { return 0; }
  // Whole series of 128 outputs; more rows repeat it.
  int place(int i, int j) const { return (i * shape_.n + j) % 128; }

  // c = 2^(14-t): kept while t <= F.
  Tile width_by_c() const {
    return make(shape_, pair_a(zero), pair_b(zero), [&](int i, int j) { return c_.code(false, 2 * kU - place(i, j)); });
  }
  // The same of a product 2^(14-t), t = i + 2j.
  Tile width_by_product() const {
    return make(shape_, pair_a([&](int i, int k) { return k == 2 ? a_.code(false, kU - i % 16) : 0; }),
                pair_b([&](int j, int k) { return k == 2 ? b_.code(false, kU - 2 * j) : 0; }), kNoC);
  }
  // c = x ulp with ulp = 2^(14-F), F = 12 … 27 by rows and x by columns.
  Tile alignment_rounding() const {
    constexpr std::pair<int, uint64_t> kSteps[] = {{-2, 0}, {-1, 0}, {-1, uint64_t{1} << 63}, {0, uint64_t{1} << 63}};
    return make(shape_, pair_a(zero), pair_b(zero), [&](int i, int j) {
      const auto& [exponent, fraction] = kSteps[j / 2 % 4];
      return c_.code(j % 2 == 1, 2 * kU - 12 - i % 16 + exponent, fraction);
    });
  }
  // 1.5 · 1.5 and its negative with c = 2^-t: kept up to t = F where products are not normalised, else up to F - 1.
  Tile normalisation() const {
    constexpr uint64_t kHalf = uint64_t{1} << 63;
    return make(
        shape_, [&](int, int k) { return k < 2 ? a_.code(k == 1, 0, kHalf) : 0; },
        [&](int, int k) { return k < 2 ? b_.code(false, 0, kHalf) : 0; },
        [&](int i, int j) { return c_.code(false, -place(i, j) % 64); });
  }

  // For all i < j: U^2 at i, -U^2 at j, and elsewhere products just below what survives beside U^2, or the smallest
  // that the operand has. A row per pair.
  std::vector<Tile> block_structure() const {
    std::vector<std::pair<int, int>> pairs;
    for (int i = 0; i < shape_.k; ++i)
      for (int j = i + 1; j < shape_.k; ++j) pairs.push_back({i, j});
    const int small = std::max(kU - fraction_ - 1, a_.least_exponent());
    std::vector<Tile> tiles;
    for (size_t first = 0; first < pairs.size(); first += size_t(shape_.m))
      tiles.push_back(make(
          shape_,
          [&](int row, int k) {
            const auto [i, j] = pairs[(first + size_t(row)) % pairs.size()];
            return k == i || k == j ? a_.code(k == j, kU) : a_.code(false, small);
          },
          [&](int, int) { return b_.code(false, kU); }, kNoC));
    return tiles;
  }

  // A product of x by rows joins c = 2^p or its successor by columns, where a result of precision p + 1 has steps of 1.
  Tile output_rounding() const {
    constexpr std::pair<int, uint64_t> kX[] = {{-2, 0}, {-1, 0}, {-1, 2}, {0, 0}, {0, 1}, {0, 2}, {0, 3}, {1, 2}};
    const int precision[] = {10, 13, 23, c_.mantissa_bits};
    return make(
        shape_,
        [&](int i, int k) {
          const auto& [exponent, quarters] = kX[i % 8];
          return k == 0 ? a_.code(i / 8 % 2 == 1, exponent, quarters << 62) : 0;
        },
        [&](int, int k) { return k == 0 ? b_.code(false, 0) : 0; },
        [&](int, int j) {
          const int p = precision[j / 2 % 4];
          return c_.code(false, p, j % 2 == 1 ? uint64_t{1} << (64 - p) : 0);
        });
  }

  // The largest c with products from the largest downwards; signs of products by rows, of c by columns.
  Tile overflow() const {
    return make(
        shape_, [&](int i, int k) { return k == 0 ? a_.code(i / 8 % 2 == 1, a_.max_exponent - i % 8) : 0; },
        [&](int j, int k) { return k == 0 ? b_.code(false, b_.max_exponent - j) : 0; },
        [&](int, int j) { return c_.max_finite | (j % 2 == 1 ? c_.sign() : 0); });
  }
  // The largest products, one and its negative, with c of many sizes: do they overflow inside?
  Tile cancelling_extremes() const {
    return make(
        shape_, [&](int, int k) { return k < 2 ? a_.code(k == 1, a_.max_exponent + 1) : 0; },
        [&](int, int k) { return k < 2 ? b_.code(false, b_.max_exponent + 1) : 0; },
        [&](int i, int j) { return c_.code(false, c_.max_exponent - place(i, j)); });
  }

  // Down to which exponent products are kept beside small ones. The accumulator's smallest number less 2^-t of it is
  // cut to zero where the difference is seen; half of that number plus 2^-t of it is rounded up to it.
  Tile least_exponent(bool is_half, bool flipped) const {
    const int q = c_.least_exponent() - is_half, ea = q / 2, eb = q - ea;
    return make(
        shape_,
        [&](int i, int k) {
          const bool is_second = k == 1, negative = (is_second && !is_half) != flipped;
          return k < 2 ? a_.code(negative, ea - is_second * (i % 13)) : 0;
        },
        [&](int j, int k) { return k < 2 ? b_.code(false, eb - (k == 1 ? j + 4 * is_half : 0)) : 0; }, kNoC);
  }

  // Zeros of all signs: rows of A +0, -0 or alternating, then +1 and -1 that cancel; columns of B ±1; c ±0.
  Tile zero_signs() const {
    return make(
        shape_,
        [&](int i, int k) {
          if (i / 8 % 2 == 1 && k < 2) return a_.code(k == i % 2, 0);
          const bool negative = i % 4 == 1 || (i % 4 > 1 && (i + k) % 2 == 1);
          return negative ? a_.sign() : 0;
        },
        [&](int j, int) { return b_.code(j % 2 == 1, 0); },
        [&](int i, int j) { return (i / 4 + j / 2) % 2 == 1 ? c_.sign() : 0; });
  }
  // One negative product of the smallest factors, times powers of two.
  Tile underflow() const {
    return make(
        shape_, [&](int i, int k) { return k == 0 ? a_.code(i % 2 == 0, a_.least_exponent() + i / 2) : 0; },
        [&](int j, int k) { return k == 0 ? b_.code(false, b_.least_exponent() + j) : 0; }, kNoC);
  }

  // Eight codes around the end of a format's range: zeros, what follows the largest, NaNs of several payloads.
  static uint64_t special(const CodeFields& of, int number) {
    const uint64_t all = of.magnitude_mask(), next = std::min(of.max_finite + 1, all);
    const uint64_t quiet = of.mantissa_bits > 0 ? next | uint64_t{1} << (of.mantissa_bits - 1) : all;
    switch (number % 8) {
      case 0: return 0;
      case 1: return of.sign();
      case 2: return next;
      case 3: return next | of.sign();
      case 4: return std::min(next + 1, all);  // the smallest payload; of tf32 in bits that are dropped
      case 5: return quiet;
      case 6: return all | of.sign();
      default: return of.max_finite;
    }
  }
  // Every special a times every special b, first and last place by turns.
  Tile special_pairs() const {
    return make(
        shape_, [&](int i, int k) { return k == (i / 8 % 2) * (shape_.k - 1) ? special(a_, i) : a_.code(false, 0); },
        [&](int j, int k) { return k == 0 || k == shape_.k - 1 ? special(b_, j) : b_.code(false, 0); },
        [&](int, int) { return c_.code(false, 0); });
  }
  // Two specials of A in the first and the last place, with every special c.
  Tile special_sums() const {
    return make(
        shape_,
        [&](int i, int k) {
          if (k == 0) return special(a_, i);
          return k == shape_.k - 1 && i >= 8 ? special(a_, i * 3 + i / 8) : a_.code(false, 0);
        },
        [&](int, int) { return b_.code(false, 0); }, [&](int, int j) { return special(c_, j); });
  }

  // A = B = 0: what c goes through by itself. Random finite c.
  Tile accumulator_alone() const {
    Tile tile = make_tile(shape_, StimulusFamily::FiniteBits, 12, 0);
    std::ranges::fill(tile.a, 0);
    std::ranges::fill(tile.b, 0);
    return tile;
  }

  // Subnormal a by rows times 1, with subnormal c of both signs by columns.
  Tile subnormal_operands() const {
    return make(
        shape_, [&](int i, int k) { return k == 0 ? uint64_t(i) & a_.magnitude_mask() >> 1 : 0; },
        [&](int, int k) { return k == 0 ? b_.code(false, 0) : 0; },
        [&](int, int j) { return uint64_t(j / 2) | (j % 2 == 1 ? c_.sign() : 0); });
  }
  // 1 times subnormal b by columns, with subnormal c by rows.
  Tile subnormal_sums() const {
    return make(
        shape_, [&](int, int k) { return k == 0 ? a_.code(false, 0) : 0; },
        [&](int j, int k) { return k == 0 ? uint64_t(j) & b_.magnitude_mask() >> 1 : 0; },
        [&](int i, int) { return uint64_t(i) | c_.sign(); });
  }

  // One row, one column and one c all over the tile: all outputs are equal.
  Tile replicated() const {
    const Tile random = make_tile(shape_, StimulusFamily::Normal, 14, 0);
    return make(
        shape_, [&](int, int k) { return random.a[size_t(k)]; }, [&](int, int k) { return random.b[size_t(k)]; },
        [&](int, int) { return random.c[0]; });
  }

  // c near an end of int32's range, i + j steps away; the largest products first take the sum beyond and then back
  // (`inward`: the other way round), up to place k/2 and from there on. Unsigned operands go one way.
  Tile saturation(bool inward) const {
    return make(
        shape_, [&](int i, int k) { return a_.code((k >= shape_.k / 2) != (inward != (i % 2 == 1)), a_.max_exponent); },
        [&](int, int) { return b_.code(false, b_.max_exponent); },
        [&](int i, int j) {
          const uint64_t distance = uint64_t(i + j);
          return (i % 2 == 1 ? ~c_.max_finite + distance : c_.max_finite - distance) & c_.mask();
        });
  }

  Shape shape_;
  int fraction_;
  CodeFields a_, b_, c_;
};

}  // namespace

std::vector<Probe> directed_probes(const Shape& shape, int fraction) {
  const Probes probes(shape, fraction);
  return code_fields(shape.accumulator).is_float ? probes.of_floats() : probes.of_integers();
}

}  // namespace halfulp::cuda
