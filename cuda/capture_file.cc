#include "cuda/capture_file.h"

#include <fmt/ranges.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace halfulp::cuda {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kMagic = "HALFULPM";
constexpr uint32_t kVersion = 1;

std::string sha256_hex(std::string_view bytes) {
  std::array<uint8_t, 32> digest;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("OpenSSL refuses to compute SHA-256");
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

void append_integer(std::string& bytes, uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes += char(value >> (8 * i) & 0xff);
}

// Codes in the fewest of 1, 2, 4 and 8 bytes.
void append_codes(std::string& bytes, std::span<const uint64_t> codes, std::string_view format) {
  const int bits = code_fields(format).bits, count = bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
  for (const uint64_t code : codes) append_integer(bytes, code, count);
}

void append_segment(std::string& bytes, const Shape& shape, const Segment& segment) {
  for (const Tile& tile : segment.tiles) append_codes(bytes, tile.a, shape.a);
  for (const Tile& tile : segment.tiles) append_codes(bytes, tile.b, shape.b);
  for (const Tile& tile : segment.tiles) append_codes(bytes, tile.c, shape.accumulator);
  for (const std::vector<uint64_t>& d : segment.outputs) append_codes(bytes, d, shape.accumulator);
}

Json header_of(const Shape& shape, const Provenance& from) {
  return {{"unit", from.unit},
          {"instruction", from.instruction},
          {"gpu", from.device.name},
          {"sm", from.device.sm == 0 ? "" : fmt::format("sm_{}", from.device.sm)},
          {"driver", from.device.driver},
          {"cuda", from.device.cuda},
          {"ptxas", from.device.ptxas},
          {"date", from.date},
          {"sass_opcodes", from.sass_opcodes.empty() ? std::vector<std::string>{"not recorded"} : from.sass_opcodes},
          {"m", shape.m},
          {"n", shape.n},
          {"k", shape.k},
          {"a", shape.a},
          {"b", shape.b},
          {"c", shape.accumulator},
          {"d", shape.accumulator}};
}

// The opcode of a line "/*0370*/  @P0 HMMA.1688.F32 R4, … ;", or "".
std::string opcode_of(const std::string& line) {
  std::istringstream words(line);
  std::string address, opcode;
  words >> address >> opcode;
  if (!address.starts_with("/*") || !address.ends_with("*/")) return "";
  if (opcode.starts_with("@")) words >> opcode;
  return opcode;
}

bool computes(const std::string& opcode) {
  constexpr std::string_view kParts[] = {"MMA",  "F2F",  "FADD",  "HADD",  "DADD", "FFMA",
                                         "HFMA", "DFMA", "FMNMX", "PLOP3", "SEL"};
  return std::ranges::any_of(kParts, [&](std::string_view part) { return opcode.find(part) != std::string::npos; });
}

}  // namespace

std::string capture_bytes(const Shape& shape, const Provenance& provenance, std::span<const Segment> segments) {
  Json header = header_of(shape, provenance);
  std::string data;
  for (const Segment& segment : segments) {
    header["segments"].push_back(
        {{"family", segment.family}, {"seed", segment.seed}, {"tiles", segment.tiles.size()}, {"offset", data.size()}});
    append_segment(data, shape, segment);
  }
  header["sha256"] = sha256_hex(data);
  const std::string text = header.dump();
  std::string bytes(kMagic);
  append_integer(bytes, kVersion, 4);
  append_integer(bytes, text.size(), 4);
  return bytes + text + data;
}

std::vector<std::string> opcodes_of(std::string_view sass, std::string_view instruction, int sm) {
  const std::string target = fmt::format("arch = sm_{}", sm),
                    kernel = fmt::format("{}{}E", instruction.size(), instruction);  // mangled
  bool is_target = false, is_kernel = false;
  std::vector<std::string> opcodes;
  std::istringstream lines{std::string(sass)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("arch = ")) is_target = line == target || line == target + "a";
    if (line.find("Function : ") != std::string::npos) is_kernel = line.find(kernel) != std::string::npos;
    const std::string opcode = is_target && is_kernel ? opcode_of(line) : "";
    if (computes(opcode)) opcodes.push_back(opcode);
  }
  return opcodes;
}

}  // namespace halfulp::cuda
