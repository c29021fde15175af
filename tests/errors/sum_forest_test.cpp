#include "inure/errors/sum_forest.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "tests/errors/made_up_tree.hpp"

namespace inure {
namespace {

constexpr int kVecSize = 4, kTrees = 3, kChannels = 64;

// Deep trees, and one without errors.
SumTree random_tree(std::mt19937& random, int number) {
  if (number == kTrees - 1) return {};
  RegisterProfile profile;
  add_random_tree(
      random, 10, profile,
      [](RegisterProfile& to) {
        add_leaf(to, 0.5, {{1, 1}});
      },
      SumTree::kTests);
  return {profile, "test"};
}

void randomize(std::mt19937& random, bool later, int k, SumSteps& steps) {
  const auto number = [&] {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(random()) >> random() % 32);
  };
  const auto signs = [&] { return static_cast<std::uint32_t>(random() & 0xF000F); };
  steps.x[k] = k / 100, steps.channel[k] = static_cast<int>(random() % kChannels);
  steps.step[k] = static_cast<int>(random() % 4) + 2 * later;
  steps.word[k] = static_cast<std::uint32_t>(random());
  steps.sum[k] = number(), steps.signs[k] = signs(), steps.accumulator[k] = number();
  steps.sum_before[k] = number(), steps.signs_before[k] = signs();
  steps.accumulator_before[k] = number();
}

// Against one tree and one step at a time.
TEST(SumForests, FindWhatErrs) {
  int found = 0;
  for (unsigned seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    const bool later = seed % 2 == 0;
    SumForest forest;
    std::vector<SumTree> trees;
    std::vector<std::vector<std::uint32_t>> bounds;
    for (int t = 0; t < kTrees; ++t) {
      const SumTree& tree = trees.emplace_back(random_tree(random, t));
      auto& erring = bounds.emplace_back(std::max<std::size_t>(tree.leaves().size(), 1));
      for (auto& bound : erring) {
        bound = !tree.any() || random() % 3 == 0 ? 0 : static_cast<std::uint32_t>(random());
      }
      forest.add(tree, erring, later);
    }
    std::vector<int> of_channel(kChannels);
    for (int& tree : of_channel) tree = static_cast<int>(random() % kTrees);
    const auto steps = std::make_unique<SumSteps>();
    steps->count = static_cast<int>(random() % 300);
    for (int k = 0; k < steps->count; ++k) randomize(random, later, k, *steps);
    const auto erring = std::make_unique<SumForest::Erring>();
    forest.find_erring(*steps, of_channel, kVecSize, *erring);
    int next = 0;
    for (int k = 0; k < steps->count; ++k) {
      const int tree = of_channel[static_cast<std::size_t>(steps->channel[k])];
      const int leaf = trees[static_cast<std::size_t>(tree)].leaf(SumTree::tests(
          steps->step[k], kVecSize,
          {steps->accumulator_before[k], steps->sum_before[k], steps->signs_before[k]},
          {steps->accumulator[k], steps->sum[k], steps->signs[k]}));
      const auto& bound = bounds[static_cast<std::size_t>(tree)];
      if (steps->word[k] >= bound[static_cast<std::size_t>(leaf)]) continue;
      ASSERT_LT(next, erring->count) << "seed " << seed;
      ASSERT_EQ(erring->step[next], k) << "seed " << seed;
      ASSERT_EQ(erring->leaf[next], leaf) << "seed " << seed << ", step " << k;
      ++next;
    }
    ASSERT_EQ(erring->count, next) << "seed " << seed;
    found += next;
  }
  EXPECT_GT(found, 500);
}

}  // namespace
}  // namespace inure
