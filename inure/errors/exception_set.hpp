#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "inure/errors/product_table.hpp"

namespace inure {

class ExceptionPatches;

// The wrong products of one multiplier at one clock period, by pair of activations: pairs are
// ProductTable::pair(previous, now), 0 to 65,535.
//
// Operands that do not change make nothing toggle: such exceptions, which a table made by classes
// may have, are dropped.
class ExceptionSet {
 public:
  ExceptionSet(const ProductTable::Clock& clock, bool negative_activations);
  ~ExceptionSet();

  bool negative_activations() const { return negative_activations_; }
  std::size_t size() const { return exceptions_.size(); }

  struct Exception {
    std::uint16_t weights = 0;  // a pair
    std::uint16_t delta = 0;    // modulo 2^16
  };
  // Those of weights of which both lie in -largest - 1 to largest (0 to 127), and some more.
  std::span<const Exception> of_activations(unsigned activations, int largest) const;

  // What to add to the product of these operands; 0 where it is right.
  std::int32_t delta(unsigned activations, unsigned weights) const;

  // All of a pair of weights, by activations. Made when they are first asked for.
  std::span<const ProductTable::Exception> of_weights(unsigned weights) const;
  // The same, in the form that fully connected layers want: made when it is first asked for.
  const ExceptionPatches& patches() const;

  // captured - right product, for an exception's delta.
  static std::int32_t signed_delta(unsigned activations, unsigned weights, std::uint16_t delta) {
    const int right = static_cast<std::int8_t>(activations) * static_cast<std::int8_t>(weights);
    return static_cast<std::int16_t>(right + delta) - right;
  }

 private:
  // Pairs of activations of 0 to 127 lie closer together.
  unsigned key(unsigned activations) const {
    return negative_activations_ ? activations : (activations >> 8) << 7 | (activations & 127);
  }
  static constexpr unsigned kMagnitudes = 8;

  struct ByWeights {
    std::vector<ProductTable::Exception> exceptions;
    std::vector<std::uint32_t> first;  // by weights, and one more
  };
  ByWeights sort_by_weights() const;

  // By key, then by the magnitude of the weights in steps of 16, then by weights.
  std::vector<Exception> exceptions_;
  std::vector<std::uint32_t> first_;  // by key and magnitude, and one more
  bool negative_activations_;
  mutable std::once_flag by_weights_made_;
  mutable ByWeights by_weights_;
  mutable std::once_flag patches_made_;
  mutable std::unique_ptr<const ExceptionPatches> patches_;
};

}  // namespace inure
