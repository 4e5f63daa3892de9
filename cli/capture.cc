#include "cli/capture.h"

#include <fmt/format.h>

#include <filesystem>

#include "cli/capture_pack.h"
#include "cli/input_file.h"
#include "cuda/capture_file.h"

namespace halfulp::cli {
namespace {

void append(std::vector<uint64_t>& all, const std::vector<uint64_t>& codes) {
  all.insert(all.end(), codes.begin(), codes.end());
}

Capture joined(const MatrixUnit& unit, const cuda::Shape& shape, const cuda::Segment& segment) {
  Capture capture{
      .name = segment.family, .unit = &unit, .m = size_t(shape.m), .n = size_t(shape.n), .tiles = segment.tiles.size()};
  for (const cuda::Tile& tile : segment.tiles) {
    append(capture.a, tile.a);
    append(capture.b, tile.b);
    append(capture.c, tile.c);
  }
  for (const std::vector<uint64_t>& outputs : segment.outputs) append(capture.d, outputs);
  return capture;
}

// `start` is what has been read.
std::vector<Capture> read_own(const InputFile& file, const std::string& start) {
  const std::string bytes = start + file.read_rest(cuda::kMostCaptureBytes);
  const cuda::CaptureFile own = file.checked([&] { return cuda::parse_capture(bytes); });
  std::vector<Capture> captures;
  for (const cuda::Segment& segment : own.segments)
    captures.push_back(joined(find_matrix_unit(own.unit), own.shape, segment));
  return captures;
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
  std::string start = file.read_text(kPackMagic.size(), "magic number");
  if (start == kPackMagic) return read_pack(file, name);
  start += file.read_text(cuda::kCaptureMagic.size() - start.size(), "magic number");
  if (start == cuda::kCaptureMagic) return read_own(file, start);
  file.reject(
      fmt::format("no captured outputs: it begins neither with {} nor with {}", kPackMagic, cuda::kCaptureMagic));
}

}  // namespace halfulp::cli
