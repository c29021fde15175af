#include "inure/errors/sum_class.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace inure {
namespace {

// The schema's words, bit by bit.
int plain_chain(std::uint32_t accumulator, std::uint32_t sum) {
  const bool negative = accumulator >> 31, sum_negative = sum >> 31;
  if (negative == sum_negative) return negative ? 1 : 0;
  int agree = -1;
  for (int bit = 0; bit < 32; ++bit) {
    if ((accumulator >> bit & 1) == (sum >> bit & 1)) agree = bit;
  }
  const int begins = agree < 8 ? 0 : agree < 11 ? 1 : 2;
  return (negative ? 5 : 2) + begins;
}

TEST(SumClasses, HaveTheChainOfTheSchema) {
  std::mt19937 random(1);
  std::set<int> seen;
  for (int i = 0; i < 200000; ++i) {
    const auto accumulator = static_cast<std::int32_t>(random()) >> random() % 32;
    const auto sum = static_cast<std::int32_t>(random()) >> (14 + random() % 18);
    const int expected =
        plain_chain(static_cast<std::uint32_t>(accumulator), static_cast<std::uint32_t>(sum));
    ASSERT_EQ(sum_chain(accumulator, sum), expected) << accumulator << " + " << sum;
    seen.insert(expected);
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kSumChains));
  EXPECT_EQ(sum_chain(0x1234, -0x1235), 2);  // agree nowhere: the chain begins at bit 0
}

TEST(SumClasses, HaveTheLevelOfTheSchema) {
  EXPECT_EQ(sign_level(0, 4), 0);
  EXPECT_EQ(sign_level(1, 4), 1);
  EXPECT_EQ(sign_level(4, 4), 4);
  EXPECT_EQ(sign_level(1, 16), 1);
  EXPECT_EQ(sign_level(12, 16), 3);
  EXPECT_EQ(sign_level(13, 16), 4);
  EXPECT_EQ(sign_level(1, 1), 4);
}

TEST(SumClasses, FollowASequence) {
  SumState state;
  // Not 0 before, negative before; not 0, negative; of 4 products.
  const auto id = [](int phase, int n_before, int before, int n, int negative, int chain) {
    const int signs_before = n_before * (n_before + 1) / 2 + before;
    const int signs = n * (n + 1) / 2 + negative;
    return ((phase * 15 + signs_before) * 15 + signs) * 8 + chain;
  };
  state.step(true, -700, {3, 4}, 4);
  EXPECT_EQ(state.sum_class(), id(0, 0, 0, 4, 3, 3));  // 0 and -700 agree in bits 0, 1 and up to 9
  state.step(false, 700, {1, 2}, 4);
  EXPECT_EQ(state.sum_class(), id(1, 4, 3, 2, 1, 5));
  EXPECT_EQ(state.after(), 0);
  state.step(false, 40000, {0, 3}, 4);
  EXPECT_EQ(state.sum_class(), id(2, 2, 1, 3, 0, 0));
  state.step(false, -5, {2, 2}, 4);
  EXPECT_EQ(state.sum_class(), id(2, 3, 0, 2, 2, 4));
  EXPECT_EQ(state.after(), 39995);
  state.step(true, 9, {0, 1}, 4);
  EXPECT_EQ(state.sum_class(), id(0, 0, 0, 1, 0, 0));
  EXPECT_EQ(state.after(), 9);
}

}  // namespace
}  // namespace inure
