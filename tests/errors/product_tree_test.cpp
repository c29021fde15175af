#include "inure/errors/product_tree.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "inure/base/error.hpp"
#include "inure/errors/tree_draw.hpp"
#include "tests/common.hpp"
#include "tests/errors/made_up_tree.hpp"

namespace inure {
namespace {

std::string refusal(const std::vector<std::uint32_t>& split) {
  return error_of([&] { ProductTree(split, "x"); });
}

TEST(ProductTrees, TestWhatTheSchemaSays) {
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    const auto any = [&] { return random() % 4 ? static_cast<std::int8_t>(random()) : 0; };
    const int a_before = any(), b_before = any(), a = any(), b = any();
    const ProductTree::Tests tests = ProductTree::tests(a_before, b_before, a, b);
    const std::pair<int, int> eights[] = {{0, a_before}, {8, b_before},      {16, a},
                                          {24, b},       {32, a ^ a_before}, {40, b ^ b_before}};
    for (const auto& [first, value] : eights) {
      for (int bit = 0; bit < 8; ++bit) EXPECT_EQ(tests[first + bit], value >> bit & 1) << first;
    }
    const int operands[] = {a_before, b_before, a, b};
    for (int k = 0; k < 4; ++k) EXPECT_EQ(tests[48 + k], operands[k] == 0);
    for (int bit = 0; bit < 16; ++bit) {
      EXPECT_EQ(tests[52 + bit], (a * b) >> bit & 1);
      EXPECT_EQ(tests[68 + bit], (a_before * b_before) >> bit & 1);
    }
  }
}

// b's lowest bit; where it is 1, whether a is 0.
TEST(ProductTrees, NumberTheirLeaves) {
  const ProductTree tree(std::vector<std::uint32_t>{1 + 24, 0, 1 + 50, 0, 0}, "x");
  EXPECT_EQ(tree.leaves(), 3);
  EXPECT_EQ(tree.leaf(ProductTree::tests(1, 1, 0, 2)), 0);
  EXPECT_EQ(tree.leaf(ProductTree::tests(1, 1, 4, -1)), 1);
  EXPECT_EQ(tree.leaf(ProductTree::tests(1, 1, 0, 7)), 2);
}

TEST(ProductTrees, AreRefusedWithTheReason) {
  EXPECT_EQ(refusal({0}), "");
  EXPECT_EQ(refusal({}), "x: the tree of its classes is cut off after 0 nodes");
  EXPECT_EQ(refusal({1}), "x: the tree of its classes is cut off after 1 nodes");
  EXPECT_EQ(refusal({1, 0}), "x: the tree of its classes is cut off after 2 nodes");
  EXPECT_EQ(refusal({1, 0, 0, 0}), "x: the tree of its classes ends before the last of 4 nodes");
  EXPECT_EQ(refusal({85, 0, 0}), "x: test 84 in the tree of its classes; expected one below 84");
}

// A random tree, some of whose leaves err always, often, now and then or never; all changes of
// activations for some pairs of weights, one after another.
class DrawnTrees : public testing::TestWithParam<unsigned> {
 protected:
  DrawnTrees() : random_(GetParam()) {
    int leaves = 0;
    add_random_tree(random_, 6, product_, [&](RegisterProfile& product) {
      const double rate = std::array{0.0, 0.0, 1e-3, 0.02, 0.4, 0.999, 1.0}[random_() % 7];
      const int id = leaves++;
      std::vector<std::pair<int, unsigned>> deltas{{1 + id, 3}, {-1 - id, 1}};
      if (id % 4 == 0) deltas.pop_back();
      add_leaf(product, rate, deltas);
      if (rate > 0) rate_[id] = rate;
    });
    tree_ = std::make_unique<ProductTree>(
        std::span(product_.split().data(), static_cast<std::size_t>(product_.split_size())), "x");
  }

  struct Count {
    double sites = 0, errors = 0, first_delta = 0;
  };

  static RandomStream stream_of(int b_before, int b) {
    const auto pair = static_cast<std::uint32_t>(ProductTable::pair(b_before, b));
    return {5, RandomPurpose::kErrors, pair, 0};
  }

  void count_pair(TreeDraw::Weights& weights, int b_before, int b, bool negative,
                  std::map<int, Count>& counts) {
    std::vector<ProductTable::Exception> found;
    weights.draw(b, stream_of(b_before, b), found);
    auto next = found.begin();
    for (int pair = 0; pair < ProductTable::kPairs; ++pair) {
      const int a_before = static_cast<std::int8_t>(pair >> 8), a = static_cast<std::int8_t>(pair);
      const bool here = next != found.end() && next->operands == pair;
      if (!negative && (a_before < 0 || a < 0)) {
        ASSERT_FALSE(here);
        continue;
      }
      const int leaf = tree_->leaf(ProductTree::tests(a_before, b_before, a, b));
      Count& count = counts[leaf];
      ++count.sites;
      if (!here) continue;
      ++count.errors;
      const auto delta = static_cast<std::int16_t>(next->delta);
      ASSERT_EQ(std::abs(delta), 1 + leaf);
      count.first_delta += delta > 0;
      ++next;
    }
    ASSERT_EQ(next, found.end());  // nothing else: the list is ascending
  }

  std::mt19937 random_;
  RegisterProfile product_;
  std::unique_ptr<ProductTree> tree_;
  std::map<int, double> rate_;  // by leaf
};

TEST_P(DrawnTrees, HaveTheirRatesAndDeltas) {
  const bool negative = GetParam() % 2;
  const TreeDraw draw(product_, negative);
  std::map<int, Count> counts;
  for (int i = 0; i < 12; ++i) {
    const int b_before = static_cast<std::int8_t>(random_());
    TreeDraw::Weights weights(draw, b_before);
    for (int k = 0; k < 3; ++k) {
      count_pair(weights, b_before, static_cast<std::int8_t>(random_()), negative, counts);
    }
  }
  for (const auto& [leaf, count] : counts) {
    const double rate = rate_[leaf], expected = rate * count.sites;
    EXPECT_NEAR(count.errors, expected, 6 * std::sqrt(expected * (1 - rate))) << "leaf " << leaf;
    const double first = leaf % 4 == 0 ? 1 : 0.75;
    EXPECT_NEAR(count.first_delta, first * count.errors, 6 * std::sqrt(0.2 * count.errors));
  }
  EXPECT_GT(counts.size(), 10u);
}

// All changes of activations of some pairs of weights, one object drawing them one after another.
TEST_P(DrawnTrees, AreThoseOfThePlainTwin) {
  const bool negative = GetParam() % 2;
  const TreeDraw draw(product_, negative);
  for (int i = 0; i < 6; ++i) {
    const int b_before = static_cast<std::int8_t>(random_());
    TreeDraw::Weights weights(draw, b_before);
    for (int k = 0; k < 2; ++k) {
      const int b = static_cast<std::int8_t>(random_());
      std::vector<ProductTable::Exception> expected, found;
      for (int pair = 0; pair < ProductTable::kPairs; ++pair) {
        const auto before = static_cast<std::int8_t>(pair >> 8),
                   now = static_cast<std::int8_t>(pair);
        const auto delta = draw.delta(before, b_before, now, b, stream_of(b_before, b));
        if (delta) expected.push_back({static_cast<std::uint16_t>(pair), delta});
      }
      weights.draw(b, stream_of(b_before, b), found);
      EXPECT_EQ(found, expected) << "seed " << GetParam() << ", weights " << b_before << ", " << b;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, DrawnTrees, testing::Range(0u, 4u));

}  // namespace
}  // namespace inure
