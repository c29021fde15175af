#include "inure/errors/sum_start.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/errors/made_up_tree.hpp"

namespace inure {
namespace {

// A tree that likes tests of runs.
void add_tree_of_runs(std::mt19937& random, int depth, RegisterProfile& profile) {
  if (depth == 0) return add_leaf(profile, 0.5, {{1, 1}});
  const int word = random() % 3 == 0 ? SumTree::kLevelWord : SumTree::kCarryRunWord + random() % 3;
  const unsigned bits = word == SumTree::kLevelWord ? 2 : 32;
  add_test(profile, 32 * word + static_cast<int>(random() % bits));
  add_tree_of_runs(random, depth - 1, profile);
  add_tree_of_runs(random, depth - 1, profile);
}

// Whatever errs is among those that may; and not all may.
TEST(StartNeedsOfTrees, MissNothingThatErrs) {
  int erred = 0, passed = 0, all = 0;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    RegisterProfile profile;
    add_tree_of_runs(random, 4, profile);
    const SumTree tree(profile, "test");
    std::vector<std::uint32_t> bounds(tree.leaves().size());
    for (std::uint32_t& bound : bounds) {
      const auto kind = random() % 8;
      bound = kind == 0 ? static_cast<std::uint32_t>(random()) : kind == 1 ? 1u << 25 : 0;
    }
    const StartNeeds needs = find_start_needs(tree, bounds);
    for (int i = 0; i < 2000; ++i) {
      const auto number = [&] {
        return static_cast<std::uint32_t>(static_cast<std::int32_t>(random()) >>
                                          (14 + random() % 18));
      };
      const int step = static_cast<int>(random() % 2);
      const SumContents before{step ? 0 : number(), number(), 0};
      const SumContents now{step ? before.sum : 0, number(), 0};
      const auto word = static_cast<std::uint32_t>(random());
      const auto leaf = static_cast<std::size_t>(tree.leaf(SumTree::tests(step, 4, before, now)));
      const StartNeeds::Step& of_step = needs.step[static_cast<std::size_t>(step)];
      const std::uint32_t other = now.accumulator ^ now.sum;
      const std::uint32_t words[] = {other, other ^ (now.accumulator + now.sum)};
      bool may_err = word < of_step.rare;
      for (std::size_t w = 0; w < of_step.mask.size(); ++w) {
        may_err |= (words[w] & of_step.mask[w]) == of_step.value[w];
      }
      const bool errs = word < bounds[leaf];
      ASSERT_TRUE(may_err || !errs) << "seed " << seed << ", step " << i;
      ASSERT_TRUE(needs.any || !errs) << "seed " << seed;
      erred += errs, passed += may_err, ++all;
    }
  }
  EXPECT_GT(erred, 10000);
  EXPECT_LT(passed, all / 2);
}

}  // namespace
}  // namespace inure
