#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/streams.h"
#include "cli/unit_codes.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "formats/dot_product.h"

namespace halfulp::cli {
namespace {

// A part of a record: so many codes of one format.
struct Part {
  std::string_view name, format;
  size_t count;
  size_t bytes = code_bytes(format);  // of a code
  uint64_t largest = largest_code(format);
};

std::vector<Part> record_parts(const MatrixUnit& unit) {
  const size_t k = size_t(unit.k);
  std::vector<Part> parts = {{"a", unit.a, k}, {"b", unit.b, k}};
  if (!unit.scale.empty()) {
    const size_t scales = k / size_t(unit.scale_block);
    parts.push_back({"scale of a", unit.scale, scales});
    parts.push_back({"scale of b", unit.scale, scales});
  }
  parts.push_back({"c", unit.accumulator, 1});
  return parts;
}

// "4 a, 4 b, 1 c".
std::string parts_text(const std::vector<Part>& parts) {
  std::vector<std::string> texts;
  for (const Part& part : parts) texts.push_back(fmt::format("{} {}", part.count, part.name));
  return fmt::format("{}", fmt::join(texts, ", "));
}

size_t code_count(const std::vector<Part>& parts) {
  size_t count = 0;
  for (const Part& part : parts) count += part.count;
  return count;
}

// `codes` are those of one record, in the order of its parts.
uint64_t output_of(const MatrixUnit& unit, std::span<const uint64_t> codes) {
  const size_t k = size_t(unit.k), scales = unit.scale.empty() ? 0 : k / size_t(unit.scale_block);
  return dot_product_add(unit, {.a = codes.subspan(0, k),
                                .b = codes.subspan(k, k),
                                .c = codes.back(),
                                .a_scales = codes.subspan(2 * k, scales),
                                .b_scales = codes.subspan(2 * k + scales, scales)});
}

// The words between white space.
std::vector<std::string_view> split(std::string_view line) {
  constexpr std::string_view kSpace = " \t,";
  std::vector<std::string_view> words;
  for (size_t begin = 0; (begin = line.find_first_not_of(kSpace, begin)) != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(kSpace, begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

uint64_t parse_unit_code(std::string_view word, const Part& part, size_t index, size_t line) {
  std::string_view digits = word;
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  uint64_t code = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (error != std::errc() || end != digits.data() + digits.size() || code > part.largest)
    throw std::invalid_argument(
        fmt::format("standard input, line {}, {} {} '{}': not a code of {}; hexadecimal from 0 to {:x}", line,
                    part.name, index, printable(word.substr(0, 20)), part.format, part.largest));
  return code;
}

std::vector<uint64_t> parse_record(std::string_view text, const std::vector<Part>& parts, size_t line) {
  const std::vector<std::string_view> words = split(text);
  if (words.size() != code_count(parts))
    throw std::invalid_argument(fmt::format("standard input, line {}: {} codes; a record has {}: {}", line,
                                            words.size(), code_count(parts), parts_text(parts)));
  std::vector<uint64_t> codes;
  for (const Part& part : parts)
    for (size_t i = 0; i < part.count; ++i) codes.push_back(parse_unit_code(words[codes.size()], part, i, line));
  return codes;
}

void compute_text(const MatrixUnit& unit, TableStyle style) {
  const std::vector<Part> parts = record_parts(unit);
  Table table(style, {{"d"}, {"value", Align::Right}});
  for_each_input_line([&](std::string_view line, size_t number) {
    const uint64_t d = output_of(unit, parse_record(line, parts, number));
    table.add({code_text(unit.accumulator, d), code_value(unit.accumulator, d)});
  });
  table.finish();
}

// Reads one record of `bytes`, code by code.
std::vector<uint64_t> decode_record(std::span<const std::byte> bytes, const std::vector<Part>& parts, uint64_t record) {
  std::vector<uint64_t> codes;
  for (const Part& part : parts)
    for (size_t i = 0; i < part.count; ++i) {
      const size_t size = part.bytes;
      uint64_t code = 0;
      std::memcpy(&code, bytes.data(), size);
      bytes = bytes.subspan(size);
      if (code > part.largest)
        throw std::invalid_argument(
            fmt::format("standard input, record {}, {} {}: {:x} is not a code of {}; from 0 to {:x}", record, part.name,
                        i, code, part.format, part.largest));
      codes.push_back(code);
    }
  return codes;
}

void compute_binary(const MatrixUnit& unit) {
  const std::vector<Part> parts = record_parts(unit);
  size_t record_bytes = 0;
  for (const Part& part : parts) record_bytes += part.count * part.bytes;
  std::vector<std::byte> buffer(std::max(size_t{1} << 16, record_bytes)), results;
  size_t held = 0;
  uint64_t done = 0;
  while (const size_t arrived = read_input(std::span(buffer).subspan(held))) {
    held += arrived;
    results.clear();
    size_t at = 0;
    for (; held - at >= record_bytes; at += record_bytes) {
      const uint64_t d = output_of(unit, decode_record(std::span(buffer).subspan(at, record_bytes), parts, ++done));
      const std::span<const std::byte> bytes = std::as_bytes(std::span(&d, 1)).first(code_bytes(unit.accumulator));
      results.insert(results.end(), bytes.begin(), bytes.end());
    }
    write_output(std::span<const std::byte>(results));
    held -= at;
    std::memmove(buffer.data(), buffer.data() + at, held);
  }
  if (held > 0)
    throw std::invalid_argument(fmt::format("standard input ends {} bytes into a record of {} bytes: {}", held,
                                            record_bytes, parts_text(parts)));
}

}  // namespace

int run_mma(Arguments& arguments) {
  std::string unit;
  bool binary = false;
  TableStyle style = TableStyle::Aligned;
  arguments.option("--unit NAME", unit,
                   "See `halfulp units`; perhaps with changes, NAME:FIELD=VALUE,.... Records on the standard input are "
                   "lines of hexadecimal codes: k of a, k of b, with block scales k / scale_block of those of a and as "
                   "many of b, and c",
                   Need::Required);
  arguments.flag("--binary", binary,
                 "Records are raw little-endian codes instead, each in the fewest of 1, 2, 4 and 8 bytes that hold its "
                 "format (tf32: 4), and so are the outputs");
  arguments.table_style(style);
  arguments.parse();
  if (binary && style != TableStyle::Aligned)
    throw std::invalid_argument("--binary writes raw codes, not --json or --csv");
  const MatrixUnit parsed = parse_matrix_unit(unit);
  binary ? compute_binary(parsed) : compute_text(parsed, style);
  return 0;
}

}  // namespace halfulp::cli
