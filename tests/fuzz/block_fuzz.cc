// A block format's name, scale rule and block shape, a line each: what is taken quantises arrays, fast as by reference.

#include <cmath>

#include "formats/block.h"
#include "tests/fuzz/fuzz.h"

namespace halfulp::fuzz {
namespace {

bool same(float x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); }

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
  require(quantizer.quantize(x, values, kRows, kCols) == codes.tensor_scale, "one tensor scale");
  const int rows = format.rows == 0 ? kRows : format.rows, cols = format.cols == 0 ? kCols : format.cols;
  const int blocks_in_row = (kCols - 1) / cols + 1;
  require(codes.scales.size() == size_t((kRows - 1) / rows + 1) * size_t(blocks_in_row), "one scale a block");
  for (int i = 0; i < kRows * kCols; ++i) {
    const size_t block = size_t(i / kCols / rows * blocks_in_row + i % kCols / cols);
    require(same(values[size_t(i)],
                 decode(format.element, codes.codes[size_t(i)]) * decode(format.scale, codes.scales[block])),
            "values are element times scale");
  }
}

}  // namespace
}  // namespace halfulp::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  using namespace halfulp::fuzz;
  use_or_turn_down([&] { check(lines_of({reinterpret_cast<const char*>(data), size})); });
  return 0;
}
