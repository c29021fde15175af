#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "inure/errors/product_table.hpp"

namespace inure {

// The wrong products of one multiplier at one clock period, by pair of weights and by pair of
// activations: pairs are ProductTable::pair(previous, now), 0 to 65,535.
//
// Operands that do not change make nothing toggle: such exceptions, which a table made by classes
// may have, are dropped.
class ExceptionSet {
 public:
  ExceptionSet(const ProductTable::Clock& clock, bool negative_activations);

  bool negative_activations() const { return negative_activations_; }
  std::size_t size() const { return keys_.size(); }

  // Pairs of activations as this set numbers them: those of 0 to 127 lie closer together.
  unsigned key(unsigned activations) const {
    return negative_activations_ ? activations : compact(activations);
  }
  static unsigned compact(unsigned activations) {
    return (activations >> 8) << 7 | (activations & 127);
  }
  static constexpr unsigned kCompactPairs = 1 << 14;

  // Ascending by key.
  struct List {
    const std::uint16_t* keys;
    const std::uint16_t* deltas;  // modulo 2^16
    std::uint32_t count;
  };
  List of_weights(unsigned pair) const {
    const std::uint32_t first = first_[pair];
    return {keys_.data() + first, deltas_.data() + first, first_[pair + 1] - first};
  }
  struct OfActivations {
    std::uint16_t weights = 0, delta = 0;
  };
  // Those of weights of which both lie in -largest - 1 to largest (0 to 127), and some more. Sorted
  // at the first use; from any thread.
  std::span<const OfActivations> of_activations(unsigned activations, int largest) const;

  // What to add to the product of these operands; 0 where it is right. The plain way.
  std::int32_t delta(unsigned activations, unsigned weights) const;

  // captured - right product, for an exception's delta modulo 2^16.
  static std::int32_t signed_delta(unsigned activations, unsigned weights, std::uint16_t delta) {
    const int right = static_cast<std::int8_t>(activations) * static_cast<std::int8_t>(weights);
    return static_cast<std::int16_t>(right + delta) - right;
  }

 private:
  std::vector<std::uint16_t> keys_, deltas_;
  std::vector<std::uint32_t> first_;  // by pair of weights, and one more
  bool negative_activations_;
  // By pair of activations, and then by the magnitude of the weights, in steps of 16.
  static constexpr unsigned kMagnitudes = 8;
  void sort_by_activations() const;
  mutable std::once_flag sorted_;
  mutable std::atomic<bool> is_sorted_ = false;  // cheaper to ask
  mutable std::vector<OfActivations> by_activations_;
  mutable std::vector<std::uint32_t> first_of_activations_;
};

}  // namespace inure
