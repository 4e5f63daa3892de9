#include "cli/words.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <stdexcept>

#include "cli/streams.h"

namespace halfulp::cli {

std::string Word::where() const {
  constexpr size_t kMostShown = 60;
  const bool is_long = text.size() > kMostShown;
  return fmt::format("{} {} '{}{}'", is_input_line ? "standard input, line" : "argument", index + 1,
                     printable(text.substr(0, kMostShown)), is_long ? "..." : "");
}

void for_each_word(const std::vector<std::string>& arguments, const std::function<void(const Word&)>& visit) {
  for (size_t i = 0; i < arguments.size(); ++i) visit({arguments[i], i, false});
  if (!arguments.empty()) return;
  if (isatty(STDIN_FILENO)) fmt::print(stderr, "reading from the terminal, one a line; Ctrl-D ends\n");
  for_each_input_line([&](std::string_view line, size_t number) { visit({line, number - 1, true}); });
}

std::optional<double> number_of(std::string_view word, Source source) {
  const std::string text(word);
  char* end = nullptr;
  const double value =
      source == Source::Binary32 ? double(std::strtof(text.c_str(), &end)) : std::strtod(text.c_str(), &end);
  const bool has_space = !text.empty() && std::isspace(static_cast<unsigned char>(text[0]));
  const bool has_payload = text.find('(') != std::string::npos;  // strtod's nan(...)
  if (text.empty() || has_space || has_payload || end != text.c_str() + text.size()) return std::nullopt;
  return value;
}

double parse_number(const Word& word, Source source) {
  if (const std::optional<double> value = number_of(word.text, source)) return *value;
  throw std::invalid_argument(
      fmt::format("{}: not a number; decimal (-1.5e3), hexadecimal (0x1.8p+1), nan or inf", word.where()));
}

uint32_t parse_code(const Word& word, const Format& format) {
  std::string_view digits = word.text;
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  const uint64_t largest = (uint64_t{1} << format.bits()) - 1;
  uint64_t code = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.starts_with('-') || code > largest)
    throw std::invalid_argument(fmt::format("{}: not a code of {}; hexadecimal from 0 to {:x}", word.where(),
                                            std::string_view(format.name), largest));
  return uint32_t(code);
}

std::string code_text(const Format& format, uint32_t code) {
  return fmt::format("{:0{}x}", code, (format.bits() + 3) / 4);
}

std::string hexfloat(double x) { return fmt::format("{:a}", x); }

std::string hexfloat(const Real& x) {
  if (x.is_binary64() || x.sticky) return hexfloat(x.nearest());
  std::string digits = fmt::format("{:016x}", x.significand << 1);
  digits.erase(digits.find_last_not_of('0') + 1);
  return fmt::format("{}0x1{}{}p{:+}", x.negative ? "-" : "", digits.empty() ? "" : ".", digits, x.exponent);
}

std::vector<Setting> parse_assignments(const std::vector<std::string>& words, std::string_view option) {
  std::vector<Setting> all;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
      throw std::invalid_argument(fmt::format("{}: '{}' is not KEY=VALUE", option, word));
    all.push_back({word.substr(0, equals), word.substr(equals + 1)});
  }
  return all;
}

std::string printable(std::string_view text) {
  std::string shown(text);
  std::ranges::replace_if(
      shown, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
  return shown;
}

}  // namespace halfulp::cli
