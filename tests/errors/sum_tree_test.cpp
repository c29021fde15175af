#include "inure/errors/sum_tree.hpp"

#include <gtest/gtest.h>

#include <random>

#include "inure/base/error.hpp"
#include "tests/errors/made_up_tree.hpp"

namespace inure {
namespace {

constexpr int kVecSize = 4;

std::uint32_t signs_of(const std::vector<int>& products) {
  ProductSigns signs;
  for (const int product : products) signs.add(product);
  return signs.bits;
}

// The schema's words, bit by bit.
bool plain_test(int test, int step, int vec_size, const SumContents& before,
                const SumContents& now) {
  const int word = test / 32, bit = test % 32;
  const auto of = [&](const SumContents& what, int kind, int at) -> bool {
    const std::uint64_t carry_in = std::uint64_t{what.accumulator} + what.sum;
    switch (kind) {
      case 0:
        return what.sum >> at & 1;
      case 1:
        return what.accumulator >> at & 1;
      case 2:
        return carry_in >> at & 1;
      default: {  // the carry into a bit: what is below it does not fit
        if (at == 0) return false;
        const std::uint64_t below = (std::uint64_t{1} << at) - 1;
        return (what.accumulator & below) + (what.sum & below) > below;
      }
    }
  };
  const auto changed = [&](int kind, int at) { return of(now, kind, at) != of(before, kind, at); };
  if (word < 12) {
    if (word % 3 == 2) return changed(word / 3, bit);
    return of(word % 3 == 0 ? now : before, word / 3, bit);
  }
  if (word < 15) {
    for (int at = bit; at < 32; ++at) {
      const bool one = word == 12   ? changed(3, at)
                       : word == 13 ? of(now, 1, at) != of(now, 0, at)
                                    : changed(2, at);
      if (!one) return false;
    }
    return true;
  }
  if (word == SumTree::kLevelWord) {
    if (bit < 8) return bit == step && step < 2;
    if (bit >= 24) return false;
    const std::uint32_t signs = bit < 16 ? now.signs : before.signs;
    const int first = bit % 8 < 4 ? 0 : 16, products = std::min(vec_size, 16);
    int count = 0;
    for (int e = 0; e < products; ++e) count += signs >> (first + e) & 1;
    return count * 4 > (bit % 4) * products;
  }
  if (word == 19) return of({before.accumulator + before.sum, now.sum, 0}, 3, bit);
  const bool is = now.signs >> bit & 1, was = before.signs >> bit & 1;
  return word == 16 ? is : word == 17 ? was : is != was;
}

TEST(SumTrees, HaveTheTestsOfTheSchema) {
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    const int vec_size = 1 + static_cast<int>(random() % 20), step = static_cast<int>(random() % 4);
    const auto contents = [&] {
      std::vector<int> products(static_cast<std::size_t>(vec_size));
      for (int& product : products) product = static_cast<int>(random() % 5) - 2;
      return SumContents{
          static_cast<std::uint32_t>(static_cast<std::int32_t>(random()) >> random() % 32),
          static_cast<std::uint32_t>(static_cast<std::int32_t>(random()) >> (14 + random() % 18)),
          signs_of(products)};
    };
    const SumContents before = contents(), now = contents();
    const SumTree::Tests tests = SumTree::tests(step, vec_size, before, now);
    for (int test = 0; test < SumTree::kTests; ++test) {
      ASSERT_EQ(tests[static_cast<std::size_t>(test / 32)] >> test % 32 & 1,
                plain_test(test, step, vec_size, before, now))
          << "seed 1, step " << i << ", test " << test;
    }
  }
}

TEST(SumTrees, FollowASequence) {
  const auto same = [](const SumState& state, int step, const SumContents& before,
                       const SumContents& now) {
    return state.tests(kVecSize) == SumTree::tests(step, kVecSize, before, now);
  };
  SumState state;
  const std::uint32_t some = signs_of({-1, 5, 0, -7}), others = signs_of({1, 0, 0, 2});
  state.step(true, -700, some);
  const SumContents first{0, static_cast<std::uint32_t>(-700), some};
  EXPECT_TRUE(same(state, 0, {}, first));
  state.step(false, 900, others);
  const SumContents second{static_cast<std::uint32_t>(-700), 900, others};
  EXPECT_TRUE(same(state, 1, first, second));
  EXPECT_EQ(state.after(), 200);
  state.add_error(-(1 << 20));  // stays in the accumulator
  state.step(false, 3, some);
  EXPECT_TRUE(same(state, 2, second, {static_cast<std::uint32_t>(200 - (1 << 20)), 3, some}));
  state.step(true, 9, others);  // after an output whose accumulator should have held 200
  EXPECT_TRUE(same(state, 0, {200, 3, some}, {0, 9, others}));
  EXPECT_EQ(state.after(), 9);
  state.step(true, 5, some);  // after an output of one step
  EXPECT_TRUE(same(state, 0, {0, 9, others}, {0, 5, some}));
}

TEST(SumTrees, FindLeaves) {
  RegisterProfile profile;
  constexpr int kNegative = 31, kNegativeBefore = 32 + 31;  // bits 31 of words 0 and 1
  add_test(profile, SumTree::kFirstStep);
  add_test(profile, kNegative);
  add_leaf(profile, 0);                        // later, not negative
  add_leaf(profile, 0.5, {{-1, 1}, {64, 3}});  // later, negative
  add_test(profile, kNegativeBefore);
  add_leaf(profile, 0.25, {{1 << 30, 1}});
  add_leaf(profile, 0.125, {{1, 1}});
  const SumTree tree(profile, "p");
  ASSERT_TRUE(tree.any());
  const auto rate = [&](int step, std::int32_t sum) {
    const auto tests = SumTree::tests(step, kVecSize, {}, {0, static_cast<std::uint32_t>(sum), 0});
    return tree.leaves()[static_cast<std::size_t>(tree.leaf(tests))].rate;
  };
  EXPECT_EQ(rate(1, 5), 0);
  EXPECT_EQ(rate(1, -5), 0.5);
  EXPECT_EQ(rate(0, -5), 0.25);
  const auto& deltas = tree.leaves()[1].deltas;
  ASSERT_EQ(deltas.size(), 2u);
  EXPECT_EQ(deltas[0], (std::pair<std::int32_t, double>{-1, 0.25}));
  EXPECT_EQ(deltas[1], (std::pair<std::int32_t, double>{64, 1.0}));
  EXPECT_FALSE(SumTree().any());
}

}  // namespace
}  // namespace inure
