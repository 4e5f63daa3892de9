#include "sim/data_files.h"

#include <fmt/core.h>
#include <rdata.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace halfulp {
namespace {

constexpr size_t kLargest = size_t{1} << 26;  // [bytes] of an unpacked file; a longer one is damaged

[[noreturn]] void fail(std::string_view file, std::string_view what) {
  throw std::runtime_error(fmt::format("{}: {}", file, what));
}

uint32_t big_endian(std::span<const uint8_t> bytes, size_t at) {
  return uint32_t{bytes[at]} << 24 | uint32_t{bytes[at + 1]} << 16 | uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
}

struct Inflated {
  std::vector<uint8_t> bytes;
  size_t consumed;  // bytes of the stream
};

/// Unpacks the zlib or gzip stream that starts at byte `at`.
Inflated inflate_stream(std::string_view file, std::span<const uint8_t> bytes, size_t at) {
  constexpr int kZlibOrGzip = 15 + 32;
  z_stream stream{};
  if (inflateInit2(&stream, kZlibOrGzip) != Z_OK) fail(file, "zlib cannot start");
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> end(&stream, inflateEnd);

  // zlib counts in 32 bits; a stream that needs more input than that is too long anyway
  stream.next_in = const_cast<uint8_t*>(bytes.data() + at);
  stream.avail_in = uint32_t(std::min(bytes.size() - at, kLargest));
  std::vector<uint8_t> out(size_t{1} << 16);
  int status = Z_OK;
  while (status == Z_OK && stream.total_out < kLargest) {
    if (stream.total_out == out.size()) out.resize(out.size() * 2);
    stream.next_out = out.data() + stream.total_out;
    stream.avail_out = uint32_t(out.size() - stream.total_out);
    status = inflate(&stream, Z_NO_FLUSH);
  }
  if (status != Z_STREAM_END)
    fail(file, fmt::format("byte {}: a zlib or gzip stream expected: {}", at + stream.total_in,
                           status == Z_OK          ? "this one is too long"
                           : status == Z_BUF_ERROR ? "this one ends early"
                           : stream.msg            ? stream.msg
                                                   : "this one is damaged"));
  out.resize(stream.total_out);
  return {std::move(out), stream.total_in};
}

double parse_number(std::string_view file, int line, int column, std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    fail(file, fmt::format("line {}, column {}: a number expected, got '{}'", line, column, text));
  return value;
}

/// What librdata reports while it reads one object. It gives a factor's levels before the factor, and the columns'
/// names after the columns.
struct RObject {
  std::span<const uint8_t> bytes;
  size_t position = 0;
  std::vector<std::string> levels;
  std::vector<RColumn> columns;
};

// librdata hands the same context to its input and its output handlers.
RObject& object(void* context) { return *static_cast<RObject*>(context); }

ssize_t read_bytes(void* to, size_t count, void* context) {
  RObject& from = object(context);
  count = std::min(count, from.bytes.size() - from.position);
  std::memcpy(to, from.bytes.data() + from.position, count);
  from.position += count;
  return ssize_t(count);
}

rdata_off_t seek(rdata_off_t offset, rdata_io_flags_t whence, void* context) {
  RObject& in = object(context);
  const rdata_off_t base = whence == RDATA_SEEK_SET   ? 0
                           : whence == RDATA_SEEK_CUR ? rdata_off_t(in.position)
                                                      : rdata_off_t(in.bytes.size());
  if (base + offset < 0 || base + offset > rdata_off_t(in.bytes.size())) return -1;
  in.position = size_t(base + offset);
  return base + offset;
}

int add_level(const char* level, int, void* context) {
  object(context).levels.emplace_back(level ? level : "");
  return 0;
}

int add_column(const char*, rdata_type_t type, void* data, long count, void* context) {
  RObject& to = object(context);
  RColumn& column = to.columns.emplace_back();
  column.levels.swap(to.levels);
  if (data && type == RDATA_TYPE_REAL)
    column.values.assign(static_cast<const double*>(data), static_cast<const double*>(data) + count);
  if (data && type == RDATA_TYPE_INT32)
    column.values.assign(static_cast<const int32_t*>(data), static_cast<const int32_t*>(data) + count);
  return 0;
}

int name_column(const char* name, int index, void* context) {
  std::vector<RColumn>& columns = object(context).columns;
  if (index >= 0 && size_t(index) < columns.size() && name) columns[index].name = name;
  return 0;
}

std::vector<RColumn> parse_r_object(std::string_view file, size_t at, std::span<const uint8_t> bytes) {
  RObject object;
  object.bytes = bytes;
  const std::unique_ptr<rdata_parser_t, decltype(&rdata_parser_free)> parser(rdata_parser_init(), rdata_parser_free);
  rdata_set_open_handler(parser.get(), [](const char*, void*) { return 0; });
  rdata_set_close_handler(parser.get(), [](void*) { return 0; });
  rdata_set_read_handler(parser.get(), read_bytes);
  rdata_set_seek_handler(parser.get(), seek);
  rdata_set_update_handler(parser.get(), [](long, rdata_progress_handler, void*, void*) { return RDATA_OK; });
  std::free(std::exchange(parser->io->io_ctx, nullptr));  // the default one, which old versions forget
  rdata_set_io_ctx(parser.get(), &object);
  rdata_set_value_label_handler(parser.get(), add_level);
  rdata_set_column_handler(parser.get(), add_column);
  rdata_set_column_name_handler(parser.get(), name_column);
  const rdata_error_t error = rdata_parse(parser.get(), "", &object);
  if (error != RDATA_OK)
    fail(file, fmt::format("byte {}: an R object expected, but librdata says: {}", at, rdata_error_message(error)));
  return std::move(object.columns);
}

}  // namespace

