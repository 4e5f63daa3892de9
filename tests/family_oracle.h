// The oracle for formats that are no floats: what each code means, and casting by looking the answer up.
//
// Written from the definitions alone, and differently from formats/: codes are strings of binary digits that are read
// from the left, magnitudes are fractions of GMP, irrational ones with the 400 digits that MPFR gives them. Where a
// format rounds by the bits that would follow, these are found by reading longer codes.
#pragma once

#include <gmpxx.h>
#include <mpfr.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/format.h"
#include "formats/rounding.h"

namespace halfulp::oracle {

inline mpq_class power_of_two(long exponent) {
  mpq_class result = 1;
  if (exponent >= 0) mpq_mul_2exp(result.get_mpq_t(), result.get_mpq_t(), mp_bitcnt_t(exponent));
  if (exponent < 0) mpq_div_2exp(result.get_mpq_t(), result.get_mpq_t(), mp_bitcnt_t(-exponent));
  return result;
}

inline mpz_class floor_of(const mpq_class& x) {
  mpz_class result;
  mpz_fdiv_q(result.get_mpz_t(), x.get_num_mpz_t(), x.get_den_mpz_t());
  return result;
}

/// An MPFR number of 400 digits.
class Digits400 {
 public:
  Digits400() { mpfr_init2(value_, 400); }
  explicit Digits400(const mpq_class& x) : Digits400() { mpfr_set_q(value_, x.get_mpq_t(), MPFR_RNDN); }
  ~Digits400() { mpfr_clear(value_); }
  Digits400(const Digits400&) = delete;
  Digits400& operator=(const Digits400&) = delete;

  mpfr_ptr get() { return value_; }
  mpq_class fraction() const {
    mpq_class result;
    mpfr_get_q(result.get_mpq_t(), value_);
    return result;
  }

 private:
  mpfr_t value_;
};

inline mpq_class exp2_of(const mpq_class& x) {
  if (x.get_den() == 1) return power_of_two(x.get_num().get_si());
  Digits400 y(x);
  mpfr_exp2(y.get(), y.get(), MPFR_RNDN);
  return y.fraction();
}

inline mpq_class exp_of(const mpq_class& x) {
  if (x == 0) return 1;
  Digits400 y(x);
  mpfr_exp(y.get(), y.get(), MPFR_RNDN);
  return y.fraction();
}

/// Exactly for powers of two.
inline mpq_class log2_of(const mpq_class& x) {
  Digits400 y(x);
  mpfr_log2(y.get(), y.get(), MPFR_RNDN);
  return y.fraction();
}

inline double nearest_double(const mpq_class& x) {
  mpfr_t y;
  mpfr_init2(y, 53);
  mpfr_set_q(y, x.get_mpq_t(), MPFR_RNDN);
  const double result = mpfr_get_d(y, MPFR_RNDN);
  mpfr_clear(y);
  return result;
}

inline std::string binary_digits(uint64_t value, int count) {
  std::string text;
  for (int i = count - 1; i >= 0; --i) text += char('0' + (value >> i & 1));
  return text;
}

/// Reads a code from the left. Digits after the last are zeros.
class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}

  char next() { return at_ < text_.size() ? text_[at_++] : (++at_, '0'); }
  long number(int digits) {
    long result = 0;
    for (int i = 0; i < digits; ++i) result = 2 * result + (next() - '0');
    return result;
  }
  /// The digits that are left as those of a fraction.
  mpq_class fraction() {
    mpq_class result = 0, weight = 1;
    while (at_ < text_.size()) {
      weight /= 2;
      if (next() == '1') result += weight;
    }
    return result;
  }

 private:
  std::string text_;
  size_t at_ = 0;
};

/// Of the digits after the sign, not all zero.
inline mpq_class posit_magnitude(const std::string& digits, int es) {
  Reader reader(digits);
  const char kind = reader.next();
  size_t run = 1;
  while (run < digits.size() && reader.next() == kind) ++run;
  const long regime = kind == '1' ? long(run) - 1 : -long(run);
  const long exponent = regime * (1l << es) + reader.number(es);
  return power_of_two(exponent) * (1 + reader.fraction());
}

