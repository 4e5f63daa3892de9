#include "sim/experiment.h"

#include <gtest/gtest.h>

#include <cstdlib>  // strtod
#include <map>
#include <set>
#include <string>

#include "sim/task.h"

namespace halfulp {
namespace {

using Settings = std::vector<Setting>;

Settings with(Settings settings, const Settings& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

std::string key(const Settings& settings) { return experiment_key(make_experiment(settings)); }

/// What make_experiment says to settings it does not take; empty when it takes them.
std::string complaint(const Settings& settings) {
  try {
    make_experiment(settings);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

void expect_complaint(const Settings& settings, const std::vector<std::string>& parts) {
  const std::string text = complaint(settings);
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos)
        << settings.back().key << " = " << settings.back().value << " says '" << text << "', not '" << part << "'";
}

const Settings kTable = {{"task", "digits"}};
const Settings kText = {{"task", "char_lm"}};

// --- canonical text ---

TEST(ExperimentText, block_formats_have_one_spelling) {
  const auto cast = [](const std::string& format, const std::string& block) {
    Settings settings = kTable;
    settings.push_back({"recipe", "nvfp4-naive"});
    settings.push_back({"recipe.fprop.x.format", format});
    if (!block.empty()) settings.push_back({"recipe.fprop.x.block", block});
    return make_experiment(settings).recipe.fprop_x;
  };
  const CastSpec spec = cast("nvfp4:target=max,rule=rceil,shape=1x32,headroom=1.0625", "none");
  EXPECT_EQ(spec.format, "nvfp4:headroom=17/16");
  EXPECT_EQ(spec.block, "1x32");
  EXPECT_EQ(spec.scale_rule, ScaleRule::Rceil);
  EXPECT_EQ(cast("int8/ue4m3/1x16", "allx16").block, "allx16");
  EXPECT_NE(cast("nvfp4:variant=te", "none"), cast("nvfp4", "none"));
  EXPECT_EQ(cast("nvfp4:variant=exact", "none"), cast("nvfp4", "none"));
}

TEST(ExperimentText, reads_back_as_the_same_experiment_for_every_task_and_recipe) {
  for (const TaskRow& task : tasks())
    for (const RecipeRow& recipe : recipes()) {
      const Experiment e =
          make_experiment(Settings{{"task", std::string(task.name)}, {"recipe", std::string(recipe.name)}});
      const std::string text = canonical_text(e);
      EXPECT_EQ(parse_experiment(text), e) << text;
      EXPECT_EQ(canonical_text(parse_experiment(text)), text);
    }
}

TEST(ExperimentText, numbers_read_back_to_the_last_bit) {
  for (const char* lr :
       {"0.1", "1e-05", "0.30000000000000004", "4.9e-324", "123456.789", "1e6", "0.3333333333333333"}) {
    const Experiment e = make_experiment(with(kTable, {{"optimizer.lr", lr}}));
    EXPECT_EQ(parse_experiment(canonical_text(e)).optimizer.lr, std::strtod(lr, nullptr)) << lr;
  }
  const Experiment e = make_experiment(with(kTable, {{"seed", "18446744073709551615"}}));
  EXPECT_EQ(parse_experiment(canonical_text(e)).seed, UINT64_MAX);
}

TEST(ExperimentText, is_one_line_per_field_in_a_fixed_order) {
  const std::string text = canonical_text(make_experiment(kTable));
  EXPECT_TRUE(text.starts_with("task = \"digits\"\nmodel.kind = \"mlp\"\nmodel.layers = 2\n")) << text;
  EXPECT_NE(text.find("\nrecipe.fprop.x.format = \"binary32\"\nrecipe.fprop.x.scale_rule = \"none\"\n"),
            std::string::npos);
  EXPECT_TRUE(text.ends_with("\nseed = 1\n")) << text;
}

TEST(ExperimentText, a_changed_text_is_checked_like_settings) {
  std::string text = canonical_text(make_experiment(kTable));
  EXPECT_THROW(parse_experiment(text + "optimizer.speed = 3\n"), std::invalid_argument);
  EXPECT_THROW(parse_experiment(text + "steps = 0\n"), std::invalid_argument);
  EXPECT_THROW(parse_experiment(text + "steps\n"), std::invalid_argument);
  EXPECT_THROW(parse_experiment(""), std::invalid_argument);
}

// --- keys ---

TEST(ExperimentKey, is_the_same_however_an_experiment_is_written) {
  const Settings block = with(kTable, {{"recipe", "mxfp8"}});
  const struct {
    const char* what;
    Settings a, b;
  } pairs[] = {
      {"order", with(kTable, {{"steps", "70"}, {"batch", "9"}}), with({{"batch", "9"}, {"steps", "70"}}, kTable)},
      {"recipe before or after its changes", with(kTable, {{"recipe", "mxfp8"}, {"recipe.fprop.x.format", "mxfp4"}}),
       with(kTable, {{"recipe.fprop.x.format", "mxfp4"}, {"recipe", "mxfp8"}})},
      {"the last setting of a key", with(kTable, {{"steps", "70"}, {"steps", "80"}}), with(kTable, {{"steps", "80"}})},
      {"defaults written out", kTable,
       with(kTable, {{"optimizer.lr", "0.003"}, {"optimizer.clip", "1"}, {"seed", "1"}})},
      {"spelling of numbers", with(kTable, {{"optimizer.lr", "0.01"}}), with(kTable, {{"optimizer.lr", "1e-2"}})},
      {"zero and minus zero", with(kTable, {{"optimizer.weight_decay", "0"}}),
       with(kTable, {{"optimizer.weight_decay", "-0.0"}})},
      {"the baseline by name", kTable, with(kTable, {{"recipe", "fp32"}})},
      {"heads and context of an mlp", kTable, with(kTable, {{"model.heads", "4"}, {"model.context", "64"}})},
      {"betas under sgd", with(kTable, {{"optimizer.kind", "sgd"}}),
       with(kTable, {{"optimizer.kind", "sgd"}, {"optimizer.beta1", "0.5"}, {"optimizer.epsilon", "0.1"}})},
      {"momentum under adamw", kTable, with(kTable, {{"optimizer.momentum", "0.5"}})},
      {"scale rule of a scalar format", with(kTable, {{"recipe", "bf16"}}),
       with(kTable, {{"recipe", "bf16"}, {"recipe.*.scale_rule", "floor"}, {"recipe.*.block", "1x8"}})},
      {"the forward source of an operand that is not cast", kTable,
       with(kTable, {{"recipe.dgrad.w.source", "forward"}, {"recipe.wgrad.x.source", "forward"}})},
      {"random bits without stochastic rounding", block, with(block, {{"recipe.*.random_bits", "9"}})},
      {"random bits written out", with(block, {{"recipe.dgrad.g.rounding", "stochastic_c"}}),
       with(block, {{"recipe.dgrad.g.rounding", "stochastic_c"}, {"recipe.dgrad.g.random_bits", "16"}})},
      {"rounding and overflow of binary32", kTable,
       with(kTable, {{"recipe.*.rounding", "stochastic_a"}, {"recipe.*.overflow", "saturate"}})},
      {"overflow of blocks", block, with(block, {{"recipe.*.overflow", "to_infinity"}})},
      {"block shape written out", block, with(block, {{"recipe.*.block", "1x32"}})},
      {"the only scale rule of nvfp4", with(kTable, {{"recipe", "nvfp4-naive"}}),
       with(kTable, {{"recipe", "nvfp4-naive"}, {"recipe.*.scale_rule", "nearest"}})},
      {"transform size without transform", block, with(block, {{"recipe.*.transform_size", "64"}})},
      {"transform size written out", with(block, {{"recipe.*.transform", "hadamard"}}),
       with(block, {{"recipe.*.transform", "hadamard"}, {"recipe.*.transform_size", "16"}})},
      {"source of gradients", block, with(block, {{"recipe.*.g.source", "forward"}})},
  };
  for (const auto& [what, a, b] : pairs) {
    EXPECT_EQ(make_experiment(a), make_experiment(b)) << what;
    EXPECT_EQ(canonical_text(make_experiment(a)), canonical_text(make_experiment(b))) << what;
    EXPECT_EQ(key(a), key(b)) << what;
  }
}

/// Changes that make another experiment, one per field that matters.
struct Changes {
  const char* what;
  Settings base;
  std::vector<Setting> changes;
  std::set<std::string> without_meaning;  // fields that this base does not look at
};

std::vector<Changes> changes() {
  const Settings stochastic = {{"recipe", "mxfp8"},
                               {"recipe.*.rounding", "stochastic_c"},
                               {"recipe.*.transform", "hadamard"},
                               {"recipe.fprop.*.transform", "none"}};
  std::vector<Changes> all = {
      {"table with adamw",
       with(kTable, stochastic),
       {{"task", "vision"},
        {"model.layers", "3"},
        {"model.width", "64"},
        {"model.activation", "gelu"},
        {"optimizer.kind", "sgd"},
        {"optimizer.lr", "0.0031"},
        {"optimizer.beta1", "0.8"},
        {"optimizer.beta2", "0.999"},
        {"optimizer.epsilon", "1e-7"},
        {"optimizer.weight_decay", "0.1"},
        {"optimizer.clip", "0"},
        {"optimizer.schedule", "constant"},
        {"optimizer.warmup", "49"},
        {"steps", "999"},
        {"batch", "127"},
        {"evaluations", "9"},
        {"seed", "2"}},
       {"model.kind", "model.heads", "model.context", "optimizer.momentum"}},
      {"text with sgd",
       with(kText, with({{"optimizer.kind", "sgd"}}, stochastic)),
       {{"model.layers", "3"},
        {"model.width", "128"},
        {"model.heads", "2"},
        {"model.context", "63"},
        {"model.activation", "relu"},
        {"optimizer.kind", "adamw"},
        {"optimizer.lr", "0.0031"},
        {"optimizer.momentum", "0.8"},
        {"optimizer.weight_decay", "0.1"},
        {"optimizer.clip", "2"},
        {"optimizer.schedule", "constant"},
        {"optimizer.warmup", "0"},
        {"steps", "999"},
        {"batch", "127"},
        {"evaluations", "9"},
        {"seed", "4294967297"}},
       {"task", "model.kind", "optimizer.beta1", "optimizer.beta2", "optimizer.epsilon"}},
  };
  for (Changes& c : all)
    for (std::string_view slot : kSlotNames) {
      const std::string prefix = "recipe." + std::string(slot) + ".";
      for (const Setting& field : Settings{{"format", "mxfp8_e5m2"},
                                           {"scale_rule", "floor"},
                                           {"block", "1x16"},
                                           {"rounding", "toward_zero"},
                                           {"random_bits", "5"}})
        c.changes.push_back({prefix + field.key, field.value});
      c.without_meaning.insert(prefix + "overflow");  // blocks saturate
      // both operands of a GEMM change their transform together
      c.without_meaning.insert({prefix + "transform", prefix + "transform_size"});
      if (slot == "dgrad.w" || slot == "wgrad.x")
        c.changes.push_back({prefix + "source", "forward"});
      else
        c.without_meaning.insert(prefix + "source");
    }
  for (Changes& c : all)
    for (const char* gemm : {"fprop", "dgrad", "wgrad"}) {
      const std::string prefix = "recipe." + std::string(gemm) + ".*.";
      c.changes.push_back({prefix + "transform", gemm == std::string("fprop") ? "hadamard" : "none"});
      if (gemm != std::string("fprop")) c.changes.push_back({prefix + "transform_size", "64"});
    }
  return all;
}

TEST(ExperimentKey, differs_when_any_field_that_matters_differs) {
  for (const Changes& c : changes()) {
    std::map<std::string, std::string> seen = {{key(c.base), "the base"}};
    for (const Setting& change : c.changes) {
      const auto [at, is_new] = seen.emplace(key(with(c.base, {change})), change.key);
      EXPECT_TRUE(is_new) << c.what << ": " << change.key << " = " << change.value << " has the key of " << at->second;
    }
  }
}

TEST(ExperimentKey, changes_cover_every_field) {
  for (const Changes& c : changes()) {
    std::set<std::string> covered = c.without_meaning;
    for (const Setting& change : c.changes) covered.insert(change.key);
    for (const Setting& field : settings(make_experiment(c.base)))
      EXPECT_TRUE(covered.contains(field.key)) << c.what << ": nothing changes " << field.key;
  }
}

TEST(ExperimentKey, is_64_hexadecimal_digits_and_needs_no_data) {
  const std::string text = key(kTable);
  EXPECT_EQ(text.size(), 64u);
  EXPECT_EQ(text.find_first_not_of("0123456789abcdef"), std::string::npos);
}

// --- defaults and wildcards ---

TEST(MakeExperiment, takes_the_defaults_of_the_task) {
  const Experiment text = make_experiment(kText);
  EXPECT_EQ(text.model.kind, ModelKind::CharTransformer);
  EXPECT_EQ(text.model.heads, 4);
  EXPECT_EQ(text.model.activation, Activation::GeluTanh);
  EXPECT_EQ(text.steps, 600);
  EXPECT_EQ(text.optimizer.kind, OptimizerKind::AdamW);
  EXPECT_EQ(text.recipe, find_recipe("fp32"));
}

TEST(MakeExperiment, a_star_stands_for_every_slot_that_it_fits) {
  const Experiment e = make_experiment(
      with(kTable,
           {{"recipe.*.format", "e4m3fn"}, {"recipe.wgrad.*.format", "e5m2"}, {"recipe.*.g.rounding", "toward_zero"}}));
  EXPECT_EQ(e.recipe.fprop_x.format, "e4m3fn");
  EXPECT_EQ(e.recipe.dgrad_w.format, "e4m3fn");
  EXPECT_EQ(e.recipe.wgrad_g.format, "e5m2");
  EXPECT_EQ(e.recipe.wgrad_x.format, "e5m2");
  EXPECT_EQ(e.recipe.dgrad_g.rounding, Rounding::TowardZero);
  EXPECT_EQ(e.recipe.wgrad_g.rounding, Rounding::TowardZero);
  EXPECT_EQ(e.recipe.wgrad_x.rounding, Rounding::TiesToEven);
}

TEST(SettingPatterns, match_whole_paths) {
  EXPECT_TRUE(matches("steps", "steps"));
  EXPECT_FALSE(matches("step", "steps"));
  EXPECT_FALSE(matches("steps", "step"));
  EXPECT_TRUE(matches("recipe.*.rounding", "recipe.dgrad.g.rounding"));
  EXPECT_FALSE(matches("recipe.*.transform", "recipe.dgrad.g.transform_size"));
  EXPECT_TRUE(matches("*", "anything"));
  EXPECT_TRUE(matches("*.*.x.*", "recipe.fprop.x.format"));
  EXPECT_FALSE(matches("*.x.*", "recipe.fprop.w.format"));
  EXPECT_TRUE(matches("recipe.*", "recipe."));
  EXPECT_FALSE(matches("", "steps"));
}

/// The definition, tried every way there is.
bool matches_by_definition(std::string_view pattern, std::string_view path) {
  if (pattern.empty()) return path.empty();
  if (pattern.front() != '*')
    return !path.empty() && path.front() == pattern.front() && matches_by_definition(pattern.substr(1), path.substr(1));
  for (size_t taken = 0; taken <= path.size(); ++taken)
    if (matches_by_definition(pattern.substr(1), path.substr(taken))) return true;
  return false;
}

/// All texts of up to `length` of the given letters.
std::vector<std::string> all_texts(std::string_view letters, size_t length) {
  std::vector<std::string> all = {""};
  for (size_t i = 0; i < all.size() && all[i].size() < length; ++i)
    for (const char letter : letters) all.push_back(std::string(all[i]) + letter);
  return all;
}

TEST(SettingPatterns, match_as_defined) {
  for (const std::string& pattern : all_texts("ab*", 6))
    for (const std::string& path : all_texts("ab", 6))
      ASSERT_EQ(matches(pattern, path), matches_by_definition(pattern, path)) << pattern << " and " << path;
}

TEST(SettingPatterns, of_many_stars_are_no_more_work_than_others) {
  EXPECT_FALSE(matches(std::string(1000, '*') + "e", std::string(1000, 'r')));
}

TEST(SettingLines, are_key_equals_value_with_or_without_quotes) {
  EXPECT_EQ(parse_settings("a = 1\nb.c = \"x y\"\nd = "), (Settings{{"a", "1"}, {"b.c", "x y"}, {"d", ""}}));
  EXPECT_EQ(parse_settings(""), Settings());
  EXPECT_EQ(parse_settings("a = b = c"), (Settings{{"a", "b = c"}}));
  EXPECT_THROW(parse_settings("a=1"), std::invalid_argument);
}

// --- errors ---

TEST(ExperimentErrors, unknown_names_come_with_the_known_ones) {
  expect_complaint({{"steps", "5"}}, {"task", "digits", "char_lm"});
  expect_complaint({{"task", "digit"}}, {"no task named 'digit'", "digits"});
  expect_complaint(with(kTable, {{"recipe", "nvfp4"}}), {"no recipe named 'nvfp4'", "nvfp4-naive"});
  expect_complaint(with(kTable, {{"optimiser.lr", "1"}}), {"no setting named 'optimiser.lr'", "optimizer.lr"});
  expect_complaint(with(kTable, {{"recipe.*.roundin", "to_odd"}}), {"no setting named 'recipe.*.roundin'"});
  expect_complaint(with(kTable, {{"recipe.dgrad.g.rounding", "nearest"}}),
                   {"recipe.dgrad.g.rounding", "no rounding named 'nearest'", "ties_to_even"});
  expect_complaint(with(kTable, {{"recipe.dgrad.g.format", "mxfp5"}}),
                   {"recipe.dgrad.g", "no scalar or block format named 'mxfp5'", "mxfp4"});
  expect_complaint(with(kTable, {{"model.activation", "swish"}}),
                   {"model.activation", "no activation named", "gelu_tanh"});
  expect_complaint(with(kTable, {{"optimizer.kind", "adam"}}), {"optimizer.kind", "no optimizer named", "adamw"});
  expect_complaint(with(kTable, {{"recipe.fprop.x.transform", "dct"}}), {"recipe.fprop.x.transform", "hadamard"});
  expect_complaint(with(kTable, {{"recipe.fprop.x.scale_rule", "up"}}), {"recipe.fprop.x.scale_rule", "rceil"});
}

TEST(ExperimentErrors, numbers_must_be_whole_finite_and_in_range) {
  for (const char* field : {"optimizer.lr", "optimizer.beta1", "optimizer.beta2", "optimizer.epsilon",
                            "optimizer.weight_decay", "optimizer.clip"})
    for (const char* value : {"nan", "inf", "-inf", "1e999", "", " 1", "1 ", "one", "0x10", "-1"})
      expect_complaint(with(kTable, {{field, value}}), {field});
  for (const char* field : {"model.layers", "model.width", "steps", "batch", "evaluations", "optimizer.warmup"})
    for (const char* value : {"", "nan", "1.5", "1e3", "99999999999", "-1", "+5", " 5"})
      expect_complaint(with(kTable, {{field, value}}), {field});
  for (const char* value : {"-1", "18446744073709551616", "", "1.0"})
    expect_complaint(with(kTable, {{"seed", value}}), {"seed", "whole number from 0 on"});
  for (const char* field : {"model.layers", "model.width", "steps", "batch", "evaluations"})
    expect_complaint(with(kTable, {{field, "0"}}), {field});
  for (const char* field : {"model.heads", "model.context"})
    for (const char* value : {"0", "-1", "5000"}) expect_complaint(with(kText, {{field, value}}), {field});
  expect_complaint(with(kTable, {{"optimizer.beta1", "1"}}), {"optimizer.beta1"});
  expect_complaint(with(kTable, {{"optimizer.epsilon", "0"}}), {"optimizer.epsilon"});
  expect_complaint(with(kTable, {{"optimizer.kind", "sgd"}, {"optimizer.momentum", "1.5"}}), {"optimizer.momentum"});
}

TEST(ExperimentErrors, fields_must_fit_together) {
  expect_complaint(with(kText, {{"model.heads", "5"}}), {"model.heads: 5 does not divide model.width 64"});
  expect_complaint(with(kTable, {{"optimizer.warmup", "1000"}}), {"optimizer.warmup: 1000 is not in 0 … 999"});
  expect_complaint(with(kTable, {{"evaluations", "1001"}}), {"evaluations: 1001 is not in 1 … 1000"});
  expect_complaint(with(kText, {{"model.kind", "mlp"}}), {"model.kind", "char_transformer"});
  expect_complaint(with(kTable, {{"model.kind", "char_transformer"}}), {"model.kind", "'mlp'"});
}

TEST(ExperimentErrors, of_recipes_name_the_slot_and_the_field) {
  expect_complaint(with(kTable, {{"recipe.dgrad.g.format", "mxfp4"}}),
                   {"recipe.dgrad.g", "scale rule must be stated", "triton_up", "rceil"});
  expect_complaint(with(kTable, {{"recipe.dgrad.g.format", "nvfp4"}, {"recipe.dgrad.g.scale_rule", "triton_up"}}),
                   {"recipe.dgrad.g", "not with scale rule 'triton_up'", "nearest"});
  expect_complaint(with(kTable, {{"recipe", "mxfp8"}, {"recipe.fprop.w.block", "16"}}), {"recipe.fprop.w", "16x16"});
  expect_complaint(with(kTable, {{"recipe.fprop.x.source", "forward"}}), {"recipe.fprop.x", "source", "original"});
  expect_complaint(with(kTable, {{"recipe.fprop.w.source", "forward"}}), {"recipe.fprop.w", "source", "original"});
  expect_complaint(with(kTable, {{"recipe.wgrad.x.transform", "hadamard"}}),
                   {"recipe.wgrad", "same transform", "hadamard 16", "none 0"});
  expect_complaint(with(kTable, {{"recipe.wgrad.*.transform", "hadamard"}, {"recipe.wgrad.x.transform_size", "32"}}),
                   {"recipe.wgrad", "hadamard 16", "hadamard 32"});
  for (const char* size : {"1", "3", "48", "2048", "-16"})
    expect_complaint(with(kTable, {{"recipe.*.transform", "hadamard"}, {"recipe.*.transform_size", size}}),
                     {"recipe.fprop.x", "transform_size", "power of two"});
  for (const char* bits : {"33", "-1"})
    expect_complaint(
        with(kTable, {{"recipe", "bf16"}, {"recipe.*.rounding", "stochastic_a"}, {"recipe.*.random_bits", bits}}),
        {"recipe.fprop.x", "random_bits", "32"});
  expect_complaint(with(kTable, {{"recipe.fprop.*.transform", "hadamard"}, {"recipe.dgrad.w.source", "forward"}}),
                   {"recipe.dgrad.w.source", "forward"});
  expect_complaint(with(kTable, {{"recipe.fprop.*.transform", "hadamard"}, {"recipe.wgrad.x.source", "forward"}}),
                   {"recipe.wgrad.x.source", "forward"});
}

// --- recipes ---

TEST(Recipes, every_row_parses_has_its_own_name_and_is_told_by_it) {
  std::set<std::string> texts;
  for (const RecipeRow& row : recipes()) {
    const Recipe recipe = find_recipe(row.name);
    EXPECT_EQ(describe(recipe), row.name);
    Recipe again = recipe;
    normalize(again);
    EXPECT_EQ(again, recipe) << row.name << " is not normalised";
    std::string text;
    for (const Setting& setting : settings(recipe)) text += setting.key + "=" + setting.value + "\n";
    EXPECT_TRUE(texts.insert(text).second) << row.name << " repeats another recipe";
    EXPECT_FALSE(row.description.empty());
    EXPECT_FALSE(row.source.empty());
  }
}

TEST(Recipes, one_that_is_not_in_the_catalogue_is_the_nearest_with_its_changes) {
  Recipe recipe = find_recipe("bf16");
  recipe.dgrad_g.rounding = Rounding::TowardZero;
  EXPECT_EQ(describe(recipe), "bf16 with dgrad.g.rounding=toward_zero");
  recipe.wgrad_x.overflow = Overflow::Saturate;
  EXPECT_EQ(describe(recipe), "bf16 with dgrad.g.rounding=toward_zero wgrad.x.overflow=saturate");
}

TEST(Recipes, are_what_their_sources_say) {
  const Recipe nvidia = find_recipe("nvfp4-nvidia");
  for (const CastSpec* cast : {&nvidia.fprop_w, &nvidia.dgrad_w}) EXPECT_EQ(cast->block, "16x16");
  for (const CastSpec* cast : {&nvidia.fprop_x, &nvidia.dgrad_g, &nvidia.wgrad_g, &nvidia.wgrad_x})
    EXPECT_EQ(cast->block, "1x16");
  for (const CastSpec* cast : {&nvidia.dgrad_g, &nvidia.wgrad_g}) EXPECT_TRUE(is_stochastic(cast->rounding));
  for (const CastSpec* cast : {&nvidia.fprop_x, &nvidia.fprop_w, &nvidia.dgrad_w, &nvidia.wgrad_x})
    EXPECT_EQ(cast->rounding, Rounding::TiesToEven);
  for (const CastSpec* cast : {&nvidia.wgrad_g, &nvidia.wgrad_x}) EXPECT_EQ(cast->transform, Transform::Hadamard);
  for (const CastSpec* cast : {&nvidia.fprop_x, &nvidia.dgrad_g}) EXPECT_EQ(cast->transform, Transform::None);

  const Recipe all_the_way = find_recipe("fp4-alltheway");
  for (const CastSpec* cast : {&all_the_way.dgrad_g, &all_the_way.wgrad_g, &all_the_way.wgrad_x})
    EXPECT_TRUE(is_stochastic(cast->rounding));
  EXPECT_FALSE(is_stochastic(all_the_way.dgrad_w.rounding));

  const Recipe tetrajet = find_recipe("tetrajet");
  for (const CastSpec* cast : {&tetrajet.dgrad_g, &tetrajet.dgrad_w, &tetrajet.wgrad_g, &tetrajet.wgrad_x}) {
    EXPECT_TRUE(is_stochastic(cast->rounding));
    EXPECT_EQ(cast->scale_rule, ScaleRule::Rceil);
  }
  EXPECT_FALSE(is_stochastic(tetrajet.fprop_x.rounding));
  EXPECT_EQ(tetrajet.dgrad_w.source, OperandSource::Forward);
  EXPECT_EQ(tetrajet.wgrad_x.source, OperandSource::Forward);

  EXPECT_EQ(find_recipe("mxfp4-ocp").fprop_x.scale_rule, ScaleRule::Floor);
}

}  // namespace
}  // namespace halfulp
