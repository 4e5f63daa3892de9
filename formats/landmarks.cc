#include "formats/landmarks.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "formats/codec.h"

namespace halfulp {
namespace {

constexpr int kMostListedBits = 16;
constexpr int kPatternBits = 14;  // of the codes of wider formats

constexpr uint32_t kSign = 0x80000000;
constexpr uint32_t kInfinity = 0x7f800000;

// Zero, the smallest and largest subnormal, the smallest normal, one, the largest number, infinity; NaNs, signalling
// and quiet ones, with the smallest, a mixed and the largest payload.
constexpr uint32_t kSpecials[] = {0x00000000, 0x00000001, 0x007fffff, 0x00800000, 0x3f800000, 0x7f7fffff, 0x7f800000,
                                  0x7f800001, 0x7faaaaaa, 0x7fbfffff, 0x7fc00000, 0x7fc00001, 0x7fd55555, 0x7fffffff};

template <class T>
void sort_and_keep_one_of_each(std::vector<T>& list) {
  std::ranges::sort(list);
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

// Ascending magnitudes of a format's numbers with 0 and what would follow the largest of either sign.
std::vector<double> landmark_magnitudes(const Format& format) {
  std::vector<double> all = {0, magnitude(format, format.max_index(false) + 1),
                             magnitude(format, format.max_index(true) + 1)};
  for (const uint32_t code : landmark_codes(format))
    if (const double value = decode(format, code); std::isfinite(value)) all.push_back(std::fabs(value));
  sort_and_keep_one_of_each(all);
  return all;
}

// Ascending bits of the numbers and the middles between them, as binary32 has them.
std::vector<uint32_t> numbers_and_middles(const Format& format) {
  const std::vector<double> magnitudes = landmark_magnitudes(format);
  std::vector<uint32_t> bits;
  for (size_t i = 0; i < magnitudes.size(); ++i) {
    bits.push_back(std::bit_cast<uint32_t>(float(magnitudes[i])));
    if (i + 1 < magnitudes.size())
      bits.push_back(std::bit_cast<uint32_t>(float(magnitudes[i] + (magnitudes[i + 1] - magnitudes[i]) / 2)));
  }
  return bits;
}

}  // namespace

std::vector<uint32_t> landmark_codes(const Format& format) {
  const bool lists_all = format.bits() <= kMostListedBits;
  const int low_bits = lists_all ? 0 : format.bits() - kPatternBits;
  const uint32_t all_low = uint32_t((uint64_t{1} << low_bits) - 1);
  const std::vector<uint32_t> endings =
      lists_all ? std::vector<uint32_t>{0} : std::vector<uint32_t>{0, 1, all_low / 2 + 1, all_low};
  std::vector<uint32_t> codes;
  for (uint32_t pattern = 0; pattern >> (format.bits() - low_bits) == 0; ++pattern)
    for (const uint32_t ending : endings) codes.push_back(pattern << low_bits | ending);
  return codes;
}

std::vector<uint32_t> random_landmarks(int random_bits) {
  const uint32_t last = uint32_t((uint64_t{1} << random_bits) - 1);
  if (random_bits > 3) return {0, 1, last / 2, last / 2 + 1, last};
  std::vector<uint32_t> all;
  for (uint32_t random = 0; random <= last; ++random) all.push_back(random);
  return all;
}

std::vector<uint32_t> with_neighbours(const std::vector<uint32_t>& bits) {
  std::vector<uint32_t> all = bits;
  for (const uint32_t x : bits) {
    if (x > 0) all.push_back(x - 1);
    if (x < kInfinity) all.push_back(x + 1);
  }
  sort_and_keep_one_of_each(all);
  return all;
}

std::vector<float> cast_landmarks(const Caster& caster, uint32_t random) {
  std::vector<uint32_t> magnitudes = numbers_and_middles(caster.format());
  if (caster.format().bits() <= kMostListedBits)
    for (const uint32_t sign : {uint32_t{0}, kSign}) {
      const auto code_of = [&](uint32_t bits) { return caster.encode_reference(std::bit_cast<float>(bits), random); };
      for_each_change(sign, sign | kInfinity, code_of, [&](uint32_t bits) { magnitudes.push_back(bits & ~kSign); });
    }
  magnitudes = with_neighbours(magnitudes);
  magnitudes.insert(magnitudes.end(), std::begin(kSpecials), std::end(kSpecials));
  sort_and_keep_one_of_each(magnitudes);

  std::vector<float> all;
  for (const uint32_t sign : {uint32_t{0}, kSign})
    for (const uint32_t bits : magnitudes) all.push_back(std::bit_cast<float>(sign | bits));
  return all;
}

}  // namespace halfulp