inline mpq_class takum_magnitude(const std::string& digits, bool linear) {
  Reader reader(digits);
  const bool direction = reader.next() == '1';
  const long three = reader.number(3);
  const int length = int(direction ? three : 7 - three);
  const long stored = reader.number(length);
  const long c = direction ? (1l << length) - 1 + stored : -(1l << (length + 1)) + 1 + stored;
  const mpq_class m = reader.fraction();
  return linear ? power_of_two(c) * (1 + m) : exp_of((c + m) / 2);
}

/// Of the seven digits after the sign; infinity as the number it stands in the place of.
inline mpq_class hifloat8_magnitude(const std::string& digits) {
  struct Dot {
    const char* prefix;
    int exponent_digits;
  };
  for (const Dot& dot : {Dot{"11", 4}, {"10", 3}, {"01", 2}, {"001", 1}, {"0001", 0}}) {
    const std::string prefix = dot.prefix;
    if (digits.compare(0, prefix.size(), prefix) != 0) continue;
    Reader reader(digits.substr(prefix.size()));
    long exponent = 0;
    if (dot.exponent_digits > 0) {
      const bool negative = reader.next() == '1';
      exponent = (1l << (dot.exponent_digits - 1)) + reader.number(dot.exponent_digits - 1);
      if (negative) exponent = -exponent;
    }
    return power_of_two(exponent) * (1 + reader.fraction());
  }
  const long m = Reader(digits.substr(4)).number(3);
  return m == 0 ? mpq_class(0) : power_of_two(m - 23);
}

// From the lowest code up.
inline constexpr float kNf4[] = {-1.0f,
                                 -0.6961928009986877f,
                                 -0.5250730514526367f,
                                 -0.39491748809814453f,
                                 -0.28444138169288635f,
                                 -0.18477343022823334f,
                                 -0.09105003625154495f,
                                 0.0f,
                                 0.07958029955625534f,
                                 0.16093020141124725f,
                                 0.24611230194568634f,
                                 0.33791524171829224f,
                                 0.44070982933044434f,
                                 0.5626170039176941f,
                                 0.7229568362236023f,
                                 1.0f};
inline constexpr float kBnbFp4[] = {0.0f, 5.208333333e-03f, 0.66666667f, 1.0f, 0.33333333f, 0.5f, 0.16666667f, 0.25f};

/// What a code stands for. Infinity has the magnitude of the number in whose place it stands.
struct FamilyMeaning {
  bool is_nan = false;
  bool is_infinite = false;
  bool negative = false;
  mpq_class magnitude = 0;

  double value() const {
    const double unsigned_value = is_nan ? NAN : is_infinite ? INFINITY : nearest_double(magnitude);
    return std::copysign(unsigned_value, negative ? -1.0 : 1.0);
  }
};

inline bool has_complements(const Format& format) {
  return format.family == Family::Posit || format.family == Family::LinearTakum ||
         format.family == Family::LogarithmicTakum;
}

inline mpq_class tapered_magnitude(const Format& format, const std::string& digits) {
  if (format.family == Family::Posit) return posit_magnitude(digits, format.exponent_bits);
  return takum_magnitude(digits, format.family == Family::LinearTakum);
}

/// 2^-(k s) of the softmax quantisers, or what their table of numerators over 2^(b+1) - 2 makes of it.
inline mpq_class descending_magnitude(const LogarithmicScale& scale, long k) {
  const mpq_class power(mpz_class(-k * long(scale.numerator)), mpz_class(scale.denominator));
  mpq_class canonical = power;
  canonical.canonicalize();
  if (scale.lut_bits == 0) return exp2_of(canonical);
  const long steps = k * long(scale.numerator), denominator = (2l << scale.lut_bits) - 2;
  mpq_class part(mpz_class(-(steps % long(scale.denominator))), mpz_class(scale.denominator));
  part.canonicalize();
  const mpq_class numerator(floor_of(exp2_of(part) * denominator + mpq_class(1, 2)));
  return numerator / denominator * power_of_two(-(steps / long(scale.denominator)));
}

