#include "sim/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "sim/settings.h"

namespace halfulp {
namespace {

constexpr std::array kRecipes = {
    RecipeRow{"fp32", "every operand as it is", "baseline", "*.format = binary32"},
    RecipeRow{"bf16", "every operand bfloat16", "baseline", "*.format = bfloat16"},
    RecipeRow{"mxfp8", "MXFP8 E4M3 everywhere, scales that never clip", "arXiv 2510.25602",
              "*.format = mxfp8_e4m3\n"
              "*.scale_rule = rceil"},
    RecipeRow{"mxfp6", "MXFP6 E2M3 everywhere, scales that never clip", "arXiv 2510.25602",
              "*.format = mxfp6_e2m3\n"
              "*.scale_rule = rceil"},
    RecipeRow{"mxint8", "MXINT8 everywhere, scales that never clip", "arXiv 2510.25602",
              "*.format = mxint8\n"
              "*.scale_rule = rceil"},
    RecipeRow{"mxfp4-ocp", "MXFP4 everywhere with the scales of OCP MX v1.0 section 6.3", "OCP MX v1.0",
              "*.format = mxfp4\n"
              "*.scale_rule = floor"},
    RecipeRow{
        "mxfp4-nvidia",
        "MXFP4, scales that never clip, stochastic gradients, Hadamard on wgrad; without the random signs and the "
        "layers kept in bf16",
        "arXiv 2509.25149",
        "*.format = mxfp4\n"
        "*.scale_rule = rceil\n"
        "*.g.rounding = stochastic_c\n"
        "wgrad.*.transform = hadamard\n"
        "wgrad.*.transform_size = 32"},
    RecipeRow{"nvfp4-naive", "NVFP4 everywhere, to nearest", "arXiv 2509.25149", "*.format = nvfp4"},
    RecipeRow{"nvfp4-nvidia",
              "NVFP4, 16x16 weights, stochastic gradients, Hadamard on wgrad; without the random signs and the layers "
              "kept in bf16",
              "arXiv 2509.25149",
              "*.format = nvfp4\n"
              "*.w.block = 16x16\n"
              "*.g.rounding = stochastic_c\n"
              "wgrad.*.transform = hadamard\n"
              "wgrad.*.transform_size = 16"},
    RecipeRow{"fp4-alltheway", "NVFP4, stochastic gradients and wgrad activations; without the precision schedule",
              "arXiv 2505.19115",
              "*.format = nvfp4\n"
              "*.g.rounding = stochastic_c\n"
              "wgrad.x.rounding = stochastic_c"},
    RecipeRow{"tetrajet", "MXFP4, scales that never clip, stochastic backward from the forward-quantised operands",
              "arXiv 2502.20853",
              "*.format = mxfp4\n"
              "*.scale_rule = rceil\n"
              "dgrad.*.rounding = stochastic_c\n"
              "wgrad.*.rounding = stochastic_c\n"
              "dgrad.w.source = forward\n"
              "wgrad.x.source = forward"},
};

void normalize_format(CastSpec& cast) {
  if (names_block_format(cast.format)) {
    // what the text states itself goes before the fields, which may be those of the recipe it replaces a part of
    const bool has_shape = cast.block != "none" && !states_option(cast.format, "shape");
    const BlockFormat format = make_block_format(
        cast.format, states_option(cast.format, "rule") ? std::nullopt : cast.scale_rule, has_shape ? cast.block : "");
    cast.format = block_text(format);
    cast.scale_rule = format.rule;
    cast.block = shape_text(format);
    cast.overflow = Overflow::Saturate;
    return;
  }
  try {
    const Format format = parse_format(cast.format);
    cast.format = std::string_view(format.name);
    if (!fits_binary32(format)) throw std::invalid_argument(fmt::format("'{}' does not fit binary32", cast.format));
  } catch (const UnknownName&) {
    std::vector<std::string_view> known;
    for (const Format& format : formats()) known.push_back(format.name);
    for (const BlockRow& row : block_formats()) known.push_back(row.name);
    throw UnknownName("scalar or block format", cast.format, known);
  }
  cast.scale_rule.reset();
  cast.block = "none";
  if (cast.format == "binary32") {
    cast.rounding = Rounding::TiesToEven;
    cast.overflow = Overflow::ToInfinity;
  }
}

void normalize(CastSpec& cast, bool is_forward) {
  normalize_format(cast);
  if (cast.random_bits < 0 || cast.random_bits > kMaxRandomBits)
    throw std::invalid_argument(fmt::format("random_bits: 1 … {} of them, not {}", kMaxRandomBits, cast.random_bits));
  if (!is_stochastic(cast.rounding))
    cast.random_bits = 0;
  else if (cast.random_bits == 0)
    cast.random_bits = kDefaultRandomBits;
  if (cast.transform == Transform::None) {
    cast.transform_size = 0;
  } else if (cast.transform_size == 0) {
    cast.transform_size = kDefaultTransformSize;
  } else if (cast.transform_size < 2 || cast.transform_size > 1024 ||
             !std::has_single_bit(unsigned(cast.transform_size))) {
    throw std::invalid_argument(
        fmt::format("transform_size: a power of two from 2 to 1024, not {}", cast.transform_size));
  }
  if (is_forward && cast.source == OperandSource::Forward)
    throw std::invalid_argument("source: a forward operand has no other source than 'original'");
}

bool is_identity(const CastSpec& cast) { return cast.format == "binary32" && cast.transform == Transform::None; }

void require_same_transform(std::string_view gemm, const CastSpec& a, const CastSpec& b) {
  if (a.transform == b.transform && a.transform_size == b.transform_size) return;
  throw std::invalid_argument(
      fmt::format("{}: both operands of a GEMM need the same transform and transform_size, not {} {} and {} {}", gemm,
                  name(a.transform), a.transform_size, name(b.transform), b.transform_size));
}

void require_plain_forward(std::string_view slot, const CastSpec& backward, const CastSpec& forward) {
  if (backward.source == OperandSource::Original || forward.transform == Transform::None) return;
  throw std::invalid_argument(fmt::format("{}.source: 'forward' needs a forward operand without transform", slot));
}

// The settings in which two recipes differ, as the first has them.
std::vector<Setting> differences(const Recipe& recipe, const Recipe& other) {
  const std::vector<Setting> a = settings(recipe), b = settings(other);
  std::vector<Setting> different;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) different.push_back(a[i]);
  return different;
}

}  // namespace

