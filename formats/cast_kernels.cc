#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "formats/kernels.h"
#include "formats/philox_vector.h"
#include "formats/quotient.h"
#include "formats/vector.h"

namespace halfulp::HALFULP_ISA {
namespace {

// Elements that are worked on at once where intermediate results have to be kept.
constexpr size_t kChunk = 256;

constexpr uint32_t kQuietNan = 0x7fc00000;

template <Rounding R>
[[gnu::always_inline]] inline void convert(const Encoder& e, float x, uint32_t random, float& y) {
  y = float_of(detail::round_one<R>(e, bits_of(x), random));
}
template <Rounding R, class Code>
[[gnu::always_inline]] inline void convert(const Encoder& e, float x, uint32_t random, Code& code) {
  code = Code(detail::encode_one<R>(e, bits_of(x), random));
}

template <Rounding R, class Result>
[[gnu::always_inline]] inline void convert_all(const Encoder& encoder, const float* x, Result* y, size_t count) {
  const Encoder e = encoder;
  for (size_t i = 0; i < count; ++i) convert<R>(e, x[i], 0, y[i]);
}

template <Rounding R, class Result>
void convert_all(const Encoder& encoder, const float* x, const uint32_t* random, Result* y, size_t count) {
  const Encoder e = encoder;
  for (size_t i = 0; i < count; ++i) convert<R>(e, x[i], random[i], y[i]);
}

// Converts x[0 … count), whose random bits are those of elements first, first + 1, ….
template <Rounding R, class Result>
void loop(const Encoder& e, RandomRun& random, uint32_t first, const float* x, Result* y, size_t count) {
  if constexpr (is_stochastic(R)) {
    uint32_t values[kChunk];
    for (size_t start = 0, size; start < count; start += size) {
      size = count - start < kChunk ? count - start : kChunk;
      const Fields fields = random.fields(first + uint32_t(start), size);
      for (size_t i = 0; i < size; ++i) values[i] = random.value(fields, i);
      convert_all<R>(e, x + start, values, y + start, size);
    }
  } else {
    convert_all<R>(e, x, y, count);
  }
}

// ---- vectors ----

// The two ways to round a vector of numbers, larger ones than limit as limit. `bits` and `index` are those of
// detail::round_magnitude; above kIndexBits of an index there may be anything.

// Additions (formats/vector.h).
template <Rounding R>
class ByAddition {
 public:
  static bool reaches(const Encoder& e) { return rounds_by_addition(e); }

  HALFULP_INLINE explicit ByAddition(const Encoder& e) : grid_(grid<R>(e)) {}

  HALFULP_INLINE I32 index(I32 x, I32 limit, Fields) const { return rounded_index<R>(grid_, limited<R>(x, limit)); }
  HALFULP_INLINE I32 bits(I32 x, I32 limit, Fields) const { return rounded_bits<R>(grid_, limited<R>(x, limit)); }

 private:
  Grid grid_;
};

template <Rounding R>
requires(is_stochastic(R)) class ByAddition<R> {
 public:
  static bool reaches(const Encoder& e) { return rounds_by_random_addition(R, e); }

  HALFULP_INLINE explicit ByAddition(const Encoder& e) : grid_(random_grid<R>(e)) {}

  HALFULP_INLINE I32 index(I32 x, I32 limit, Fields fields) const {
    return randomly_rounded_index<R>(grid_, limited<R>(x, limit), fields.lanes());
  }
  HALFULP_INLINE I32 bits(I32 x, I32 limit, Fields fields) const {
    return randomly_rounded_bits<R>(grid_, limited<R>(x, limit), fields.lanes());
  }

 private:
  RandomGrid grid_;
};

#if defined(__AVX512F__)
// The same with the constants that count in a table of binades.
template <Rounding R>
class ByTable {
 public:
  static bool reaches(const Encoder& e) {
    return !addition(R).by_value && int(e.limit[0] >> 23) - e.min_field < 32 &&
           int(e.limit[1] >> 23) - e.min_field < 32;
  }

  HALFULP_INLINE explicit ByTable(const Encoder& e) : grid_(grid<R>(e)), lowest_field_(splat(uint32_t(e.min_field))) {
    const I32 binades = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    first_constants_ = counting_constant(grid_, binades << 23);
    later_constants_ = counting_constant(grid_, (binades + 16) << 23);
  }

