#include "cuda/capture_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>

#include "formats/digest.h"
#include "formats/dot_product.h"
#include "formats/matrix_unit.h"

namespace halfulp::cuda {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint32_t kVersion = 1, kLongestHeader = 1 << 20;

// ---- arrays ----

// What one of a tile's arrays consists of.
struct Array {
  std::string_view name, format;
  size_t count;

  size_t bytes() const { return count * code_bytes(format); }
};

// Those of a tile, in their order.
struct Layout {
  Array a, b, c, d;

  explicit Layout(const Shape& s)
      : a{"A", s.a, size_t(s.m) * size_t(s.k)},
        b{"B", s.b, size_t(s.n) * size_t(s.k)},
        c{"C", s.accumulator, size_t(s.m) * size_t(s.n)},
        d{"D", s.accumulator, c.count} {}

  size_t codes() const { return a.count + b.count + c.count + d.count; }
  size_t bytes() const { return a.bytes() + b.bytes() + c.bytes() + d.bytes(); }
};

// ---- the header ----

// Texts of the header, by the members of Provenance.
template <class Source, class Visitor>
void visit_texts(Source& source, Visitor visit) {
  visit("instruction", source.instruction);
  visit("gpu", source.gpu);
  visit("sm", source.sm);
  visit("driver", source.driver);
  visit("cuda", source.cuda);
  visit("ptxas", source.ptxas);
  visit("date", source.date);
}

// Formats under the names that the header has for them.
template <class Visitor>
void visit_formats(const Shape& shape, Visitor visit) {
  visit("a", shape.a);
  visit("b", shape.b);
  visit("c", shape.accumulator);
  visit("d", shape.accumulator);
}

// A JSON object of the header; complaints name the member.
class Object {
 public:
  Object(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) throw std::invalid_argument(where_ + ": a JSON object is expected");
  }

  const Json& member(std::string_view key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) throw std::invalid_argument(fmt::format("{} has no \"{}\"", where_, key));
    return *found;
  }
  std::string text(std::string_view key) const {
    const Json& value = member(key);
    if (!value.is_string()) reject(key, "a text is expected");
    return value.get<std::string>();
  }
  uint64_t number(std::string_view key, uint64_t least) const {
    const Json& value = member(key);
    if (!value.is_number_unsigned() || value.get<uint64_t>() < least)
      reject(key, fmt::format("a whole number from {} is expected", least));
    return value.get<uint64_t>();
  }
  const Json& list(std::string_view key) const {
    const Json& value = member(key);
    if (!value.is_array() || value.empty()) reject(key, "a list that is not empty is expected");
    return value;
  }
  void require_no_more(size_t count) const {
    if (json_.size() != count)
      throw std::invalid_argument(fmt::format("{} has {} members; {} are known", where_, json_.size(), count));
  }
  [[noreturn]] void reject(std::string_view key, std::string_view reason) const {
    throw std::invalid_argument(fmt::format("{}, \"{}\": {}", where_, key, reason));
  }

 private:
  const Json& json_;
  std::string where_;
};

constexpr size_t kHeaderMembers = 18, kSegmentMembers = 4;

const MatrixUnit& unit_of_header(const Object& header) {
  const std::string name = header.text("unit");
  try {
    const MatrixUnit& unit = find_matrix_unit(name);
    if (unit.scale.empty()) return unit;
  } catch (const UnknownName& error) {
    header.reject("unit", error.what());
  }
  header.reject("unit", "captures of units with block scales are not read");
}

// Its k and formats are those of the unit.
Shape read_shape(const Object& header, const MatrixUnit& unit) {
  constexpr uint64_t kMostLines = 65536;
  const auto lines = [&](std::string_view key) {
    const uint64_t count = header.number(key, 1);
    if (count > kMostLines) header.reject(key, fmt::format("{}; a tile has at most {}", count, kMostLines));
    return int(count);
  };
  const Shape shape = {lines("m"), lines("n"), unit.k, unit.a, unit.b, unit.accumulator};
  if (header.number("k", 1) != uint64_t(unit.k)) header.reject("k", fmt::format("{} has {}", unit.name, unit.k));
  visit_formats(shape, [&](std::string_view key, std::string_view format) {
    if (header.text(key) != format) header.reject(key, fmt::format("{} has {}", unit.name, format));
  });
  return shape;
}

