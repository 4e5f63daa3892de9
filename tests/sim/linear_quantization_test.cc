// The three quantised GEMMs of a linear layer, rebuilt from formats/ alone: cast the operand along the dimension that
// is reduced, multiply by chains of fused multiply-adds, multiply by the tensor scales.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <string>

#include "sim/layers.h"
#include "sim/settings.h"
#include "tests/sim/double_reference.h"

namespace halfulp {
namespace {

using reference::random_numbers;
using reference::random_tensor;

constexpr int kTokens = 19, kIn = 37, kOut = 21;  // no multiples of a block
constexpr int kLayerIndex = 3;
const PassContext kPass{.seed = 77, .stream = Stream::Rounding, .step = 5};

enum Slot { FpropX, FpropW, DgradG, DgradW, WgradG, WgradX };

Recipe recipe(const std::vector<Setting>& settings) {
  Recipe r;
  for (const Setting& setting : settings) set(r, setting);
  normalize(r);
  return r;
}

Recipe only(Slot slot, const std::vector<Setting>& fields) {
  Recipe r;
  for (const Setting& field : fields) set(r, {std::string(kSlotNames[slot]) + "." + field.key, field.value});
  normalize(r);
  return r;
}

const CastSpec& slot_spec(const Recipe& r, Slot slot) {
  const CastSpec* const specs[] = {&r.fprop_x, &r.fprop_w, &r.dgrad_g, &r.dgrad_w, &r.wgrad_g, &r.wgrad_x};
  return *specs[slot];
}

// --- the restatement ---

struct Array {
  int rows = 0, cols = 0;
  std::vector<float> data;
  float tensor_scale = 1;
};

Array transposed(const Array& x) {
  Array y{x.cols, x.rows, std::vector<float>(x.data.size()), x.tensor_scale};
  for (int r = 0; r < x.rows; ++r)
    for (int c = 0; c < x.cols; ++c) y.data[size_t(c * x.rows + r)] = x.data[size_t(r * x.cols + c)];
  return y;
}

Array padded(const Array& x, int multiple) {
  Array y{x.rows, (x.cols + multiple - 1) / multiple * multiple, {}};
  for (int r = 0; r < x.rows; ++r)
    for (int c = 0; c < y.cols; ++c) y.data.push_back(c < x.cols ? x.data[size_t(r * x.cols + c)] : 0.0f);
  return y;
}

RandomSite site(Slot slot) {
  return {.seed = kPass.seed, .stream = kPass.stream, .step = kPass.step, .site = uint32_t(kLayerIndex * 6 + slot)};
}

/// x (outer, reduction) as `spec` casts it.
Array cast(const CastSpec& spec, Array x, const RandomSite& at) {
  if (spec.transform == Transform::Hadamard) {
    x = padded(x, spec.transform_size);
    hadamard(x.data, spec.transform_size);
  }
  if (spec.format == "binary32") return x;
  if (find_block_row(spec.format) != nullptr) {
    const BlockQuantizer quantizer(make_block_format(spec.format, spec.scale_rule, spec.block), spec.rounding,
                                   spec.random_bits);
    x.tensor_scale = quantizer.quantize(x.data, x.data, x.rows, x.cols, at);
  } else {
    const Caster caster(
        parse_format(spec.format),
        {.rounding = spec.rounding, .random_bits = spec.random_bits, .policies = {.overflow = spec.overflow}});
    caster.round(x.data, x.data, at);
  }
  return x;
}

/// a (m, k) times b (n, k) transposed, each output one chain, then the tensor scales.
std::vector<float> product(const Array& a, const Array& b) {
  std::vector<float> c;
  const float scale = a.tensor_scale * b.tensor_scale;
  for (int i = 0; i < a.rows; ++i)
    for (int j = 0; j < b.rows; ++j) {
      float chain = 0;
      for (int t = 0; t < a.cols; ++t)
        chain = std::fma(a.data[size_t(i * a.cols + t)], b.data[size_t(j * b.cols + t)], chain);
      c.push_back(chain * scale);
    }
  return c;
}

struct Results {
  std::vector<float> y, dx, weight_gradient, bias_gradient;

