#include "formats/block_landmarks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>

#include "formats/landmarks.h"
#include "formats/philox.h"

namespace halfulp {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
constexpr float kSmallestNormal = std::numeric_limits<float>::min();

uint32_t bits_of(float x) { return std::bit_cast<uint32_t>(x); }

bool has_other_blocks(const BlockFormat& format) { return format.rows > 0 || format.cols > 0; }

// Whether the scale of a block depends on the rest of the array.
bool looks_at_array(const BlockFormat& format) { return format.has_tensor_scale && has_other_blocks(format); }

// Small, large and odd ones, and those about the one whose tensor scale is one.
std::vector<float> array_amaxes(const BlockFormat& format) {
  const float unit = float(max_finite(format.element) * max_finite(format.scale));
  return {0x1p-140f, 0x1.fffffep-64f, 1, 3, std::nextafter(unit, 0.0f), unit, std::nextafter(unit, kInfinity),
          kLargest};
}

// Finite cases up to array_amax, or without one where amax is it.
void add_changes(const BlockQuantizer& quantizer, std::optional<float> array_amax, std::vector<ScaleCase>& cases) {
  const auto with = [&](uint32_t bits) {
    const float amax = std::bit_cast<float>(bits);
    return ScaleCase{amax, array_amax.value_or(amax)};
  };
  const uint32_t last = bits_of(array_amax.value_or(kLargest));
  std::vector<uint32_t> bits = {0, bits_of(kSmallest), bits_of(kSmallestNormal), last};
  for_each_change(
      0, last, [&](uint32_t x) { return scale_code(quantizer, with(x)); }, [&](uint32_t x) { bits.push_back(x); });
  for (const uint32_t x : with_neighbours(bits))
    if (x <= last) cases.push_back(with(x));
}

double uniform(uint32_t word) { return double(int32_t(word)) * 0x1p-31; }  // in [-1, 1)

float alternating(size_t i, double magnitude) { return float(i % 2 == 0 ? magnitude : -magnitude); }

// Arrays of one block by what stands at place i of n.
struct Filling {
  std::string_view name;
  float (*at)(size_t i, size_t n);
};

constexpr Filling kFillings[] = {
    {"zeros", [](size_t, size_t) { return 0.0f; }},
    {"negative_zeros", [](size_t, size_t) { return -0.0f; }},
    {"one_nan", [](size_t i, size_t n) { return i + 1 == n ? kNan : 1.0f; }},
    {"one_infinity", [](size_t i, size_t n) { return i + 1 == n ? kInfinity : 1.0f; }},
    {"one_negative_infinity", [](size_t i, size_t n) { return i + 1 == n ? -kInfinity : 1.0f; }},
    {"one_number", [](size_t i, size_t n) { return i + 1 == n ? -1.0f : 0.0f; }},
    {"smallest", [](size_t i, size_t) { return alternating(i, kSmallest); }},
    {"subnormal", [](size_t i, size_t) { return alternating(i, double(i + 1) * kSmallest); }},
    {"smallest_normal", [](size_t i, size_t n) { return i + 1 == n ? kSmallestNormal : alternating(i, kSmallest); }},
    {"largest", [](size_t i, size_t) { return alternating(i, kLargest); }},
    {"powers_from_largest", [](size_t i, size_t) { return alternating(i, std::ldexp(kLargest, -int(i))); }},
    {"powers_from_one", [](size_t i, size_t) { return alternating(i, std::ldexp(1.0, -int(i))); }},
    {"thirds", [](size_t i, size_t) { return alternating(i, double(i + 1) / 3); }},
};

// Shape of the blocks in these arrays; a few numbers stand for all.
struct Shape {
  int rows, cols;

