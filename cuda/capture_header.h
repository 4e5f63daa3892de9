// The header of a capture, JSON that cuda/capture_file.h describes, as facts; what they say of the data is not checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/capture_file.h"

namespace halfulp::cuda {

struct SegmentHeader {
  std::string family;  // one of StimulusFamily where it is seeded
  uint64_t seed, tiles;
  uint64_t offset;
  Stored stored;
  uint64_t first = 0;         // Seeded
  std::string inputs_sha256;  // Seeded
};

struct CaptureHeader {
  std::string unit;
  Shape shape;
  Provenance from;
  std::vector<SegmentHeader> segments;
  std::string sha256;
};

std::string header_text(const CaptureHeader& header);

/// Throws std::invalid_argument that names the member, what is wrong and what is allowed.
CaptureHeader parse_header(std::string_view text);

}  // namespace halfulp::cuda
