// Printing rows: as an aligned table, as JSON or as CSV, all from the same cells.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace halfulp::cli {

enum class TableStyle { Aligned, Json, Csv };

enum class Align { Left, Right };

struct Column {
  std::string name;
  Align align = Align::Left;
};

/// monostate: there is no such thing; "-" in a table, null in JSON, empty in CSV. Real numbers are printed with the
/// fewest decimal digits that read back the same; NaN and infinities are strings in JSON, which has no number for them.
using Cell = std::variant<std::monostate, std::string, int64_t, double, bool>;

inline Cell text(std::string_view words) { return std::string(words); }

/// Prints rows on the standard output as they come, a few thousand at a time.
class Table {
 public:
  Table(TableStyle style, std::vector<Column> columns);
  void add(std::vector<Cell> row);
  /// Prints what is left. To be called once, last.
  void finish();

 private:
  void print_rows();
  void print_aligned();
  void print_line(const std::vector<std::string>& cells);

  TableStyle style_;
  std::vector<Column> columns_;
  std::vector<size_t> widths_;
  std::vector<std::vector<Cell>> rows_;
  bool is_first_ = true;
};

/// One fact about one thing.
struct Field {
  std::string name;
  Cell value;
};

/// As a cell of a table: without line ends where the texts in it have none.
std::string spelled(const Cell& cell);

/// Prints the facts about one thing: aligned a line each, as a JSON object, as CSV with a header and one row.
void print_record(TableStyle style, const std::vector<Field>& fields);

}  // namespace halfulp::cli
