#include "cli/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>

#include "cli/input_file.h"
#include "cli/words.h"

namespace halfulp::cli {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kLongestHeader = 65536;  // one of an array takes some hundred bytes
constexpr size_t kAlignment = 64;         // of the data, in the file

/// The header's dictionary, read from the front; every member says whether the text went on as expected.
struct HeaderText {
  std::string_view rest;

  void skip_space() { rest.remove_prefix(std::min(rest.find_first_not_of(" \n"), rest.size())); }

  bool take(std::string_view word) {
    skip_space();
    if (!rest.starts_with(word)) return false;
    rest.remove_prefix(word.size());
    return true;
  }

  std::optional<std::string> take_string() {
    const bool is_double = take("\"");
    if (!is_double && !take("'")) return std::nullopt;
    const size_t end = rest.find(is_double ? '"' : '\'');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string text(rest.substr(0, end));
    rest.remove_prefix(end + 1);
    return text;
  }

  std::optional<size_t> take_size() {
    skip_space();
    size_t value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc()) return std::nullopt;
    rest.remove_prefix(size_t(end - rest.data()));
    return value;
  }

  // (), (3,) or (3, 4) with or without a last comma.
  std::optional<std::vector<size_t>> take_shape() {
    if (!take("(")) return std::nullopt;
    std::vector<size_t> shape;
    bool comma = true;
    while (!take(")")) {
      const std::optional<size_t> size = comma ? take_size() : std::nullopt;
      if (!size) return std::nullopt;
      shape.push_back(*size);
      comma = take(",");
    }
    if (shape.size() == 1 && !comma) return std::nullopt;  // (3) is a number
    return shape;
  }
};

struct Header {
  std::optional<std::string> type;
  std::optional<bool> fortran_order;
  std::optional<std::vector<size_t>> shape;
};

std::string_view meaning(std::string_view type) {
  if (type == "<f4") return "little-endian float32";
  if (type == "|u1") return "uint8";
  return type == "<u2" ? "little-endian uint16" : "little-endian uint32";
}

// The key must not have been there before, and its value must follow.
bool take_entry(HeaderText& text, Header& header) {
  const std::optional<std::string> key = text.take_string();
  if (!key || !text.take(":")) return false;
  if (key == "descr" && !header.type) return (header.type = text.take_string()).has_value();
  if (key == "shape" && !header.shape) return (header.shape = text.take_shape()).has_value();
  if (key != "fortran_order" || header.fortran_order) return false;
  const bool yes = text.take("True");
  header.fortran_order = yes;
  return yes || text.take("False");
}

Header parse_header(const InputFile& file, std::string_view words, std::string_view wanted) {
  HeaderText text{words};
  Header header;
  bool good = text.take("{");
  bool comma = true;
  while (good && !text.take("}")) {
    good = comma && take_entry(text, header);
    comma = text.take(",");
  }
  text.skip_space();
  good = good && text.rest.empty() && header.type && header.shape && header.fortran_order;
  if (!good)
    file.reject(
        fmt::format("its header is not {{'descr': '{}', 'fortran_order': False, 'shape': (...)}}, the {} array wanted",
                    wanted, meaning(wanted)));
  if (header.type != wanted)
    file.reject(fmt::format("its type is '{}'; only '{}', {}, is read", *header.type, wanted, meaning(wanted)));
  if (*header.fortran_order) file.reject("it is in Fortran order; only C order is read (numpy.ascontiguousarray)");
  return header;
}

std::string read_header(const InputFile& file) {
  const std::string start = file.read_text(kMagic.size() + 2, "magic number and version");
  if (!start.starts_with(kMagic)) file.reject("no .npy file: it does not begin with \\x93NUMPY");
  const int major = static_cast<unsigned char>(start[6]), minor = static_cast<unsigned char>(start[7]);
  if ((major != 1 && major != 2) || minor != 0)
    file.reject(fmt::format("version {}.{} of .npy; only 1.0 and 2.0 are read", major, minor));
  const std::string digits = file.read_text(major == 1 ? 2 : 4, "header's length");
  size_t length = 0;
  for (size_t i = 0; i < digits.size(); ++i) length |= size_t(static_cast<unsigned char>(digits[i])) << (8 * i);
  if (length > kLongestHeader)
    file.reject(fmt::format("a header of {} bytes; at most {} are read", length, kLongestHeader));
  return file.read_text(length, "header");
}

// How many values of `size` bytes an array of that shape has.
size_t value_count(const InputFile& file, const std::vector<size_t>& shape, size_t size) {
  size_t bytes = size;
  for (const size_t length : shape)
    if (__builtin_mul_overflow(bytes, length, &bytes))
      file.reject(fmt::format("shape ({}): more bytes than any file has", fmt::join(shape, ", ")));
  return bytes / size;
}

template <class Value>
std::vector<Value> read_values(const InputFile& file, size_t count) {
  std::vector<Value> values;
  if (const size_t arrived = file.read_values(values, count); arrived < count * sizeof(Value))
    file.reject(fmt::format("ends after {} bytes of data; its shape takes {}", arrived, count * sizeof(Value)));
  if (!file.is_at_end()) file.reject(fmt::format("goes on after the {} bytes its shape takes", count * sizeof(Value)));
  return values;
}

template <class Value>
std::vector<Value> read_array(const std::string& path, std::string_view type, std::vector<size_t>& shape) {
  const InputFile file(path);
  const Header header = parse_header(file, read_header(file), type);
  shape = *header.shape;
  return read_values<Value>(file, value_count(file, shape, sizeof(Value)));
}

}  // namespace

FloatArray read_npy(const std::string& path) {
  FloatArray array;
  array.values = read_array<float>(path, "<f4", array.shape);
  return array;
}

CodeArray read_npy_codes(const std::string& path, int bits) {
  CodeArray array;
  with_code_type(bits, [&]<class Code>(Code) {
    const std::vector<Code> codes = read_array<Code>(path, npy_type(bits), array.shape);
    array.codes.assign(codes.begin(), codes.end());
  });
  return array;
}

std::string_view npy_type(int bits) {
  if (bits <= 8) return "|u1";
  return bits <= 16 ? "<u2" : "<u4";
}

std::string npy_header(std::string_view type, const std::vector<size_t>& shape) {
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", type,
                                 fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  const size_t before = kMagic.size() + 4;
  text.append((kAlignment - (before + text.size() + 1) % kAlignment) % kAlignment, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {'\x01', '\x00', char(text.size() & 0xff), char(text.size() >> 8)};
  return header + text;
}

}  // namespace halfulp::cli
