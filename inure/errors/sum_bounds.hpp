#pragma once

#include <algorithm>
#include <vector>

#include "inure/errors/sum_tree.hpp"

namespace inure {

// The largest value of the leaves that a step, none of an output's first two, may have of whose
// tests only those are known that ask which of the step's first products are 0, now and before.
template <typename Value>
class SumBounds {
 public:
  // values: by leaf. known: of so many products; all: there are no others.
  SumBounds(const SumTree& tree, int known, bool all, const std::vector<Value>& values)
      : nodes_(tree.nodes()), known_(known), all_(all), largest_(nodes_.size()) {
    for (std::size_t i = nodes_.size(); i-- > 0;) {  // branches come after their test
      const TestTree::Node& node = nodes_[i];
      if (node.test < 0) {
        largest_[i] = values[index(node.leaf)];
      } else {
        const Value one = SumTree::of_place(node.test) ? Value{} : largest_[index(node.one)];
        largest_[i] = std::max(largest_[i + 1], one);
      }
    }
  }

  Value largest() const { return largest_[0]; }
  Value largest(const SumTree::Tests& tests, std::size_t node = 0) const {
    const int test = nodes_[node].test;
    if (test < 0) return largest_[node];
    const auto one = index(nodes_[node].one);
    if (is_known(test)) {
      return largest(tests, tests[index(test / 32)] >> test % 32 & 1 ? one : node + 1);
    }
    if (SumTree::of_place(test)) return largest(tests, node + 1);
    return std::max(largest(tests, node + 1), largest(tests, one));
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }

  bool is_known(int test) const {
    const int word = test / 32, bit = test % 32;
    if (word >= SumTree::kSignWord && word <= SumTree::kLastSignWord) {
      return bit >= ProductSigns::kMost && bit < ProductSigns::kMost + known_;
    }
    return word == SumTree::kLevelWord && all_ && bit >= 8 && bit % 8 >= 4;
  }

  const std::vector<TestTree::Node>& nodes_;
  const int known_;
  const bool all_;
  std::vector<Value> largest_;
};

}  // namespace inure
