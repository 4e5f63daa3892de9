#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/facts.h"
#include "cli/new_file.h"
#include "cli/policy_arguments.h"
#include "cli/rounding_arguments.h"
#include "cli/streams.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "formats/block_landmarks.h"
#include "formats/landmarks.h"

namespace halfulp::cli {
namespace {

enum class Kind { Decode, Cast, Scale, Block };

}  // namespace
}  // namespace halfulp::cli

template <>
struct halfulp::EnumNames<halfulp::cli::Kind> {
  using Kind = cli::Kind;
  static constexpr std::string_view kind = "kind of vectors";
  static constexpr NamedValue<Kind> values[] = {
      {Kind::Decode, "decode"}, {Kind::Cast, "cast"}, {Kind::Scale, "scale"}, {Kind::Block, "block"}};
};

namespace halfulp::cli {
namespace {

struct VectorsArguments {
  Kind kind = Kind::Cast;
  std::optional<Format> format;
  std::optional<std::string> block, out;
  std::string shape;
  std::optional<ScaleRule> rule;
  std::optional<Rounding> rounding;
  std::optional<int> random_bits;
  PolicyArguments policies;
  std::optional<uint64_t> limit;
};

// The options that only some kinds take.
struct Use {
  std::string_view option;
  std::vector<Kind> kinds;
};

const std::vector<Use>& uses() {
  static const std::vector<Use> all = {
      {"--format", {Kind::Decode, Kind::Cast}},
      {"--block", {Kind::Scale, Kind::Block}},
      {"--rounding", {Kind::Cast, Kind::Block}},
      {"--random-bits", {Kind::Cast, Kind::Block}},
      {"--profile", {Kind::Cast}},
      {"--overflow", {Kind::Cast}},
      {"--nan", {Kind::Cast}},
      {"--zero", {Kind::Cast}},
      {"--negative", {Kind::Cast}},
      {"--missing-infinity", {Kind::Cast}},
      {"--missing-zero", {Kind::Cast}},
      {"--overflow-test", {Kind::Cast}},
      {"--scale-rule", {Kind::Scale, Kind::Block}},
      {"--shape", {Kind::Scale, Kind::Block}},
  };
  return all;
}

void check(const Arguments& arguments, const VectorsArguments& given) {
  std::vector<std::string_view> allowed;
  for (const Use& use : uses())
    if (std::ranges::count(use.kinds, given.kind) > 0) allowed.push_back(use.option);
  for (const Use& use : uses())
    if (arguments.has(use.option) && std::ranges::count(allowed, use.option) == 0)
      throw std::invalid_argument(fmt::format("{}: not with --kind {}, which takes {}", use.option, name(given.kind),
                                              fmt::join(allowed, ", ")));
  if (!arguments.has(allowed.front()))
    throw std::invalid_argument(
        fmt::format("{} is missing: --kind {} needs one; --help shows an example", allowed.front(), name(given.kind)));
  if (given.limit == 0) throw std::invalid_argument("--limit: '0'; at least one row");
}

// Lines for a file, which appears when it is complete and is then reported, or for the standard output.
class Lines {
 public:
  explicit Lines(const std::optional<std::string>& path) : path_(path) {
    if (path) file_.emplace(*path);
  }

  void add(const std::string& line) {
    text_ += line;
    text_ += '\n';
    ++count_;
    if (text_.size() >= kHeld) write();
  }

  void finish() {
    write();
    if (!file_) return;
    file_->close();
    file_->commit();
    write_output(fmt::format("{}: {} lines\n", *path_, count_));
  }

 private:
  static constexpr size_t kHeld = size_t{1} << 18;

  void write() {
    file_ ? file_->write(std::as_bytes(std::span(text_))) : write_output(text_);
    text_.clear();
  }

