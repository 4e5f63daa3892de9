// Operands for matrix units that show what plain random numbers hide: section 9 of the specification of matrix units.
// They are the same on every machine: no mathematical functions, and one random number after the other.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "formats/codec.h"
#include "formats/dot_product.h"

namespace halfulp {

/// One record of operands.
struct UnitRecord {
  std::vector<uint64_t> a, b, a_scales, b_scales;
  uint64_t c = 0;

  DotInputs inputs() const { return {.a = a, .b = b, .c = c, .a_scales = a_scales, .b_scales = b_scales}; }
};

inline std::string spelled(const MatrixUnit& unit, const UnitRecord& record) {
  std::string text = unit.name + ": a";
  for (const uint64_t x : record.a) text += fmt::format(" {:x}", x);
  text += ", b";
  for (const uint64_t x : record.b) text += fmt::format(" {:x}", x);
  return text + fmt::format(", c {:x}", record.c);
}

/// Codes of numbers in a format of operands or accumulators.
class UnitNumbers {
 public:
  explicit UnitNumbers(std::string_view name) : idle_(name == "tf32" ? 13 : 0) {
    if (name != "binary64") format_ = parse_format(name);
  }

  int highest() const { return format_ ? max_exponent(*format_) : 1023; }
  int lowest() const { return format_ ? format_->min_quantum_exponent() : -1074; }
  int lowest_normal() const { return format_ ? format_->min_exponent() : -1022; }
  int bits() const { return format_ ? format_->bits() + idle_ : 64; }
  /// The nearest code.
  uint64_t of(double x) const { return rounded(x, Rounding::TiesToEven); }
  /// A random number of about 2^exponent, or as near as the format has.
  uint64_t around(int exponent, std::mt19937_64& random) const {
    const double magnitude =
        std::ldexp(1 + double(random() >> 11) * 0x1p-53, std::clamp(exponent, lowest(), highest()));
    return rounded(random() % 2 == 0 ? magnitude : -magnitude, Rounding::TowardZero);
  }
  uint64_t negated(uint64_t code) const {
    return code ^ uint64_t { 1 } << (bits() - 1);
  }
  bool is_finite(uint64_t code) const { return std::isfinite(value(code)); }
  double value(uint64_t code) const {
    return format_ ? decode(*format_, uint32_t(code >> idle_)) : std::bit_cast<double>(code);
  }

 private:
  uint64_t rounded(double x, Rounding rounding) const {
    if (!format_) return std::bit_cast<uint64_t>(x);
    return uint64_t{encode(*format_, {.rounding = rounding}, Real::of(x))} << idle_;
  }

  std::optional<Format> format_;  // none: binary64
  int idle_;
};

enum class UnitFamily {
  Normal,      // N(0, 1), rounded
  Bits,        // uniform codes, whatever they are
  FiniteBits,  // of numbers
  Window,      // exponents in a window below a ceiling, an eighth of zeros
  Cancel,      // a product and its negative above the rest
  Tiny,        // products and c near the accumulator's smallest numbers
  Floor,       // the same, of three terms, one of them a quantum or half of one (probes P8 and P9)
  Zeros,       // products of zeros of both signs, and c a zero or small: what is not random meets no other term (P13)
};
inline constexpr std::array kUnitFamilies = {UnitFamily::Normal, UnitFamily::Bits,   UnitFamily::FiniteBits,
                                             UnitFamily::Window, UnitFamily::Cancel, UnitFamily::Tiny,
                                             UnitFamily::Floor,  UnitFamily::Zeros};
inline constexpr std::array kUnitFamilyNames = {"normal", "bits", "finbits", "window",
                                                "cancel", "tiny", "floor",   "zeros"};

/// A stream of records for one unit of float formats.
class UnitStimulus {
 public:
  explicit UnitStimulus(const MatrixUnit& unit, uint64_t seed = 1)
      : unit_(unit), a_(unit.a), b_(unit.b), c_(unit.accumulator), random_(seed) {}

  UnitRecord next(UnitFamily family) {
    UnitRecord record;
    const size_t k = size_t(unit_.k);
    has_small_scales_ = unit_.scale == "e8m0" && (family == UnitFamily::Tiny || family == UnitFamily::Floor);
    record.a.resize(k);
    record.b.resize(k);
    fill(family, record);
    for (int i = 0; !unit_.scale.empty() && i < unit_.k / unit_.scale_block; ++i) {
      record.a_scales.push_back(scale(family));
      record.b_scales.push_back(scale(family));
    }
    return record;
  }

 private:
  void fill(UnitFamily family, UnitRecord& record) {
    switch (family) {
      case UnitFamily::Normal: return fill_with(record, [&](const UnitNumbers& x) { return x.of(normal()); });
      case UnitFamily::Bits: return fill_with(record, [&](const UnitNumbers& x) { return bits(x); });
      case UnitFamily::FiniteBits: return fill_with(record, [&](const UnitNumbers& x) { return finite(x); });
      case UnitFamily::Window: return window(record);
      case UnitFamily::Cancel: return cancel(record);
      case UnitFamily::Tiny: return tiny(record);
      case UnitFamily::Floor: return near_floor(record);
      case UnitFamily::Zeros: return zeros(record);
    }
  }

