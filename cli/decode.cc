#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/streams.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "formats/profile.h"

namespace halfulp::cli {
namespace {

void decode_text(Profile profile, const Format& format, const std::vector<std::string>& codes, TableStyle style) {
  Table table(style, {{"code"}, {"value"}, {"decimal", Align::Right}, {"class"}});
  for_each_word(codes, [&](const Word& word) {
    const uint32_t code = parse_code(word, format);
    const double value = decode(profile, format, code);
    const bool is_exact = value == decode(format, code);  // else the profile reads another number
    const Real spelled = is_exact ? decode_exactly(format, code) : Real::of(value);
    table.add({code_text(format, code), hexfloat(spelled), value, text(name(classify(format, code)))});
  });
  table.finish();
}

template <class Code, class Number>
void decode_binary(Profile profile, const Format& format) {
  const uint64_t largest = (uint64_t{1} << format.bits()) - 1;
  std::vector<Number> values;
  uint64_t done = 0;
  for_each_input_records<Code>([&](std::span<const Code> codes) {
    values.clear();
    for (const Code code : codes) {
      if (code > largest)
        throw std::invalid_argument(fmt::format("standard input, code {}: {:x} is not a code of {}; from 0 to {:x}",
                                                done + values.size() + 1, code, std::string_view(format.name),
                                                largest));
      values.push_back(Number(decode(profile, format, code)));
    }
    done += codes.size();
    write_output(std::as_bytes(std::span(values)));
  });
}

}  // namespace

int run_decode(Arguments& arguments) {
  std::optional<Format> format;
  Profile profile = Profile::Ocp;
  std::optional<Source> target;
  bool binary = false;
  TableStyle style = TableStyle::Aligned;
  std::vector<std::string> codes;
  arguments.option("--format NAME", format, "Of the codes: see `halfulp formats`", Need::Required);
  arguments.option("--profile NAME", profile, "Whose reading: some make zero of the e8m0 code 00");
  arguments.flag("--binary", binary,
                 "Standard input is raw codes of 1, 2 or 4 bytes, output raw little-endian numbers");
  arguments.option("--to NAME", target, "With --binary: the numbers written (default f32)");
  arguments.list("CODE", codes, "Hexadecimal; without any, the lines of the standard input");
  arguments.table_style(style);
  arguments.parse();

  if (!binary) {
    if (target) throw std::invalid_argument("--to: only with --binary; text holds the exact values");
    decode_text(profile, *format, codes, style);
    return 0;
  }
  if (!codes.empty()) throw std::invalid_argument("--binary reads the standard input and takes no CODE");
  if (style != TableStyle::Aligned) throw std::invalid_argument("--binary writes raw numbers, not --json or --csv");
  const bool wide = target == Source::Binary64;
  if (!wide && !fits_binary32(*format))
    throw std::invalid_argument(
        fmt::format("{} has numbers that are no binary32 numbers; give --to f64", std::string_view(format->name)));
  with_code_type(*format, [&]<class Code>(Code) {
    wide ? decode_binary<Code, double>(profile, *format) : decode_binary<Code, float>(profile, *format);
  });
  return 0;
}

}  // namespace halfulp::cli