  std::optional<std::string> path_;
  std::optional<NewFile> file_;
  std::string text_;
  size_t count_ = 0;
};

// Adds spell(case) for every case or, spread evenly, for as many as the limit allows.
template <class Case, class Spell>
void add_rows(Lines& lines, const std::vector<Case>& cases, const VectorsArguments& given, Spell spell) {
  const uint64_t count = cases.size(), wanted = std::min(given.limit.value_or(count), count);
  uint64_t due = 0;  // position · wanted modulo count
  for (const Case& each : cases) {
    if (due < wanted) lines.add(spell(each));
    due = due + wanted >= count ? due + wanted - count : due + wanted;
  }
}

// "key=value", in quotes where it has to be kept together.
std::string fact_text(const Field& field) {
  const std::string value = spelled(field.value);
  const bool is_word = !value.empty() && value.find(' ') == std::string::npos;
  return fmt::format(" {}={}{}{}", field.name, is_word ? "" : "\"", value, is_word ? "" : "\"");
}

std::string first_line(const VectorsArguments& given, const std::vector<Field>& fields) {
  std::string line = fmt::format("# halfulp {} vectors kind={}", HALFULP_VERSION, name(given.kind));
  for (const Field& field : fields) line += fact_text(field);
  if (given.limit) line += fmt::format(" limit={}", *given.limit);
  return line;
}

std::string f32_text(float x) { return fmt::format("{:08x}", std::bit_cast<uint32_t>(x)); }

void add_rounding(std::vector<Field>& fields, Rounding rounding, const VectorsArguments& given) {
  fields.push_back({"rounding", text(name(rounding))});
  if (given.random_bits) fields.push_back({"random_bits", int64_t{*given.random_bits}});
}

void write_decode(const VectorsArguments& given) {
  const Format& format = *given.format;
  Lines lines(given.out);
  lines.add(first_line(given, format_facts(format)));
  lines.add("code value class");
  add_rows(lines, landmark_codes(format), given, [&](uint32_t code) {
    return fmt::format("{} {} {}", code_text(format, code), hexfloat(decode_exactly(format, code)),
                       name(classify(format, code)));
  });
  lines.finish();
}

struct CastCase {
  float x;
  uint32_t random;
};

std::vector<CastCase> cast_cases(const Caster& caster) {
  const bool stochastic = is_stochastic(caster.projection().rounding);
  std::vector<CastCase> cases;
  for (const uint32_t random :
       stochastic ? random_landmarks(caster.projection().random_bits) : std::vector<uint32_t>{0})
    for (const float x : cast_landmarks(caster, random)) cases.push_back({x, random});
  return cases;
}

std::vector<Field> cast_facts(const ProfileCast& cast, const VectorsArguments& given) {
  const Policies& policies = cast.projection.policies;
  std::vector<Field> fields = format_facts(cast.format);
  add_rounding(fields, cast.projection.rounding, given);
  fields.push_back({"profile", text(name(given.policies.profile))});
  fields.push_back({"overflow_policy", text(name(policies.overflow))});
  fields.push_back({"nan_policy", text(name(policies.nan))});
  fields.push_back({"zero_policy", text(name(policies.zero))});
  fields.push_back({"negative_policy", text(name(policies.negative))});
  fields.push_back({"missing_infinity_policy", text(name(policies.missing_infinity))});
  fields.push_back({"missing_zero_policy", text(name(policies.missing_zero))});
  fields.push_back({"overflow_test", text(name(policies.overflow_test))});
  return fields;
}

// Numbers for which the profile has no code are left out.
void write_cast(const VectorsArguments& given) {
  ProfileCast cast = given.policies.cast(*given.format, Source::Binary32);
  cast.projection.rounding = given.rounding.value_or(cast.projection.rounding);
  cast.projection.random_bits = given.random_bits.value_or(0);
  check_random_bits(cast.projection.rounding, given.random_bits);
  const bool stochastic = is_stochastic(cast.projection.rounding);
  const auto code_of = [&](const CastCase& each) { return cast.encode(Real::of(double{each.x}), each.random); };
  std::vector<CastCase> cases = cast_cases(Caster(cast.format, cast.projection));
  std::erase_if(cases, [&](const CastCase& each) { return !code_of(each); });
  Lines lines(given.out);
  lines.add(first_line(given, cast_facts(cast, given)));
  lines.add(stochastic ? "input f32 random code value" : "input f32 code value");
  add_rows(lines, cases, given, [&](const CastCase& each) {
    const uint32_t code = *code_of(each);
    std::string row = fmt::format("{} {}", hexfloat(double{each.x}), f32_text(each.x));
    if (stochastic) row += fmt::format(" {}", each.random);
    return row + fmt::format(" {} {}", code_text(cast.format, code), hexfloat(decode_exactly(cast.format, code)));
  });
  lines.finish();
}

BlockFormat block_format(const VectorsArguments& given, std::optional<ScaleRule> rule) {
  constexpr int64_t kMostNumbers = 65536;
  const auto make = [&] {
    try {
      return make_block_format(*given.block, rule, given.shape);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(fmt::format("--block, --scale-rule, --shape: {}", error.what()));
    }
  };
  const BlockFormat format = make();
  if (int64_t{format.rows} * format.cols > kMostNumbers)
    throw std::invalid_argument(fmt::format("--shape: blocks of {} x {} numbers; vectors hold blocks of at most {}",
                                            format.rows, format.cols, kMostNumbers));
  return format;
}

std::vector<Field> block_facts(const BlockFormat& format) {
  std::vector<Field> fields = {{"block", text(format.name)},
                               {"rows", int64_t{format.rows}},
                               {"cols", int64_t{format.cols}},
                               {"tensor_scale", format.has_tensor_scale},
                               {"source", text(format.source)}};
  for (const auto& [part, of] : {std::pair("element", format.element), std::pair("scale", format.scale)})
    for (const Field& field : format_facts(of)) fields.push_back({fmt::format("{}.{}", part, field.name), field.value});
  return fields;
}

struct RuledScaleCase {
  const BlockQuantizer* quantizer;
  ScaleCase block;
};

// The rules that the block format leaves open but for the stochastic one, or the one it states or was given.
std::vector<BlockQuantizer> ruled_quantizers(const VectorsArguments& given) {
  const BlockRow* row = find_block_row(*given.block);
  const bool is_open = row != nullptr && scale_rules(*row).size() > 1 && !given.rule;
  if (!is_open) return {BlockQuantizer(block_format(given, given.rule), Rounding::TiesToEven)};
  std::vector<BlockQuantizer> all;
  for (const ScaleRule rule : scale_rules(*row))
    if (rule != ScaleRule::Stochastic) all.emplace_back(block_format(given, rule), Rounding::TiesToEven);
  return all;
}

void write_scale(const VectorsArguments& given) {
  const std::vector<BlockQuantizer> quantizers = ruled_quantizers(given);
  const Format& scale = quantizers.front().format().scale;
  std::vector<RuledScaleCase> cases;
  for (const BlockQuantizer& quantizer : quantizers)
    for (const ScaleCase& each : scale_landmarks(quantizer)) cases.push_back({&quantizer, each});
  Lines lines(given.out);
  lines.add(first_line(given, block_facts(quantizers.front().format())));
  lines.add("rule amax amax_f32 array_amax array_amax_f32 code value");
  add_rows(lines, cases, given, [&](const RuledScaleCase& each) {
    const uint32_t code = scale_code(*each.quantizer, each.block);
    return fmt::format("{} {} {} {} {} {} {}", name(each.quantizer->format().rule), hexfloat(double{each.block.amax}),
                       f32_text(each.block.amax), hexfloat(double{each.block.array_amax}),
                       f32_text(each.block.array_amax), code_text(scale, code), hexfloat(decode(scale, code)));
  });
  lines.finish();
}

// spell(0),spell(1),… up to count.
template <class Spell>
std::string listed(size_t count, Spell spell) {
  std::string list;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) list += ',';
    list += spell(i);
  }
  return list;
}

