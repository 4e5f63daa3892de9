// LLVM's APFloat as a second oracle, for the formats and roundings it has.
#include <gtest/gtest.h>

#include <llvm/ADT/APFloat.h>

#include <bit>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "formats/codec.h"
#include "formats/format.h"
#include "formats/profile.h"
#include "tests/cast_cases.h"
#include "tests/oracle.h"

namespace halfulp {
namespace {

using llvm::APFloat;
using oracle::Oracle;

struct Peer {
  const char* format;
  const llvm::fltSemantics& semantics;
};

const Peer kPeers[] = {
    {"binary16", APFloat::IEEEhalf()},       {"bfloat16", APFloat::BFloat()},
    {"tf32", APFloat::FloatTF32()},          {"binary32", APFloat::IEEEsingle()},
    {"e5m2", APFloat::Float8E5M2()},         {"e5m2fnuz", APFloat::Float8E5M2FNUZ()},
    {"e4m3", APFloat::Float8E4M3()},         {"e4m3fn", APFloat::Float8E4M3FN()},
    {"e4m3fnuz", APFloat::Float8E4M3FNUZ()}, {"e4m3b11fnuz", APFloat::Float8E4M3B11FNUZ()},
    {"e3m2", APFloat::Float6E3M2FN()},       {"e2m3", APFloat::Float6E2M3FN()},
    {"e2m1", APFloat::Float4E2M1FN()},
};

struct PeerRounding {
  Rounding rounding;
  llvm::RoundingMode mode;
};

constexpr PeerRounding kRoundings[] = {
    {Rounding::TiesToEven, llvm::RoundingMode::NearestTiesToEven},
    {Rounding::TiesToAway, llvm::RoundingMode::NearestTiesToAway},
    {Rounding::TowardZero, llvm::RoundingMode::TowardZero},
    {Rounding::TowardPositive, llvm::RoundingMode::TowardPositive},
    {Rounding::TowardNegative, llvm::RoundingMode::TowardNegative},
};

double decode_by_peer(const Peer& peer, uint32_t code) {
  APFloat value(peer.semantics, llvm::APInt(APFloat::getSizeInBits(peer.semantics), code));
  bool loses_info = false;
  value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses_info);
  return value.convertToDouble();
}

uint32_t encode_by_peer(const Peer& peer, llvm::RoundingMode mode, double x) {
  APFloat value(x);
  bool loses_info = false;
  value.convert(peer.semantics, mode, &loses_info);
  return uint32_t(value.bitcastToAPInt().getZExtValue());
}

TEST(ApFloat, decodes_every_code_alike) {
  for (const Peer& peer : kPeers) {
    const Format format = parse_format(peer.format);
    if (format.bits() > 19) continue;
    for (uint32_t code = 0; code < 1u << format.bits(); ++code) {
      const double got = decode(format, code), want = decode_by_peer(peer, code);
      ASSERT_EQ(std::isnan(got), std::isnan(want)) << peer.format << " " << code;
      if (std::isnan(got)) continue;
      ASSERT_EQ(std::bit_cast<uint64_t>(got), std::bit_cast<uint64_t>(want)) << peer.format << " " << code;
    }
  }
}

TEST(ApFloat, rounds_every_number_and_midpoint_and_their_neighbours_as_its_profile) {
  int formats = 0;
  uint64_t compared = 0;
  for (const Peer& peer : kPeers) {
    const Format format = parse_format(peer.format);
    if (format.bits() > 19) continue;
    ++formats;
    const Oracle oracle(format);
    Mismatches mismatches(oracle);
    ProfileCast cast = profile_cast(Profile::Apfloat, format, Source::Binary64);
    for (const double x : structured_doubles(oracle, format.bits() <= 8 ? 8 : 2)) {
      // APFloat defines neither infinities nor NaNs for formats without them
      if (!std::isfinite(x) && format.nan == NanCodes::None) {
        EXPECT_FALSE(cast.encode(Real::of(x)));
        continue;
      }
      for (const auto& [rounding, mode] : kRoundings) {
        cast.projection.rounding = rounding;
        const std::optional<uint32_t> got = cast.encode(Real::of(x));
        mismatches.expect_equal(got.value_or(~0u), encode_by_peer(peer, mode, x), cast.projection, x);
        ++compared;
      }
    }
  }
  fmt::print("{} formats, {} roundings, {} casts compared\n", formats, std::size(kRoundings), compared);
  EXPECT_EQ(formats, 12);
  EXPECT_GT(compared, 5'000'000u);
}

TEST(ApFloat, rounds_random_numbers_to_wide_formats_alike) {
  for (const Peer& peer : kPeers) {
    const Format format = parse_format(peer.format);
    if (format.bits() <= 16) continue;
    const auto random = [&](uint32_t i) { return random_words({.seed = 8, .stream = Stream::Data}, i); };
    for (uint32_t i = 0; i < 100'000; ++i) {
      // the upper 29 bits of a float, and a tail that is far from, near or on a tie
      const uint64_t tail = random(i)[1] % 4 == 0 ? 0x10000000 : random(i)[1] % 4 == 1 ? 0x0fffffff : random(i)[2];
      const double base = std::bit_cast<float>(random(i)[0] & (random(i)[3] % 2 ? 0xffffffff : 0xffffe000));
      const double x = std::bit_cast<double>(std::bit_cast<uint64_t>(base) ^ (tail & 0x1fffffff));
      if (!std::isfinite(x)) continue;
      for (const auto& [rounding, mode] : kRoundings)
        ASSERT_EQ(encode(format, {rounding, 0, {}}, Real::of(x)), encode_by_peer(peer, mode, x))
            << peer.format << " " << name(rounding) << fmt::format(" {:a}", x);
    }
  }
}

}  // namespace
}  // namespace halfulp
