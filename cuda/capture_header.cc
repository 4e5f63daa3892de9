#include "cuda/capture_header.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "formats/matrix_unit.h"

namespace halfulp::cuda {
namespace {

using Json = nlohmann::ordered_json;

// Texts of the header, by the members of Provenance.
template <class Source, class Visitor>
void visit_texts(Source& source, Visitor visit) {
  visit("instruction", source.instruction);
  visit("device", source.device);
  visit("sm", source.sm);
  visit("driver", source.driver);
  visit("cuda", source.cuda);
  visit("ptxas", source.ptxas);
  visit("date", source.date);
  visit("tool", source.tool);
  visit("sass_sha256", source.sass_sha256);
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
  template <class Enum>
  Enum choice(std::string_view key) const {
    try {
      return parse<Enum>(text(key));
    } catch (const UnknownName& error) {
      reject(key, error.what());
    }
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

constexpr size_t kHeaderMembers = 20, kExplicitMembers = 5, kSeededMembers = 8;

const MatrixUnit& read_unit(const Object& header) {
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

void read_seeded(const Object& json, SegmentHeader& segment) {
  json.choice<StimulusFamily>("family");
  if (const uint64_t version = json.number("generator", 0); version != kGeneratorVersion)
    json.reject("generator", fmt::format("version {}; only {} is known", version, kGeneratorVersion));
  segment.first = json.number("first", 0);
  segment.inputs_sha256 = json.text("inputs_sha256");
}

SegmentHeader read_segment(const Object& json) {
  SegmentHeader segment = {.family = json.text("family"),
                           .seed = json.number("seed", 0),
                           .tiles = json.number("tiles", 1),
                           .offset = json.number("offset", 0),
                           .stored = json.choice<Stored>("stored")};
  const bool is_seeded = segment.stored == Stored::Seeded;
  json.require_no_more(is_seeded ? kSeededMembers : kExplicitMembers);
  if (is_seeded) read_seeded(json, segment);
  return segment;
}

Json segment_json(const SegmentHeader& segment) {
  Json json = {{"family", segment.family},
               {"seed", segment.seed},
               {"tiles", segment.tiles},
               {"stored", name(segment.stored)},
               {"offset", segment.offset}};
  if (segment.stored == Stored::Seeded) {
    json["generator"] = kGeneratorVersion;
    json["first"] = segment.first;
    json["inputs_sha256"] = segment.inputs_sha256;
  }
  return json;
}

}  // namespace

std::string header_text(const CaptureHeader& header) {
  Json json;
  json["unit"] = header.unit;
  visit_texts(header.from, [&](const char* key, const std::string& text) { json[key] = text; });
  json["sass_opcodes"] = header.from.sass_opcodes;
  json["m"] = header.shape.m;
  json["n"] = header.shape.n;
  json["k"] = header.shape.k;
  visit_formats(header.shape, [&](const char* key, std::string_view format) { json[key] = format; });
  for (const SegmentHeader& segment : header.segments) json["segments"].push_back(segment_json(segment));
  json["sha256"] = header.sha256;
  return json.dump();
}

CaptureHeader parse_header(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) throw std::invalid_argument("its header is not JSON");
  const Object object(json, "header");
  object.require_no_more(kHeaderMembers);
  const MatrixUnit& unit = read_unit(object);
  CaptureHeader header = {unit.name, read_shape(object, unit), read_provenance(object), {}, object.text("sha256")};
  for (const Json& segment : object.list("segments"))
    header.segments.push_back(read_segment(Object(segment, fmt::format("header, segment {}", header.segments.size()))));
  return header;
}

}  // namespace halfulp::cuda
