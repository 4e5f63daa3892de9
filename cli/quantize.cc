#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <list>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "cli/layout_arguments.h"
#include "cli/new_file.h"
#include "cli/npy.h"
#include "cli/rounding_arguments.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "formats/block.h"

namespace halfulp::cli {
namespace {

struct QuantizeArguments {
  std::string block, shape, in, out, codes, scales, tensor_scales, given_scales, amax;
  std::optional<ScaleRule> rule;
  RoundingArguments rounding;
  LayoutArguments layout;
  TableStyle style = TableStyle::Aligned;
};

/// An array as the quantiser sees it: leading dimensions become rows.
struct Matrix {
  int rows, cols;
};

Matrix as_matrix(const std::string& path, const std::vector<size_t>& shape) {
  constexpr size_t kMost = std::numeric_limits<int>::max();
  if (shape.empty()) throw std::invalid_argument(fmt::format("{}: a single number; an array is wanted", path));
  size_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  const size_t cols = shape.back();
  if (rows > kMost || cols > kMost || rows * cols > size_t{std::numeric_limits<uint32_t>::max()})
    throw std::invalid_argument(
        fmt::format("{}: {} rows of {} numbers; at most {} of either and 2^32 - 1 numbers", path, rows, cols, kMost));
  return {int(rows), int(cols)};
}

int divide_up(int size, int block) { return block == 0 ? size > 0 : size / block + (size % block != 0); }

// Blocks of one row keep the array's leading dimensions; others cut across them.
std::vector<size_t> scales_shape(const BlockShape& block, const Matrix& matrix, std::vector<size_t> shape) {
  const size_t cols = size_t(divide_up(matrix.cols, block.cols));
  if (block.rows != 1) return {size_t(divide_up(matrix.rows, block.rows)), cols};
  shape.back() = cols;
  return shape;
}

/// The files asked for; none appears under its name before all are complete.
class Outputs {
 public:
  void add(const std::string& path, std::string_view type, const std::vector<size_t>& shape,
           std::span<const std::byte> data) {
    NewFile& file = files_.emplace_back(path);
    const std::string header = npy_header(type, shape);
    file.write(std::as_bytes(std::span(header)));
    file.write(data);
    file.close();
  }

  /// Codes take the fewest bytes that hold them.
  void add_codes(const std::string& path, int bits, const std::vector<size_t>& shape,
                 const std::vector<uint32_t>& codes) {
    with_code_type(bits, [&]<class Code>(Code) {
      const std::vector<Code> narrow(codes.begin(), codes.end());
      add(path, npy_type(bits), shape, std::as_bytes(std::span(narrow)));
    });
  }

  void commit() {
    for (NewFile& file : files_) file.commit();
  }