inline FamilyMeaning family_meaning(const Format& format, uint32_t code) {
  const int bits = format.bits();
  const std::string digits = binary_digits(code, bits);
  const std::string rest = digits.substr(1);
  const bool has_sign = digits[0] == '1';
  const bool rest_is_zero = rest.find('1') == std::string::npos;
  const std::string_view name = format.name;

  if (has_complements(format)) {
    if (rest_is_zero) return {.is_nan = has_sign, .negative = has_sign};
    const std::string magnitude = has_sign ? binary_digits((uint64_t{1} << bits) - code, bits).substr(1) : rest;
    return {.negative = has_sign, .magnitude = tapered_magnitude(format, magnitude)};
  }
  if (name == "hifloat8") {
    if (has_sign && rest_is_zero) return {.is_nan = true, .negative = true};
    return {.is_infinite = rest == "1101111", .negative = has_sign, .magnitude = hifloat8_magnitude(rest)};
  }
  if (name == "nf4") return {.negative = kNf4[code] < 0, .magnitude = mpq_class(double(std::fabs(kNf4[code])))};
  if (name == "bnb_fp4") return {.negative = has_sign, .magnitude = mpq_class(double(kBnbFp4[code % 8]))};
  if (name == "binary") return {.negative = code == 1, .magnitude = 1};
  if (format.family == Family::MidRise) {
    const long odd = 2 * long(code) + 1 - (1l << bits);
    mpq_class half(mpz_class(std::abs(odd)), mpz_class(2));
    return {.negative = odd < 0, .magnitude = half};
  }
  // logarithmic ones
  if (name.starts_with("lns")) {
    const long range = 1l << (bits - 1), stored = Reader(rest).number(bits - 1);
    const long logarithm = stored < range / 2 ? stored : stored - range;
    if (logarithm == -range / 2) return {.is_nan = has_sign, .negative = has_sign};
    mpq_class power(mpz_class(logarithm), mpz_class(format.scale.denominator));
    power.canonicalize();
    return {.negative = has_sign, .magnitude = exp2_of(power)};
  }
  if (name.starts_with("pow2")) {
    const long k = Reader(rest).number(bits - 1);
    return {.negative = has_sign, .magnitude = k == 0 ? mpq_class(0) : power_of_two(k - 1 + format.scale.lowest)};
  }
  if (has_sign) return {};
  return {.magnitude = descending_magnitude(format.scale, long(code))};
}

/// A magnitude and the code that means it.
struct FamilyRung {
  mpq_class magnitude;
  uint32_t code;
};

/// Where a number stands: between two neighbours, the first the one nearer to zero or, between the smallest of both
/// signs, of the other sign.
struct FamilyPlace {
  bool negative = false;
  bool between_signs = false;
  std::optional<uint32_t> near, far;  // nothing: what would follow the largest number
  mpq_class nu = 0;
};

class FamilyOracle {
 public:
  explicit FamilyOracle(const Format& format) : format_(format) {
    const uint32_t count = uint32_t{1} << format.bits();
    for (uint32_t code = 0; code < count; ++code) {
      const FamilyMeaning what = family_meaning(format, code);
      if (what.is_nan && !nan_) nan_ = code;
      if (what.is_infinite) infinities_[what.negative] = code;
      if (!what.is_nan && !what.is_infinite) ladders_[what.negative].push_back({what.magnitude, code});
    }
    const bool has_one_zero = format.family != Family::MidRise && !format.has_negative_zero();
    if (has_one_zero && format.is_signed()) ladders_[1].push_back({0, zero(false)});
    for (std::vector<FamilyRung>& ladder : ladders_) finish(ladder);
  }

  const Format& format() const { return format_; }
  const std::vector<FamilyRung>& ladder(bool negative) const { return ladders_[negative]; }

  FamilyPlace place(double x) const {
    FamilyPlace result{.negative = x != 0 && std::signbit(x)};
    const std::vector<FamilyRung>& rungs = ladder(result.negative);
    const mpq_class magnitude(std::fabs(x));
    if (format_.domain == Domain::Logarithm) return place_by_logarithm(result, magnitude);

    const auto above = std::upper_bound(rungs.begin(), rungs.end(), magnitude,
                                        [](const mpq_class& a, const FamilyRung& b) { return a < b.magnitude; });
    const size_t next = size_t(above - rungs.begin());
    if (format_.domain == Domain::Code) return place_by_code(result, magnitude, next);
    if (next == 0) {
      result.between_signs = true;
      result.near = ladder(!result.negative)[0].code;
      result.far = rungs[0].code;
      result.nu = (magnitude + rungs[0].magnitude) / (2 * rungs[0].magnitude);
      return result;
    }
    result.near = rungs[next - 1].code;
    const bool is_beyond = next == rungs.size();
    if (!is_beyond) result.far = rungs[next].code;
    const mpq_class following = is_beyond ? next_magnitude(result.negative) : rungs[next].magnitude;
    result.nu = (magnitude - rungs[next - 1].magnitude) / (following - rungs[next - 1].magnitude);
    if (result.nu >= 1) result.near.reset();
    return result;
  }

