// Standard input and output without buffers of their own: what has arrived is handled and passed on at once, so the
// command works as one end of a pipe, and every failure to read or write is an exception.
#pragma once

#include <fmt/format.h>

#include <bit>
#include <cstddef>
#include <cstring>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace halfulp::cli {

static_assert(std::endian::native == std::endian::little, "raw records are little-endian");

/// Makes a closed pipe an error of the write, and keeps a standard stream that was closed from being the next file
/// that is opened. To be called first.
void prepare_standard_streams();

/// Fills the front of `buffer` with what has arrived and returns how much that is; 0 at the end.
size_t read_input(std::span<std::byte> buffer);

void write_output(std::string_view text);
void write_output(std::span<const std::byte> bytes);

/// Writes all of `bytes` to an open file; `where` names it in the exception.
void write_all(int file, std::span<const std::byte> bytes, std::string_view where);

/// Calls visit(line, number from 1) for every line of the standard input, without the white space around it.
void for_each_input_line(const std::function<void(std::string_view, size_t)>& visit);

/// Calls visit(std::span<const Record>) for the records of the standard input, as they arrive.
/// Throws std::invalid_argument where the end comes inside a record.
template <class Record, class Visitor>
void for_each_input_records(Visitor visit) {
  std::vector<Record> buffer((size_t{1} << 18) / sizeof(Record));
  const std::span<std::byte> bytes = std::as_writable_bytes(std::span(buffer));
  size_t held = 0;
  while (const size_t arrived = read_input(bytes.subspan(held))) {
    held += arrived;
    const size_t whole = held / sizeof(Record);
    if (whole > 0) visit(std::span<const Record>(buffer.data(), whole));
    held -= whole * sizeof(Record);
    std::memmove(bytes.data(), bytes.data() + whole * sizeof(Record), held);
  }
  if (held > 0)
    throw std::invalid_argument(
        fmt::format("standard input ends {} bytes into a record of {} bytes", held, sizeof(Record)));
}

}  // namespace halfulp::cli
