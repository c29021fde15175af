#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "inure/base/random.hpp"
#include "inure/errors/product_table.hpp"
#include "inure/errors/product_tree.hpp"
#include "inure/errors/timing_profile.pb.h"

namespace inure {

// Bytes: bit i % 64 of word i / 64 stands for i.
using ByteSet = std::array<std::uint64_t, 4>;

// Draws the exceptions of one multiplier at one clock from the leaves of its tree.
//
// Whether a change of operands errs, and by how much, is a function of the change and of its pair
// of weights' random stream alone. The first two words of the stream are the pair's key. With
// s = a_before * 256 + a (as bytes), Philox under that key gives
//   u0, 8 bits: bit k is bit s % 32 of word s % 128 / 32 of the block of counter
//               {a_before * 16 + 2 * k + a / 128, 0, 0, 0}
//   u1, pick  words 0 and 1 of the block of counter {s, 1, 0, 0}
// The change errs where u0 * 2^32 + u1 is below the leaf's rate * 2^40, by the first delta such
// that pick * (sum of all counts) / 2^32 is below the sum of the counts up to it. So most changes
// are settled by a byte.
class TreeDraw {
 public:
  // `product` as in a profile that was checked.
  TreeDraw(const RegisterProfile& product, bool negative_activations);
  ~TreeDraw();

  // The plain twin: what is added to one product, modulo 2^16; 0 where it is right.
  std::uint16_t delta(int a_before, int b_before, int a, int b, RandomStream random) const;

  // The fast way, for all pairs with this b_before; of one thread. Refers to the TreeDraw.
  class Weights {
   public:
    Weights(const TreeDraw& draw, int b_before);
    ~Weights();
    // Appends the exceptions of a pair, sorted.
    void draw(int b, RandomStream random, std::vector<ProductTable::Exception>& out);

   private:
    struct Sites;

    void visit(int node, ByteSet before, ByteSet now);
    void visit_change(int node, const ByteSet& before, const ByteSet& now);

    const TreeDraw& draw_;
    const int b_before_;
    ProductTree::Tests of_weights_;                    // those on weights alone
    std::array<ByteSet, ProductTree::kTests> ones_{};  // by test on one activation: where it is 1
    std::unique_ptr<Sites> sites_;
  };

 private:
  struct Leaf;
  const ProductTree tree_;
  const bool negative_activations_;
  std::vector<Leaf> leaves_;
  std::vector<bool> errs_;  // by node: a leaf below it has errors
  // By weight, as a byte, and bit: the activations whose products have it.
  std::vector<std::array<ByteSet, ProductTree::kProductBits>> product_ones_;
};

}  // namespace inure
