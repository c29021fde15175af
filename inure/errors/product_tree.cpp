#include "inure/errors/product_tree.hpp"

namespace inure {
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

int ProductTree::leaf(const Tests& tests) const {
  return find_leaf([&](int test) { return tests[test]; });
}

}  // namespace inure