Provenance read_provenance(const Object& header) {
  Provenance from;
  visit_texts(from, [&](std::string_view key, std::string& text) { text = header.text(key); });
  for (const Json& opcode : header.list("sass_opcodes")) {
    if (!opcode.is_string()) header.reject("sass_opcodes", "texts are expected");
    from.sass_opcodes.push_back(opcode.get<std::string>());
  }
  return from;
}

// What the header says of a segment.
struct SegmentHeader {
  std::string family;
  uint64_t seed, tiles, offset;
};

SegmentHeader read_segment_header(const Object& segment) {
  segment.require_no_more(kSegmentMembers);
  return {segment.text("family"), segment.number("seed", 0), segment.number("tiles", 1), segment.number("offset", 0)};
}

// All segments, and the bytes that their data takes. Nothing may be taken for them before that is known to be there.
std::vector<SegmentHeader> read_segment_headers(const Object& header, const Layout& layout, uint64_t& bytes) {
  std::vector<SegmentHeader> segments;
  uint64_t codes_left = kMostCodes;
  for (const Json& json : header.list("segments")) {
    const Object object(json, fmt::format("header, segment {}", segments.size()));
    const SegmentHeader& segment = segments.emplace_back(read_segment_header(object));
    if (segment.offset != bytes) object.reject("offset", fmt::format("{} is expected", bytes));
    if (segment.tiles > codes_left / layout.codes())
      object.reject("tiles", fmt::format("{} of {} codes; all tiles together have at most {}", segment.tiles,
                                         layout.codes(), kMostCodes));
    codes_left -= segment.tiles * layout.codes();
    bytes += segment.tiles * layout.bytes();
  }
  return segments;
}

Json header_json(const CaptureFile& capture) {
  const Shape& shape = capture.shape;
  Json json;
  json["unit"] = capture.unit;
  visit_texts(capture.from, [&](const char* key, const std::string& text) { json[key] = text; });
  json["sass_opcodes"] = capture.from.sass_opcodes;
  json["m"] = shape.m;
  json["n"] = shape.n;
  json["k"] = shape.k;
  visit_formats(shape, [&](const char* key, std::string_view format) { json[key] = format; });
  return json;
}

// ---- bytes ----

void append_integer(std::string& bytes, uint64_t value, size_t count) {
  for (size_t i = 0; i < count; ++i) bytes += char(value >> (8 * i) & 0xff);
}

void append_codes(std::string& bytes, std::span<const uint64_t> codes, std::string_view format) {
  const size_t width = code_bytes(format);
  for (const uint64_t code : codes) append_integer(bytes, code, width);
}

void append_segment(std::string& bytes, const Layout& layout, const Segment& segment) {
  for (const Tile& tile : segment.tiles) append_codes(bytes, tile.a, layout.a.format);
  for (const Tile& tile : segment.tiles) append_codes(bytes, tile.b, layout.b.format);
  for (const Tile& tile : segment.tiles) append_codes(bytes, tile.c, layout.c.format);
  for (const std::vector<uint64_t>& d : segment.outputs) append_codes(bytes, d, layout.d.format);
}

// What is left of a file.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : left_(bytes) {}

  std::string_view left() const { return left_; }
  std::string_view take(size_t count, std::string_view what) {
    if (left_.size() < count) throw std::invalid_argument(fmt::format("ends inside the {}", what));
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  uint64_t take_integer(size_t count, std::string_view what) {
    uint64_t value = 0;
    for (const char byte : take(count, what)) value = value >> 8 | uint64_t{uint8_t(byte)} << (8 * (count - 1));
    return value;
  }

 private:
  std::string_view left_;
};