  bool operator==(const Results&) const = default;
};

struct Problem {
  Tensor x = random_tensor(kTokens, kIn, 1.5f, 100), dy = random_tensor(kTokens, kOut, 0.01f, 101);
  std::vector<float> weight = random_numbers(kIn * kOut, 0.3f, 102), bias = random_numbers(kOut, 1.0f, 103);
};

// A backward operand comes from the numbers its forward cast stands for, or from the original.
Array source(const CastSpec& spec, const Array& original, const Array& forward) {
  if (spec.source == OperandSource::Original) return original;
  Array numbers = forward;
  for (float& value : numbers.data) value *= forward.tensor_scale;
  numbers.tensor_scale = 1;
  return numbers;
}

Results rebuilt(const Recipe& r, const Problem& p) {
  const Array x{kTokens, kIn, p.x.data}, w{kOut, kIn, p.weight}, g{kTokens, kOut, p.dy.data};
  const Array forward_x = cast(r.fprop_x, x, site(FpropX)), forward_w = cast(r.fprop_w, w, site(FpropW));
  Results results;
  results.y = product(forward_x, forward_w);
  for (size_t i = 0; i < results.y.size(); ++i) results.y[i] += p.bias[i % kOut];

  const Array dgrad_w = transposed(source(r.dgrad_w, w, forward_w));
  results.dx = product(cast(r.dgrad_g, g, site(DgradG)), cast(r.dgrad_w, dgrad_w, site(DgradW)));
  const Array wgrad_x = transposed(source(r.wgrad_x, x, forward_x));
  results.weight_gradient =
      product(cast(r.wgrad_g, transposed(g), site(WgradG)), cast(r.wgrad_x, wgrad_x, site(WgradX)));
  results.bias_gradient.assign(kOut, 0.0f);
  for (int t = 0; t < kTokens; ++t)
    for (int o = 0; o < kOut; ++o) results.bias_gradient[size_t(o)] += g.data[size_t(t * kOut + o)];
  return results;
}

// --- the code under test ---

using Events = std::vector<std::array<CastEvents, kSlots>>;

Results computed(const Recipe& r, const Problem& p, Events* events = nullptr) {
  const RecipeCasts casts = prepare(r);
  Linear layer("layer", kIn, kOut, &casts, kLayerIndex);
  std::vector<Parameter*> parameters;
  parameters.reserve(2);  // else g++ 12 warns of an overflow that cannot be
  layer.collect(parameters);
  parameters[0]->value = p.weight;
  parameters[1]->value = p.bias;
  PassContext pass = kPass;
  pass.events = events;
  Tensor y, dx;
  layer.forward(p.x, y, pass);
  layer.backward(p.dy, &dx, pass);
  return {y.data, dx.data, parameters[0]->gradient, parameters[1]->gradient};
}

void expect_same_bits(std::string_view what, const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(got[i] + 0.0f), std::bit_cast<uint32_t>(want[i] + 0.0f))
        << what << " [" << i << "]: got " << got[i] << ", want " << want[i];
}

void expect_rebuilt(const Recipe& r) {
  const Problem p;
  const Results got = computed(r, p), want = rebuilt(r, p);
  expect_same_bits("y", got.y, want.y);
  expect_same_bits("dx", got.dx, want.dx);
  expect_same_bits("weight gradient", got.weight_gradient, want.weight_gradient);
  expect_same_bits("bias gradient", got.bias_gradient, want.bias_gradient);
}

const std::vector<std::vector<Setting>> kCasts = {
    {{"format", "bfloat16"}},
    {{"format", "e5m2"}, {"rounding", "toward_zero"}, {"overflow", "saturate"}},
    {{"format", "e4m3fn"}, {"rounding", "stochastic_a"}, {"random_bits", "7"}},
    {{"format", "mxfp8_e4m3"}, {"scale_rule", "floor"}},
    {{"format", "mxfp4"}, {"scale_rule", "rceil"}, {"rounding", "stochastic_c"}},
    {{"format", "mxint8"}, {"scale_rule", "rceil"}},
    {{"format", "nvfp4"}},
    {{"format", "nvfp4"}, {"block", "16x16"}, {"rounding", "stochastic_b"}, {"random_bits", "11"}},
    {{"format", "mxfp4"}, {"scale_rule", "even"}, {"block", "4x8"}},
};

TEST(LinearQuantisation, plain_operands_give_plain_products) { expect_rebuilt({}); }

TEST(LinearQuantisation, each_slot_alone_is_cast_along_its_reduced_dimension_with_its_own_random_bits) {
  const Problem p;
  const Results plain = rebuilt({}, p);
  for (int slot = 0; slot < kSlots; ++slot)
    for (const std::vector<Setting>& fields : kCasts) {
      const Recipe r = only(Slot(slot), fields);
      SCOPED_TRACE(describe(r));
      expect_rebuilt(r);
      // the cast shows in its own GEMM and nowhere else
      const Results got = computed(r, p);
      EXPECT_EQ(got.y != plain.y, slot == FpropX || slot == FpropW);
      EXPECT_EQ(got.dx != plain.dx, slot == DgradG || slot == DgradW);
      EXPECT_EQ(got.weight_gradient != plain.weight_gradient, slot == WgradG || slot == WgradX);
      EXPECT_EQ(got.bias_gradient, plain.bias_gradient);
    }
}

TEST(LinearQuantisation, every_recipe_of_the_catalogue_is_rebuilt) {
  for (const RecipeRow& row : recipes()) {
    SCOPED_TRACE(row.name);
    expect_rebuilt(find_recipe(row.name));
  }
}

TEST(LinearQuantisation, both_operands_with_tensor_scales_multiply_the_scales) {
  // factors of 2^20 and 2^-30 that only a tensor scale can hold
  Problem p;
  for (float& value : p.x.data) value *= 0x1p20f;
  for (float& value : p.weight) value *= 0x1p-30f;
  const Recipe r = find_recipe("nvfp4-naive");
  const Results got = computed(r, p), want = rebuilt(r, p);
  expect_same_bits("y", got.y, want.y);
  expect_same_bits("dx", got.dx, want.dx);
  expect_same_bits("weight gradient", got.weight_gradient, want.weight_gradient);
  const Results exact = rebuilt({}, p);
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.dx.size(); ++i) {
    difference += std::pow(double(got.dx[i]) - exact.dx[i], 2);
    size += std::pow(double(exact.dx[i]), 2);
  }
  EXPECT_LT(difference, 0.05 * size);
}