  HALFULP_INLINE I32 index(I32 x, I32 limit, Fields) const {
    const I32 v = limited<R>(x, limit);
    const I32 binade = subtract_fields(v >> 23, lowest_field_);
    const __m512i constant =
        _mm512_permutex2var_epi32((__m512i)first_constants_, (__m512i)binade, (__m512i)later_constants_);
    const I32 sum = add_constant<R>(grid_, v, binade << 23, (I32)constant);
    return addition(R).odd ? sum - 1 : sum;
  }

 private:
  Grid grid_;
  I32 lowest_field_, first_constants_, later_constants_;
};
#endif

// Whether all numbers that are not NaN have the code that `infinity`, one index beyond the largest number, suggests.
bool overflows_to(const Encoder& e, uint32_t infinity) {
  return e.care == Care::Nan || (e.care == Care::Overflow && e.overflow[0] == infinity);
}

#if defined(__F16C__)
// The processor's own rounding to binary16.
class ByProcessor : public ByAddition<Rounding::TiesToEven> {
 public:
  using ByAddition::ByAddition;

  static bool reaches(const Encoder& e) {
    return e.min_field == 113 && e.mantissa_bits == 10 && e.max_index[0] == 0x7bff && e.sign_code[1] == 0x8000 &&
           overflows_to(e, 0x7c00);
  }

  // The codes of numbers that are not NaN; larger ones than limit as limit if that is the largest number.
  template <Care C>
  HALFULP_INLINE void store_codes(uint16_t* to, const I32 (&x)[kGroup], I32 limit, Fields) const {
    for (size_t i = 0; i < kGroup; ++i)
      store_binary16(to + i * kLanes, float_of(C == Care::Nan ? limited_value(x[i], limit) : x[i]));
  }
};
#endif

// Formats with binary32's exponents: the same bits are dropped everywhere.
template <Rounding R>
class ByDrop {
 public:
  static bool reaches(const Encoder& e) { return e.min_field == 1 && e.max_index[0] < kIndexBits; }

  HALFULP_INLINE explicit ByDrop(const Encoder& e)
      : drop_(23 - e.mantissa_bits), random_drop_(drop_ > e.random_bits ? drop_ - e.random_bits : 0) {}

  HALFULP_INLINE I32 index(I32 x, I32 limit, Fields fields) const {
    return carried(x, limited_magnitude(x, limit), fields) >> drop_;
  }
  HALFULP_INLINE I32 bits(I32 x, I32 limit, Fields fields) const {
    return carried(x, limited_magnitude(x, limit), fields) & splat(~0u << drop_);
  }

 protected:
  // `a` rounded to nearest, ties to even, but for the `drop` bits themselves.
  HALFULP_INLINE static I32 nearest(I32 a, int drop) {
    return a + splat((1u << drop >> 1) - 1) + ((a >> drop) & splat(1));
  }

  // The magnitude, which may have the sign too, with what rounding adds to the bits that stay.
  HALFULP_INLINE I32 carried(I32 x, I32 a, Fields fields) const {
    const uint32_t step = uint32_t{1} << drop_, half = step >> 1, rest = step - 1;
    const I32 odd = (a >> drop_) & splat(1), negative = x < 0;
    const I32 inexact = ((a & splat(rest)) + splat(rest)) & splat(step);
    // No more bits are dropped than `high` has, and of a random number with more than are dropped the rest is idle.
    const I32 high = is_stochastic(R) ? fields.lanes().high : splat(0), added = high >> (23 - drop_);
    switch (R) {
      case Rounding::TiesToEven: return nearest(a, drop_);
      case Rounding::TiesToOdd: return a + splat(half) - odd;
      case Rounding::TiesToAway: return a + splat(half);
      case Rounding::TiesToZero: return a + splat(half - 1);
      case Rounding::TiesTowardPositive: return a + splat(half) + negative;
      case Rounding::TiesTowardNegative: return a + splat(half - 1) - negative;
      case Rounding::TowardZero: return a;
      case Rounding::TowardPositive: return a + (splat(rest) & ~negative);
      case Rounding::TowardNegative: return a + (splat(rest) & negative);
      case Rounding::AwayFromZero: return a + splat(rest);
      case Rounding::ToOdd: return a | inexact;
      case Rounding::ToEven: return a + (a & inexact);
      case Rounding::StochasticA: return a + added;
      case Rounding::StochasticB: return a + added + splat(1u << random_drop_ >> 1);
      case Rounding::StochasticC:
        if (random_drop_ == 0) return a + added;
        return (nearest(a, random_drop_) & splat(~0u << random_drop_)) + added;
      case Rounding::StochasticEqual: return a + (inexact & ((high << 9) >> 31));
    }
    return a;
  }

