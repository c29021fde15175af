#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "inure/errors/test_tree.hpp"

namespace inure {

// The classes of a product's operands, now and one step before, as the leaves of a tree of tests
// (timing_profile.proto).
class ProductTree : public TestTree {
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

  // Throws Error, with `where` before it, where this is no tree.
  ProductTree(std::span<const std::uint32_t> split, const std::string& where)
      : TestTree(split, kTests, where) {}

  int leaf(const Tests& tests) const;
};

}  // namespace inure
