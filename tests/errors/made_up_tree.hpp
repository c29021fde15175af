#pragma once

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "inure/errors/product_tree.hpp"

namespace inure {

// Made-up trees of a product's classes (timing_profile.proto), node by node in preorder.

inline void add_test(RegisterProfile& product, int test) {
  product.add_split(1 + static_cast<unsigned>(test));
}

// A leaf with these deltas and their counts; without a rate it has no errors.
inline void add_leaf(RegisterProfile& product, double rate,
                     const std::vector<std::pair<int, unsigned>>& deltas = {}) {
  const auto id = std::count(product.split().begin(), product.split().end(), 0u);
  product.add_split(0);
  if (rate <= 0) return;
  ErrorClass& what = *product.add_error_class();
  what.set_id(static_cast<unsigned>(id));
  what.set_rate(rate);
  for (const auto& [delta, count] : deltas) what.add_delta(delta), what.add_count(count);
}

// What errs where all these tests are 1, and nothing else, always: no draws make the list of
// exceptions slow.
inline void add_all_of(RegisterProfile& product, const std::vector<int>& tests,
                       const std::vector<std::pair<int, unsigned>>& deltas) {
  for (const int test : tests) add_test(product, test), add_leaf(product, 0);
  add_leaf(product, 1, deltas);
}

// Of any of `tests` tests, at most `depth` deep; leaf(product) adds a leaf.
template <typename Leaf>
void add_random_tree(std::mt19937& random, int depth, RegisterProfile& product, const Leaf& leaf,
                     unsigned tests = ProductTree::kTests) {
  if (depth == 0 || (depth < 4 && random() % 8 == 0)) return leaf(product);
  add_test(product, static_cast<int>(random() % tests));
  add_random_tree(random, depth - 1, product, leaf, tests);
  add_random_tree(random, depth - 1, product, leaf, tests);
}

}  // namespace inure
