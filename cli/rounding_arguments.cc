#include "cli/rounding_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace halfulp::cli {

void RoundingArguments::declare(Arguments& arguments, bool takes_numbers) {
  arguments.option("--rounding NAME", given, "Rounding, ties_to_even unless a profile has another");
  arguments.option("--random-bits N", random_bits, "Stochastic rounding: random bits per number, 1 to 32");
  arguments.option("--seed N", seed, "Stochastic rounding: number i gets the random bits of (seed, i)");
  if (takes_numbers)
    arguments.option("--random R0,R1,...", random, "Stochastic rounding: the random numbers themselves, one per VALUE");
}

void check_random_bits(Rounding rounding, std::optional<int> random_bits) {
  const std::string mode(name(rounding));
  if (!is_stochastic(rounding) && random_bits)
    throw std::invalid_argument(fmt::format("--random-bits: only with a stochastic --rounding, not with {}", mode));
  if (!is_stochastic(rounding)) return;
  if (!random_bits)
    throw std::invalid_argument(fmt::format("--random-bits is missing: {} takes 1 to 32 of them", mode));
  if (*random_bits < 1 || *random_bits > kMaxRandomBits)
    throw std::invalid_argument(fmt::format("--random-bits: {} takes 1 to 32 of them, not {}", mode, *random_bits));
}

void RoundingArguments::check(Rounding otherwise) {
  rounding = given.value_or(otherwise);
  const std::string mode(name(rounding));
  if (!is_stochastic(rounding)) {
    if (random_bits || seed || random)
      throw std::invalid_argument(
          fmt::format("--random-bits, --random, --seed: only with a stochastic --rounding, not with {}", mode));
    return;
  }
  check_random_bits(rounding, random_bits);
  if (!seed && !random)
    throw std::invalid_argument(fmt::format("--rounding {}: its random bits are missing; give --seed S", mode));
  if (seed && random) throw std::invalid_argument("--random, --seed: only one of them");
}

std::vector<uint32_t> RoundingArguments::random_numbers() const {
  const std::string list = random.value_or("");
  const uint64_t largest = (uint64_t{1} << bits()) - 1;
  std::vector<uint32_t> numbers;
  for (size_t begin = 0, end; begin <= list.size(); begin = end + 1) {
    end = std::min(list.find(',', begin), list.size());
    const std::string_view word = std::string_view(list).substr(begin, end - begin);
    uint64_t number = largest + 1;
    const auto [last, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || last != word.data() + word.size() || number > largest)
      throw std::invalid_argument(
          fmt::format("--random: number {} is '{}'; whole numbers from 0 to {} for {} random bits", numbers.size() + 1,
                      word, largest, bits()));
    numbers.push_back(uint32_t(number));
  }
  return numbers;
}

}  // namespace halfulp::cli
