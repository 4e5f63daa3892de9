#include "cli/capture_pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "formats/codec.h"

namespace halfulp::cli {
namespace {

constexpr int kVersion = 1;
constexpr size_t kNameBytes = 16;
constexpr std::string_view kEnding = ".bin";

struct Gpu {
  std::string_view name, generation;
};
constexpr std::array kGpus = {Gpu{"V100", "volta"},  Gpu{"A100", "ampere"},   Gpu{"A2", "ampere"},
                              Gpu{"Ada", "ada"},     Gpu{"L40S", "ada"},      Gpu{"H100", "hopper"},
                              Gpu{"H200", "hopper"}, Gpu{"B200", "blackwell"}};

struct OperandFormat {
  std::string_view name, unit;  // as packs and as units spell it
  size_t bytes;
};
constexpr std::array kFormats = {OperandFormat{"fp16", "f16", 2}, OperandFormat{"bf16", "bf16", 2},
                                 OperandFormat{"tf32", "tf32", 4}, OperandFormat{"E4M3", "e4m3", 1},
                                 OperandFormat{"E5M2", "e5m2", 1}};

struct Output {
  std::string_view name;
  bool is_half;        // accumulates binary16
  bool is_mma_synced;  // of Hopper's FP8, where fp32 is wgmma
};
constexpr std::array kOutputs = {Output{"fp32", false, false}, Output{"fp16", true, false},
                                 Output{"fp32_mmasync", false, true}};

template <class Rows>
const auto& find_row(std::string_view kind, std::string_view name, const Rows& rows) {
  std::vector<std::string_view> names;
  for (const auto& row : rows) {
    if (row.name == name) return row;
    names.push_back(row.name);
  }
  throw UnknownName(kind, name, names);
}

// Names are GENERATION.FAMILY.FORMAT[.f16], and .kK behind where an instruction of another k has the plain name.
const MatrixUnit& unit_of_k(const std::string& name, size_t k) {
  std::vector<int> known;
  for (const MatrixUnit& unit : matrix_units()) {
    if (unit.name != name && !unit.name.starts_with(name + ".k")) continue;
    if (size_t(unit.k) == k) return unit;
    known.push_back(unit.k);
  }
  if (known.empty()) throw std::invalid_argument(fmt::format("there is no matrix unit {}", name));
  throw std::invalid_argument(fmt::format("K = {}: {} has K = {}", k, name, fmt::join(known, ", ")));
}

bool is_wgmma(const MatrixUnit& unit) { return unit.name.find(".wgmma.") != std::string::npos; }

template <class Integer>
Integer read_integer(const InputFile& file, std::string_view what) {
  const std::string bytes = file.read_text(sizeof(Integer), what);
  Integer value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::string read_output_name(const InputFile& file) {
  std::string name = file.read_text(kNameBytes, "names of the outputs");
  name.resize(std::min(name.find('\0'), name.size()));
  return name;
}

// Known names, none twice.
std::vector<std::string> read_output_names(const InputFile& file, size_t count) {
  if (count == 0 || count > kOutputs.size())
    file.reject(fmt::format("{} outputs; a pack has 1 to {}", count, kOutputs.size()));
  std::vector<std::string> names;
  while (names.size() < count) {
    names.push_back(read_output_name(file));
    if (std::ranges::count(names, names.back()) > 1) file.reject(fmt::format("output {} twice", names.back()));
  }
  return names;
}

template <class Word>
std::vector<uint64_t> read_words(const InputFile& file, size_t count, std::string_view what) {
  std::vector<Word> words;
  if (const size_t arrived = file.read_values(words, count); arrived < count * sizeof(Word))
    file.reject(fmt::format("ends after {} bytes of {}, which take {}", arrived, what, count * sizeof(Word)));
  return {words.begin(), words.end()};
}

std::vector<uint64_t> read_operands(const InputFile& file, size_t bytes, size_t count, std::string_view what) {
  if (bytes == 1) return read_words<uint8_t>(file, count, what);
  return bytes == 2 ? read_words<uint16_t>(file, count, what) : read_words<uint32_t>(file, count, what);
}

double number_of_binary32(uint64_t code) { return double(std::bit_cast<float>(uint32_t(code))); }

uint64_t to_half(uint64_t code) { return encode(parse_format("binary16"), {}, Real::of(number_of_binary32(code))); }

// The code of a captured number that was widened; NaNs are the one that units return.
uint64_t narrowed(const InputFile& file, uint64_t code, size_t index) {
  constexpr uint64_t kNan = 0x7fff;
  const double x = number_of_binary32(code);
  if (std::isnan(x)) return kNan;
  const uint64_t half = to_half(code);
  const double y = decode(parse_format("binary16"), uint32_t(half));
  if (x != y || std::signbit(x) != std::signbit(y))
    file.reject(fmt::format("output fp16, D {} is {:08x}; a number of binary16 is expected there", index, code));
  return half;
}

// Turns the pack's C and D, which are binary32, into what the unit has.
void use_accumulator(const InputFile& file, Capture& capture) {
  if (is_wgmma(*capture.unit)) std::ranges::fill(capture.c, 0);
  if (capture.unit->accumulator != "binary16") return;
  std::ranges::transform(capture.c, capture.c.begin(), to_half);
  for (size_t i = 0; i < capture.d.size(); ++i) capture.d[i] = narrowed(file, capture.d[i], i);
}

// What the file's name says.
struct PackName {
  std::string_view gpu, format;
};

PackName parse_pack_name(std::string_view name) {
  const size_t split = name.find('_');
  if (split == std::string_view::npos || !name.ends_with(kEnding))
    throw std::invalid_argument("the name of a pack is GPU_FORMAT.bin, such as H100_E4M3.bin");
  const std::string_view format = name.substr(split + 1);
  const PackName parts = {name.substr(0, split), format.substr(0, format.size() - kEnding.size())};
  find_row("GPU", parts.gpu, kGpus);
  return parts;
}

}  // namespace

const MatrixUnit& packed_unit(std::string_view gpu, std::string_view format, std::string_view output, size_t k) {
  const std::string_view generation = find_row("GPU", gpu, kGpus).generation;
  const OperandFormat& operand = find_row("format", format, kFormats);
  const Output& its_output = find_row("output", output, kOutputs);
  const bool is_hopper_fp8 = generation == "hopper" && operand.bytes == 1;
  if (its_output.is_mma_synced && !is_hopper_fp8)
    throw std::invalid_argument(fmt::format("output {} is one of FP8 on Hopper, not of {} {}", output, gpu, format));
  const bool is_wgmma = is_hopper_fp8 && output == "fp32";
  return unit_of_k(
      fmt::format("{}.{}.{}{}", generation, is_wgmma ? "wgmma" : "mma", operand.unit, its_output.is_half ? ".f16" : ""),
      k);
}

std::vector<Capture> read_pack(const InputFile& file, std::string_view name) {
  const PackName its_name = file.checked([&] { return parse_pack_name(name); });
  const size_t bytes = file.checked([&] { return find_row("format", its_name.format, kFormats).bytes; });
  if (const int version = read_integer<uint16_t>(file, "version"); version != kVersion)
    file.reject(fmt::format("version {} of packs; only {} is read", version, kVersion));
  if (const size_t given = read_integer<uint16_t>(file, "bytes of an operand"); given != bytes)
    file.reject(fmt::format("operands of {} bytes; those of {} have {}", given, its_name.format, bytes));
  const size_t k = read_integer<uint32_t>(file, "K"), n = read_integer<uint32_t>(file, "n");
  const std::vector<std::string> outputs = read_output_names(file, read_integer<uint16_t>(file, "number of outputs"));
  std::vector<Capture> captures;
  for (const std::string& output : outputs)
    captures.push_back(
        {.name = output,
         .unit = &file.checked([&]() -> auto& { return packed_unit(its_name.gpu, its_name.format, output, k); }),
         .tiles = n});

  const std::vector<uint64_t> a = read_operands(file, bytes, n * k, "A"), b = read_operands(file, bytes, n * k, "B");
  const std::vector<uint64_t> c = read_words<uint32_t>(file, n, "C");
  for (Capture& capture : captures) {
    capture.a = a;
    capture.b = b;
    capture.c = c;
    capture.d = read_words<uint32_t>(file, n, fmt::format("D of {}", capture.name));
    use_accumulator(file, capture);
  }
  if (!file.is_at_end()) file.reject("goes on after the last D");
  return captures;
}

}  // namespace halfulp::cli
