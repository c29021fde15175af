#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace inure {

// Classes as the leaves of a tree of tests (RegisterProfile in timing_profile.proto).
class TestTree {
 public:
  // In the order of the profile: the branch of a test's 0 is the next node.
  struct Node {
    int test = -1;  // of a leaf: -1
    int one = 0;    // the branch of a 1
    int leaf = 0;
  };

  // Of tests below `tests`. Throws Error, with `where` before it, where this is no tree.
  TestTree(std::span<const std::uint32_t> split, int tests, const std::string& where);

  const std::vector<Node>& nodes() const { return nodes_; }
  int leaves() const { return leaves_; }

  // outcome(test) says what a test's is.
  template <typename Outcome>
  int find_leaf(Outcome&& outcome) const {
    const Node* all = nodes_.data();
    const Node* node = all;
    while (node->test >= 0) node = outcome(node->test) ? all + node->one : node + 1;
    return node->leaf;
  }

 private:
  std::vector<Node> nodes_;
  int leaves_ = 0;
};

}  // namespace inure