 private:
  int drop_;
  int random_drop_;  // dropped bits below the random ones
};

// bfloat16, whose codes are the upper halves of binary32 numbers.
template <Rounding R>
class ByUpperHalf : public ByDrop<R> {
 public:
  using ByDrop<R>::ByDrop;

  static bool reaches(const Encoder& e) {
    return ByDrop<R>::reaches(e) && e.mantissa_bits == 7 && e.sign_code[1] == 0x8000 && overflows_to(e, 0x7f80);
  }

  template <Care C>
  HALFULP_INLINE void store_codes(uint16_t* to, const I32 (&x)[kGroup], I32 limit, Fields fields) const {
    I32 rounded[kGroup];
    for (size_t i = 0; i < kGroup; ++i) {
      const I32 v = C == Care::Nan ? limited_value(x[i], limit) : x[i];
      rounded[i] = this->carried(x[i], v, fields.from(i * kLanes));
    }
    for (size_t i = 0; i < kGroup; i += 2) store_upper_halves(to + i * kLanes, rounded[i], rounded[i + 1]);
  }
};

// What a number becomes where rounding alone does not decide it: its code, or the binary32 bits of that code's value.
// Indexed by sign, like the sign itself.
struct Outcomes {
  uint32_t sign, zero[2], overflow[2], infinity[2], nan[2];
};
HALFULP_INLINE Outcomes outcomes(const Encoder& e, const float*) {
  return {e.sign_value[1],
          {e.zero_value[0], e.zero_value[1]},
          {e.overflow_value[0], e.overflow_value[1]},
          {e.infinity_value[0], e.infinity_value[1]},
          {e.nan_value[0], e.nan_value[1]}};
}
template <class Code>
HALFULP_INLINE Outcomes outcomes(const Encoder& e, const Code*) {
  return {e.sign_code[1],
          {e.zero_code[0], e.zero_code[1]},
          {e.overflow[0], e.overflow[1]},
          {e.infinity[0], e.infinity[1]},
          {e.nan[0], e.nan[1]}};
}

// A whole cast to values or to codes, vector by vector: what detail::round_one and encode_one give.
template <class Way, Care C, class Result>
class VectorCast {
  static constexpr bool kToValues = std::is_same_v<Result, float>;

 public:
  HALFULP_INLINE explicit VectorCast(const Encoder& e)
      : e_(e),
        way_(e),
        outcomes_(outcomes(e, static_cast<const Result*>(nullptr))),
        sign_(sign_place<uint32_t>(outcomes_.sign)) {}

  // One vector, whatever is in it, with the random fields of its elements.
  HALFULP_INLINE void cast(const float* from, Result* to, Fields fields) const {
    const I32 x = load<I32>(from), magnitude = x & splat(kMagnitudeBits), negative = x < 0;
    const I32 sign = (x >> sign_.shift) & splat(sign_.mask);
    I32 result = signless(x, fields);
    if constexpr (!kToValues) result = result & splat(kIndexBits);
    if constexpr (C == Care::Everything) {
      const I32 is_zero = result == 0,
                is_over = kToValues ? result == pick(e_.limit, negative) : result > pick(e_.max_index, negative);
      const I32 complement = (splat(0) - result) & splat(e_.code_mask);
      const I32 signed_ = result | sign;
      result = kToValues || e_.code_mask == 0 ? signed_ : select(negative, complement, result);
      result = select(is_zero, pick(outcomes_.zero, negative), result);
      result = select(is_over, pick(outcomes_.overflow, negative), result);
      result = select(magnitude == splat(kInfinityBits), pick(outcomes_.infinity, negative), result);
      result = select(magnitude > splat(kInfinityBits), pick(outcomes_.nan, negative), result);
    } else {
      result = select(magnitude > splat(kInfinityBits), splat(outcomes_.nan[0]), result | sign);
    }
    if constexpr (kToValues)
      store(to, result);
    else
      store_narrow(to, result);
  }

