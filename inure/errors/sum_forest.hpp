#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/sum_tree.hpp"

namespace inure {

// Steps of a strip's outputs side by side: candidates on their way to errors.
struct SumSteps {
  static constexpr int kMost = 2032;  // no power of two, or all arrays meet in the same cache sets
  int count = 0;
  std::int32_t x[kMost], channel[kMost], step[kMost];
  std::uint32_t word[kMost];
  // Of the step and of the one before (0 where there is none): as in SumContents.
  std::uint32_t sum[kMost], signs[kMost], accumulator[kMost];
  std::uint32_t sum_before[kMost], signs_before[kMost], accumulator_before[kMost];
};

// The trees of some lanes, for steps with a word that err where it is below a bound of their leaf.
// Finds which of many steps err, each by its own tree.
class SumForest {
 public:
  // erring: by leaf, the bound. later: of no output's first two steps.
  void add(const SumTree& tree, std::span<const std::uint32_t> erring, bool later);

  // Finds those that err, ascending, and their leaves. trees: by channel, in the order of add().
  struct Erring {
    int count;
    int step[SumSteps::kMost], leaf[SumSteps::kMost];
  };
  void find_erring(const SumSteps& steps, std::span<const int> trees, int vec_size,
                   Erring& erring) const;

 private:
  static constexpr int kWidth = 64;  // steps that walk together
  using Outcomes = std::uint32_t[SumTree::kWords + 1][kWidth];
  struct Node {
    std::uint16_t outcomes, bit;
    std::uint32_t skip;  // from the branch of the test's 0, the next node, to that of its 1
  };
  struct End {                 // where a walk is after some tests
    std::uint32_t below = 0;   // the largest bound of the leaves below
    std::uint32_t erring = 0;  // the bound of the leaf that this is
    int leaf = -1;
  };

  std::uint32_t add_node(const SumTree& tree, int from, std::span<const std::uint32_t> erring,
                         bool later);
  static void find_outcomes(const SumSteps& steps, int first, int count, int vec_size,
                            Outcomes& outcomes);
  void walk(const Outcomes& outcomes, const std::uint32_t* words, int count, std::uint32_t* at,
            int* leaves) const;

  std::vector<Node> nodes_;
  std::vector<End> ends_;  // by node
  std::vector<std::uint32_t> roots_;
};

}  // namespace inure
