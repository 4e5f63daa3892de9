// Directed probes (9.7): tiles whose outputs read off one fact of a matrix instruction each.
//
// U is 2^7; terms that are not named are zeros. Rows of A, columns of B and c vary the quantity that is searched for,
// so that one tile holds a whole series.
#pragma once

#include <string>
#include <vector>

#include "cuda/stimulus.h"

namespace halfulp::cuda {

struct Probe {
  std::string name;
  std::vector<Tile> tiles;
};

/// Those that make sense for the shape's formats. `fraction` is the alignment width a model expects; 0: none does.
std::vector<Probe> directed_probes(const Shape& shape, int fraction);

}  // namespace halfulp::cuda