TEST(LinearQuantisation, random_bits_change_with_layer_slot_step_seed_and_stream) {
  const CastSpec spec =
      only(FpropX, {{"format", "mxfp4"}, {"scale_rule", "rceil"}, {"rounding", "stochastic_c"}}).fprop_x;
  const OperandCast operand_cast(spec);
  const Problem p;
  const auto bits_at = [&](const RandomSite& at) {
    Operand result;
    operand_cast.apply(p.x.data, kTokens, kIn, at, result, nullptr);
    return result.data;
  };
  const RandomSite base = site(FpropX);
  EXPECT_EQ(bits_at(base), bits_at(base));
  RandomSite other = base;
  other.site += 1;
  EXPECT_NE(bits_at(base), bits_at(other));
  other = base;
  other.step += 1;
  EXPECT_NE(bits_at(base), bits_at(other));
  other = base;
  other.seed += uint64_t{1} << 32;
  EXPECT_NE(bits_at(base), bits_at(other));
  other = base;
  other.stream = Stream::Evaluation;
  EXPECT_NE(bits_at(base), bits_at(other));
}

// --- operands made from forward operands ---

TEST(LinearQuantisation, a_forward_source_is_the_number_that_the_forward_cast_left) {
  const Recipe r = recipe({{"*.format", "nvfp4"}, {"dgrad.w.source", "forward"}, {"wgrad.x.source", "forward"}});
  expect_rebuilt(r);
  Recipe from_original = r;
  from_original.dgrad_w.source = from_original.wgrad_x.source = OperandSource::Original;
  const Problem p;
  EXPECT_EQ(computed(r, p).y, computed(from_original, p).y);
  EXPECT_NE(computed(r, p).dx, computed(from_original, p).dx);
  EXPECT_NE(computed(r, p).weight_gradient, computed(from_original, p).weight_gradient);
}