// The number that a block's element stands for, without the tensor scale.
double element_value(const BlockFormat& format, const BlockCase& array, const BlockCodes& result, size_t i) {
  const int row = int(i) / array.cols, col = int(i) % array.cols;
  const int blocks_in_row = format.cols == 0 ? 1 : (array.cols + format.cols - 1) / format.cols;
  const int block =
      (format.rows == 0 ? 0 : row / format.rows) * blocks_in_row + (format.cols == 0 ? 0 : col / format.cols);
  const uint32_t scale = result.scales[size_t(block)];
  return halfulp::element_value(format, scale, result.codes[i]) * scale_value(format, scale);
}

std::string block_row(const BlockQuantizer& quantizer, int random_bits_per_number, const BlockCase& array) {
  const BlockFormat& format = quantizer.format();
  const RandomSite site;
  const BlockCodes result = quantizer.quantize_reference(array.x, array.rows, array.cols, site);
  const size_t count = array.x.size();
  std::string row = fmt::format("{} {} {} {}", array.name, array.rows, array.cols,
                                listed(count, [&](size_t i) { return f32_text(array.x[i]); }));
  if (random_bits_per_number > 0)
    row += ' ' + listed(count, [&](size_t i) {
             return fmt::format("{}", random_bits(site, uint32_t(i), random_bits_per_number));
           });
  return row +
         fmt::format(" {} {} {} {}", hexfloat(double{result.tensor_scale}),
                     listed(result.scales.size(), [&](size_t i) { return code_text(format.scale, result.scales[i]); }),
                     listed(count, [&](size_t i) { return code_text(format.element, result.codes[i]); }),
                     listed(count, [&](size_t i) { return hexfloat(element_value(format, array, result, i)); }));
}

