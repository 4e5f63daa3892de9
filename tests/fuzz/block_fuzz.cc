// A block format's name, scale rule and block shape, a line each: what is taken quantises arrays, fast as by reference.

#include <cmath>

#include "formats/block.h"
#include "tests/fuzz/fuzz.h"

namespace halfulp::fuzz {
namespace {

bool same(float x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); }

// Which cell of a grid of shape holds a number.
size_t cell(const BlockShape& shape, int rows, int cols, int row, int col) {
  const int height = shape.rows == 0 ? rows : shape.rows, width = shape.cols == 0 ? cols : shape.cols;
  return size_t(row / height) * size_t((cols - 1) / width + 1) + size_t(col / width);
}

void check(const std::vector<std::string>& lines) {
  const std::string rule = lines.size() > 1 ? lines[1] : "", shape = lines.size() > 2 ? lines[2] : "";
  const BlockFormat format =
      make_block_format(lines[0], rule.empty() ? std::nullopt : std::optional(parse<ScaleRule>(rule)), shape);
  const BlockQuantizer quantizer(format, Rounding::TiesToEven);
  constexpr int kRows = 3, kCols = 37;
  std::vector<float> x(size_t{kRows} * kCols), values(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = float(std::ldexp(i % 2 == 0 ? 1.0 + double(i) / 64 : -1.75, int(i % 19) - 9));
  const BlockCodes codes = quantizer.quantize_reference(x, kRows, kCols);
  require(same(quantizer.quantize(x, values, kRows, kCols), double{codes.tensor_scale}), "one tensor scale");
  const BlockShape blocks{format.rows, format.cols};
  require(codes.scales.size() == cell(blocks, kRows, kCols, kRows - 1, kCols - 1) + 1, "one scale a block");
  for (int i = 0; i < kRows * kCols; ++i) {
    const uint32_t scale = codes.scales[cell(blocks, kRows, kCols, i / kCols, i % kCols)];
    float value = float(element_value(format, scale, codes.codes[size_t(i)]) * scale_value(format, scale));
    if (format.has_outer_blocks()) value *= codes.outer_scales[cell(format.outer, kRows, kCols, i / kCols, i % kCols)];
    require(same(values[size_t(i)], double{value}), "values are element times scale");
  }
}

}  // namespace
}  // namespace halfulp::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace halfulp::fuzz;
  use_or_turn_down([&] { check(lines_of({reinterpret_cast<const char*>(data), size})); });
  return 0;
}
