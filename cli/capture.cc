#include "cli/capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "cli/capture_pack.h"
#include "cli/input_file.h"
#include "cli/new_file.h"
#include "cli/unit_codes.h"
#include "cli/words.h"
#include "sim/digest.h"

namespace halfulp::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kMagic = "HALFULPM";
constexpr uint32_t kVersion = 1, kLongestHeader = 1 << 20;

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

// The formats of a unit under the names that the header has for them.
template <class Visitor>
void visit_formats(const MatrixUnit& unit, Visitor visit) {
  visit("a", unit.a);
  visit("b", unit.b);
  visit("c", unit.accumulator);
  visit("d", unit.accumulator);
}

// A JSON object of the header; complaints name the member.
class Object {
 public:
  Object(const InputFile& file, const Json& json, std::string_view where) : file_(file), json_(json), where_(where) {
    if (!json.is_object()) file.reject(fmt::format("{}: a JSON object is expected", where));
  }

  const Json& member(std::string_view key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) file_.reject(fmt::format("{} has no \"{}\"", where_, key));
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
      file_.reject(fmt::format("{} has {} members; {} are known", where_, json_.size(), count));
  }
  [[noreturn]] void reject(std::string_view key, std::string_view reason) const {
    file_.reject(fmt::format("{}, \"{}\": {}", where_, key, reason));
  }

 private:
  const InputFile& file_;
  const Json& json_;
  std::string_view where_;
};

constexpr size_t kHeaderMembers = 18, kSegmentMembers = 4;

Json parse_header(const InputFile& file) {
  const auto integer = [&](std::string_view what) {
    const std::string bytes = file.read_text(sizeof(uint32_t), what);
    uint32_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  };
  if (const uint32_t version = integer("version"); version != kVersion)
    file.reject(fmt::format("version {} of captures; only {} is read", version, kVersion));
  const uint32_t size = integer("header's length");
  if (size > kLongestHeader)
    file.reject(fmt::format("a header of {} bytes; at most {} are read", size, kLongestHeader));
  Json json = Json::parse(file.read_text(size, "header"), nullptr, false);
  if (json.is_discarded()) file.reject("its header is not JSON");
  return json;
}

const MatrixUnit& unit_of_header(const Object& header) {
  const MatrixUnit* unit = nullptr;
  try {
    unit = &find_matrix_unit(printable(header.text("unit")));
  } catch (const UnknownName& error) {
    header.reject("unit", error.what());
  }
  if (!unit->scale.empty()) header.reject("unit", "captures of units with block scales are not read");
  if (header.number("k", 1) != uint64_t(unit->k)) header.reject("k", fmt::format("{} has {}", unit->name, unit->k));
  visit_formats(*unit, [&](std::string_view key, std::string_view format) {
    if (header.text(key) != format) header.reject(key, fmt::format("{} has {}", unit->name, format));
  });
  return *unit;
}

void check_texts(const Object& header) {
  Provenance unused;
  visit_texts(unused, [&](std::string_view key, std::string&) { header.text(key); });
  for (const Json& opcode : header.list("sass_opcodes"))
    if (!opcode.is_string()) header.reject("sass_opcodes", "texts are expected");
}

// ---- the data ----

// The four arrays of a segment: what they are called, of which format they are and how many codes a tile has.
template <class Segment, class Visitor>
void visit_arrays(Segment& segment, Visitor visit) {
  const MatrixUnit& unit = *segment.unit;
  const size_t m = segment.m, n = segment.n, k = size_t(unit.k);
  visit("A", segment.a, unit.a, m * k);
  visit("B", segment.b, unit.b, n * k);
  visit("C", segment.c, unit.accumulator, m * n);
  visit("D", segment.d, unit.accumulator, m * n);
}

// Calls visit with a value of the unsigned integer of so many bytes.
template <class Visitor>
void with_word(size_t bytes, Visitor visit) {
  if (bytes == 8) return visit(uint64_t{});
  with_code_type(int(8 * bytes), visit);
}

// Bytes as they are read, for their digest.
void append_bytes(std::string& all, std::string_view format, std::span<const uint64_t> codes) {
  with_word(code_bytes(format), [&]<class Word>(Word) {
    for (const uint64_t code : codes) {
      const Word word = Word(code);
      all.append(reinterpret_cast<const char*>(&word), sizeof word);
    }
  });
}

void read_array(const InputFile& file, std::string_view what, std::vector<uint64_t>& codes, std::string_view format,
                size_t count) {
  with_word(code_bytes(format), [&]<class Word>(Word) {
    std::vector<Word> words;
    if (const size_t arrived = file.read_values(words, count); arrived < count * sizeof(Word))
      file.reject(fmt::format("{} ends after {} bytes; its header says {}", what, arrived, count * sizeof(Word)));
    codes.assign(words.begin(), words.end());
  });
  const uint64_t largest = largest_code(format);
  for (size_t i = 0; i < count; ++i)
    if (codes[i] > largest)
      file.reject(fmt::format("{}, code {}: {:x} is not a code of {}", what, i, codes[i], format));
}

// A tile's sides are bounded so that products of sizes fit 64 bits with room to spare.
constexpr uint64_t kMostRows = 65536, kMostTiles = uint64_t{1} << 32;

