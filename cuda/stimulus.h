// Inputs of matrix instructions, made to tell competing models apart: six families of random tiles.
//
// A tile is a function of (shape, family, seed, number) alone: Philox words and whole numbers, no floating point. What
// it holds is frozen, so that a capture need not store it.
// Sections are those of the specification of matrix units.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "formats/names.h"

namespace halfulp::cuda {

struct Shape {
  int m, n, k;
  std::string_view a, b, accumulator;  // formats, as in formats/matrix_unit.h
};

/// Codes. tf32 operands are whole binary32 words.
struct Tile {
  std::vector<uint64_t> a;  // (m, k)
  std::vector<uint64_t> b;  // (n, k): a column of B after the other
  std::vector<uint64_t> c;  // (m, n)

  bool operator==(const Tile&) const = default;
};

/// What random tiles are made of (9.1 to 9.4). Integers take their part in each as numbers of random lengths.
enum class StimulusFamily {
  Normal,      // N(0, 1), cut toward zero
  Bits,        // uniform codes, NaNs and infinities included
  FiniteBits,  // the same without these
  Window,      // exponents within a random window of 1 to 14; an eighth zeros; c from 2^8 to 2^-28 times the products
  Cancel,      // one exact pair +p, -p in every sum above all other products, half of which are zeros
  Tiny,        // products around the accumulator's smallest number, two thirds zeros; c zero or subnormal
};

inline constexpr StimulusFamily kStimulusFamilies[] = {StimulusFamily::Normal,     StimulusFamily::Bits,
                                                       StimulusFamily::FiniteBits, StimulusFamily::Window,
                                                       StimulusFamily::Cancel,     StimulusFamily::Tiny};

/// Of make_tile: whatever changes a tile changes this number too.
inline constexpr uint64_t kGeneratorVersion = 1;

Tile make_tile(const Shape& shape, StimulusFamily family, uint64_t seed, uint64_t number);

/// Those of the numbers first, first + 1, ….
std::vector<Tile> make_tiles(const Shape& shape, StimulusFamily family, uint64_t seed, uint64_t first, size_t count);

/// A format's codes as fields, binary64 and integers included.
struct CodeFields {
  bool is_float, is_signed;
  int bits, mantissa_bits;
  int min_exponent, max_exponent;  // of normal numbers; integers: of 1 and of the largest
  uint64_t max_finite;             // magnitude's code

  uint64_t mask() const { return ~uint64_t{0} >> (64 - bits); }
  uint64_t magnitude_mask() const { return is_float ? mask() >> 1 : mask(); }
  uint64_t sign() const { return is_float ? uint64_t{1} << (bits - 1) : 0; }
  /// log2 of the smallest positive number.
  int least_exponent() const { return min_exponent - mantissa_bits; }
  /// ±2^exponent · 1.fraction, cut toward zero; the largest finite number where that is larger. `fraction` is 64 bits
  /// after the point. Unsigned formats drop the sign.
  uint64_t code(bool negative, int exponent, uint64_t fraction = 0) const;
  /// The negative, where the format has one.
  uint64_t negated(uint64_t code) const;
};

CodeFields code_fields(std::string_view format);

}  // namespace halfulp::cuda

template <>
struct halfulp::EnumNames<halfulp::cuda::StimulusFamily> {
  using enum cuda::StimulusFamily;
  static constexpr std::string_view kind = "family of tiles";
  static constexpr NamedValue<cuda::StimulusFamily> values[] = {{Normal, "normal"},      {Bits, "bits"},
                                                                {FiniteBits, "finbits"}, {Window, "window"},
                                                                {Cancel, "cancel"},      {Tiny, "tiny"}};
};