std::vector<uint8_t> gunzip(std::string_view file, std::span<const uint8_t> bytes) {
  Inflated inflated = inflate_stream(file, bytes, 0);
  if (inflated.consumed != bytes.size())
    fail(file, fmt::format("byte {}: end of file expected after the gzip stream", inflated.consumed));
  return std::move(inflated.bytes);
}

IdxArray parse_idx(std::string_view file, std::span<const uint8_t> bytes, int dimensions) {
  const size_t header = 4 + 4 * size_t(dimensions);
  if (bytes.size() < header)
    fail(file, fmt::format("byte {}: end of file in an IDX header of {} bytes", bytes.size(), header));
  const uint32_t magic = 0x0800 + uint32_t(dimensions);
  if (big_endian(bytes, 0) != magic)
    fail(file, fmt::format("byte 0: magic number {:#010x} expected (IDX, bytes, {} dimensions), got {:#010x}", magic,
                           dimensions, big_endian(bytes, 0)));

  IdxArray array;
  size_t count = 1;
  for (int i = 0; i < dimensions; ++i) {
    const size_t at = 4 + 4 * size_t(i);
    const uint32_t extent = big_endian(bytes, at);
    if (extent == 0 || extent > kLargest / count)
      fail(file, fmt::format("byte {}: extent {} of dimension {} is not possible", at, extent, i));
    count *= extent;
    array.extents.push_back(int(extent));
  }
  if (bytes.size() - header != count)
    fail(file, fmt::format("byte {}: {} values expected, got {}", header, count, bytes.size() - header));
  array.values.assign(bytes.begin() + header, bytes.end());
  return array;
}

NumberTable parse_csv(std::string_view file, std::span<const uint8_t> bytes, char separator, int columns) {
  NumberTable table{.columns = columns, .values = {}};
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (int line = 1; !rest.empty(); ++line) {
    std::string_view row = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(row.size() + 1, rest.size()));
    const auto got = std::count(row.begin(), row.end(), separator) + 1;
    if (got != columns) fail(file, fmt::format("line {}: {} columns expected, got {}", line, columns, got));
    for (int column = 1; column <= columns; ++column) {
      const std::string_view text = row.substr(0, row.find(separator));
      table.values.push_back(parse_number(file, line, column, text));
      row.remove_prefix(std::min(text.size() + 1, row.size()));
    }
  }
  if (table.values.empty()) fail(file, "line 1: a row of numbers expected, got an empty file");
  return table;
}

std::vector<RColumn> find_r_data_frame(std::string_view file, std::span<const uint8_t> bytes, std::string_view wanted) {
  for (size_t at = 0; at < bytes.size();) {
    if (bytes.size() - at < 4) fail(file, fmt::format("byte {}: the size of an object expected, got end of file", at));
    const uint32_t size = big_endian(bytes, at);
    const Inflated object = inflate_stream(file, bytes, at + 4);
    if (object.bytes.size() != size)
      fail(file, fmt::format("byte {}: an object of {} bytes expected, got {}", at, size, object.bytes.size()));
    std::vector<RColumn> columns = parse_r_object(file, at, object.bytes);
    if (std::ranges::find(columns, wanted, &RColumn::name) != columns.end()) return columns;
    at += 4 + object.consumed;
  }
  fail(file, fmt::format("byte {}: a data frame with a column '{}' expected, got end of file", bytes.size(), wanted));
}

}  // namespace halfulp
