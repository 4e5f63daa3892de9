#include "formats/level_tables.h"

#include <algorithm>
#include <array>

namespace halfulp {
namespace {

constexpr uint64_t kOne = uint64_t{1} << -LevelTable::kStepExponent;

constexpr Level level(float magnitude, uint32_t code) { return {uint64_t(double(magnitude) * kOne), code}; }

// The distance of the last two once more.
template <size_t n>
constexpr std::array<Level, n + 1> with_next(const std::array<Level, n>& levels) {
  std::array<Level, n + 1> all = {};
  std::ranges::copy(levels, all.begin());
  all[n] = {2 * levels[n - 1].steps - levels[n - 2].steps, 0};
  return all;
}

// HiFloat8: after the sign, a prefix code says how many bits D the exponent has: 11 four, 10 three, 01 two, 001 one,
// 0001 none. The exponent is its own sign bit, then D - 1 bits after a leading 1 that is not stored. What is left is
// the mantissa. After 0000 come seven powers of two, and zero.
constexpr Level hifloat8_level(uint32_t code) {
  constexpr int kSmallest = -23;
  const int leading = code >> 5 != 0 ? 2 : code >> 4 != 0 ? 3 : 4;
  if (code >> 3 == 0) return {code == 0 ? 0 : kOne >> -kSmallest << code, code};
  const int digits = leading == 2 ? int(code >> 5) + 1 : leading == 3 ? 1 : 0;
  const int mantissa_bits = 7 - leading - digits;
  const uint32_t exponent_field = code >> mantissa_bits & ((1u << digits) - 1);
  const uint32_t leading_one = digits == 0 ? 0 : 1u << (digits - 1);
  const int magnitude = int(exponent_field | leading_one);
  const bool negative = (exponent_field & leading_one) != 0;
  const uint64_t significand = (uint64_t{1} << mantissa_bits) + (code & ((1u << mantissa_bits) - 1));
  const uint64_t unit = kOne >> mantissa_bits;
  return {negative ? (significand * unit) >> magnitude : (significand * unit) << magnitude, code};
}

// The code of infinity, 0x6f, would be the number after the largest.
constexpr std::array<Level, 128> hifloat8_levels() {
  std::array<Level, 128> levels = {};
  for (uint32_t code = 0; code < levels.size(); ++code) levels[code] = hifloat8_level(code);
  std::ranges::sort(levels, {}, &Level::steps);
  return levels;
}

constexpr std::array kHifloat8Levels = hifloat8_levels();
static_assert(kHifloat8Levels[126].code == 0x6e && kHifloat8Levels[126].steps == kOne << 15);
static_assert(kHifloat8Levels[127].code == 0x6f && kHifloat8Levels[1].steps == kOne >> 22);

constexpr std::array kNormalFloat4Positive = with_next(std::array{
    level(0, 7),
    level(0.07958029955625534f, 8),
    level(0.16093020141124725f, 9),
    level(0.24611230194568634f, 10),
    level(0.33791524171829224f, 11),
    level(0.44070982933044434f, 12),
    level(0.5626170039176941f, 13),
    level(0.7229568362236023f, 14),
    level(1, 15),
});
constexpr std::array kNormalFloat4Negative = with_next(std::array{
    level(0, 7),
    level(0.09105003625154495f, 6),
    level(0.18477343022823334f, 5),
    level(0.28444138169288635f, 4),
    level(0.39491748809814453f, 3),
    level(0.5250730514526367f, 2),
    level(0.6961928009986877f, 1),
    level(1, 0),
});

constexpr std::array kBitsandbytesFp4Levels = with_next(std::array{
    level(0, 0),
    level(0.0625f / 12, 1),
    level(2.0f / 12, 6),
    level(3.0f / 12, 7),
    level(4.0f / 12, 4),
    level(6.0f / 12, 5),
    level(8.0f / 12, 2),
    level(12.0f / 12, 3),
});

}  // namespace

const LevelTable kHifloat8 = {.levels = {kHifloat8Levels, kHifloat8Levels}, .min_normal = 0x1p-15};
const LevelTable kNormalFloat4 = {.levels = {kNormalFloat4Positive, kNormalFloat4Negative},
                                  .min_normal = 0.07958029955625534f};
const LevelTable kBitsandbytesFp4 = {.levels = {kBitsandbytesFp4Levels, kBitsandbytesFp4Levels},
                                     .min_normal = 0.0625f / 12};

}  // namespace halfulp
