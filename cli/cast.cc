#include "formats/cast.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/policy_arguments.h"
#include "cli/rounding_arguments.h"
#include "cli/streams.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "formats/codec.h"
#include "formats/profile.h"

namespace halfulp::cli {
namespace {

struct CastArguments {
  std::optional<Format> format;
  RoundingArguments rounding;
  PolicyArguments policies;
  Source source = Source::Binary64;
  bool binary = false;
  TableStyle style = TableStyle::Aligned;
  std::vector<std::string> values;
};

// The profile's cast, changed by what is given besides. Settles the rounding.
ProfileCast chosen_cast(CastArguments& given) {
  ProfileCast cast = given.policies.cast(*given.format, given.source);
  given.rounding.check(cast.projection.rounding);
  cast.projection.rounding = given.rounding.rounding;
  cast.projection.random_bits = given.rounding.bits();
  return cast;
}

void check_binary(const CastArguments& given) {
  if (!given.values.empty()) throw std::invalid_argument("--binary reads the standard input and takes no VALUE");
  if (given.style != TableStyle::Aligned) throw std::invalid_argument("--binary writes raw codes, not --json or --csv");
  if (given.rounding.random) throw std::invalid_argument("--binary takes its random bits from --seed, not --random");
}

// Random numbers in the order of the values.
class RandomNumbers {
 public:
  explicit RandomNumbers(const RoundingArguments& given) : given_(given) {
    if (given.random) numbers_ = given.random_numbers();
  }

  uint32_t at(size_t index) const {
    if (!is_stochastic(given_.rounding)) return 0;
    if (!given_.random) return random_bits(given_.site(), uint32_t(index), given_.bits());
    if (index >= numbers_.size())
      throw std::invalid_argument(
          fmt::format("--random: one number per value; {} numbers, more values", numbers_.size()));
    return numbers_[index];
  }

  void check_all_used(size_t count) const {
    if (count < numbers_.size())
      throw std::invalid_argument(
          fmt::format("--random: one number per value; {} numbers, {} values", numbers_.size(), count));
  }

 private:
  const RoundingArguments& given_;
  std::vector<uint32_t> numbers_;
};

void cast_text(const CastArguments& given, const ProfileCast& cast) {
  const RandomNumbers random(given.rounding);
  Table table(given.style, {{"input"}, {"code"}, {"value"}, {"decimal", Align::Right}});
  size_t count = 0;
  for_each_word(given.values, [&](const Word& word) {
    const Real x = Real::of(parse_number(word, given.source));
    const std::optional<uint32_t> code = cast.encode(x, random.at(word.index));
    if (code)
      table.add({text(word.text), code_text(cast.format, *code), hexfloat(decode_exactly(cast.format, *code)),
                 decode(cast.format, *code)});
    else
      table.add({text(word.text), {}, {}, {}});
    ++count;
  });
  random.check_all_used(count);
  table.finish();
}

// Calls encode_run(numbers, codes, site, first index) for whole runs of one step: element indices have 32 bits.
template <class Number, class Code, class EncodeRun>
void cast_records(const RandomSite& seeded, EncodeRun encode_run) {
  constexpr uint64_t kIndices = uint64_t{1} << 32;
  std::vector<Code> codes;
  uint64_t done = 0;
  for_each_input_records<Number>([&](std::span<const Number> numbers) {
    codes.resize(numbers.size());
    for (size_t begin = 0, count; begin < numbers.size(); begin += count, done += count) {
      count = size_t(std::min<uint64_t>(numbers.size() - begin, kIndices - done % kIndices));
      RandomSite site = seeded;
      site.step = uint32_t(done / kIndices);
      encode_run(numbers.subspan(begin, count), std::span(codes).subspan(begin, count), site, uint32_t(done));
    }
    write_output(std::as_bytes(std::span(codes)));
  });
}

// The code of record `index`, where the profile has one.
uint32_t require_code(const CastArguments& given, std::optional<uint32_t> code, double x, uint64_t index) {
  if (!code)
    throw std::invalid_argument(fmt::format("standard input, number {}: {} has no code in profile {}", index + 1, x,
                                            name(given.policies.profile)));
  return *code;
}

// One by one, by the reference.
template <class Number, class Code>
void cast_slowly(const CastArguments& given, const ProfileCast& cast) {
  const Projection& projection = cast.projection;
  const bool stochastic = is_stochastic(projection.rounding);
  uint64_t done = 0;
  cast_records<Number, Code>(given.rounding.site(), [&](std::span<const Number> x, std::span<Code> codes,
                                                        const RandomSite& site, uint32_t first) {
    for (size_t i = 0; i < x.size(); ++i, ++done) {
      const uint32_t random = stochastic ? random_bits(site, first + uint32_t(i), projection.random_bits) : 0;
      codes[i] = Code(require_code(given, cast.encode(Real::of(double(x[i])), random), double(x[i]), done));
    }
  });
}

template <class Code>
void cast_binary(const CastArguments& given, const ProfileCast& cast) {
  if (given.source == Source::Binary64) return cast_slowly<double, Code>(given, cast);
  if (!cast.is_plain()) return cast_slowly<float, Code>(given, cast);
  const Caster caster(cast.format, cast.projection);
  cast_records<float, Code>(given.rounding.site(),
                            [&](std::span<const float> x, std::span<Code> codes, const RandomSite& site,
                                uint32_t first) { caster.encode(x, codes, site, first); });
}

}  // namespace

int run_cast(Arguments& arguments) {
  CastArguments given;
  arguments.option("--format NAME", given.format, "Target: see `halfulp formats`", Need::Required);
  given.rounding.declare(arguments, true);
  given.policies.declare(arguments);
  arguments.option("--from NAME", given.source, "What a number is read as, to nearest, before the cast");
  arguments.flag("--binary", given.binary,
                 "Standard input is raw little-endian f32 or f64 (--from), output raw codes of 1, 2 or 4 bytes");
  arguments.list("VALUE", given.values,
                 "Decimal, hexadecimal (0x1.8p+1), nan or inf; without any, the lines of the standard input");
  arguments.table_style(given.style);
  arguments.parse();
  const ProfileCast cast = chosen_cast(given);
  if (!given.binary) {
    cast_text(given, cast);
    return 0;
  }
  check_binary(given);
  with_code_type(cast.format, [&]<class Code>(Code) { cast_binary<Code>(given, cast); });
  return 0;
}

}  // namespace halfulp::cli
