// Readers for the file formats real data comes in: gzip, IDX, CSV and the data bases of R packages.
//
// They take the bytes of a file and its name. Bytes that are not such a file end in a std::runtime_error that names the
// file, the position and what was expected there; nothing is read beyond the end. Inside R objects that is librdata's
// work, which may ask for much memory when lengths are wrong: give it files whose digest has been checked.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace halfulp {

/// What a gzip file holds.
std::vector<uint8_t> gunzip(std::string_view file, std::span<const uint8_t> bytes);

/// An array of bytes as the MNIST family of data sets stores it: 0 0 8 dimensions, each extent as a big-endian 32-bit
/// number, then the values, the last index fastest.
struct IdxArray {
  std::vector<int> extents;
  std::vector<uint8_t> values;
};
IdxArray parse_idx(std::string_view file, std::span<const uint8_t> bytes, int dimensions);

/// Rows of finite numbers between separators; as many columns in every row.
struct NumberTable {
  int columns;
  std::vector<double> values;  // (rows, columns)

  int rows() const { return int(values.size()) / columns; }
  double at(int row, int column) const { return values[size_t(row) * columns + column]; }
};
NumberTable parse_csv(std::string_view file, std::span<const uint8_t> bytes, char separator, int columns);

/// A column of an R data frame. Only numbers and factors are kept; other columns have no values.
struct RColumn {
  std::string name;
  std::vector<double> values;       // of a factor: the level, counted from 1
  std::vector<std::string> levels;  // empty: not a factor
};

/// The first data frame with a column named `wanted` in the data base (.rdb) of an R package, which is a sequence of
/// objects, each a big-endian 32-bit size and a zlib stream of that many bytes in R's serialisation.
std::vector<RColumn> find_r_data_frame(std::string_view file, std::span<const uint8_t> bytes, std::string_view wanted);

}  // namespace halfulp
