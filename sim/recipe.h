// Recipes: how the six GEMM operands of every linear layer are cast.
//
// For X (tokens, in), W (out, in) and the upstream gradient G (tokens, out):
//   fprop Y = X W^T    operands fprop.x fprop.w    reduced over in
//   dgrad dX = G W     operands dgrad.g dgrad.w    reduced over out
//   wgrad dW = G^T X   operands wgrad.g wgrad.x    reduced over tokens
// Blocks of 1xB and transforms run along the dimension their GEMM reduces.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/block.h"
#include "formats/rounding.h"

namespace halfulp {

/// What the operand is multiplied with before it is cast; both operands of a GEMM together leave the product as it was.
enum class Transform { None, Hadamard };

/// Which tensor a backward operand is made from: the one that the layer saw, or what its forward cast made of it.
enum class OperandSource { Original, Forward };

/// One operand's whole pipeline. `normalize` fixes the fields that do not matter, so that equal casts compare equal.
struct CastSpec {
  std::string format = "binary32";           // scalar or block format, with options such as nvfp4:variant=te
  std::optional<ScaleRule> scale_rule;       // of block formats; empty ("none") otherwise
  std::string block = "none";                // block shape, rows x columns, rows across the reduced dimension
  Rounding rounding = Rounding::TiesToEven;  // of the elements
  int random_bits = 0;                       // stochastic rounding only; 0 asks for kDefaultRandomBits
  Overflow overflow = Overflow::ToInfinity;  // of scalar formats; blocks saturate
  Transform transform = Transform::None;
  int transform_size = 0;  // points of the Hadamard transform, a power of two; 0 asks for 16
  OperandSource source = OperandSource::Original;

  bool operator==(const CastSpec&) const = default;
};

inline constexpr int kDefaultRandomBits = 16;
inline constexpr int kDefaultTransformSize = 16;

template <class Visitor>
void visit(Visitor& v, CastSpec& s) {
  auto& [format, scale_rule, block, rounding, random_bits, overflow, transform, transform_size, source] = s;
  v("format", format);
  v("scale_rule", scale_rule);
  v("block", block);
  v("rounding", rounding);
  v("random_bits", random_bits);
  v("overflow", overflow);
  v("transform", transform);
  v("transform_size", transform_size);
  v("source", source);
}

struct Recipe {
  CastSpec fprop_x, fprop_w, dgrad_g, dgrad_w, wgrad_g, wgrad_x;

  bool operator==(const Recipe&) const = default;
};

template <class Visitor>
void visit(Visitor& v, Recipe& r) {
  auto& [fprop_x, fprop_w, dgrad_g, dgrad_w, wgrad_g, wgrad_x] = r;
  v.group("fprop.x", fprop_x);
  v.group("fprop.w", fprop_w);
  v.group("dgrad.g", dgrad_g);
  v.group("dgrad.w", dgrad_w);
  v.group("wgrad.g", wgrad_g);
  v.group("wgrad.x", wgrad_x);
}

inline constexpr int kSlots = 6;
inline constexpr std::string_view kSlotNames[kSlots] = {"fprop.x", "fprop.w", "dgrad.g",
                                                        "dgrad.w", "wgrad.g", "wgrad.x"};

/// Writes out defaults and blanks what does not matter. Throws std::invalid_argument naming the slot and the field.
void normalize(Recipe& recipe);

/// A published or reference recipe: settings as in a study file, in order; "*" stands for every slot.
struct RecipeRow {
  std::string_view name;
  std::string_view description;
  std::string_view source;
  std::string_view settings;  // lines `slot.field = value`
};

std::span<const RecipeRow> recipes();

/// Throws UnknownName.
Recipe find_recipe(std::string_view name);

/// The catalogue's name of a normalised recipe; for one that is not there "NAME with slot.field=value …", from the row
/// that needs the fewest changes.
std::string describe(const Recipe& recipe);

template <>
struct EnumNames<Transform> {
  static constexpr std::string_view kind = "transform";
  static constexpr NamedValue<Transform> values[] = {{Transform::None, "none"}, {Transform::Hadamard, "hadamard"}};
};
template <>
struct EnumNames<OperandSource> {
  static constexpr std::string_view kind = "operand source";
  static constexpr NamedValue<OperandSource> values[] = {{OperandSource::Original, "original"},
                                                         {OperandSource::Forward, "forward"}};
};

}  // namespace halfulp
