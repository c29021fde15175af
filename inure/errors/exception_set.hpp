#pragma once

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
  ExceptionSet(ProductTable::Clock clock, bool negative_activations);

  bool negative_activations() const { return negative_activations_; }
  std::size_t size() const { return clock_.exceptions.size(); }

  std::span<const ProductTable::Exception> of_weights(unsigned pair) const {
    return {clock_.exceptions.data() + clock_.first[pair],
            clock_.exceptions.data() + clock_.first[pair + 1]};
  }
  struct OfActivations {
    std::uint16_t weights = 0, delta = 0;
  };
  // Sorted at the first use; from any thread.
  std::span<const OfActivations> of_activations(unsigned pair) const;

  // What to add to the product of these operands; 0 where it is right. The plain way.
  std::int32_t delta(unsigned activations, unsigned weights) const;

  // captured - right product, for an exception's delta modulo 2^16.
  static std::int32_t signed_delta(unsigned activations, unsigned weights, std::uint16_t delta) {
    const int right = static_cast<std::int8_t>(activations) * static_cast<std::int8_t>(weights);
    return static_cast<std::int16_t>(right + delta) - right;
  }

 private:
  ProductTable::Clock clock_;
  bool negative_activations_;
  mutable std::once_flag transposed_;
  mutable std::vector<OfActivations> by_activations_;
  mutable std::vector<std::uint64_t> first_of_activations_;
};

}  // namespace inure
