#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "inure/base/random.hpp"
#include "inure/errors/product_table.hpp"
#include "inure/errors/timing_profile.pb.h"

namespace inure {

// The classes of a product's operands, now and one step before, as the leaves of a tree of tests
// (timing_profile.proto).
class ProductTree {
 public:
  static constexpr int kTests = 84, kFirstProduct = 52;

  // The outcomes of all tests on one change of operands.
  struct Tests {
    std::uint64_t operands = 0;  // tests 0 to 51
    std::uint32_t products = 0;  // and 52 to 83
    bool operator[](int test) const {
      return test < kFirstProduct ? operands >> test & 1 : products >> (test - kFirstProduct) & 1;
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

// Draws the exceptions of one multiplier at one clock, pair of weights by pair of weights, by all
// changes of activations at once: the set of those that reach a node is a map of 65,536 bits.
class TreeDraw {
 public:
  using Row = std::array<std::uint64_t, ProductTable::kPairs / 64>;  // bit a_before * 256 + a

  // A set of changes of activations.
  struct Reach {
    std::uint32_t blocks = 0;  // bit i: block i may have some; the others do not count
    Row row{};
  };
  static constexpr std::size_t kBlocks = 32, kWordsOfBlock = ProductTable::kPairs / 64 / kBlocks;

  // `product` as in a profile that was checked.
  TreeDraw(const RegisterProfile& product, bool negative_activations);
  ~TreeDraw();

  // For all pairs with this b_before; of one thread. Refers to the TreeDraw.
  class Weights {
   public:
    Weights(const TreeDraw& draw, int b_before);
    // Appends the exceptions of a pair, sorted.
    void draw(int b, RandomStream random, std::vector<ProductTable::Exception>& out);

   private:
    void visit(int node, const Reach& reach, std::size_t depth);
    void draw(int leaf, const Reach& reach);

    const TreeDraw& draw_;
    const int b_before_;
    std::vector<Row> rows_;     // by test: where it is 1; not of tests on weights alone
    std::vector<Reach> reach_;  // by depth, two each
    int b_ = 0;
    RandomStream* random_ = nullptr;
    std::vector<ProductTable::Exception>* out_ = nullptr;
  };

 private:
  struct Leaf;
  const ProductTree tree_;
  std::vector<Leaf> leaves_;
  Reach all_;
  std::vector<Row> rows_;   // by test: where it is 1; only of tests on activations alone
  std::vector<bool> errs_;  // by node: a leaf below it has errors
  std::size_t depth_ = 0;
};

}  // namespace inure
