#include "formats/cast.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "formats/codec.h"
#include "formats/float_control.h"
#include "formats/kernels.h"
#include "formats/parts.h"

namespace halfulp {
namespace {

constexpr int kBinary32Bias = 127;
constexpr uint32_t kSignBit = 0x80000000;

uint32_t binary32_bits(double x) { return std::bit_cast<uint32_t>(float(x)); }

// Whether the branch-free step of formats/encoder.h covers this cast.
bool is_fast(const Format& format, const Projection& projection) {
  const Policies& policies = projection.policies;
  const bool directed = depends_on_sign(projection.rounding);
  const bool has_simple_negatives =
      policies.negative == NegativePolicy::Absolute || policies.negative == NegativePolicy::ToZero;
  const bool simple_signs = format.is_signed() || (has_simple_negatives && !directed);
  const bool simple_nan = policies.nan != NanPolicy::Payload || format.nan != NanCodes::Ieee;
  const bool simple_overflow =
      policies.overflow != Overflow::Wrap && policies.overflow_test == OverflowTest::AfterRounding;
  const bool has_subnormals = format.subnormals || format.exponent_bits == 0;
  return format.family == Family::Float && fits_binary32(format) && format.min_exponent() + kBinary32Bias >= 1 &&
         format.has_zero && has_subnormals && simple_signs && simple_nan && simple_overflow;
}

// Both signs fare alike but for the sign itself.
bool is_symmetric(const Encoder& e) {
  return e.code_mask == 0 && e.max_index[0] == e.max_index[1] && e.limit[0] == e.limit[1] && e.nan[0] == e.nan[1] &&
         e.nan_value[0] == e.nan_value[1] && e.overflow[1] == (e.overflow[0] | e.sign_code[1]) &&
         e.overflow_value[1] == (e.overflow_value[0] | e.sign_value[1]);
}

Care care(const Encoder& e) {
  for (const bool negative : {false, true}) {
    const bool zero_is_plain =
        e.zero_code[negative] == e.sign_code[negative] && e.zero_value[negative] == e.sign_value[negative];
    const bool infinity_is_plain =
        e.infinity[negative] == e.overflow[negative] && e.infinity_value[negative] == e.overflow_value[negative];
    if (!is_symmetric(e) || !zero_is_plain || !infinity_is_plain) return Care::Everything;
  }
  return e.overflow[0] == e.max_index[0] ? Care::Nan : Care::Overflow;
}

Encoder make_encoder(const Format& format, const Projection& projection) {
  Encoder e = {};
  e.min_field = format.min_exponent() + kBinary32Bias;
  e.mantissa_bits = format.mantissa_bits;
  e.random_bits = projection.random_bits;
  e.min_positive = binary32_bits(min_positive(format));
  const bool is_sign_magnitude = format.encoding == Encoding::SignMagnitude;
  if (format.encoding == Encoding::TwosComplement) e.code_mask = uint32_t((uint64_t{1} << format.bits()) - 1);
  for (const bool negative : {false, true}) {
    const double sign = negative ? -1.0 : 1.0;
    const auto code_of = [&](double x) { return encode(format, projection, Real::of(x)); };
    const auto value_of = [&](uint32_t code) { return binary32_bits(decode(format, code)); };
    e.max_index[negative] = format.max_index(negative);
    e.overflow[negative] = code_of(sign * std::numeric_limits<double>::max());
    const bool saturates = std::fabs(decode(format, e.overflow[negative])) == magnitude(format, e.max_index[negative]);
    e.limit[negative] = binary32_bits(magnitude(format, e.max_index[negative] + !saturates));
    e.infinity[negative] = code_of(sign * std::numeric_limits<double>::infinity());
    e.nan[negative] = code_of(std::copysign(std::numeric_limits<double>::quiet_NaN(), sign));
    e.zero_code[negative] = code_of(sign * 0.0);
    e.overflow_value[negative] = value_of(e.overflow[negative]);
    e.infinity_value[negative] = value_of(e.infinity[negative]);
    e.nan_value[negative] = value_of(e.nan[negative]);
    e.zero_value[negative] = value_of(e.zero_code[negative]);
    e.sign_code[negative] = negative && is_sign_magnitude ? uint32_t{1} << (format.bits() - 1) : 0;
    e.sign_value[negative] = negative && format.is_signed() ? kSignBit : 0;
  }
  if (!format.is_signed() && projection.policies.negative == NegativePolicy::ToZero) e.limit[1] = 0;
  e.care = care(e);
  return e;
}

// Whether decode_codes covers the format: its smallest numbers are whole steps, and either the step is a normal number
// of binary32 or the format has binary32's exponents.
bool has_decoder(const Format& format) {
  const int step_field = format.min_quantum_exponent() + kBinary32Bias,
            min_field = format.min_exponent() + kBinary32Bias;
  const bool has_subnormals = format.subnormals || format.exponent_bits == 0;
  return format.family == Family::Float && fits_binary32(format) && format.has_zero && has_subnormals &&
         (step_field >= 1 || min_field == 1);
}

Decoder make_decoder(const Format& format) {
  const int min_field = format.min_exponent() + kBinary32Bias;
  const bool shares_subnormals = min_field == 1;
  Decoder d = {};
  d.magnitude_bits = (uint32_t{1} << format.magnitude_bits()) - 1;
  d.first_normal = shares_subnormals ? 0 : uint32_t{1} << format.mantissa_bits;
  d.step = shares_subnormals ? 0 : float(std::ldexp(1.0, format.min_quantum_exponent()));
  d.field_drop = 23 - format.mantissa_bits;
  d.lowest_bits = uint32_t(min_field - 1) << 23;
  d.max_index = format.max_index();
  d.infinity = format.has_infinity ? format.max_index() + 1 : ~uint32_t{0};
  d.sign_code = format.encoding == Encoding::SignMagnitude ? uint32_t{1} << (format.bits() - 1) : 0;
  d.negative_zero = format.has_negative_zero() ? kSignBit : kSignBit | 0x7fc00000;
  d.sign_extension = format.encoding == Encoding::TwosComplement ? 32 - format.bits() : -1;
  return d;
}

}  // namespace

Caster::Caster(const Format& format, const Projection& projection)
    : format_(format), projection_(projection), is_fast_(is_fast(format, projection)) {
  if (is_stochastic(projection.rounding) && (projection.random_bits < 1 || projection.random_bits > kMaxRandomBits))
    throw std::invalid_argument(fmt::format("random bits: {} takes 1 … {} of them, not {}", name(projection.rounding),
                                            kMaxRandomBits, projection.random_bits));
  if (is_fast_) encoder_ = make_encoder(format, projection);
}

uint32_t Caster::encode_reference(float x, uint32_t random) const {
  return halfulp::encode(format_, projection_, Real::of(double(x)), random);
}

void Caster::round(std::span<const float> x, std::span<float> y, const RandomSite& site, uint32_t first_index,
                   int threads) const {
  assert(x.size() == y.size() && fits_binary32(format_));
  in_parts(x.size(), threads, [&](size_t first, size_t size) {
    if (is_fast_) {
      const CastJob job{&encoder_, projection_.rounding, site, first_index + uint32_t(first)};
      HALFULP_DISPATCH(round_values, job, x.data() + first, y.data() + first, size);
      return;
    }
    std::vector<uint32_t> codes(size);
    encode<uint32_t>(x.subspan(first, size), codes, site, first_index + uint32_t(first));
    decode<uint32_t>(format_, codes, y.subspan(first, size));
  });
}

template <class Code>
void Caster::encode(std::span<const float> x, std::span<Code> codes, const RandomSite& site, uint32_t first_index,
                    int threads) const {
  assert(x.size() == codes.size() && format_.bits() <= 8 * int(sizeof(Code)));
  in_parts(x.size(), threads, [&](size_t first, size_t size) {
    if (is_fast_) {
      const CastJob job{&encoder_, projection_.rounding, site, first_index + uint32_t(first)};
      HALFULP_DISPATCH(encode_codes, job, x.data() + first, codes.data() + first, size);
      return;
    }
    const FloatControl control;
    const bool draws = is_stochastic(projection_.rounding);
    for (size_t i = first; i < first + size; ++i)
      codes[i] = Code(
          encode_reference(x[i], draws ? random_bits(site, first_index + uint32_t(i), projection_.random_bits) : 0));
  });
}

template void Caster::encode(std::span<const float>, std::span<uint8_t>, const RandomSite&, uint32_t, int) const;
template void Caster::encode(std::span<const float>, std::span<uint16_t>, const RandomSite&, uint32_t, int) const;
template void Caster::encode(std::span<const float>, std::span<uint32_t>, const RandomSite&, uint32_t, int) const;

template <class Code>
void decode(const Format& format, std::span<const Code> codes, std::span<float> values, int threads) {
  assert(codes.size() == values.size() && fits_binary32(format));
  const bool is_fast = has_decoder(format);
  const Decoder decoder = is_fast ? make_decoder(format) : Decoder{};
  in_parts(codes.size(), threads, [&](size_t first, size_t size) {
    if (is_fast) {
      HALFULP_DISPATCH(decode_codes, decoder, codes.data() + first, values.data() + first, size);
      return;
    }
    const FloatControl control;
    for (size_t i = first; i < first + size; ++i) values[i] = float(decode(format, uint32_t(codes[i])));
  });
}

template void decode(const Format&, std::span<const uint8_t>, std::span<float>, int);
template void decode(const Format&, std::span<const uint16_t>, std::span<float>, int);
template void decode(const Format&, std::span<const uint32_t>, std::span<float>, int);

}  // namespace halfulp
