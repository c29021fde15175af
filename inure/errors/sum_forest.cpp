#include "inure/errors/sum_forest.hpp"

#include <algorithm>
#include <numeric>

#include "inure/base/clones.hpp"
#include "inure/errors/sum_outcomes.hpp"

namespace inure {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

}  // namespace

void SumForest::add(const SumTree& tree, std::span<const std::uint32_t> erring, bool later) {
  roots_.push_back(static_cast<std::uint32_t>(nodes_.size()));
  add_node(tree, 0, erring, later);
}

// Returns the largest bound.
std::uint32_t SumForest::add_node(const SumTree& tree, int from,
                                  std::span<const std::uint32_t> erring, bool later) {
  const TestTree::Node& node = tree.nodes()[index(from)];
  if (later && SumTree::of_place(node.test)) return add_node(tree, from + 1, erring, later);
  const std::size_t here = nodes_.size();
  nodes_.push_back({SumTree::kWords * kWidth, 0, ~0u});  // of no test: who comes here stays here
  ends_.emplace_back();
  if (node.test < 0) {
    const std::uint32_t bound = erring[index(node.leaf)];
    ends_[here] = {0, bound, node.leaf};
    return bound;
  }
  const std::uint32_t zero = add_node(tree, from + 1, erring, later);
  const auto skip = static_cast<std::uint32_t>(nodes_.size() - here - 1);
  const std::uint32_t largest = std::max(zero, add_node(tree, node.one, erring, later));
  if (largest == 0) {  // nothing errs
    nodes_.resize(here + 1);
    ends_.resize(here + 1);
  } else {
    nodes_[here] = {static_cast<std::uint16_t>(node.test / 32 * kWidth),
                    static_cast<std::uint16_t>(node.test % 32), skip};
    ends_[here].below = largest;
  }
  return largest;
}

INURE_CLONES
void SumForest::find_outcomes(const SumSteps& __restrict steps, int first, int count, int vec_size,
                              Outcomes& __restrict outcomes) {
  for (int i = 0; i < count; ++i) {
    const int k = first + i;
    put_outcomes(steps.step[k], vec_size,
                 {steps.accumulator_before[k], steps.sum_before[k], steps.signs_before[k]},
                 {steps.accumulator[k], steps.sum[k], steps.signs[k]},
                 [&](int word, std::uint32_t bits) { outcomes[word][i] = bits; });
  }
}

// Some tests at a time for all: without branches that nobody can foresee. Then those go on that may
// still err.
void SumForest::walk(const Outcomes& outcomes, const std::uint32_t* words, int count,
                     std::uint32_t* at, int* leaves) const {
  constexpr int kTogether = 4, kTests = 4;
  static_assert(kWidth % kTogether == 0);
  const Node* nodes = nodes_.data();
  const std::uint32_t* all = outcomes[0];
  unsigned walker[kWidth];
  std::iota(walker, walker + kWidth, 0u);
  while (count > 0) {
    for (int k = 0; k < count; k += kTogether) {  // if more than there are: these walk for nothing
      for (int test = 0; test < kTests; ++test) {
        for (int j = k; j < k + kTogether; ++j) {
          const Node node = nodes[at[j]];
          const std::uint32_t one = all[node.outcomes + walker[j]] >> node.bit & 1;
          at[j] += 1 + (node.skip & -one);
        }
      }
    }
    int left = 0;
    for (int k = 0; k < count; ++k) {
      const unsigned i = walker[k];
      const End& end = ends_[at[k]];
      leaves[i] = words[i] < end.erring ? end.leaf : -1;
      walker[left] = i, at[left] = at[k];
      left += words[i] < end.below;
    }
    count = left;
  }
}

void SumForest::find_erring(const SumSteps& steps, std::span<const int> trees, int vec_size,
                            Erring& erring) const {
  Outcomes outcomes;
  std::fill_n(outcomes[SumTree::kWords], kWidth, 1);
  erring.count = 0;
  for (int first = 0; first < steps.count; first += kWidth) {
    const int count = std::min(kWidth, steps.count - first);
    find_outcomes(steps, first, count, vec_size, outcomes);
    std::uint32_t at[kWidth] = {};
    int leaves[kWidth];
    for (int i = 0; i < count; ++i) at[i] = roots_[index(trees[index(steps.channel[first + i])])];
    walk(outcomes, steps.word + first, count, at, leaves);
    for (int i = 0; i < count; ++i) {
      erring.step[erring.count] = first + i;
      erring.leaf[erring.count] = leaves[i];
      erring.count += leaves[i] >= 0;
    }
  }
}

}  // namespace inure