Capture read_segment_header(const InputFile& file, const Json& json, const MatrixUnit& unit, const Object& header) {
  const Object segment(file, json, "header, segment");
  segment.require_no_more(kSegmentMembers);
  Capture capture{.name = segment.text("family"), .seed = segment.number("seed", 0), .unit = &unit};
  capture.m = header.number("m", 1);
  capture.n = header.number("n", 1);
  capture.tiles = segment.number("tiles", 1);
  if (std::max(capture.m, capture.n) > kMostRows)
    header.reject("m", fmt::format("at most {} rows or columns", kMostRows));
  if (capture.tiles > kMostTiles) segment.reject("tiles", fmt::format("at most {}", kMostTiles));
  return capture;
}

// Bytes of a tile with all four arrays.
uint64_t tile_bytes(const Capture& capture) {
  uint64_t bytes = 0;
  visit_arrays(capture, [&](std::string_view, const auto&, std::string_view format, size_t count) {
    bytes += count * code_bytes(format);
  });
  return bytes;
}

uint64_t data_bytes(const InputFile& file, const Capture& capture) {
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(tile_bytes(capture), capture.tiles, &bytes))
    file.reject(fmt::format("segment {}: more bytes than any file has", printable(capture.name)));
  return bytes;
}

std::vector<Capture> read_headers(const InputFile& file, const Object& header, const MatrixUnit& unit) {
  std::vector<Capture> captures;
  uint64_t offset = 0;
  for (const Json& json : header.list("segments")) {
    captures.push_back(read_segment_header(file, json, unit, header));
    const Object segment(file, json, "header, segment");
    if (segment.number("offset", 0) != offset) segment.reject("offset", fmt::format("{} is expected", offset));
    if (__builtin_add_overflow(offset, data_bytes(file, captures.back()), &offset))
      file.reject("more bytes of data than any file has");
  }
  return captures;
}

std::vector<Capture> read_own(const InputFile& file) {
  const Json json = parse_header(file);
  const Object header(file, json, "header");
  header.require_no_more(kHeaderMembers);
  check_texts(header);
  std::vector<Capture> captures = read_headers(file, header, unit_of_header(header));
  std::string bytes;
  for (Capture& capture : captures)
    visit_arrays(capture, [&](std::string_view name, auto& codes, std::string_view format, size_t count) {
      read_array(file, fmt::format("segment {}, {}", printable(capture.name), name), codes, format,
                 count * capture.tiles);
      append_bytes(bytes, format, codes);
    });
  if (!file.is_at_end()) file.reject("goes on after the last segment");
  if (const std::string digest = sha256_hex(bytes); header.text("sha256") != digest)
    header.reject("sha256", fmt::format("the data has {}", digest));
  return captures;
}

Json header_json(const Provenance& provenance, const Capture& first) {
  Json json;
  json["unit"] = first.unit->name;
  visit_texts(provenance, [&](const char* key, const std::string& text) { json[key] = text; });
  json["sass_opcodes"] = provenance.sass_opcodes;
  json["m"] = first.m;
  json["n"] = first.n;
  json["k"] = first.unit->k;
  visit_formats(*first.unit, [&](const char* key, std::string_view format) { json[key] = format; });
  return json;
}

}  // namespace

DotInputs Capture::inputs(size_t index) const {
  const size_t k = size_t(unit->k), tile = index / (m * n), row = index / n % m, column = index % n;
  return {.a = std::span(a).subspan((tile * m + row) * k, k),
          .b = std::span(b).subspan((tile * n + column) * k, k),
          .c = c[index]};
}

Replay replay(const Capture& capture, const MatrixUnit& unit) {
  Replay result;
  for (size_t i = 0; i < capture.d.size(); ++i) {
    const uint64_t computed = dot_product_add(unit, capture.inputs(i));
    if (computed == capture.d[i]) {
      ++result.matched;
    } else if (!result.first_mismatch) {
      result.first_mismatch = i;
      result.computed = computed;
    }
  }
  return result;
}

std::vector<Capture> read_captures(const std::string& path) {
  return read_captures(path, std::filesystem::path(path).filename().string());
}

std::vector<Capture> read_captures(const std::string& path, std::string_view name) {
  const InputFile file(path);
  const std::string start = file.read_text(kPackMagic.size(), "magic number");
  if (start == kPackMagic) return read_pack(file, name);
  if (start + file.read_text(kMagic.size() - start.size(), "magic number") == kMagic) return read_own(file);
  file.reject(fmt::format("no captured outputs: it begins neither with {} nor with {}", kPackMagic, kMagic));
}

std::string capture_bytes(const Provenance& provenance, std::span<const Capture> segments) {
  assert(!segments.empty());
  Json json = header_json(provenance, segments.front());
  std::string data;
  for (const Capture& segment : segments) {
    assert(segment.unit == segments[0].unit && segment.m == segments[0].m && segment.n == segments[0].n);
    json["segments"].push_back(
        {{"family", segment.name}, {"seed", segment.seed}, {"tiles", segment.tiles}, {"offset", data.size()}});
    visit_arrays(segment, [&](std::string_view, const auto& codes, std::string_view format, size_t) {
      append_bytes(data, format, codes);
    });
  }
  json["sha256"] = sha256_hex(data);
  const std::string header = json.dump();
  std::string bytes(kMagic);
  for (const uint32_t number : {kVersion, uint32_t(header.size())})
    bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
  return bytes + header + data;
}

void write_captures(const std::string& path, const Provenance& provenance, std::span<const Capture> segments) {
  NewFile file(path);
  file.write(std::as_bytes(std::span<const char>(capture_bytes(provenance, segments))));
  file.close();
  file.commit();
}

}  // namespace halfulp::cli