  uint32_t encode(const Projection& projection, double x, uint32_t random = 0) const {
    if (std::isnan(x)) return nan_code();
    const bool saturates = projection.policies.overflow == Overflow::Saturate;
    if (std::isinf(x)) return saturates ? largest(x < 0) : beyond(x < 0);
    if (x == 0 && format_.family != Family::MidRise) return zero(std::signbit(x));
    return encode(projection, place(x), random);
  }

  uint32_t encode(const Projection& projection, const FamilyPlace& at, uint32_t random) const {
    const std::optional<uint32_t> chosen = rounds_up(projection, at, random) ? at.far : at.near;
    if (chosen) return *chosen;
    const bool stays_finite =
        projection.rounding == Rounding::TowardZero ||
        projection.rounding == (at.negative ? Rounding::TowardPositive : Rounding::TowardNegative) ||
        projection.rounding == (largest(at.negative) % 2 == 1 ? Rounding::ToOdd : Rounding::ToEven);
    const bool saturates = projection.policies.overflow == Overflow::Saturate || stays_finite;
    return saturates ? largest(at.negative) : beyond(at.negative);
  }

  /// Where casts change their mind: every number, the middles and quarters between two, with neighbours.
  std::vector<double> inputs() const {
    std::vector<double> result = {0.0, -0.0, 0x1p-1074, 1e-300, 1e300};
    if (format_.is_signed()) result.insert(result.end(), {-0x1p-1074, -1e-300, -1e300});
    for (const bool negative : {false, true}) {
      if (negative && !format_.is_signed()) break;
      const auto add = [&](const mpq_class& magnitude) {
        const double x = nearest_double(magnitude) * (negative ? -1 : 1);
        for (const double y : {x, std::nextafter(x, HUGE_VAL), std::nextafter(x, -HUGE_VAL)})
          if (format_.is_signed() || y >= 0) result.push_back(y);
      };
      const std::vector<FamilyRung>& rungs = ladder(negative);
      for (size_t i = 0; i < rungs.size(); ++i) {
        add(rungs[i].magnitude);
        const mpq_class next = i + 1 < rungs.size() ? rungs[i + 1].magnitude : next_magnitude(negative);
        for (const int quarter : {1, 2, 3}) add(rungs[i].magnitude + (next - rungs[i].magnitude) * quarter / 4);
        if (format_.domain == Domain::Logarithm && rungs[i].magnitude > 0)
          for (const int quarter : {1, 2, 3})
            add(rungs[i].magnitude * exp2_of(log2_of(next / rungs[i].magnitude) * quarter / 4));
        if (format_.domain == Domain::Code && rungs[i].magnitude > 0)
          for (const char* more : {"01", "1", "11"})
            add(tapered_magnitude(format_, binary_digits(i, format_.bits() - 1) + more));
      }
      if (format_.domain == Domain::Logarithm)
        for (long power = -40; power <= 40; ++power) add(power_of_two(power));
    }
    return result;
  }

 private:
  uint32_t zero(bool negative) const {
    for (const FamilyRung& rung : ladders_[negative && format_.has_negative_zero()])
      if (rung.magnitude == 0) return rung.code;
    return 0;
  }

  void finish(std::vector<FamilyRung>& ladder) const {
    std::sort(ladder.begin(), ladder.end(), [](const FamilyRung& a, const FamilyRung& b) {
      return a.magnitude != b.magnitude ? a.magnitude < b.magnitude : a.code < b.code;
    });
    const auto same = [](const FamilyRung& a, const FamilyRung& b) { return a.magnitude == b.magnitude; };
    ladder.erase(std::unique(ladder.begin(), ladder.end(), same), ladder.end());
  }

  /// What would follow the largest number. Only where there is an infinity or a NaN does it matter.
  mpq_class next_magnitude(bool negative) const {
    const std::vector<FamilyRung>& rungs = ladders_[negative];
    if (std::string_view(format_.name) == "hifloat8") return family_meaning(format_, 0x6f).magnitude;
    if (format_.family != Family::Logarithmic) return rungs.back().magnitude + 1;
    mpq_class step(mpz_class(format_.scale.numerator), mpz_class(format_.scale.denominator));
    step.canonicalize();
    return rungs.back().magnitude * exp2_of(step);
  }