TEST(LinearQuantisation, a_forward_source_without_a_cast_of_its_own_is_used_as_it_is) {
  const Recipe r = recipe({{"fprop.*.format", "nvfp4"}, {"dgrad.w.source", "forward"}, {"wgrad.x.source", "forward"}});
  const Problem p;
  const Array x = cast(r.fprop_x, {kTokens, kIn, p.x.data}, site(FpropX));
  Array numbers = x;
  for (float& value : numbers.data) value *= x.tensor_scale;
  numbers.tensor_scale = 1;
  const Array g{kTokens, kOut, p.dy.data};
  expect_same_bits("weight gradient", computed(r, p).weight_gradient, product(transposed(g), transposed(numbers)));
}

TEST(LinearQuantisation, square_blocks_give_dgrad_the_codes_of_fprop) {
  const Recipe square = recipe({{"*.w.format", "nvfp4"}, {"*.w.block", "16x16"}});
  const Problem p;
  const Array w{kOut, kIn, p.weight};
  const Array forward = cast(square.fprop_w, w, site(FpropW));
  const Array backward = cast(square.dgrad_w, transposed(w), site(DgradW));
  EXPECT_EQ(backward.data, transposed(forward).data);
  EXPECT_EQ(backward.tensor_scale, forward.tensor_scale);
  expect_same_bits("dx", computed(square, p).dx, product({kTokens, kOut, p.dy.data}, transposed(forward)));

  // blocks along a row differ once the row runs the other way
  const Recipe rows = recipe({{"*.w.format", "nvfp4"}});
  EXPECT_NE(cast(rows.dgrad_w, transposed(w), site(DgradW)).data, transposed(cast(rows.fprop_w, w, site(FpropW))).data);
}

// --- transforms ---

TEST(LinearQuantisation, a_transform_of_both_operands_leaves_the_product_as_it_was) {
  const Problem p;
  const Results plain = computed({}, p);
  for (const char* size : {"2", "16", "32", "128"}) {
    const Recipe r = recipe({{"*.transform", "hadamard"}, {"*.transform_size", size}});
    SCOPED_TRACE(size);
    expect_rebuilt(r);
    const Results got = computed(r, p);
    EXPECT_NE(got.y, plain.y) << "the transform did nothing";
    reference::expect_near("y", got.y, reference::widen(plain.y), 2e-6);
    reference::expect_near("dx", got.dx, reference::widen(plain.dx), 2e-6);
    reference::expect_near("weight gradient", got.weight_gradient, reference::widen(plain.weight_gradient), 2e-6);
  }
}

TEST(LinearQuantisation, a_transform_comes_before_the_cast_and_pads_the_reduced_dimension) {
  for (const char* gemm : {"fprop", "dgrad", "wgrad"})
    for (const char* format : {"bfloat16", "nvfp4"}) {
      const std::string slots = std::string(gemm) + ".*.";
      const Recipe r = recipe({{slots + "format", format}, {slots + "transform", "hadamard"}});
      SCOPED_TRACE(describe(r));
      expect_rebuilt(r);
    }
}

