// Numbers and codes as text: the arguments of a verb or, where there are none, the lines of the standard input.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/format.h"
#include "formats/profile.h"
#include "sim/settings.h"

namespace halfulp::cli {

/// One of them.
struct Word {
  std::string_view text;
  size_t index;        // from 0
  bool is_input_line;  // otherwise an argument

  /// "argument 3 'x'" or "standard input, line 3 'x'".
  std::string where() const;
};

void for_each_word(const std::vector<std::string>& arguments, const std::function<void(const Word&)>& visit);

/// The number that all of the text spells (decimal, hexadecimal, nan, inf), correctly rounded to `source`; empty where
/// it spells none.
std::optional<double> number_of(std::string_view text, Source source);

/// The same of a word. Throws std::invalid_argument.
double parse_number(const Word& word, Source source);

/// The hexadecimal code that all of the word spells. Throws std::invalid_argument, also for a code out of range.
uint32_t parse_code(const Word& word, const Format& format);

/// In hexadecimal, with the digits that the format's widest code needs.
std::string code_text(const Format& format, uint32_t code);

std::string hexfloat(double x);

/// Exact, but of a number that has more than 64 bits the nearest binary64 number.
std::string hexfloat(const Real& x);

/// KEY=VALUE words of an option. Throws std::invalid_argument naming the option.
std::vector<Setting> parse_assignments(const std::vector<std::string>& words, std::string_view option);

/// Words of others for use in a message: a question mark in place of each control character.
std::string printable(std::string_view text);

/// Calls visit with a value of the smallest of uint8_t, uint16_t and uint32_t that holds codes of so many bits.
template <class Visitor>
void with_code_type(int bits, Visitor visit) {
  if (bits <= 8) return visit(uint8_t{});
  if (bits <= 16) return visit(uint16_t{});
  visit(uint32_t{});
}

/// The same for the format's codes.
template <class Visitor>
void with_code_type(const Format& format, Visitor visit) {
  with_code_type(format.bits(), visit);
}

}  // namespace halfulp::cli
