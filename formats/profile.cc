#include "formats/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace halfulp {
namespace {

using enum Profile;
using enum Evidence;
using enum Overflow;
using enum NanPolicy;
using enum NegativePolicy;

// The rounding where formats without mantissa bits have ties that go up: 3 becomes 4.
constexpr Rounding kTiesUp = Rounding::TiesToAway;
constexpr Rounding kUp = Rounding::TowardPositive;

constexpr std::string_view kOfp8 = "e4m3fn e5m2";
constexpr std::string_view kFnuz = "e4m3fnuz e5m2fnuz";
constexpr std::string_view kFp8 = "e4m3fn e5m2 e4m3fnuz e5m2fnuz";
constexpr std::string_view kFinite = "e2m1 e3m2 e2m3";  // the formats without infinity and NaN

constexpr Policies kKeepSign = {.nan = KeepSign};

// ml_dtypes and PyTorch round binary32 numbers to e8m0 by their highest mantissa bits, which in a subnormal do not
// follow an implicit bit: all between 2^-127 and 2^-126 go up.
uint32_t subnormals_go_up(const Format&, const Real& x, uint32_t code) {
  const bool is_between = x.kind == Real::Kind::Finite && !x.negative && x.exponent == -127 && x.significand << 1 != 0;
  return is_between ? 1 : code;
}
uint32_t subnormals_of_any_sign_go_up(const Format& format, const Real& x, uint32_t code) {
  Real magnitude = x;
  magnitude.negative = false;
  return subnormals_go_up(format, magnitude, code);
}

// gfloat has one NaN code, the highest.
uint32_t nan_is_highest_code(const Format& format, const Real&, uint32_t code) {
  const bool has_choice = format.nan != NanCodes::NegativeZero && classify(format, code) == CodeClass::Nan;
  return has_choice ? uint32_t((uint64_t{1} << format.bits()) - 1) : code;
}

// FPy puts the sign of what became NaN, positive where it was a NaN, before the zero magnitude of an FNUZ NaN.
uint32_t nan_without_sign_is_zero(const Format& format, const Real& x, uint32_t code) {
  const bool is_negative = x.negative && x.kind != Real::Kind::Nan;
  return classify(format, code) == CodeClass::Nan && !is_negative ? 0 : code;
}

// torchao takes a NaN for the number 1.5 · 2^128 and keeps the low bits of its code.
uint32_t nan_is_number(const Format& format, const Real& x, uint32_t code) {
  if (x.kind != Real::Kind::Nan) return code;
  const uint32_t index = (uint32_t(128 + format.bias) << format.mantissa_bits) | 1u << (format.mantissa_bits - 1);
  const uint32_t magnitude_mask = (1u << format.magnitude_bits()) - 1;
  return (index & magnitude_mask) | uint32_t{x.negative} << format.magnitude_bits();
}

// Transformer Engine's Python reference compares: -0 is not below zero, what rounds to it is.
uint32_t zero_is_positive(const Format&, const Real& x, uint32_t code) { return x.kind == Real::Kind::Zero ? 0 : code; }

Format as_e4m3fn(const Format&) { return parse_format("e4m3fn"); }

// Every code is a number.
Format as_finite(const Format& format) {
  return parse_format(fmt::format("e{}m{}finite", format.exponent_bits, format.mantissa_bits));
}

Format without_subnormals(const Format& format) {
  Format target = format;
  target.name = FormatName(fmt::format("{}_flush", std::string_view(format.name)));
  target.subnormals = false;
  return target;
}

Format as_narrow(const Format& format) {
  Format target = format;
  target.name = FormatName(fmt::format("{}_narrow", std::string_view(format.name)));
  target.narrow = true;
  return target;
}

// Fields that a row does not name have their defaults: ties to even, infinity else NaN on overflow, canonical NaN.
constexpr ProfileRow kRows[] = {
    {.profile = Ocp, .formats = "*", .evidence = Specified},

    {.profile = Cuda,
     .formats = "e4m3fn e5m2 e2m1 e3m2 e2m3",
     .source = Source::Binary32,
     .policies = {.overflow = Saturate, .nan = AllOnes, .negative = Absolute},
     .evidence = Verified},
    {.profile = Cuda,
     .formats = "e4m3fn e5m2 e2m1 e3m2 e2m3",
     .source = Source::Binary64,
     .policies = {.overflow = Saturate, .nan = Payload, .negative = Absolute},
     .evidence = Verified},
    {.profile = Cuda,
     .formats = "e8m0",
     .rounding = kUp,
     .policies = {.overflow = Saturate, .negative = Absolute},
     .evidence = Verified},
    {.profile = Cuda, .formats = "binary16 bfloat16", .policies = {.nan = AllOnes}, .evidence = Verified},
    {.profile = Cuda, .formats = "s2f6", .policies = {.overflow = Saturate}, .evidence = Specified},

    {.profile = CudaNosat,
     .formats = kOfp8,
     .source = Source::Binary32,
     .policies = {.nan = AllOnes},
     .evidence = Verified},
    {.profile = CudaNosat,
     .formats = kOfp8,
     .source = Source::Binary64,
     .policies = {.nan = Payload},
     .evidence = Verified},
    {.profile = CudaNosat,
     .formats = "e8m0",
     .rounding = kUp,
     .policies = {.negative = Absolute},
     .evidence = Verified},

    {.profile = MlDtypes,
     .formats = "e4m3fn e5m2 e4m3 e3m4 e4m3fnuz e5m2fnuz e4m3b11fnuz bfloat16",
     .policies = kKeepSign,
     .evidence = Verified},
    {.profile = MlDtypes, .formats = kFinite, .policies = {.nan = CrossedZero}, .evidence = Verified},
    {.profile = MlDtypes,
     .formats = "e8m0",
     .rounding = kTiesUp,
     .policies = {.missing_zero = MissingZero::Nan},
     .evidence = Verified,
     .exception = subnormals_go_up},
    {.profile = MlDtypes,
     .formats = "int2 int4",
     .rounding = Rounding::TowardZero,
     .policies = {.overflow = Wrap, .nan = Zero},
     .evidence = Verified},

    {.profile = MlDtypesSaturate,
     .formats = "e4m3fn e5m2 e4m3 e3m4 e4m3fnuz e5m2fnuz e4m3b11fnuz",
     .policies = {.overflow = SaturateFinite, .nan = KeepSign},
     .evidence = Verified},
    {.profile = MlDtypesSaturate, .formats = kFinite, .policies = {.nan = CrossedZero}, .evidence = Verified},
    {.profile = MlDtypesSaturate,
     .formats = "e8m0",
     .rounding = kTiesUp,
     .policies = {.overflow = SaturateFinite, .negative = ToZero},
     .evidence = Verified,
     .exception = subnormals_go_up},

    {.profile = Torch211, .formats = "e4m3fn e4m3fnuz e5m2fnuz", .policies = kKeepSign, .evidence = ReadInSource},
    {.profile = Torch211, .formats = "e5m2", .policies = {.nan = AllOnesKeepSign}, .evidence = ReadInSource},
    {.profile = Torch211,
     .formats = "e8m0",
     .rounding = kTiesUp,
     .policies = {.negative = Absolute},
     .evidence = ReadInSource,
     .exception = subnormals_of_any_sign_go_up},

    {.profile = Torch213,
     .formats = "e4m3fn",
     .policies = {.overflow = SaturateFinite, .nan = KeepSign},
     .evidence = Specified},
    {.profile = Torch213, .formats = kFnuz, .policies = kKeepSign, .evidence = ReadInSource},
    {.profile = Torch213, .formats = "e5m2", .policies = {.nan = AllOnesKeepSign}, .evidence = ReadInSource},
    {.profile = Torch213,
     .formats = "e8m0",
     .rounding = kTiesUp,
     .policies = {.negative = Absolute},
     .evidence = ReadInSource,
     .exception = subnormals_of_any_sign_go_up},

    {.profile = Cutlass,
     .formats = "e4m3fn e5m2 ue4m3",
     .policies = {.overflow = Saturate, .nan = AllOnes, .negative = Absolute},
     .evidence = Verified},
    {.profile = Cutlass,
     .formats = kFinite,
     .policies = {.overflow = Saturate, .nan = LargestKeepSign},
     .evidence = Verified},
    {.profile = Cutlass,
     .formats = "e8m0",
     .rounding = kUp,
     .policies = {.overflow = SaturateFinite, .negative = Absolute},
     .evidence = Verified},

    {.profile = CutlassDevice,
     .formats = "e4m3fn e5m2",
     .policies = {.overflow = Saturate, .nan = AllOnes},
     .evidence = ReadInSource},
    {.profile = CutlassDevice,
     .formats = "ue4m3",
     .policies = {.overflow = Saturate, .nan = AllOnes},
     .evidence = ReadInSource,
     .takes_for = as_e4m3fn},
    {.profile = CutlassDevice,
     .formats = "e8m0",
     .rounding = kUp,
     .policies = {.overflow = Saturate, .negative = Absolute},
     .evidence = ReadInSource},

    // but for binary32 numbers below 2^-69, which the header shifts by more bits than its word has
    {.profile = Hip,
     .formats = kOfp8,
     .policies = {.overflow = Saturate, .nan = AllOnesKeepSign, .overflow_test = OverflowTest::BeforeRounding},
     .evidence = Verified},
    {.profile = Hip,
     .formats = kFnuz,
     .policies = {.overflow = Saturate, .nan = LargestKeepSign, .overflow_test = OverflowTest::BeforeRounding},
     .evidence = Verified},
    {.profile = HipNosat,
     .formats = kFp8,
     .policies = {.nan = AllOnesKeepSign, .overflow_test = OverflowTest::BeforeRounding},
     .evidence = Verified},

    {.profile = Universal, .formats = kOfp8, .policies = kKeepSign, .evidence = Verified},
    {.profile = Universal, .formats = kFinite, .policies = {.overflow = Saturate, .nan = Zero}, .evidence = Verified},
    {.profile = Universal,
     .formats = "e8m0",
     .rounding = kTiesUp,
     .policies = {.overflow = Saturate, .negative = ToZero},
     .evidence = Verified},

    {.profile = Gfloat,
     .formats = "e4m3fn e5m2 e4m3fnuz e5m2fnuz binary16 bfloat16",
     .evidence = Verified,
     .exception = nan_is_highest_code},
    {.profile = Gfloat,
     .formats = "e2m1 e3m2 e2m3 s2f6",
     .evidence = Verified,
     .refuses = {.nan = true, .infinity = true, .overflow = true}},
    {.profile = Gfloat,
     .formats = "e8m0",
     .policies = {.missing_zero = MissingZero::NanBelow},
     .evidence = Verified,
     .refuses = {.negative = true, .tiny = true}},

    {.profile = GfloatSaturate,
     .formats = "e4m3fn e5m2 e4m3fnuz e5m2fnuz binary16 bfloat16",
     .policies = {.overflow = Saturate},
     .evidence = Verified,
     .exception = nan_is_highest_code},
    {.profile = GfloatSaturate,
     .formats = "e2m1 e3m2 e2m3 s2f6",
     .policies = {.overflow = Saturate},
     .evidence = Verified,
     .refuses = {.nan = true}},
    {.profile = GfloatSaturate,
     .formats = "e8m0",
     .policies = {.overflow = Saturate, .negative = Absolute, .missing_zero = MissingZero::NanBelow},
     .evidence = Verified,
     .refuses = {.negative = true, .tiny = true}},

    {.profile = Cpfloat,
     .formats = "e4m3fn",
     .evidence = Verified,
     .refuses = {.nan = true, .infinity = true, .overflow = true},
     .takes_for = as_finite},
    {.profile = Cpfloat, .formats = "bfloat16", .evidence = Verified, .takes_for = without_subnormals},
    {.profile = CpfloatSaturate,
     .formats = "e4m3fn",
     .policies = {.overflow = Saturate},
     .evidence = Verified,
     .refuses = {.nan = true},
     .takes_for = as_finite},

    {.profile = Qpytorch,
     .formats = kOfp8,
     .rounding = Rounding::TiesToAway,
     .policies = {.overflow = Saturate, .nan = LargestKeepSign},
     .evidence = ReadInSource,
     .takes_for = as_finite},

    {.profile = Apfloat,
     .formats = "e4m3fn e5m2 e4m3 e4m3fnuz e5m2fnuz e4m3b11fnuz binary16 bfloat16 tf32 binary32",
     .policies = {.nan = Payload},
     .evidence = Verified},
    {.profile = Apfloat, .formats = kFinite, .evidence = Verified, .refuses = {.nan = true, .infinity = true}},

    {.profile = OnnxSaturate,
     .formats = kOfp8,
     .policies = {.overflow = Saturate, .nan = KeepSign},
     .evidence = Specified},
    {.profile = OnnxSaturate, .formats = kFnuz, .policies = {.overflow = SaturateFinite}, .evidence = Specified},
    {.profile = OnnxSaturate, .formats = "e2m1", .policies = {.overflow = Saturate}, .evidence = Specified},
    {.profile = OnnxSaturate,
     .formats = "e8m0",
     .rounding = kUp,
     .policies = {.overflow = Saturate},
     .evidence = Specified,
     .refuses = {.infinity = true, .negative = true, .tiny = true}},
    {.profile = OnnxNosat, .formats = kFp8, .policies = kKeepSign, .evidence = Specified},
    {.profile = OnnxNosat, .formats = "e2m1", .policies = {.overflow = Saturate}, .evidence = Specified},

    {.profile = Onednn,
     .formats = "e8m0",
     .rounding = Rounding::TowardZero,
     .policies = {.negative = Absolute},
     .evidence = Specified},

    {.profile = Riscv, .formats = kOfp8, .policies = {.overflow = Saturate, .nan = AllOnes}, .evidence = Specified},
    {.profile = RiscvNosat, .formats = kOfp8, .policies = {.nan = AllOnes}, .evidence = Specified},

    {.profile = P3109SatNone,
     .formats = "*",
     .policies = {.negative = BelowRange, .missing_infinity = MissingInfinity::Largest},
     .evidence = Specified},
    {.profile = P3109SatFinite,
     .formats = "*",
     .policies = {.overflow = Saturate, .negative = BelowRange},
     .evidence = Specified},
    {.profile = P3109SatPropagate,
     .formats = "*",
     .policies = {.overflow = SaturateFinite, .negative = BelowRange, .missing_infinity = MissingInfinity::Largest},
     .evidence = Specified},

    {.profile = Triton, .formats = "e4m3fn", .policies = {.overflow = Saturate, .nan = AllOnes}, .evidence = Specified},
    {.profile = TritonSm89,
     .formats = "e4m3fn",
     .policies = {.overflow = Saturate, .nan = AllOnes},
     .evidence = Specified,
     .by_way_of = "binary16"},

    {.profile = Microxcaling,
     .formats = "e4m3fn e5m2 e3m2 e2m3 e2m1",
     .rounding = Rounding::TiesToAway,
     .policies = {.overflow = Saturate},
     .evidence = ReadInSource,
     .refuses = {.nan = true, .infinity = true}},
    {.profile = Microxcaling,
     .formats = "s2f6",
     .rounding = Rounding::TiesToAway,
     .policies = {.overflow = Saturate},
     .evidence = ReadInSource,
     .refuses = {.nan = true, .infinity = true},
     .takes_for = as_narrow},

    {.profile = Torchao,
     .formats = kFinite,
     .policies = {.overflow = Saturate},
     .evidence = ReadInSource,
     .exception = nan_is_number},

    {.profile = Te,
     .formats = "e8m0",
     .rounding = kUp,
     .policies = {.overflow = Saturate, .negative = Absolute},
     .evidence = ReadInSource},
    {.profile = TePython,
     .formats = "e2m1",
     .policies = {.overflow = Saturate, .nan = Zero},
     .evidence = ReadInSource,
     .exception = zero_is_positive},

    {.profile = Fouroversix,
     .formats = "e2m1",
     .policies = {.overflow = Saturate, .zero = ZeroPolicy::Positive},
     .evidence = ReadInSource,
     .refuses = {.nan = true}},

    {.profile = Fpy, .formats = "e4m3fn e5m2 e2m1 e3m2 e2m3", .evidence = Verified},
    {.profile = Fpy, .formats = kFnuz, .evidence = Verified, .exception = nan_without_sign_is_zero},
    {.profile = Fpy,
     .formats = "e8m0",
     .rounding = kTiesUp,
     .policies = {.missing_zero = MissingZero::NanBelow},
     .evidence = Verified},
    {.profile = Fpy,
     .formats = "s2f6",
     .policies = {.overflow = Wrap},
     .evidence = Verified,
     .refuses = {.nan = true, .infinity = true}},
};

// Whether `word` is one of the words of `list`.
bool contains(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

bool refuses(const ProfileCast& cast, const Real& x, uint32_t random) {
  const Refusals& refused = cast.row->refuses;
  const Format& format = cast.format;
  switch (x.kind) {
    case Real::Kind::Nan: return refused.nan;
    case Real::Kind::Infinity: return refused.infinity;
    case Real::Kind::Zero: return refused.tiny && !format.has_zero;
    case Real::Kind::Finite: break;
  }
  if (refused.negative && x.negative && !format.is_signed()) return true;
  if (refused.tiny && !format.has_zero && x.exponent < format.min_exponent()) {
    Projection strict = cast.projection;
    strict.policies = {.negative = Absolute, .missing_zero = MissingZero::NanBelow};
    return classify(format, encode(format, strict, x, random)) == CodeClass::Nan;
  }
  return refused.overflow && overflows_to_infinity(format, cast.projection, x, random);
}

}  // namespace

std::span<const ProfileRow> profile_rows() { return kRows; }

std::string known_formats(Profile profile) {
  std::string all;
  for (const ProfileRow& row : kRows)
    if (row.profile == profile && row.source != Source::Binary64) all += fmt::format("{} ", row.formats);
  all.pop_back();
  return all;
}

bool ProfileCast::is_plain() const {
  const Refusals& refused = row->refuses;
  const bool refuses_any = refused.nan || refused.infinity || refused.overflow || refused.negative || refused.tiny;
  return !refuses_any && row->by_way_of.empty() && row->exception == nullptr;
}

std::optional<uint32_t> ProfileCast::encode(const Real& given, uint32_t random) const {
  Real x = given;
  if (!row->by_way_of.empty()) {
    const Format between = parse_format(row->by_way_of);
    const Projection truncation{.rounding = Rounding::TowardZero, .policies = {.nan = Payload}};
    x = Real::of(halfulp::decode(between, halfulp::encode(between, truncation, x)));
  }
  if (refuses(*this, x, random)) return std::nullopt;
  const uint32_t code = halfulp::encode(format, projection, x, random);
  return row->exception == nullptr ? code : row->exception(format, x, code);
}

std::optional<ProfileCast> find_cast(Profile profile, const Format& format, Source source) {
  for (const ProfileRow& row : kRows) {
    const bool holds = row.profile == profile && row.source.value_or(source) == source;
    if (holds && (row.formats == "*" || contains(row.formats, format.name)))
      return ProfileCast{&row,
                         row.takes_for == nullptr ? format : row.takes_for(format),
                         {.rounding = row.rounding, .policies = row.policies}};
  }
  return std::nullopt;
}

ProfileCast profile_cast(Profile profile, const Format& format, Source source) {
  const std::optional<ProfileCast> cast = find_cast(profile, format, source);
  if (!cast)
    throw std::invalid_argument(fmt::format("profile {} does not cast to {}; it knows {}", name(profile),
                                            std::string_view(format.name), known_formats(profile)));
  return *cast;
}

Policies policies(Profile profile, Source source) {
  for (const ProfileRow& row : kRows)
    if (row.profile == profile && row.source.value_or(source) == source) return row.policies;
  return {};
}

double decode(Profile profile, const Format& format, uint32_t code) {
  const bool shifts = profile == Triton || profile == Fouroversix;
  if (shifts && !format.has_zero && code == 0) return 0;
  return decode(format, code);
}

}  // namespace halfulp
