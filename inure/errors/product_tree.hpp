#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace inure {

// The classes of a product's operands, now and one step before, as the leaves of a tree of tests
// (timing_profile.proto).
class ProductTree {
 public:
  // The tests, by their first ones (timing_profile.proto).
  static constexpr int kABefore = 0, kBBefore = 8, kA = 16, kB = 24, kAChanges = 32, kBChanges = 40;
  static constexpr int kABeforeIs0 = 48, kBBeforeIs0 = 49, kAIs0 = 50, kBIs0 = 51;
  static constexpr int kProduct = 52, kProductBefore = 68;
  static constexpr int kTests = 84, kProductBits = 16;

  // The outcomes of all tests on one change of operands.
  struct Tests {
    std::uint64_t operands = 0;  // tests 0 to 51
    std::uint32_t products = 0;  // and 52 to 83
    bool operator[](int test) const {
      return test < kProduct ? operands >> test & 1 : products >> (test - kProduct) & 1;
    }
  };
  static Tests tests(int a_before, int b_before, int a, int b);

  // In the order of the profile: the branch of a test's 0 is the next node.
  struct Node {
    int test = -1;  // of a leaf: -1
    int one = 0;    // the branch of a 1
    int leaf = 0;
  };

  // Throws Error, with `where` before it, where this is no tree.
  ProductTree(std::span<const std::uint32_t> split, const std::string& where);

  const std::vector<Node>& nodes() const { return nodes_; }
  int leaves() const { return leaves_; }
  int leaf(const Tests& tests) const;

 private:
  std::vector<Node> nodes_;
  int leaves_ = 0;
};

}  // namespace inure