  template <class Make>
  void fill_with(UnitRecord& record, Make make) {
    for (uint64_t& x : record.a) x = make(a_);
    for (uint64_t& x : record.b) x = make(b_);
    record.c = make(c_);
  }

  uint64_t bits(const UnitNumbers& x) { return random_() >> (64 - x.bits()); }
  uint64_t finite(const UnitNumbers& x) {
    for (;;)
      if (const uint64_t code = bits(x); x.is_finite(code)) return code;
  }
  // Twelve uniform numbers in [0, 1), less 6, have variance 1.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += double(random_() >> 11) * 0x1p-53;
    return sum;
  }
  int between(int least, int most) { return least + int(random_() % uint64_t(most - least + 1)); }
  bool one_in(unsigned count) { return random_() % count == 0; }

  void window(UnitRecord& record) {
    const int ceiling_a = between(a_.lowest(), a_.highest()), ceiling_b = between(b_.lowest(), b_.highest());
    const int width = between(1, 14);
    for (uint64_t& x : record.a) x = one_in(8) ? 0 : a_.around(ceiling_a - between(0, width), random_);
    for (uint64_t& x : record.b) x = one_in(8) ? 0 : b_.around(ceiling_b - between(0, width), random_);
    record.c = one_in(8) ? 0 : c_.around(ceiling_a + ceiling_b + between(-28, 8), random_);
  }

  void cancel(UnitRecord& record) {
    const int top = std::min(between(0, 12), a_.highest()), top_b = std::min(between(0, 4), b_.highest());
    for (uint64_t& x : record.a) x = one_in(2) ? 0 : a_.around(top - between(3, 16), random_);
    for (uint64_t& x : record.b) x = b_.around(top_b - between(0, 8), random_);
    const size_t k = record.a.size(), i = random_() % k, j = (i + 1 + random_() % (k - 1)) % k;
    record.a[i] = a_.around(top, random_);
    record.b[i] = record.b[j] = b_.around(top_b, random_);
    record.a[j] = a_.negated(record.a[i]);
    record.c = one_in(2) ? 0 : c_.around(top + top_b - between(4, 30), random_);
  }

  void tiny(UnitRecord& record) {
    for (size_t i = 0; i < record.a.size(); ++i) {
      if (!one_in(3)) continue;
      const int exponent = between(c_.lowest() - 12, c_.lowest_normal() + 2) - scale_exponent();
      const int most = a_.lowest() + 12, least = std::min(std::max(a_.lowest(), exponent - b_.highest()), most);
      const int part = between(least, most);
      record.a[i] = a_.around(part, random_);
      record.b[i] = b_.around(exponent - part, random_);
    }
    record.c = one_in(2) ? 0 : c_.around(between(c_.lowest(), c_.lowest_normal()), random_);
  }

  // A product of exactly ±2^power, times the scales, at any place.
  void put_power(UnitRecord& record, int power, bool negative) {
    const int exponent = power - scale_exponent();
    const size_t i = random_() % record.a.size();
    const int part = std::clamp(exponent / 2, a_.lowest(), a_.highest());
    record.a[i] = a_.of(std::ldexp(negative ? -1.0 : 1.0, part));
    record.b[i] = b_.of(std::ldexp(1, std::clamp(exponent - part, b_.lowest(), b_.highest())));
  }

  void near_floor(UnitRecord& record) {
    const bool negative = one_in(2), other_negative = one_in(2);
    put_power(record, c_.lowest() - between(0, 1), negative);
    put_power(record, c_.lowest() - between(1, 26), other_negative);
    record.c = one_in(4) ? c_.around(c_.lowest(), random_) : 0;
  }

  // All zeros negative as often as not: rarely would all products be by themselves.
  void zeros(UnitRecord& record) {
    const bool mixes = one_in(2);
    for (uint64_t& x : record.a) x = a_.of(mixes && one_in(2) ? 0.0 : -0.0);
    for (uint64_t& x : record.b) x = b_.of(mixes && one_in(2) ? -0.0 : 0.0);
    record.c = one_in(2) ? c_.of(one_in(2) ? 0.0 : -0.0) : c_.around(between(c_.lowest(), c_.lowest_normal()), random_);
  }

  // Of both scales together, where products would not be small without them.
  int scale_exponent() const { return has_small_scales_ ? 2 * kSmallScale : 0; }

  // Scales near one, but where everything is asked for, or where products are to be small.
  uint64_t scale(UnitFamily family) {
    const Format format = parse_format(unit_.scale);
    if (has_small_scales_) return encode(format, {}, Real::of(std::ldexp(1, kSmallScale)));
    if (family == UnitFamily::Bits) return random_() >> (64 - format.bits());
    const double fraction = double(random_() % 8) / 8;
    return encode(format, {}, Real::of(std::ldexp(1 + fraction, between(-4, 4))));
  }

  static constexpr int kSmallScale = -70;

  const MatrixUnit& unit_;
  bool has_small_scales_ = false;
  UnitNumbers a_, b_, c_;
  std::mt19937_64 random_;
};

}  // namespace halfulp
