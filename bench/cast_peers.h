// Other implementations of casts from binary32, and what only moving the data takes. They are in files of their own
// because they are compiled for the machine that measures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace halfulp {

/// Somebody's cast to one format to nearest, ties to even; null where it has none to that type.
struct CastPeer {
  std::string_view name;
  std::string_view format;
  void (*to_bytes)(const float* x, uint8_t* codes, size_t count) = nullptr;
  void (*to_words)(const float* x, uint16_t* codes, size_t count) = nullptr;
  void (*to_values)(const float* x, float* y, size_t count) = nullptr;
  void (*from_bytes)(const uint8_t* codes, float* y, size_t count) = nullptr;
};

/// Those that were found when this was configured.
std::vector<CastPeer> cast_peers();

/// Loads and stores with no more between them than a change of width asks for.
void stream_copy(const float* x, float* y, size_t count);
void stream_in_place(float* x, size_t count);
void stream_to_bytes(const float* x, uint8_t* y, size_t count);
void stream_to_words(const float* x, uint16_t* y, size_t count);
void stream_from_bytes(const uint8_t* x, float* y, size_t count);

}  // namespace halfulp
