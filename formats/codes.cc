#include "formats/codes.h"

#include <algorithm>

namespace halfulp {
namespace {

uint32_t all_codes(const Format& format) { return uint32_t((uint64_t{1} << format.bits()) - 1); }

// Where `code` stands in a list; the list's size where it does not.
uint32_t find(std::span<const Level> levels, uint32_t code) {
  const auto has_code = [&](const Level& level) { return level.code == code; };
  return uint32_t(std::ranges::find_if(levels, has_code) - levels.begin());
}

}  // namespace

SignedIndex signed_index(const Format& format, uint32_t code) {
  code &= all_codes(format);
  const uint32_t sign_bit = uint32_t{1} << (format.bits() - 1);
  const bool has_sign_bit = (code & sign_bit) != 0;
  const uint32_t magnitude = code & (sign_bit - 1);
  switch (format.encoding) {
    case Encoding::Unsigned: return {false, code};
    case Encoding::SignMagnitude:
      return {has_sign_bit, format.table == nullptr ? magnitude : find(format.table->levels[0], magnitude)};
    case Encoding::TwosComplement: return {has_sign_bit, has_sign_bit ? (0 - code) & all_codes(format) : code};
    case Encoding::Ascending: return {!has_sign_bit, has_sign_bit ? magnitude : sign_bit - 1 - magnitude};
    case Encoding::SignLogarithm: return {has_sign_bit, magnitude ^ sign_bit >> 1};
    case Encoding::Descending: return {false, has_sign_bit ? 0 : sign_bit - code};
    case Encoding::Listed: break;
  }
  const uint32_t index = find(format.table->levels[0], code);
  if (index <= format.max_index(false)) return {false, index};
  return {true, find(format.table->levels[1], code)};
}

uint32_t with_sign(const Format& format, bool negative, uint32_t index) {
  const uint32_t sign_bit = uint32_t{1} << (format.bits() - 1);
  const uint32_t sign = negative ? sign_bit : 0;
  switch (format.encoding) {
    case Encoding::Unsigned: return index;
    case Encoding::SignMagnitude: return sign | (format.table == nullptr ? index : format.table->levels[0][index].code);
    case Encoding::TwosComplement: return (negative ? 0 - index : index) & all_codes(format);
    case Encoding::Ascending: return negative ? sign_bit - 1 - index : sign_bit + index;
    case Encoding::SignLogarithm: return sign | (index ^ sign_bit >> 1);
    case Encoding::Descending: return sign_bit - index;
    case Encoding::Listed: break;
  }
  return format.table->levels[negative][index].code;
}

}  // namespace halfulp