  FamilyPlace place_by_logarithm(FamilyPlace result, const mpq_class& magnitude) const {
    const std::vector<FamilyRung>& rungs = ladder(result.negative);
    const mpq_class steps =
        log2_of(magnitude) * format_.scale.denominator / format_.scale.numerator - (format_.scale.lowest - 1);
    const mpz_class whole = floor_of(steps);
    const long index = whole < 0 ? 0 : whole > long(rungs.size()) ? long(rungs.size()) : whole.get_si();
    result.nu = whole < 0 ? power_of_two(-300) : mpq_class(steps - whole);
    if (index < long(rungs.size())) result.near = rungs[size_t(index)].code;
    if (index + 1 < long(rungs.size())) result.far = rungs[size_t(index) + 1].code;
    return result;
  }

  /// Longer and longer codes, as long as they do not exceed the number.
  FamilyPlace place_by_code(FamilyPlace result, const mpq_class& magnitude, size_t next) const {
    const std::vector<FamilyRung>& rungs = ladder(result.negative);
    const size_t index = std::max<size_t>(next - 1, 1);
    result.near = rungs[index].code;
    result.far = index + 1 < rungs.size() ? rungs[index + 1].code : rungs[index].code;
    if (next <= 1 || next == rungs.size()) return result;
    std::string digits = binary_digits(index, format_.bits() - 1);
    mpq_class weight = 1;
    for (int i = 0; i < 70; ++i) {
      weight /= 2;
      const bool fits = tapered_magnitude(format_, digits + "1") <= magnitude;
      digits += fits ? '1' : '0';
      if (fits) result.nu += weight;
    }
    if (tapered_magnitude(format_, digits) != magnitude) result.nu += weight / 2;
    return result;
  }

  bool rounds_up(const Projection& projection, const FamilyPlace& at, uint32_t random) const {
    const mpq_class half(1, 2);
    const mpq_class& nu = at.nu;
    const bool is_odd = at.near.value_or(0) % 2 == 1;
    const mpz_class ends = mpz_class(1) << unsigned(projection.random_bits), r = random;
    switch (projection.rounding) {
      case Rounding::TiesToEven: return nu > half || (nu == half && is_odd);
      case Rounding::TiesToAway: return nu >= half;
      case Rounding::TiesToZero: return nu > half || (nu == half && at.between_signs);
      case Rounding::TiesToOdd: return nu > half || (nu == half && !is_odd);
      case Rounding::TiesTowardPositive: return at.negative ? nu > half : nu >= half;
      case Rounding::TiesTowardNegative: return at.negative ? nu >= half : nu > half;
      case Rounding::TowardZero: return at.between_signs;
      case Rounding::TowardPositive: return nu > 0 && !at.negative;
      case Rounding::TowardNegative: return nu > 0 && at.negative;
      case Rounding::AwayFromZero: return nu > 0;
      case Rounding::ToOdd: return nu > 0 && !is_odd;
      case Rounding::ToEven: return nu > 0 && is_odd;
      case Rounding::StochasticEqual: return nu > 0 && 2 * r >= ends;
      case Rounding::StochasticA: return floor_of(nu * ends) + r >= ends;
      case Rounding::StochasticB: return floor_of(nu * ends * 2) + 2 * r + 1 >= 2 * ends;
      case Rounding::StochasticC: {
        const mpq_class scaled = nu * ends;
        const mpz_class whole = floor_of(scaled);
        const mpq_class rest = scaled - whole;
        const bool next = rest > half || (rest == half && mpz_odd_p(whole.get_mpz_t()));
        return whole + next + r >= ends;
      }
    }
    return false;
  }

  uint32_t largest(bool negative) const { return ladder(negative).back().code; }

  uint32_t nan_code() const { return nan_.value_or(largest(false)); }

  /// Infinity, else NaN, else the largest number.
  uint32_t beyond(bool negative) const { return infinities_[negative].value_or(nan_.value_or(largest(negative))); }

  Format format_;
  std::vector<FamilyRung> ladders_[2];  // of positive and of negative numbers
  std::optional<uint32_t> nan_, infinities_[2];
};

}  // namespace halfulp::oracle