  // kGroup vectors, which by and large have no NaN.
  HALFULP_INLINE void cast_group(const float* from, Result* to, Fields fields) const {
    I32 x[kGroup];
    for (size_t i = 0; i < kGroup; ++i) x[i] = load<I32>(from + i * kLanes);
    if (any_nan(float_of(x[0]), float_of(x[1]), float_of(x[2]), float_of(x[3]))) [[unlikely]] {
      for (size_t i = 0; i < kGroup; ++i) cast(from + i * kLanes, to + i * kLanes, fields.from(i * kLanes));
      return;
    }
    if constexpr (requires { way_.template store_codes<C>(to, x, x[0], fields); }) {
      way_.template store_codes<C>(to, x, splat(e_.limit[0]), fields);
      return;
    }
    I32 results[kGroup];
    for (size_t i = 0; i < kGroup; ++i) results[i] = signless(x[i], fields.from(i * kLanes));
    if constexpr (kToValues) {
      for (size_t i = 0; i < kGroup; ++i) store(to + i * kLanes, or_masked(results[i], x[i], splat(outcomes_.sign)));
    } else {
      store_codes(to, results, x, sign_place<Result>(outcomes_.sign));
    }
  }

 private:
  // The result for a number that is not NaN, without its sign and, if Everything is to be looked after, as if nothing
  // were.
  HALFULP_INLINE I32 signless(I32 x, Fields fields) const {
    const I32 limit = C == Care::Everything ? pick(e_.limit, x < 0) : splat(e_.limit[0]);
    I32 result;
    if constexpr (kToValues)
      result = way_.bits(x, limit, fields);
    else
      result = way_.index(x, limit, fields);
    if constexpr (C == Care::Overflow) {
      const I32 is_over = kToValues ? result == limit : (result & splat(kIndexBits)) > splat(e_.max_index[0]);
      result = select(is_over, splat(outcomes_.overflow[0]), result);
    }
    return result;
  }

