#include "inure/base/random.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

namespace inure {
namespace {

// The known-answer vectors for philox4x32-10 that the Random123 distribution publishes.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformNumbersStayInside) {
  EXPECT_EQ(uniform24(0), 0.0f);
  EXPECT_LT(uniform24(0xffffffff), 1.0f);
  EXPECT_GT(uniform32(0), 0.0);
  EXPECT_LT(uniform32(0xffffffff), 1.0);
}

TEST(RandomStream, DrawsItsBlocksInOrder) {
  RandomStream stream(0x123456789abcdef0, RandomPurpose::kDropout, 7, 9);
  for (std::uint32_t block = 0; block < 3; ++block) {
    for (const std::uint32_t word : philox({2, 7, 9, block}, {0x9abcdef0, 0x12345678})) {
      EXPECT_EQ(stream.next(), word);
    }
  }
}

TEST(RandomStream, OtherKeysGiveOtherNumbers) {
  const auto first = [](std::uint64_t seed, RandomPurpose purpose, std::uint32_t a,
                        std::uint32_t b) { return RandomStream(seed, purpose, a, b).next(); };
  const auto base = first(1, RandomPurpose::kFiller, 0, 0);
  EXPECT_EQ(base, first(1, RandomPurpose::kFiller, 0, 0));
  EXPECT_NE(base, first(2, RandomPurpose::kFiller, 0, 0));
  EXPECT_NE(base, first(1ull << 32 | 1, RandomPurpose::kFiller, 0, 0));
  EXPECT_NE(base, first(1, RandomPurpose::kShuffle, 0, 0));
  EXPECT_NE(base, first(1, RandomPurpose::kFiller, 1, 0));
  EXPECT_NE(base, first(1, RandomPurpose::kFiller, 0, 1));
}

// Mean, variance, and for the shape the fourth moment; the bounds are five standard errors.
TEST(RandomStream, Moments) {
  constexpr int kCount = 400000;
  const double root = std::sqrt(double{kCount});
  RandomStream stream(5, RandomPurpose::kFiller, 0, 0);
  double mean = 0, square = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = stream.uniform() - 0.5;
    mean += x / kCount;
    square += x * x / kCount;
  }
  EXPECT_NEAR(mean, 0, 5 * std::sqrt(1.0 / 12) / root);
  EXPECT_NEAR(square, 1.0 / 12, 5 * std::sqrt(1.0 / 180) / root);

  double first = 0, second = 0, fourth = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = stream.gaussian();
    ASSERT_TRUE(std::isfinite(x));
    first += x / kCount;
    second += x * x / kCount;
    fourth += x * x * x * x / kCount;
  }
  EXPECT_NEAR(first, 0, 5 / root);
  EXPECT_NEAR(second, 1, 5 * std::sqrt(2.0) / root);
  EXPECT_NEAR(fourth, 3, 5 * std::sqrt(96.0) / root);
}

TEST(RandomStream, BelowIsUniform) {
  RandomStream stream(6, RandomPurpose::kShuffle, 0, 0);
  for (const std::uint32_t bound : {1u, 2u, 7u, 10u}) {
    constexpr int kCount = 70000;
    std::vector<int> hits(bound);
    for (int i = 0; i < kCount; ++i) {
      const std::uint32_t x = stream.below(bound);
      ASSERT_LT(x, bound);
      ++hits[x];
    }
    const double expected = double{kCount} / bound;
    for (const int n : hits) EXPECT_NEAR(n, expected, 5 * std::sqrt(expected)) << bound;
  }
  // Two thirds of the words: a plain multiply would give the even numbers twice as often as the
  // odd.
  constexpr std::uint32_t kBound = 0xAAAAAAAB;
  int even = 0;
  for (int i = 0; i < 30000; ++i) even += static_cast<int>(stream.below(kBound) % 2 == 0);
  EXPECT_NEAR(even, 15000, 5 * std::sqrt(30000 / 4.0));
}

}  // namespace
}  // namespace inure