void write_block(const VectorsArguments& given) {
  const Rounding rounding = given.rounding.value_or(Rounding::TiesToEven);
  const int bits = given.random_bits.value_or(0);
  check_random_bits(rounding, given.random_bits);
  const BlockQuantizer quantizer(block_format(given, given.rule), rounding, bits);
  std::vector<Field> fields = block_facts(quantizer.format());
  fields.push_back({"scale_rule", text(name(quantizer.format().rule))});
  add_rounding(fields, rounding, given);
  Lines lines(given.out);
  lines.add(first_line(given, fields));
  lines.add(fmt::format("case rows cols f32{} tensor_scale scales codes values", bits > 0 ? " random" : ""));
  add_rows(lines, block_landmarks(quantizer), given,
           [&](const BlockCase& array) { return block_row(quantizer, bits, array); });
  lines.finish();
}

}  // namespace

int run_vectors(Arguments& arguments) {
  VectorsArguments given;
  arguments.option("--kind NAME", given.kind, "What the rows show");
  arguments.option("--format NAME", given.format, "decode, cast: see `halfulp formats`");
  arguments.option("--block NAME", given.block, "scale, block: see `halfulp blocks`");
  arguments.option("--rounding NAME", given.rounding, "cast, block: of the elements");
  arguments.option("--random-bits N", given.random_bits, "Stochastic rounding: 1 to 32; R stands in the rows");
  given.policies.declare(arguments);
  arguments.option("--scale-rule NAME", given.rule, "block: how a scale follows from amax. scale: only this rule");
  arguments.option("--shape RxC", given.shape, "scale, block: blocks of RxC numbers instead of the block format's own");
  arguments.option("--limit N", given.limit, "At most N rows, spread evenly over all");
  arguments.positional("OUT", given.out, "The file to write instead of the standard output");
  arguments.parse();
  check(arguments, given);
  switch (given.kind) {
    case Kind::Decode: write_decode(given); break;
    case Kind::Cast: write_cast(given); break;
    case Kind::Scale: write_scale(given); break;
    case Kind::Block: write_block(given); break;
  }
  return 0;
}

}  // namespace halfulp::cli
