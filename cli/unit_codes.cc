#include "cli/unit_codes.h"

#include <fmt/format.h>

#include <bit>
#include <vector>

#include "formats/codec.h"
#include "formats/dot_product.h"

namespace halfulp::cli {

std::string code_text(std::string_view format, uint64_t code) {
  return fmt::format("{:0{}x}", code, (operand_bits(format) + 3) / 4);
}

std::string code_texts(std::string_view format, std::span<const uint64_t> codes) {
  std::vector<std::string> texts;
  for (const uint64_t code : codes) texts.push_back(code_text(format, code));
  return fmt::format("{}", fmt::join(texts, " "));
}

Cell code_value(std::string_view format, uint64_t code) {
  if (format == "binary64") return std::bit_cast<double>(code);
  if (format == "int32") return int64_t{int32_t(code)};
  return decode(parse_format(format), uint32_t(code));
}

}  // namespace halfulp::cli
