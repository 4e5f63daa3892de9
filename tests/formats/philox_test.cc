#include "formats/philox.h"

#include <gtest/gtest.h>

namespace halfulp {
namespace {

// Known answers published with Random123 (tests/kat_vectors, philox4x32 with 10 rounds).
TEST(Philox, gives_the_published_known_answers) {
  EXPECT_EQ(philox4x32({{0, 0, 0, 0}}, {{0, 0}}), (PhiloxCounter{{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}));
  EXPECT_EQ(philox4x32({{~0u, ~0u, ~0u, ~0u}}, {{~0u, ~0u}}),
            (PhiloxCounter{{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}));
  EXPECT_EQ(philox4x32({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, {{0xa4093822, 0x299f31d0}}),
            (PhiloxCounter{{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}));
}

TEST(Philox, gives_the_same_word_however_it_is_asked_for) {
  const RandomSite site{.seed = 0x123456789abcdefull, .stream = Stream::Data, .step = 3, .site = 7};
  for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(random_word(site, i), random_words(site, i / 4)[i % 4]);
}

TEST(Philox, shares_a_draw_between_elements_of_few_bits) {
  const RandomSite site{.seed = 42};
  for (uint32_t i = 0; i < 64; ++i) {
    const PhiloxCounter draw = random_words(site, i / 16);
    EXPECT_EQ(random_bits(site, i, 8), draw[i % 16 / 4] >> i % 4 * 8 & 0xff);
    EXPECT_EQ(random_bits(site, i, 5), random_bits(site, i, 8) >> 3);
    EXPECT_EQ(random_bits(site, i, 16), random_words(site, i / 8)[i % 8 / 2] >> i % 2 * 16 & 0xffff);
    EXPECT_EQ(random_bits(site, i, 32), random_word(site, i));
  }
}

}  // namespace
}  // namespace halfulp
