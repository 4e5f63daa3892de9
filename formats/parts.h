// Large arrays in parts, one per thread. Internal to formats/.
#pragma once

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>

#include "formats/float_control.h"

namespace halfulp {

/// Calls work(first, size) for parts of 0 … count - 1, on so many threads (0: all cores). All parts but the last are
/// multiples of `unit`. Inside a parallel region there is one part.
template <class Work>
void in_parts(size_t count, int threads, const Work& work, size_t unit = 1) {
  if (threads < 0) throw std::invalid_argument(fmt::format("threads: 0 (all cores) or more, not {}", threads));
  constexpr size_t kSmallest = 1 << 14;  // elements: below, starting a thread costs more than it saves
  const size_t most = omp_in_parallel() ? 1 : size_t(threads == 0 ? omp_get_num_procs() : threads);
  const size_t parts = std::min(most, std::max<size_t>(count / kSmallest, 1));
  if (parts == 1) return work(0, count);
  const size_t units = (count + unit - 1) / unit, size = (units + parts - 1) / parts * unit;
#pragma omp parallel for num_threads(int(parts)) schedule(static)
  for (size_t part = 0; part < parts; ++part) {
    const FloatControl control;  // threads have registers of their own
    const size_t first = std::min(part * size, count);
    work(first, std::min(size, count - first));
  }
}

}  // namespace halfulp
