// The numbers that tell one cast from another: what conformance vectors are made of.
//
// A cast is given away by the numbers it rounds to, the middles between them, and wherever else it changes its mind.
// Lists are functions of their arguments alone.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/cast.h"
#include "formats/format.h"

namespace halfulp {

/// Ascending: all codes of a format of at most 16 bits. Of a wider one 65536: under each pattern of the 14 highest
/// bits those whose other bits are 0, 1, the highest alone and all of them.
std::vector<uint32_t> landmark_codes(const Format& format);

/// Ascending random numbers below 2^random_bits: all of at most 8, otherwise the first two, the middle two and the
/// last.
std::vector<uint32_t> random_landmarks(int random_bits);

/// Of either sign, each with the two numbers of binary32 beside it: the numbers of landmark_codes, the middle between
/// two of them, what would follow the largest and the middle before that; for formats of at most 16 bits also wherever
/// the cast with the random number `random` changes its result, provided that it is monotonic. Then zeros, infinities,
/// NaNs, one and the ends of binary32's ranges. In the order of their bits, none twice.
std::vector<float> cast_landmarks(const Caster& caster, uint32_t random = 0);

/// Calls visit(bits) for the binary32 numbers in (low, high] whose result differs from that of the number before.
/// Bits are of one sign, and results that have changed must not change back.
template <class ResultOf, class Visit>
void for_each_change(uint32_t low, uint32_t high, const ResultOf& result_of, const Visit& visit) {
  using Result = decltype(result_of(low));
  const auto search = [&](const auto& self, uint32_t from, const Result& before, uint32_t to, const Result& after) {
    if (before == after) return;
    if (to - from == 1) return visit(to);
    const uint32_t middle = from + (to - from) / 2;
    const Result between = result_of(middle);
    self(self, from, before, middle, between);
    self(self, middle, between, to, after);
  };
  search(search, low, result_of(low), high, result_of(high));
}

/// Ascending bits of non-negative binary32 numbers, up to infinity: these and the two beside each, none twice.
std::vector<uint32_t> with_neighbours(const std::vector<uint32_t>& bits);

}  // namespace halfulp
