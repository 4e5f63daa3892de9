#include "cli/layout_arguments.h"

#include <fmt/format.h>

#include <stdexcept>

namespace halfulp::cli {
namespace {

std::string packing_names() {
  std::vector<std::string_view> names;
  for (const Packing& packing : packings()) names.push_back(packing.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

const Packing& named_packing(const std::string& name) {
  try {
    return find_packing(name);
  } catch (const UnknownName& error) {
    throw std::invalid_argument(fmt::format("--pack: {}", error.what()));
  }
}

std::vector<uint8_t> bytes_of(const std::vector<uint32_t>& codes) { return {codes.begin(), codes.end()}; }

std::vector<uint32_t> codes_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

void LayoutArguments::declare(Arguments& arguments) {
  arguments.option("--pack NAME", packing, "With --codes: pack the codes along the last axis: " + packing_names());
  arguments.option("--scale-layout NAME", scales, "With --scales: order of the scales");
}

void LayoutArguments::check(bool writes_codes, bool writes_scales) const {
  if (packing && !writes_codes) throw std::invalid_argument("--pack: only with --codes FILE, which it packs");
  if (packing) named_packing(*packing);
  if (scales != ScaleLayout::RowMajor && !writes_scales)
    throw std::invalid_argument("--scale-layout: only with --scales FILE, which it orders");
}

CodeArray LayoutArguments::pack(int bits, const CodeArray& codes) const {
  if (!packing) return codes;
  const Packing& row = named_packing(*packing);
  if (row.bits != bits)
    throw std::invalid_argument(
        fmt::format("--pack {}: it takes codes of {} bits; these have {}", row.name, row.bits, bits));
  const size_t cols = codes.shape.back();
  const Extent extent{cols == 0 ? 0 : codes.codes.size() / cols, cols};
  std::vector<uint8_t> bytes(packed_bytes(row, extent));
  halfulp::pack(row, extent, bytes_of(codes.codes), bytes);
  CodeArray stored{codes.shape, codes_of(bytes)};
  if (row.placement == Placement::Planes)
    stored.shape = {bytes.size()};
  else
    stored.shape.back() = packed_row_bytes(row, cols);
  return stored;
}

CodeArray LayoutArguments::arrange(int bits, size_t array_rows, size_t block_rows, const CodeArray& grid) const {
  if (scales == ScaleLayout::RowMajor) return grid;
  if (bits > 8)
    throw std::invalid_argument(
        fmt::format("--scale-layout {}: it takes scales of a byte; these have {} bits", name(scales), bits));
  const Extent extent{array_rows, grid.shape.back()};
  std::vector<uint8_t> rows(extent.rows * extent.cols), bytes(scale_bytes(scales, extent));
  replicate_scale_rows(block_rows, extent, bytes_of(grid.codes), rows);
  constexpr uint8_t kPadding = 0;  // the smallest number of every scale format
  arrange_scales(scales, extent, kPadding, rows, bytes);
  return {{bytes.size()}, codes_of(bytes)};
}

}  // namespace halfulp::cli
