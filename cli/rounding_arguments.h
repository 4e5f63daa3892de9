// --rounding and what the stochastic modes need with it, for every verb that rounds.
#pragma once

#include <cstdint>
#include <optional>

#include "cli/arguments.h"
#include "formats/philox.h"
#include "formats/rounding.h"

namespace halfulp::cli {

/// Throws std::invalid_argument where a rounding is not one that takes that number of random bits.
void check_random_bits(Rounding rounding, std::optional<int> random_bits);

struct RoundingArguments {
  std::optional<Rounding> given;
  Rounding rounding = Rounding::TiesToEven;  // what holds, after check
  std::optional<int> random_bits;
  std::optional<uint64_t> seed;
  std::optional<std::string> random;  // numbers with commas between them

  /// Declares them; --random only where `takes_numbers`.
  void declare(Arguments& arguments, bool takes_numbers);

  /// Settles what holds where no --rounding is given. Throws std::invalid_argument where they do not go together.
  void check(Rounding otherwise = Rounding::TiesToEven);

  int bits() const { return random_bits.value_or(0); }
  RandomSite site() const { return {.seed = seed.value_or(0)}; }
  /// The numbers of --random, each below 2^bits(). Throws std::invalid_argument.
  std::vector<uint32_t> random_numbers() const;
};

}  // namespace halfulp::cli