Json take_header(Bytes& file) {
  if (file.take(kCaptureMagic.size(), "magic number") != kCaptureMagic)
    throw std::invalid_argument(fmt::format("no capture: it does not begin with {}", kCaptureMagic));
  if (const uint64_t version = file.take_integer(4, "version"); version != kVersion)
    throw std::invalid_argument(fmt::format("version {} of captures; only {} is read", version, kVersion));
  const uint64_t size = file.take_integer(4, "header's length");
  if (size > kLongestHeader)
    throw std::invalid_argument(fmt::format("a header of {} bytes; at most {} are read", size, kLongestHeader));
  Json json = Json::parse(file.take(size, "header"), nullptr, false);
  if (json.is_discarded()) throw std::invalid_argument("its header is not JSON");
  return json;
}

// The same array of all tiles of a segment; codes_of(tile) is where it goes.
template <class Codes>
void take_arrays(Bytes& data, const Array& array, size_t segment, size_t tiles, Codes codes_of) {
  const size_t width = code_bytes(array.format);
  const uint64_t largest = largest_code(array.format);
  for (size_t tile = 0; tile < tiles; ++tile) {
    std::vector<uint64_t>& codes = codes_of(tile);
    codes.resize(array.count);
    for (uint64_t& code : codes) {
      code = data.take_integer(width, "data");
      if (code > largest)
        throw std::invalid_argument(
            fmt::format("segment {}, tile {}, {}: {:x} is not a code of {}, the largest is {:x}", segment, tile,
                        array.name, code, array.format, largest));
    }
  }
}

Segment take_segment(Bytes& data, const Layout& layout, size_t index, const SegmentHeader& header) {
  const size_t tiles = header.tiles;
  Segment segment = {header.family, header.seed, std::vector<Tile>(tiles), std::vector<std::vector<uint64_t>>(tiles)};
  take_arrays(
      data, layout.a, index, tiles, [&](size_t tile) -> auto& { return segment.tiles[tile].a; });
  take_arrays(
      data, layout.b, index, tiles, [&](size_t tile) -> auto& { return segment.tiles[tile].b; });
  take_arrays(
      data, layout.c, index, tiles, [&](size_t tile) -> auto& { return segment.tiles[tile].c; });
  take_arrays(
      data, layout.d, index, tiles, [&](size_t tile) -> auto& { return segment.outputs[tile]; });
  return segment;
}

void check_data(const Object& header, std::string_view data, uint64_t expected) {
  if (data.size() < expected)
    throw std::invalid_argument(fmt::format("ends after {} bytes of data; its header says {}", data.size(), expected));
  if (data.size() > expected) throw std::invalid_argument("goes on after the last segment");
  if (const std::string digest = sha256_hex(data); header.text("sha256") != digest)
    header.reject("sha256", fmt::format("the data has {}", digest));
}

}  // namespace

std::string capture_bytes(const CaptureFile& capture) {
  const Layout layout(capture.shape);
  Json header = header_json(capture);
  std::string data;
  for (const Segment& segment : capture.segments) {
    header["segments"].push_back(
        {{"family", segment.family}, {"seed", segment.seed}, {"tiles", segment.tiles.size()}, {"offset", data.size()}});
    append_segment(data, layout, segment);
  }
  header["sha256"] = sha256_hex(data);
  const std::string text = header.dump();
  std::string bytes(kCaptureMagic);
  append_integer(bytes, kVersion, 4);
  append_integer(bytes, text.size(), 4);
  return bytes + text + data;
}

CaptureFile parse_capture(std::string_view bytes) {
  Bytes file(bytes);
  const Json json = take_header(file);
  const Object header(json, "header");
  header.require_no_more(kHeaderMembers);
  const MatrixUnit& unit = unit_of_header(header);
  CaptureFile capture = {unit.name, read_shape(header, unit), read_provenance(header), {}};
  const Layout layout(capture.shape);
  uint64_t data_bytes = 0;
  const std::vector<SegmentHeader> segments = read_segment_headers(header, layout, data_bytes);
  check_data(header, file.left(), data_bytes);
  for (size_t i = 0; i < segments.size(); ++i) capture.segments.push_back(take_segment(file, layout, i, segments[i]));
  return capture;
}

}  // namespace halfulp::cuda