  Encoder e_;
  Way way_;
  Outcomes outcomes_;
  SignPlace sign_;
};

template <class Way, Care C, class Result>
[[gnu::noinline]] void vector_loop(const Encoder& e, const float* x, Result* y, size_t count, Fields fields) {
  const VectorCast<Way, C, Result> cast(e);
  size_t i = 0;
  if constexpr (C != Care::Everything)
    for (; i + kGroup * kLanes <= count; i += kGroup * kLanes) cast.cast_group(x + i, y + i, fields.from(i));
  for (; i + kLanes <= count; i += kLanes) cast.cast(x + i, y + i, fields.from(i));
  if (i == count) return;
  float in[kLanes] = {};
  Result out[kLanes];
  __builtin_memcpy(in, x + i, (count - i) * sizeof *x);
  cast.cast(in, out, fields.from(i));
  __builtin_memcpy(y + i, out, (count - i) * sizeof *y);
}

template <class Way, class Result>
void choose_care(const Encoder& e, const float* x, Result* y, size_t count, Fields fields) {
  if constexpr (!std::is_same_v<Result, uint32_t>) {  // such codes are too rare for more than one loop
    if (e.care == Care::Nan) return vector_loop<Way, Care::Nan>(e, x, y, count, fields);
    if (e.care == Care::Overflow) return vector_loop<Way, Care::Overflow>(e, x, y, count, fields);
  }
  vector_loop<Way, Care::Everything>(e, x, y, count, fields);
}

// The best way there is for this cast.
template <Rounding R, class Result>
void choose_way(const Encoder& e, const float* x, Result* y, size_t count, Fields fields) {
  const FloatControl control(addition(R).direction);
  if constexpr (std::is_same_v<Result, uint16_t>) {
    if (ByUpperHalf<R>::reaches(e)) return choose_care<ByUpperHalf<R>>(e, x, y, count, fields);
#if defined(__F16C__)
    if (R == Rounding::TiesToEven && ByProcessor::reaches(e)) return choose_care<ByProcessor>(e, x, y, count, fields);
#endif
  }
  if (ByDrop<R>::reaches(e)) return choose_care<ByDrop<R>>(e, x, y, count, fields);
#if defined(__AVX512F__)
  if constexpr (!is_stochastic(R) && !std::is_same_v<Result, float>)
    if (ByTable<R>::reaches(e)) return choose_care<ByTable<R>>(e, x, y, count, fields);
#endif
  choose_care<ByAddition<R>>(e, x, y, count, fields);
}

template <class Result>
void choose_loop(const CastJob& job, const float* x, Result* y, size_t count) {
  const Encoder& e = *job.encoder;
  with_rounding(job.rounding, [&]<Rounding R>() {
    RandomRun random(job.site, e.random_bits);
    if (!ByDrop<R>::reaches(e) && !ByAddition<R>::reaches(e)) return loop<R>(e, random, job.first_index, x, y, count);
    if constexpr (!is_stochastic(R)) return choose_way<R>(e, x, y, count, Fields{});
    for (size_t start = 0, size; start < count; start += size) {
      size = count - start;
      const Fields fields = random.fields(job.first_index + uint32_t(start), size);
      choose_way<R>(e, x + start, y + start, size, fields);
    }
  });
}

HALFULP_INLINE I32 decoded(const Decoder& d, I32 code) {
  if (d.sign_extension >= 0)
    return bits_of(__builtin_convertvector(code << d.sign_extension >> d.sign_extension, F32) * (F32{} + d.step));
  const I32 index = code & splat(d.magnitude_bits), is_negative = (code & splat(d.sign_code)) != 0;
  const I32 small = bits_of(__builtin_convertvector(index, F32) * (F32{} + d.step));
  I32 bits = select(index < splat(d.first_normal), small, (index << d.field_drop) + splat(d.lowest_bits));
  bits = select(index > splat(d.max_index), splat(kQuietNan), bits);
  bits = select(index == splat(d.infinity), splat(kInfinityBits), bits);
  bits = or_masked(bits, is_negative, splat(kSignBit));
  return select((index == 0) & is_negative, splat(d.negative_zero), bits);
}

template <class Code>
[[gnu::noinline]] void decode_all(const Decoder& decoder, const Code* codes, float* values, size_t count) {
  const Decoder d = decoder;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(values + i, decoded(d, load_extended(codes + i)));
  if (i == count) return;
  Code in[kLanes] = {};
  float out[kLanes];
  __builtin_memcpy(in, codes + i, (count - i) * sizeof *codes);
  store(out, decoded(d, load_extended(in)));
  __builtin_memcpy(values + i, out, (count - i) * sizeof *values);
}

template <class Code>
void decode_loop(const Decoder& decoder, const Code* codes, float* values, size_t count) {
  const FloatControl control;
  decode_all(decoder, codes, values, count);
}

[[gnu::always_inline]] inline uint32_t amax_bits(const float* x, size_t count) {
  uint32_t largest = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t magnitude = bits_of(x[i]) & 0x7fffffff;
    largest = detail::select(magnitude > largest, magnitude, largest);
  }
  return largest;
}

}  // namespace

void round_values(const CastJob& job, const float* x, float* y, size_t count) { choose_loop(job, x, y, count); }
void encode_codes(const CastJob& job, const float* x, uint8_t* codes, size_t count) {
  choose_loop(job, x, codes, count);
}
void encode_codes(const CastJob& job, const float* x, uint16_t* codes, size_t count) {
  choose_loop(job, x, codes, count);
}
void encode_codes(const CastJob& job, const float* x, uint32_t* codes, size_t count) {
  choose_loop(job, x, codes, count);
}

void decode_codes(const Decoder& decoder, const uint8_t* codes, float* values, size_t count) {
  decode_loop(decoder, codes, values, count);
}
void decode_codes(const Decoder& decoder, const uint16_t* codes, float* values, size_t count) {
  decode_loop(decoder, codes, values, count);
}
void decode_codes(const Decoder& decoder, const uint32_t* codes, float* values, size_t count) {
  decode_loop(decoder, codes, values, count);
}

uint32_t largest_magnitude(const float* x, size_t count) { return amax_bits(x, count); }

void quotients(const float* x, double numerator, double denominator, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = detail::narrow_to_odd(double(x[i]) * numerator / denominator);
}

void multiply(const float* x, float factor, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = x[i] * factor;
}

}  // namespace halfulp::HALFULP_ISA
