#include "cuda/stimulus.h"

#include <algorithm>
#include <bit>

#include "formats/format.h"
#include "formats/philox.h"

namespace halfulp::cuda {
namespace {

// The words of one tile, in order.
class Words {
 public:
  Words(StimulusFamily family, uint64_t seed, uint64_t number)
      : key_{{uint32_t(seed), uint32_t(seed >> 32)}},
        counter_{{0, uint32_t(number), uint32_t(number >> 32), uint32_t(family)}} {}

  uint32_t next() {
    if (used_ == 4) {
      words_ = philox4x32(counter_, key_);
      ++counter_.word[0];
      used_ = 0;
    }
    return words_[used_++];
  }
  uint64_t next64() {
    const uint64_t low = next();
    return low | uint64_t{next()} << 32;
  }
  /// A whole number from `low` to `high`; `low` where that is not below.
  int between(int low, int high) {
    if (high <= low) return low;
    return low + int(uint64_t{next()} * uint64_t(high - low + 1) >> 32);
  }
  /// Whether something of probability of/64 happens.
  bool happens(uint32_t of) { return next() >> 26 < of; }

 private:
  PhiloxKey key_;
  PhiloxCounter counter_, words_{};
  uint32_t used_ = 4;
};

struct Fields {
  CodeFields a, b, c;
};

template <class Draw>
void fill(std::vector<uint64_t>& codes, int count, Draw draw) {
  codes.resize(size_t(count));
  for (uint64_t& code : codes) code = draw();
}

// Fills A, B and C in this order.
template <class DrawA, class DrawB, class DrawC>
Tile filled(const Shape& s, DrawA a, DrawB b, DrawC c) {
  Tile tile;
  fill(tile.a, s.m * s.k, a);
  fill(tile.b, s.n * s.k, b);
  fill(tile.c, s.m * s.n, c);
  return tile;
}

// ±2^exponent with a random sign and random bits after the point.
uint64_t random_code(Words& words, const CodeFields& format, int exponent) {
  const bool negative = (words.next() & 1) != 0;
  return format.code(negative, exponent, words.next64());
}

uint64_t random_zero(Words& words, const CodeFields& format) { return (words.next() & 1) != 0 ? format.sign() : 0; }

// ---- normal: twelve uniform numbers in [0, 1), less 6, have variance 1 ----

constexpr int kNormalFraction = 56;  // bits after the point

int64_t normal(Words& words) {
  int64_t sum = -(int64_t{6} << 32);
  for (int i = 0; i < 12; ++i) sum += words.next();
  return sum * (int64_t{1} << (kNormalFraction - 32)) + (words.next() >> 8);
}

uint64_t normal_code(Words& words, const CodeFields& format) {
  const int64_t x = normal(words);
  const uint64_t magnitude = x < 0 ? -uint64_t(x) : uint64_t(x);
  if (magnitude == 0) return 0;
  const int width = int(std::bit_width(magnitude));
  // an eighth of an integer's range is one standard deviation
  const int scale = format.is_float ? 0 : format.max_exponent - 2;
  return format.code(x < 0, width - 1 - kNormalFraction + scale, magnitude << (64 - width) << 1);
}

// ---- bits ----

uint64_t uniform_code(Words& words, const CodeFields& format) { return words.next64() & format.mask(); }

uint64_t finite_code(Words& words, const CodeFields& format) {
  const uint64_t code = uniform_code(words, format);
  const bool is_finite = !format.is_float || (code & format.magnitude_mask()) <= format.max_finite;
  return is_finite ? code : code ^ uint64_t { 1 } << (format.bits - 2);  // the exponent's highest bit
}

// ---- exponents ----

constexpr int kCarryBits = 6;  // 2^6 products at most

// Exponents of the largest elements of A and B; products stay within the accumulator's range.
struct Tops {
  int a, b;
};

Tops random_tops(Words& words, const Fields& of) {
  const int a = words.between(of.a.min_exponent, of.a.max_exponent);
  const int low = std::max(of.b.min_exponent, of.c.least_exponent() - a),
            high = std::min(of.b.max_exponent, of.c.max_exponent - kCarryBits - a);
  return {a, std::clamp(words.between(low, high), of.b.min_exponent, of.b.max_exponent)};
}

// An integer close enough to the end of its range for products of such exponents to cross it.
uint64_t near_limit(Words& words, const CodeFields& format, int exponent) {
  const bool negative = (words.next() & 1) != 0;
  const uint64_t distance = words.next64() >> (64 - std::clamp(exponent + kCarryBits, 1, format.bits - 2));
  return (negative ? ~format.max_finite + distance : format.max_finite - distance) & format.mask();
}

// c around products of an exponent.
uint64_t window_c(Words& words, const CodeFields& format, int exponent) {
  if (words.happens(16)) return random_zero(words, format);
  if (!format.is_float && words.happens(32)) return near_limit(words, format, exponent);
  return random_code(words, format, exponent + words.between(-28, 8));
}

Tile window(Words& words, const Shape& shape, const Fields& of) {
  const Tops top = random_tops(words, of);
  const int below = words.between(0, 13);
  const auto element = [&](const CodeFields& format, int highest) {
    if (words.happens(8)) return random_zero(words, format);
    return random_code(words, format, highest - words.between(0, below));
  };
  return filled(
      shape, [&] { return element(of.a, top.a); }, [&] { return element(of.b, top.b); },
      [&] { return window_c(words, of.c, top.a + top.b); });
}

// Column `from` of A is copied to `to` with the other sign, row `from` of B without: every sum holds +p and -p.
void cancel(Words& words, const Shape& shape, const Fields& of, const Tops& top, Tile& tile) {
  const int from = words.between(0, shape.k - 1), to = (from + words.between(1, shape.k - 1)) % shape.k;
  const auto at = [&](int row, int column) { return size_t(row * shape.k + column); };
  for (int i = 0; i < shape.m; ++i) {
    tile.a[at(i, from)] = random_code(words, of.a, top.a);
    tile.a[at(i, to)] = of.a.negated(tile.a[at(i, from)]);
  }
  for (int j = 0; j < shape.n; ++j) tile.b[at(j, to)] = tile.b[at(j, from)] = random_code(words, of.b, top.b);
}

Tile cancelling(Words& words, const Shape& shape, const Fields& of) {
  const Tops top = random_tops(words, of);
  const int gap_a = words.between(1, 15), gap_b = words.between(0, 15);
  const auto element = [&](const CodeFields& format, int highest) {
    if (words.happens(19)) return random_zero(words, format);  // half of the products
    return random_code(words, format, highest - words.between(0, 3));
  };
  Tile tile = filled(
      shape, [&] { return element(of.a, top.a - gap_a); }, [&] { return element(of.b, top.b - gap_b); },
      [&] {
        if (words.happens(16)) return random_zero(words, of.c);
        return random_code(words, of.c, top.a + top.b - words.between(0, 30));
      });
  cancel(words, shape, of, top, tile);
  return tile;
}

// Exponents whose sum lies around the accumulator's smallest numbers, or as low as the operands go.
Tops tiny_tops(Words& words, const Fields& of) {
  const int sum = words.between(of.c.least_exponent() - 4, of.c.min_exponent + 1);
  const int low = std::max(of.a.least_exponent(), sum - of.b.max_exponent),
            high = std::min(of.a.max_exponent, sum - of.b.least_exponent());
  if (low > high) return {of.a.least_exponent() + words.between(0, 6), of.b.least_exponent() + words.between(0, 6)};
  const int a = words.between(low, high);
  return {a, sum - a};
}

Tile tiny(Words& words, const Shape& shape, const Fields& of) {
  const Tops top = tiny_tops(words, of);
  const auto element = [&](const CodeFields& format, int highest) {
    if (words.happens(27)) return random_zero(words, format);  // two thirds of the products
    return random_code(words, format, highest - words.between(0, 3));
  };
  return filled(
      shape, [&] { return element(of.a, top.a); }, [&] { return element(of.b, top.b); },
      [&] {
        if (words.happens(32)) return random_zero(words, of.c);
        return random_code(words, of.c, words.between(of.c.least_exponent(), of.c.min_exponent - 1));
      });
}

CodeFields integer_fields(std::string_view format) {
  if (format == "bit") return {false, false, 1, 0, 0, 0, 1};
  const bool is_signed = !format.starts_with("u");
  const int bits = format.ends_with("32") ? 32 : format.ends_with("8") ? 8 : 4;
  const int length = bits - is_signed;
  return {false, is_signed, bits, 0, 0, length - 1, (uint64_t{1} << length) - 1};
}

CodeFields float_fields(int exponent_bits, int mantissa_bits, int bias, uint64_t max_finite) {
  return {true,          true,     exponent_bits + mantissa_bits + 1,
          mantissa_bits, 1 - bias, int(max_finite >> mantissa_bits) - bias,
          max_finite};
}

}  // namespace

uint64_t CodeFields::code(bool negative, int exponent, uint64_t fraction) const {
  if (exponent > max_exponent) return negative ? negated(max_finite) : max_finite;
  uint64_t magnitude = 0;
  if (is_float) {
    const uint64_t mantissa = mantissa_bits == 0 ? 0 : fraction >> (64 - mantissa_bits);
    const int below = min_exponent - exponent;
    if (below > 0)
      magnitude = below > mantissa_bits ? 0 : (uint64_t{1} << mantissa_bits | mantissa) >> below;
    else
      magnitude = (uint64_t(1 - below) << mantissa_bits) | mantissa;
    magnitude = std::min(magnitude, max_finite);
  } else if (exponent >= 0) {
    magnitude = uint64_t{1} << exponent | (exponent == 0 ? 0 : fraction >> (64 - exponent));
  }
  return negative ? negated(magnitude) : magnitude;
}

uint64_t CodeFields::negated(uint64_t code) const {
  if (is_float) return code ^ sign();
  return is_signed ? -code & mask() : code;
}

CodeFields code_fields(std::string_view format) {
  if (format == "binary64") return float_fields(11, 52, 1023, 0x7fefffffffffffff);
  if (format == "bit" || format.starts_with("int") || format.starts_with("uint")) return integer_fields(format);
  const Format known = parse_format(format == "tf32" ? "binary32" : format);
  return float_fields(known.exponent_bits, known.mantissa_bits, known.bias, known.max_index());
}

Tile make_tile(const Shape& shape, StimulusFamily family, uint64_t seed, uint64_t number) {
  Words words(family, seed, number);
  const Fields of = {code_fields(shape.a), code_fields(shape.b), code_fields(shape.accumulator)};
  const auto each = [&](auto draw) {
    return filled(
        shape, [&] { return draw(words, of.a); }, [&] { return draw(words, of.b); }, [&] { return draw(words, of.c); });
  };
  switch (family) {
    case StimulusFamily::Normal: return each(normal_code);
    case StimulusFamily::Bits: return each(uniform_code);
    case StimulusFamily::FiniteBits: return each(finite_code);
    case StimulusFamily::Window: return window(words, shape, of);
    case StimulusFamily::Cancel: return cancelling(words, shape, of);
    case StimulusFamily::Tiny: return tiny(words, shape, of);
  }
  return {};
}

std::vector<Tile> make_tiles(const Shape& shape, StimulusFamily family, uint64_t seed, uint64_t first, size_t count) {
  std::vector<Tile> tiles(count);
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < count; ++i) tiles[i] = make_tile(shape, family, seed, first + i);
  return tiles;
}

}  // namespace halfulp::cuda
