#include "sim/recipe.h"

#include <fmt/format.h>

#include "cli/streams.h"
#include "cli/verbs.h"
#include "sim/settings.h"

namespace halfulp::cli {
namespace {

void print_recipes(TableStyle style) {
  Table table(style, {{"name"}, {"description"}, {"source"}});
  for (const RecipeRow& row : recipes()) table.add({text(row.name), text(row.description), text(row.source)});
  table.finish();
}

// Every axis of a recipe, as lines for a study's [base].
void print_recipe(TableStyle style, std::string_view name) {
  const std::vector<Setting> all = settings(find_recipe(name));
  if (style == TableStyle::Aligned) {
    std::string lines = fmt::format("# {}\n", name);
    Recipe recipe = find_recipe(name);
    for_each_field(recipe, [&]<class T>(const std::string& path, T& field) {
      const char* quote = std::is_arithmetic_v<T> ? "" : "\"";
      lines += fmt::format("recipe.{} = {}{}{}\n", path, quote, halfulp::detail::to_text(field), quote);
    });
    write_output(lines);
    return;
  }
  std::vector<Field> fields = {{"name", text(name)}};
  for (const Setting& setting : all) fields.push_back({"recipe." + setting.key, setting.value});
  print_record(style, fields);
}

}  // namespace

int run_recipes(Arguments& arguments) {
  std::string wanted;
  TableStyle style = TableStyle::Aligned;
  arguments.positional("NAME", wanted, "A recipe of the list");
  arguments.table_style(style);
  arguments.parse();
  if (wanted.empty())
    print_recipes(style);
  else
    print_recipe(style, wanted);
  return 0;
}

}  // namespace halfulp::cli