TEST(LinearQuantisation, an_operand_that_is_transformed_has_zeros_only_where_it_was_padded) {
  const OperandCast operand_cast(recipe({{"*.transform", "hadamard"}, {"*.transform_size", "4"}}).fprop_x);
  const std::vector<float> x = {1, 2, 3, 4, 5,  //
                                6, 7, 8, 9, 10};
  Operand result;
  operand_cast.apply(x, 2, 5, {}, result, nullptr);
  EXPECT_EQ(result.outer, 2);
  EXPECT_EQ(result.reduction, 8);
  EXPECT_EQ(result.tensor_scale, 1.0f);
  EXPECT_EQ(result.data, (std::vector<float>{5, -1, -2, 0, 2.5, 2.5, 2.5, 2.5,  //
                                             15, -1, -2, 0, 5, 5, 5, 5}));
}

// --- events ---

/// What a cast did, from codes and scales one element at a time.
CastEvents recount(const CastSpec& spec, const Array& x, const RandomSite& at) {
  CastEvents events;
  std::vector<double> grid(x.data.size(), 1.0), scales(x.data.size(), 1.0), elements(x.data.size());
  double largest = 0, smallest_normal = 0;
  double amax = 1, whole = 1;  // the tensor scale before it is rounded to binary32 is amax / whole
  if (find_block_row(spec.format) != nullptr) {
    const BlockFormat format = make_block_format(spec.format, spec.scale_rule, spec.block);
    const BlockCodes codes =
        BlockQuantizer(format, spec.rounding, spec.random_bits).quantize_reference(x.data, x.rows, x.cols, at);
    largest = max_finite(format.element);
    smallest_normal = min_normal(format.element);
    if (format.has_tensor_scale) {
      amax = 0;
      for (float value : x.data) amax = std::max(amax, std::fabs(double(value)));
      whole = largest * max_finite(format.scale);
    }
    const int blocks_in_a_row = (x.cols + format.cols - 1) / format.cols;
    for (int r = 0; r < x.rows; ++r)
      for (int c = 0; c < x.cols; ++c) {
        const size_t i = size_t(r * x.cols + c);
        const uint32_t scale = codes.scales[size_t(r / format.rows * blocks_in_a_row + c / format.cols)];
        scales[i] = decode(format.scale, scale);
        grid[i] = scales[i] * double(codes.tensor_scale);
        elements[i] = decode(format.element, codes.codes[i]);
      }
  } else {
    const Format format = parse_format(spec.format);
    const Array y = cast(spec, x, at);
    largest = max_finite(format);
    smallest_normal = min_normal(format);
    elements.assign(y.data.begin(), y.data.end());
  }
  for (size_t i = 0; i < x.data.size(); ++i) {
    const double before = x.data[i], after = elements[i] * grid[i];
    ++events.elements;
    const bool is_finite = std::isfinite(before) && std::isfinite(after);
    if (!is_finite) ++events.nonfinite;
    // beyond the grid: |before| > largest · scale · amax / whole, where every product is exact
    if (scales[i] != 0 && std::isfinite(after) && std::fabs(before) * whole > largest * scales[i] * amax)
      ++events.saturated;
    if (before != 0 && after == 0) ++events.flushed;
    if (elements[i] != 0 && std::fabs(elements[i]) < smallest_normal) ++events.subnormal;
    if (is_finite) {
      events.error_squares += (after - before) * (after - before);
      events.signal_squares += before * before;
    }
  }
  return events;
}

void expect_same_events(const CastEvents& got, const CastEvents& want) {
  EXPECT_EQ(got.elements, want.elements);
  EXPECT_EQ(got.saturated, want.saturated);
  EXPECT_EQ(got.flushed, want.flushed);
  EXPECT_EQ(got.subnormal, want.subnormal);
  EXPECT_EQ(got.nonfinite, want.nonfinite);
  EXPECT_NEAR(got.error_squares, want.error_squares, 1e-9 * want.error_squares);
  EXPECT_NEAR(got.signal_squares, want.signal_squares, 1e-9 * want.signal_squares);
}

