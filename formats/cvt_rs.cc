#include "formats/cvt_rs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "formats/codec.h"
#include "formats/profile.h"
#include "formats/rounding.h"

namespace halfulp {
namespace {

constexpr std::string_view kPtx = "PTX ISA 9.4, cvt with .rs";
constexpr std::string_view kAlignment = "alignment of the random bits, subnormal results";
constexpr std::string_view kBytes = "which byte of rbits serves a, b, e and f; subnormal results";

constexpr CvtRsForm by_pairs(std::string_view name, std::string_view format) {
  return {name, format, 4, 8, 16, {16, 16, 0, 0}, true, kPtx, Evidence::Unverified, kAlignment};
}

constexpr std::array kForms = {
    CvtRsForm{"f16x2", "binary16", 2, 16, 13, {16, 0}, false, kPtx, Evidence::Unverified, kAlignment},
    CvtRsForm{"bf16x2", "bfloat16", 2, 16, 16, {16, 0}, false, kPtx, Evidence::Unverified, kAlignment},
    by_pairs("e4m3x4", "e4m3fn"),
    by_pairs("e5m2x4", "e5m2"),
    by_pairs("e3m2x4", "e3m2"),
    by_pairs("e2m3x4", "e2m3"),
    // the upper bytes of the two halves serve a and b, the lower ones e and f
    CvtRsForm{"e2m1x4", "e2m1", 4, 4, 8, {24, 8, 16, 0}, true, kPtx, Evidence::Unverified, kBytes},
};

// Whether every operand's random bits are in rbits, and every code has its place in the result.
bool is_sound(const CvtRsForm& form, const Format& format) {
  const bool operands = form.operands >= 1 && form.operands <= int(form.lowest_random.size());
  if (!operands || form.random_bits < 1 || format.bits() > form.result_bits) return false;
  const auto fits = [&](int lowest) { return lowest >= 0 && lowest + form.random_bits <= 32; };
  return form.operands * form.result_bits <= 32 &&
         std::all_of(form.lowest_random.begin(), form.lowest_random.begin() + form.operands, fits);
}

// How many of x's significand bits lie below the step of `format` at x.
int discarded_bits(const Format& format, float x) {
  constexpr int kMinExponent = -126, kMantissaBits = 23;
  const int exponent = std::ilogb(x);
  const int lowest_bit = std::max(exponent, kMinExponent) - kMantissaBits;
  return std::max(exponent, format.min_exponent()) - format.mantissa_bits - lowest_bit;
}

}  // namespace

std::span<const CvtRsForm> cvt_rs_forms() { return kForms; }

const CvtRsForm& find_cvt_rs_form(std::string_view text) {
  const auto row = std::ranges::find(kForms, text, &CvtRsForm::name);
  if (row != kForms.end()) return *row;
  std::vector<std::string_view> known;
  for (const CvtRsForm& each : kForms) known.push_back(each.name);
  throw UnknownName("form of cvt.rs", text, known);
}

CvtRs::CvtRs(const CvtRsForm& form, bool satfinite, RandomAlignment alignment)
    : form_(form), format_(parse_format(form.format)), satfinite_(satfinite), alignment_(alignment) {
  if (!is_sound(form, format_))
    throw std::invalid_argument(
        fmt::format("cvt.rs to {}: {} operands of {} random and {} result bits; 1 to 4 that fit a 32-bit register are "
                    "wanted, with room for the codes of {}",
                    form.name, form.operands, form.random_bits, form.result_bits, form.format));
  if (form.always_saturates && !satfinite)
    throw std::invalid_argument(fmt::format("cvt.rs to {}: only with .satfinite", form.name));
}

uint32_t CvtRs::code(float x, int operand, uint32_t rbits) const {
  Projection projection{
      .rounding = Rounding::StochasticA,
      .random_bits = form_.random_bits,
      .policies = {.overflow = satfinite_ ? Overflow::Saturate : Overflow::ToInfinity, .nan = NanPolicy::AllOnes}};
  uint32_t random = rbits >> form_.lowest_random[size_t(operand)] & uint32_t((uint64_t{1} << form_.random_bits) - 1);
  if (alignment_ == RandomAlignment::Lowest && std::isfinite(x) && x != 0) {
    // above 32 discarded bits, of which the number fills 24 at most, 32 random ones cannot make a carry
    const int discarded = std::max(discarded_bits(format_, x), form_.random_bits);
    projection.random_bits = std::min(discarded, kMaxRandomBits);
    if (discarded > kMaxRandomBits) random = 0;
  }
  return encode(format_, projection, Real::of(double{x}), random);
}

uint32_t CvtRs::operator()(std::span<const float> operands, uint32_t rbits) const {
  assert(operands.size() == size_t(form_.operands));
  uint32_t result = 0;
  for (int i = 0; i < form_.operands; ++i) result = result << form_.result_bits | code(operands[size_t(i)], i, rbits);
  return result;
}

uint32_t te_stochastic_e2m1(float x, uint8_t random_byte) {
  constexpr float kMax = 6;
  const auto step_at = [](float magnitude) { return magnitude >= 4 ? 2.0f : magnitude >= 2 ? 1.0f : 0.5f; };
  const float magnitude = std::fabs(x);
  const float dithered = std::fma(float(random_byte) / 256, step_at(magnitude), magnitude);
  const float step = step_at(dithered);
  const float floored = std::fmin(std::floor(dithered / step) * step, kMax);
  return encode(parse_format("e2m1"), {}, Real::of(std::copysign(floored, std::isnan(x) ? 1.0f : x)));
}

uint16_t te_stochastic_e2m1x4(std::span<const float, 4> x, uint32_t rbits) {
  uint32_t result = 0;
  for (size_t i = 0; i < 4; ++i) result |= te_stochastic_e2m1(x[i], uint8_t(rbits >> 8 * i)) << 4 * i;
  return uint16_t(result);
}

}  // namespace halfulp