  size_t size() const { return size_t(rows) * size_t(cols); }
};

Shape block_shape(const BlockFormat& format) {
  return {format.rows == 0 ? 2 : format.rows, format.cols == 0 ? 16 : format.cols};
}

template <class At>
BlockCase make_case(std::string_view name, const Shape& shape, At at) {
  BlockCase made{name, shape.rows, shape.cols, std::vector<float>(shape.size())};
  for (size_t i = 0; i < made.x.size(); ++i) made.x[i] = at(i);
  return made;
}

// Blocks that hold the element format's largest number first, then others where its rounding changes, up to that.
void add_element_blocks(const BlockFormat& format, const Shape& shape, std::vector<BlockCase>& cases) {
  constexpr size_t kMostBlocks = 16;
  const float largest = float(max_finite(format.element));
  std::vector<float> points = cast_landmarks(Caster(format.element, {.policies = {.overflow = Overflow::Saturate}}));
  std::erase_if(points, [&](float x) { return !(x > 0 && x <= largest); });
  const size_t per_block = std::max<size_t>(shape.size() - 1, 1);
  const size_t blocks = std::min((points.size() + per_block - 1) / per_block, kMostBlocks);
  for (size_t block = 0; block < blocks; ++block)
    cases.push_back(make_case("element_points", shape, [&](size_t i) {
      if (i == 0) return largest;
      return alternating(i, points[(block + (i - 1) * blocks) * points.size() / (blocks * per_block)]);
    }));
}

void add_random_blocks(const Shape& shape, std::vector<BlockCase>& cases) {
  constexpr uint32_t kBlocks = 8;
  for (uint32_t block = 0; block < kBlocks; ++block) {
    const RandomSite numbers{.stream = Stream::Data, .site = block}, powers{.stream = Stream::Init, .site = block};
    const auto number = [&](size_t i) { return uniform(random_word(numbers, uint32_t(i))); };
    cases.push_back(make_case("uniform", shape, [&](size_t i) { return float(number(i)); }));
    cases.push_back(make_case("wide", shape, [&](size_t i) {
      return float(std::ldexp(number(i), 10 - int(random_word(powers, uint32_t(i)) % 24)));
    }));
  }
}

// Two blocks side by side, the first of them special, and an array whose last blocks are smaller.
void add_arrays(const BlockFormat& format, const Shape& shape, std::vector<BlockCase>& cases) {
  const Shape pair = format.cols > 0 ? Shape{shape.rows, 2 * shape.cols} : Shape{2 * shape.rows, shape.cols};
  const auto number = [](size_t i) { return float(7 * uniform(random_word({.stream = Stream::Data}, uint32_t(i)))); };
  const auto in_first = [&](size_t i) {
    return int(i / size_t(pair.cols)) < shape.rows && int(i % size_t(pair.cols)) < shape.cols;
  };
  cases.push_back(make_case("zeros_beside", pair, [&](size_t i) { return in_first(i) ? 0.0f : number(i); }));
  cases.push_back(
      make_case("small_beside", pair, [&](size_t i) { return in_first(i) ? 0x1p-20f * number(i) : number(i); }));
  cases.push_back(make_case("nan_beside", pair, [&](size_t i) { return i == 0 ? kNan : number(i); }));
  cases.push_back(make_case("infinity_beside", pair, [&](size_t i) { return i == 0 ? -kInfinity : number(i); }));
  cases.push_back(make_case("rest_of_block", {shape.rows + 1, shape.cols + 1}, number));
}

}  // namespace

uint32_t scale_code(const BlockQuantizer& quantizer, const ScaleCase& block) {
  const BlockFormat& format = quantizer.format();
  std::vector<float> x = {block.amax};
  if (!looks_at_array(format)) return quantizer.quantize_reference(x, 1, 1).scales.front();
  // the first number behind the block in its row, or below it where the row is its own
  const int size = (format.cols > 0 ? format.cols : format.rows) + 1;
  x.resize(size_t(size));
  x.back() = block.array_amax;
  return quantizer.quantize_reference(x, format.cols > 0 ? 1 : size, format.cols > 0 ? size : 1).scales.front();
}

std::vector<ScaleCase> scale_landmarks(const BlockQuantizer& quantizer) {
  std::vector<ScaleCase> cases;
  if (looks_at_array(quantizer.format())) {
    for (const float array_amax : array_amaxes(quantizer.format())) add_changes(quantizer, array_amax, cases);
    cases.push_back({1, kInfinity});
    cases.push_back({1, kNan});
  } else {
    add_changes(quantizer, std::nullopt, cases);
  }
  cases.push_back({kInfinity, kInfinity});
  cases.push_back({kNan, kNan});
  return cases;
}

std::vector<BlockCase> block_landmarks(const BlockQuantizer& quantizer) {
  const BlockFormat& format = quantizer.format();
  const Shape shape = block_shape(format);
  std::vector<BlockCase> cases;
  for (const Filling& filling : kFillings)
    cases.push_back(make_case(filling.name, shape, [&](size_t i) { return filling.at(i, shape.size()); }));
  add_element_blocks(format, shape, cases);
  add_random_blocks(shape, cases);
  if (has_other_blocks(format)) add_arrays(format, shape, cases);
  return cases;
}

}  // namespace halfulp
