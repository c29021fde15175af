#include "inure/errors/test_tree.hpp"

#include "inure/base/error.hpp"

namespace inure {
namespace {

constexpr std::size_t kMaxDepth = 512;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

}  // namespace

TestTree::TestTree(std::span<const std::uint32_t> split, int tests, const std::string& where) {
  std::vector<int> open;  // tests whose branch of 1 has not begun
  for (std::size_t i = 0; i < split.size(); ++i) {
    if (i > 0 && nodes_.back().test < 0) {
      if (open.empty()) {
        fail("{}: the tree of its classes ends before the last of {} nodes", where, split.size());
      }
      nodes_[index(open.back())].one = static_cast<int>(i);
      open.pop_back();
    }
    Node node;
    if (split[i] > static_cast<std::uint32_t>(tests)) {
      fail("{}: test {} in the tree of its classes; expected one below {}", where, split[i] - 1,
           tests);
    }
    node.test = static_cast<int>(split[i]) - 1;
    if (node.test < 0) {
      node.leaf = leaves_++;
    } else {
      open.push_back(static_cast<int>(i));
    }
    if (open.size() > kMaxDepth) fail("{}: more than {} tests in a row", where, kMaxDepth);
    nodes_.push_back(node);
  }
  if (nodes_.empty() || nodes_.back().test >= 0 || !open.empty()) {
    fail("{}: the tree of its classes is cut off after {} nodes", where, split.size());
  }
}

}  // namespace inure