 private:
  std::list<NewFile> files_;
};

int element_bits(const BlockFormat& format) {
  return std::max(format.element.bits(), format.second ? format.second->element.bits() : 0);
}

void add_tensor_scales(Outputs& outputs, const std::string& path, const BlockFormat& format, const Matrix& matrix,
                       const BlockCodes& result) {
  if (!format.has_outer_blocks())
    return outputs.add(path, "<f4", {1}, std::as_bytes(std::span(&result.tensor_scale, 1)));
  const std::vector<size_t> shape = {size_t(divide_up(matrix.rows, format.outer.rows)),
                                     size_t(divide_up(matrix.cols, format.outer.cols))};
  outputs.add(path, "<f4", shape, std::as_bytes(std::span(result.outer_scales)));
}

Cell sqnr_db(const CastEvents& events) {
  if (events.signal_squares == 0) return {};
  return 10 * std::log10(events.signal_squares / events.error_squares);
}

void print_summary(const QuantizeArguments& given, const BlockFormat& format, const CastEvents& events,
                   float tensor_scale) {
  const bool has_one = !format.has_outer_blocks() && (format.has_tensor_scale || tensor_scale != 1);
  print_record(given.style, {{"block", block_text(format)},
                             {"scale_rule", text(name(format.rule))},
                             {"rounding", text(name(given.rounding.rounding))},
                             {"elements", events.elements},
                             {"saturated", events.saturated},
                             {"flushed_to_zero", events.flushed},
                             {"subnormal", events.subnormal},
                             {"nan_or_infinite", events.nonfinite},
                             {"sqnr_db", sqnr_db(events)},
                             {"tensor_scale", has_one ? Cell(double{tensor_scale}) : Cell()}});
}

/// The codes and scales that are asked for, in the layouts that are asked for.
void add_codes_and_scales(Outputs& outputs, const QuantizeArguments& given, const BlockFormat& format,
                          const Matrix& matrix, const std::vector<size_t>& shape, const BlockCodes& result) {
  if (!given.codes.empty()) {
    const CodeArray stored = given.layout.pack(element_bits(format), {shape, result.codes});
    outputs.add_codes(given.codes, element_bits(format), stored.shape, stored.codes);
  }
  if (!given.scales.empty()) {
    const size_t block_rows = size_t(format.rows == 0 ? std::max(matrix.rows, 1) : format.rows);
    const CodeArray scales{scales_shape({format.rows, format.cols}, matrix, shape), result.scales};
    const CodeArray stored = given.layout.arrange(format.scale_bits(), size_t(matrix.rows), block_rows, scales);
    outputs.add_codes(given.scales, format.scale_bits(), stored.shape, stored.codes);
  }
  if (!given.tensor_scales.empty()) add_tensor_scales(outputs, given.tensor_scales, format, matrix, result);
}

// However they are spelled.
void check_paths(const QuantizeArguments& given) {
  namespace fs = std::filesystem;
  std::set<fs::path> files;
  for (const std::string& path : {given.out, given.codes, given.scales, given.tensor_scales}) {
    std::error_code not_there;
    if (!path.empty() && !files.insert(fs::weakly_canonical(fs::absolute(path), not_there)).second)
      throw std::invalid_argument(
          fmt::format("OUT.npy, --codes, --scales and --tensor-scales: each a file of its own, not '{}' twice", path));
  }
}

BlockFormat block_format(const QuantizeArguments& given) {
  try {
    return make_block_format(given.block, given.rule, given.shape);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("--block, --scale-rule, --shape: {}", error.what()));
  }
}

std::string shape_text(const std::vector<size_t>& shape) { return fmt::format("({})", fmt::join(shape, ", ")); }

// The scale codes that --given-scales names; empty where it does not.
std::vector<uint32_t> given_scales(const QuantizeArguments& given, const BlockFormat& format,
                                   const std::vector<size_t>& wanted_shape) {
  const std::string& path = given.given_scales;
  if (path.empty()) return {};
  const CodeArray scales = read_npy_codes(path, format.scale_bits());
  if (scales.shape != wanted_shape)
    throw std::invalid_argument(fmt::format("{}: scales of shape {}; the blocks are {}", path, shape_text(scales.shape),
                                            shape_text(wanted_shape)));
  for (size_t i = 0; i < scales.codes.size(); ++i) {
    const uint32_t code = scales.codes[i];
    if (uint64_t{code} >> format.scale_bits() != 0)
      throw std::invalid_argument(
          fmt::format("{}: scale {} has code {:#x}; there are {} bits", path, i, code, format.scale_bits()));
    if (const double scale = scale_value(format, code); !std::isfinite(scale) || scale < 0)
      throw std::invalid_argument(
          fmt::format("{}: scale {} is {} (code {:#x}); finite numbers from 0 are wanted", path, i, scale, code));
  }
  return scales.codes;
}

// What --amax gives.
std::optional<float> given_amax(const QuantizeArguments& given, const BlockFormat& format) {
  if (given.amax.empty()) return {};
  const std::optional<double> amax = number_of(given.amax, Source::Binary32);
  if (!amax || !std::isfinite(*amax) || *amax < 0)
    throw std::invalid_argument(fmt::format("--amax: '{}' is not a finite number from 0", printable(given.amax)));
  if (!format.has_tensor_scale)
    throw std::invalid_argument(fmt::format("--amax: {} has no tensor scale that follows from it", block_text(format)));
  return float(*amax);
}

void quantize(const QuantizeArguments& given) {
  const BlockFormat format = block_format(given);
  const BlockQuantizer quantizer(format, given.rounding.rounding, given.rounding.bits());
  const std::optional<float> amax = given_amax(given, format);
  FloatArray array = read_npy(given.in);
  const auto [rows, cols] = as_matrix(given.in, array.shape);
  const RandomSite site = given.rounding.site();
  const std::vector<uint32_t> scale_codes =
      given_scales(given, format, scales_shape({format.rows, format.cols}, {rows, cols}, array.shape));
  const GivenScales its_scales = {.codes = scale_codes, .amax = amax};

  Outputs outputs;
  if (!given.codes.empty() || !given.scales.empty() || !given.tensor_scales.empty()) {
    const BlockCodes result = quantizer.quantize_reference(array.values, rows, cols, site, its_scales);
    add_codes_and_scales(outputs, given, format, {rows, cols}, array.shape, result);
  }
  CastEvents events;
  const bool has_given = !scale_codes.empty() || amax;
  const float tensor_scale =
      has_given ? quantizer.quantize_by(its_scales, array.values, array.values, rows, cols, site, &events)
                : quantizer.quantize(array.values, array.values, rows, cols, site, &events);
  for (float& value : array.values) value *= tensor_scale;
  outputs.add(given.out, "<f4", array.shape, std::as_bytes(std::span(array.values)));
  outputs.commit();
  print_summary(given, format, events, tensor_scale);
}

}  // namespace

int run_quantize(Arguments& arguments) {
  QuantizeArguments given;
  arguments.option("--block NAME", given.block, "Block format with its options: see `halfulp blocks`", Need::Required);
  arguments.option("--scale-rule NAME", given.rule, "How a block's scale follows from its largest magnitude");
  arguments.option("--shape RxC", given.shape,
                   "Blocks of RxC numbers instead of the block format's own; 'all': as many as there are");
  arguments.option("--given-scales FILE", given.given_scales,
                   "The blocks' scale codes, as --scales writes them row-major, instead of those of a rule");
  arguments.option("--amax X", given.amax,
                   "The largest magnitude that the tensor scale follows from, such as an earlier array's");
  given.rounding.declare(arguments, false);
  arguments.option("--codes FILE", given.codes, "Also write the element codes to this file, one a byte");
  arguments.option("--scales FILE", given.scales, "Also write the blocks' scale codes to this file");
  given.layout.declare(arguments);
  arguments.option("--tensor-scales FILE", given.tensor_scales,
                   "Also write the tensor scales to this file, as float32");
  arguments.positional("IN.npy", given.in,
                       "A float32 array in C order; blocks run along its last axis, leading axes are rows",
                       Need::Required);
  arguments.positional("OUT.npy", given.out, "Written: element x scale x tensor scale, as float32", Need::Required);
  arguments.table_style(given.style);
  arguments.parse();
  given.rounding.check();
  given.layout.check(!given.codes.empty(), !given.scales.empty());
  check_paths(given);
  quantize(given);
  return 0;
}

}  // namespace halfulp::cli
