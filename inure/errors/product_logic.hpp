#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "inure/base/random.hpp"
#include "inure/errors/product_table.hpp"
#include "inure/errors/timing_profile.pb.h"

namespace inure {

// Throw Error of one line, with `where` before it, where nodes read what comes after them or late
// bits are none of the logic's.
void check_logic(const ProductLogic& logic, const std::string& where);
void check_late_bits(const ProductLogic& logic, const RegisterProfile& product,
                     const std::string& where);

// The exceptions of one multiplier at one clock by the logic of its late bits
// (timing_profile.proto): exact, nothing is drawn. For a pair of weights the logic shrinks to a
// part, which is evaluated for thousands of changes of activations at once.
class LateBits {
 public:
  // A function of operands: bit i of `truth` is the value where input k has bit k of i.
  struct Node {
    std::uint8_t truth = 0;
    std::array<int, 3> in = {0, 0, 0};
    bool operator==(const Node&) const = default;
  };
  struct Output {
    int id = 0;
    bool inverted = false;
    bool operator==(const Output&) const = default;
  };
  // Ids as in the proto.
  struct Functions {
    std::vector<Node> nodes;
    std::vector<Output> outputs;  // by late bit
    bool operator==(const Functions&) const = default;
  };

  // Of a profile that was checked.
  LateBits(const ProductLogic& logic, const RegisterProfile& product, bool negative_activations);

  // By b_before, a byte: the least one that errs alike with all other operands. Of the weight
  // before, the upper bits decide mostly.
  std::array<int, 256> alike() const;

  // For all pairs with this b_before; of one thread. Refers to the LateBits.
  class Weights {
   public:
    Weights(const LateBits& late, int b_before);
    // Appends the exceptions of a pair, sorted. (Needs no random numbers: as TreeDraw's.)
    void draw(int b, const RandomStream&, std::vector<ProductTable::Exception>& out);

   private:
    void collect(int first_lane, int b, std::vector<ProductTable::Exception>& out) const;

    const LateBits& late_;
    Functions functions_;                       // of the other operands
    std::vector<const std::uint64_t*> values_;  // by id, in a block of lanes
    std::vector<std::uint64_t> node_values_;
    const Functions* of_pair_ = nullptr;
  };

 private:
  Functions functions_;
  std::vector<int> late_bits_;
  std::vector<std::uint64_t> activation_rows_;  // by bit, before and now, and lane
  // Right products: by weight (a byte), late bit and activation (a byte).
  std::vector<std::array<std::uint64_t, 4>> right_;
  int activations_;
};

}  // namespace inure
