#include "inure/errors/sum_tree.hpp"

#include <algorithm>
#include <span>

#include "inure/base/clones.hpp"

namespace inure {
namespace {

// (Inlined all, or the clones below have calls in place of vectors.)

// Bit k where all bits from k to 31 are set.
[[gnu::always_inline]] inline std::uint32_t top_run(std::uint32_t word) {
  std::uint32_t other = ~word;  // and all bits below its highest one
  other |= other >> 1;
  other |= other >> 2;
  other |= other >> 4;
  other |= other >> 8;
  other |= other >> 16;
  return ~other;
}

// How many of `count` bits (16 at most) are set, in quarters, as so many ones: none, or up to four.
[[gnu::always_inline]] inline std::uint32_t level(std::uint32_t bits, std::uint32_t count) {
  bits -= bits >> 1 & 0x5555;
  bits = (bits & 0x3333) + (bits >> 2 & 0x3333);
  bits = (bits + (bits >> 4)) & 0x0F0F;
  const std::uint32_t set = 4 * ((bits + (bits >> 8)) & 0x1F);
  return std::uint32_t{set > 0} | std::uint32_t{set > count} << 1 |
         std::uint32_t{set > 2 * count} << 2 | std::uint32_t{set > 3 * count} << 3;
}

[[gnu::always_inline]] inline std::uint32_t levels(std::uint32_t signs, std::uint32_t count) {
  return level(signs & 0xFFFF, count) | level(signs >> 16, count) << 4;
}

// put(word, its 32 outcomes)
template <typename Put>
[[gnu::always_inline]] inline void put_tests(int step, int vec_size, const SumContents& before,
                                             const SumContents& now, const Put& put) {
  const std::uint32_t result = now.accumulator + now.sum;
  const std::uint32_t result_before = before.accumulator + before.sum;
  const std::uint32_t carries = now.accumulator ^ now.sum ^ result;
  const std::uint32_t carries_before = before.accumulator ^ before.sum ^ result_before;
  put(0, now.sum), put(1, before.sum), put(2, now.sum ^ before.sum);
  put(3, now.accumulator), put(4, before.accumulator), put(5, now.accumulator ^ before.accumulator);
  put(6, result), put(7, result_before), put(8, result ^ result_before);
  put(9, carries), put(10, carries_before), put(11, carries ^ carries_before);
  put(12, top_run(carries ^ carries_before));
  put(13, top_run(now.accumulator ^ now.sum));
  put(14, top_run(result ^ result_before));
  const auto count = static_cast<std::uint32_t>(std::min(vec_size, ProductSigns::kMost));
  put(SumTree::kLevelWord, std::uint32_t{step == 0} | std::uint32_t{step == 1} << 1 |
                               levels(now.signs, count) << 8 | levels(before.signs, count) << 16);
  put(16, now.signs), put(17, before.signs), put(18, now.signs ^ before.signs);
}

}  // namespace

SumTree::Tests SumTree::tests(int step, int vec_size, const SumContents& before,
                              const SumContents& now) {
  Tests tests;
  put_tests(step, vec_size, before, now,
            [&](int word, std::uint32_t bits) { tests[static_cast<std::size_t>(word)] = bits; });
  return tests;
}

namespace {

using Outcomes = std::uint32_t[SumTree::kWords + 1][SumForest::kSteps];

INURE_CLONES
void find_outcomes(const SumForest::Steps& __restrict steps, int vec_size,
                   Outcomes& __restrict outcomes) {
  for (int i = 0; i < SumForest::kSteps; ++i) {
    put_tests(steps.step[i], vec_size,
              {steps.accumulator_before[i], steps.sum_before[i], steps.signs_before[i]},
              {steps.accumulator[i], steps.sum[i], steps.signs[i]},
              [&](int word, std::uint32_t bits) { outcomes[word][i] = bits; });
    outcomes[SumTree::kWords][i] = 1;
  }
}

}  // namespace

void SumForest::add(const SumTree& tree) {
  const auto first = static_cast<std::uint32_t>(nodes_.size());
  roots_.push_back(first);
  first_leaves_.push_back(leaves_);
  for (const TestTree::Node& node : tree.nodes()) {
    const auto here = static_cast<std::uint32_t>(nodes_.size());
    if (node.test < 0) {
      nodes_.push_back({SumTree::kWords * kSteps, 0, here});  // stays there
      leaf_of_.push_back(leaves_++);
    } else {
      nodes_.push_back({static_cast<std::uint16_t>(node.test / 32 * kSteps),
                        static_cast<std::uint16_t>(node.test % 32),
                        first + static_cast<std::uint32_t>(node.one)});
      leaf_of_.push_back(-1);
    }
  }
}

void SumForest::find_leaves(const Steps& steps, int vec_size, int* leaves) const {
  Outcomes outcomes;
  find_outcomes(steps, vec_size, outcomes);
  std::uint32_t at[kSteps];
  for (int i = 0; i < kSteps; ++i) at[i] = roots_[static_cast<std::size_t>(steps.tree[i])];
  const Node* nodes = nodes_.data();
  for (std::uint32_t moved = 1; moved != 0;) {
    moved = 0;
    for (int i = 0; i < kSteps; ++i) {
      const Node node = nodes[at[i]];
      const std::uint32_t outcome = (&outcomes[0][i])[node.outcomes] >> node.bit & 1;
      const std::uint32_t next = outcome ? node.one : at[i] + 1;
      moved |= next ^ at[i];
      at[i] = next;
    }
  }
  for (int i = 0; i < kSteps; ++i) leaves[i] = leaf_of_[at[i]];
}

SumTree::SumTree(const RegisterProfile& accumulator, const std::string& where) {
  if (accumulator.split().empty()) return;
  const std::span split(accumulator.split().data(),
                        static_cast<std::size_t>(accumulator.split_size()));
  tree_ = TestTree(split, kTests, where);
  leaves_.resize(static_cast<std::size_t>(tree_.leaves()));
  for (const ErrorClass& what : accumulator.error_class()) {
    if (what.rate() <= 0) continue;
    Leaf& leaf = leaves_.at(what.id());
    leaf.rate = what.rate();
    double all = 0, sum = 0;
    for (const std::uint32_t count : what.count()) all += count;
    for (int i = 0; i < what.delta_size(); ++i) {
      leaf.deltas.emplace_back(what.delta(i), (sum += what.count(i)) / all);
    }
    leaf.deltas.back().second = 1;
  }
}

}  // namespace inure