/// Numbers over many binades, so that every event happens.
Problem wide_problem() {
  Problem p;
  for (size_t i = 0; i < p.x.data.size(); ++i) p.x.data[i] = std::ldexp(p.x.data[i], int(i * 7 % 41) - 24);
  for (size_t i = 0; i < p.weight.size(); ++i) p.weight[i] = std::ldexp(p.weight[i], int(i * 5 % 37) - 20);
  for (size_t i = 0; i < p.dy.data.size(); ++i) p.dy.data[i] = std::ldexp(p.dy.data[i], int(i * 3 % 29) - 14);
  return p;
}

TEST(CastEventCounts, agree_with_a_recount_in_every_slot) {
  const Problem p = wide_problem();
  const Array x{kTokens, kIn, p.x.data}, w{kOut, kIn, p.weight}, g{kTokens, kOut, p.dy.data};
  const Array operands[] = {x, w, g, transposed(w), transposed(g), transposed(x)};
  CastEvents total;
  for (const std::vector<Setting>& fields : kCasts)
    for (int slot = 0; slot < kSlots; ++slot) {
      const Recipe r = only(Slot(slot), fields);
      SCOPED_TRACE(describe(r));
      Events events(kLayerIndex + 1);
      computed(r, p, &events);
      const CastEvents want = recount(slot_spec(r, Slot(slot)), operands[slot], site(Slot(slot)));
      expect_same_events(events[kLayerIndex][size_t(slot)], want);
      total += want;
      for (int other = 0; other < kSlots; ++other)
        EXPECT_EQ(events[kLayerIndex][size_t(other)] == CastEvents(), other != slot) << kSlotNames[other];
      for (int layer = 0; layer < kLayerIndex; ++layer) EXPECT_EQ(events[size_t(layer)], Events::value_type());
    }
  EXPECT_GT(total.saturated, 0);
  EXPECT_GT(total.flushed, 0);
  EXPECT_GT(total.subnormal, 0);
}

TEST(CastEventCounts, see_numbers_that_are_not_finite) {
  for (size_t which : {0, 3, 6}) {
    Problem p;
    p.x.data[40] = std::numeric_limits<float>::infinity();
    p.x.data[41] = std::numeric_limits<float>::quiet_NaN();
    const Recipe r = only(FpropX, kCasts[which]);
    SCOPED_TRACE(describe(r));
    Events events(kLayerIndex + 1);
    computed(r, p, &events);
    expect_same_events(events[kLayerIndex][FpropX], recount(r.fprop_x, {kTokens, kIn, p.x.data}, site(FpropX)));
    EXPECT_GE(events[kLayerIndex][FpropX].nonfinite, 2);
  }
}

TEST(CastEventCounts, a_block_whose_scale_rounds_to_zero_is_flushed_and_not_saturated) {
  std::vector<float> x(32, 1e-7f);
  x[0] = 1.0f;
  CastEvents events;
  BlockQuantizer(make_block_format("nvfp4", {}), Rounding::TiesToEven).quantize(x, x, 1, 32, {}, &events);
  EXPECT_EQ(events.flushed, 31);
  EXPECT_EQ(events.saturated, 0);
}

TEST(CastEventCounts, add_up_over_steps) {
  const Problem p = wide_problem();
  const Recipe r = find_recipe("nvfp4-nvidia");
  Events once(kLayerIndex + 1), twice(kLayerIndex + 1);
  computed(r, p, &once);
  computed(r, p, &twice);
  computed(r, p, &twice);
  for (int slot = 0; slot < kSlots; ++slot) {
    CastEvents want = once[kLayerIndex][size_t(slot)];
    EXPECT_GT(want.elements, 0) << kSlotNames[slot];
    want += once[kLayerIndex][size_t(slot)];
    expect_same_events(twice[kLayerIndex][size_t(slot)], want);
  }
}

TEST(CastEventCounts, counting_changes_no_bits) {
  const Problem p = wide_problem();
  for (const RecipeRow& row : recipes()) {
    Events events(kLayerIndex + 1);
    EXPECT_EQ(computed(find_recipe(row.name), p, &events), computed(find_recipe(row.name), p)) << row.name;
  }
}

}  // namespace
}  // namespace halfulp
