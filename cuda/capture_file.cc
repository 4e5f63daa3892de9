#include "cuda/capture_file.h"

#include <fmt/format.h>

#include <functional>
#include <span>
#include <stdexcept>

#include "cuda/capture_header.h"
#include "formats/digest.h"
#include "formats/dot_product.h"

namespace halfulp::cuda {
namespace {

constexpr uint32_t kVersion = 3, kLongestHeader = 1 << 20;

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
  size_t stored_bytes(Stored stored) const {
    return stored == Stored::Seeded ? d.bytes() : a.bytes() + b.bytes() + c.bytes() + d.bytes();
  }
};

void append_integer(std::string& bytes, uint64_t value, size_t count) {
  for (size_t i = 0; i < count; ++i) bytes += char(value >> (8 * i) & 0xff);
}

void append_codes(std::string& bytes, std::span<const uint64_t> codes, std::string_view format) {
  const size_t width = code_bytes(format);
  for (const uint64_t code : codes) append_integer(bytes, code, width);
}

// A, B and C as explicit segments store them.
std::string input_bytes(const Layout& layout, std::span<const Tile> tiles) {
  std::string bytes;
  for (const Tile& tile : tiles) append_codes(bytes, tile.a, layout.a.format);
  for (const Tile& tile : tiles) append_codes(bytes, tile.b, layout.b.format);
  for (const Tile& tile : tiles) append_codes(bytes, tile.c, layout.c.format);
  return bytes;
}

// Appends the segment's data and returns what the header says of it.
SegmentHeader append_segment(std::string& data, const Layout& layout, const Segment& segment) {
  SegmentHeader header = {
      segment.family, segment.seed, segment.tiles.size(), data.size(), segment.stored, segment.first, ""};
  const std::string inputs = input_bytes(layout, segment.tiles);
  if (segment.stored == Stored::Seeded)
    header.inputs_sha256 = sha256_hex(inputs);
  else
    data += inputs;
  for (const std::vector<uint64_t>& d : segment.outputs) append_codes(data, d, layout.d.format);
  return header;
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

std::string_view take_header(Bytes& file) {
  if (file.take(kCaptureMagic.size(), "magic number") != kCaptureMagic)
    throw std::invalid_argument(fmt::format("no capture: it does not begin with {}", kCaptureMagic));
  if (const uint64_t version = file.take_integer(4, "version"); version != kVersion)
    throw std::invalid_argument(fmt::format("version {} of captures; only {} is read", version, kVersion));
  const uint64_t size = file.take_integer(4, "header's length");
  if (size > kLongestHeader)
    throw std::invalid_argument(fmt::format("a header of {} bytes; at most {} are read", size, kLongestHeader));
  return file.take(size, "header");
}

[[noreturn]] void reject(size_t segment, std::string_view member, std::string_view reason) {
  throw std::invalid_argument(fmt::format("header, segment {}, \"{}\": {}", segment, member, reason));
}

// How long the data must be. Nothing may be taken for tiles before that is known to be there.
uint64_t data_bytes(const CaptureHeader& header, const Layout& layout) {
  uint64_t bytes = 0, codes_left = kMostCodes;
  for (size_t i = 0; i < header.segments.size(); ++i) {
    const SegmentHeader& segment = header.segments[i];
    if (segment.offset != bytes) reject(i, "offset", fmt::format("{} is expected", bytes));
    if (segment.tiles > codes_left / layout.codes())
      reject(
          i, "tiles",
          fmt::format("{} of {} codes; all tiles together have at most {}", segment.tiles, layout.codes(), kMostCodes));
    codes_left -= segment.tiles * layout.codes();
    bytes += segment.tiles * layout.stored_bytes(segment.stored);
  }
  return bytes;
}

void check_data(const CaptureHeader& header, std::string_view data, uint64_t expected) {
  if (data.size() < expected)
    throw std::invalid_argument(fmt::format("ends after {} bytes of data; its header says {}", data.size(), expected));
  if (data.size() > expected) throw std::invalid_argument("goes on after the last segment");
  if (const std::string digest = sha256_hex(data); header.sha256 != digest)
    throw std::invalid_argument(fmt::format("header, \"sha256\": the data has {}", digest));
}

// The same array of all tiles of a segment; codes_of(tile) is where it goes.
template <class Tiles, class Codes>
void take_arrays(Bytes& data, const Array& array, size_t segment, Tiles& tiles, Codes codes_of) {
  const size_t width = code_bytes(array.format);
  const uint64_t largest = largest_code(array.format);
  for (size_t tile = 0; tile < tiles.size(); ++tile) {
    std::vector<uint64_t>& codes = std::invoke(codes_of, tiles[tile]);
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

std::vector<Tile> take_tiles(Bytes& data, const Layout& layout, size_t segment, size_t count) {
  std::vector<Tile> tiles(count);
  take_arrays(data, layout.a, segment, tiles, &Tile::a);
  take_arrays(data, layout.b, segment, tiles, &Tile::b);
  take_arrays(data, layout.c, segment, tiles, &Tile::c);
  return tiles;
}

// The inputs of a seeded segment.
std::vector<Tile> remade_tiles(const CaptureHeader& header, const Layout& layout, size_t index) {
  const SegmentHeader& segment = header.segments[index];
  std::vector<Tile> tiles =
      make_tiles(header.shape, parse<StimulusFamily>(segment.family), segment.seed, segment.first, segment.tiles);
  if (const std::string digest = sha256_hex(input_bytes(layout, tiles)); segment.inputs_sha256 != digest)
    reject(index, "inputs_sha256", fmt::format("the inputs that the generator makes have {}", digest));
  return tiles;
}

Segment take_segment(Bytes& data, const CaptureHeader& header, const Layout& layout, size_t index) {
  const SegmentHeader& from = header.segments[index];
  Segment segment = {.family = from.family, .seed = from.seed, .stored = from.stored, .first = from.first};
  segment.tiles =
      from.stored == Stored::Seeded ? remade_tiles(header, layout, index) : take_tiles(data, layout, index, from.tiles);
  segment.outputs.resize(from.tiles);
  take_arrays(data, layout.d, index, segment.outputs, std::identity());
  return segment;
}

}  // namespace

std::string capture_bytes(const CaptureFile& capture) {
  const Layout layout(capture.shape);
  CaptureHeader header = {capture.unit, capture.shape, capture.from, {}, ""};
  std::string data;
  for (const Segment& segment : capture.segments) header.segments.push_back(append_segment(data, layout, segment));
  header.sha256 = sha256_hex(data);
  const std::string text = header_text(header);
  std::string bytes(kCaptureMagic);
  append_integer(bytes, kVersion, 4);
  append_integer(bytes, text.size(), 4);
  return bytes + text + data;
}

CaptureFile parse_capture(std::string_view bytes) {
  Bytes file(bytes);
  const CaptureHeader header = parse_header(take_header(file));
  const Layout layout(header.shape);
  check_data(header, file.left(), data_bytes(header, layout));
  CaptureFile capture = {header.unit, header.shape, header.from, {}};
  for (size_t i = 0; i < header.segments.size(); ++i) capture.segments.push_back(take_segment(file, header, layout, i));
  return capture;
}

}  // namespace halfulp::cuda