void normalize(Recipe& r) {
  CastSpec* const slots[kSlots] = {&r.fprop_x, &r.fprop_w, &r.dgrad_g, &r.dgrad_w, &r.wgrad_g, &r.wgrad_x};
  for (int i = 0; i < kSlots; ++i) {
    try {
      normalize(*slots[i], i < 2);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(fmt::format("recipe.{}: {}", kSlotNames[i], error.what()));
    }
  }
  require_same_transform("recipe.fprop", r.fprop_x, r.fprop_w);
  require_same_transform("recipe.dgrad", r.dgrad_g, r.dgrad_w);
  require_same_transform("recipe.wgrad", r.wgrad_g, r.wgrad_x);
  r.dgrad_g.source = r.wgrad_g.source = OperandSource::Original;  // gradients have no forward cast
  if (is_identity(r.fprop_w)) r.dgrad_w.source = OperandSource::Original;
  if (is_identity(r.fprop_x)) r.wgrad_x.source = OperandSource::Original;
  require_plain_forward("recipe.dgrad.w", r.dgrad_w, r.fprop_w);
  require_plain_forward("recipe.wgrad.x", r.wgrad_x, r.fprop_x);
}

std::span<const RecipeRow> recipes() { return kRecipes; }

Recipe find_recipe(std::string_view name) {
  for (const RecipeRow& row : kRecipes) {
    if (row.name != name) continue;
    Recipe recipe;
    for (const Setting& setting : parse_settings(row.settings)) set(recipe, setting);
    normalize(recipe);
    return recipe;
  }
  std::vector<std::string_view> known;
  for (const RecipeRow& row : kRecipes) known.push_back(row.name);
  throw UnknownName("recipe", name, known);
}

std::string describe(const Recipe& recipe) {
  std::string best;
  size_t fewest = SIZE_MAX;
  for (const RecipeRow& row : kRecipes) {
    const std::vector<Setting> changes = differences(recipe, find_recipe(row.name));
    if (changes.size() >= fewest) continue;
    fewest = changes.size();
    best = row.name;
    for (size_t i = 0; i < changes.size(); ++i)
      best += fmt::format("{}{}={}", i == 0 ? " with " : " ", changes[i].key, changes[i].value);
  }
  return best;
}

}  // namespace halfulp
