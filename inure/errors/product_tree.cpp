#include "inure/errors/product_tree.hpp"

#include "inure/base/error.hpp"

namespace inure {
namespace {

constexpr std::size_t kMaxDepth = 512;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

}  // namespace

ProductTree::Tests ProductTree::tests(int a_before, int b_before, int a, int b) {
  const auto byte = [](int value) { return std::uint64_t{static_cast<std::uint8_t>(value)}; };
  Tests tests;
  tests.operands = byte(a_before) << kABefore | byte(b_before) << kBBefore | byte(a) << kA |
                   byte(b) << kB | byte(a_before ^ a) << kAChanges |
                   byte(b_before ^ b) << kBChanges | std::uint64_t{a_before == 0} << kABeforeIs0 |
                   std::uint64_t{b_before == 0} << kBBeforeIs0 | std::uint64_t{a == 0} << kAIs0 |
                   std::uint64_t{b == 0} << kBIs0;
  tests.products = std::uint32_t{static_cast<std::uint16_t>(a * b)} |
                   std::uint32_t{static_cast<std::uint16_t>(a_before * b_before)}
                       << (kProductBefore - kProduct);
  return tests;
}

ProductTree::ProductTree(std::span<const std::uint32_t> split, const std::string& where) {
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
    if (split[i] > kTests) {
      fail("{}: test {} in the tree of its classes; expected one below {}", where, split[i] - 1,
           kTests);
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

int ProductTree::leaf(const Tests& tests) const {
  int node = 0;
  while (nodes_[index(node)].test >= 0) {
    node = tests[nodes_[index(node)].test] ? nodes_[index(node)].one : node + 1;
  }
  return nodes_[index(node)].leaf;
}

}  // namespace inure
