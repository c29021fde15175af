#include "inure/errors/exception_set.hpp"

#include <algorithm>

namespace inure {
namespace {

// The pair of a value followed by itself.
bool unchanged(unsigned pair) { return pair >> 8 == (pair & 255); }

}  // namespace

ExceptionSet::ExceptionSet(ProductTable::Clock clock, bool negative_activations)
    : clock_(std::move(clock)), negative_activations_(negative_activations) {
  std::size_t kept = 0;
  for (unsigned pair = 0; pair < ProductTable::kPairs; ++pair) {
    const std::size_t begin = clock_.first[pair], end = clock_.first[pair + 1];
    clock_.first[pair] = kept;
    const bool same_weight = unchanged(pair);
    for (std::size_t i = begin; i < end; ++i) {
      if (same_weight && unchanged(clock_.exceptions[i].operands)) continue;
      clock_.exceptions[kept++] = clock_.exceptions[i];
    }
  }
  clock_.first[ProductTable::kPairs] = kept;
  clock_.exceptions.resize(kept);
}

std::span<const ExceptionSet::OfActivations> ExceptionSet::of_activations(unsigned pair) const {
  std::call_once(transposed_, [this] {
    std::vector<std::uint64_t>& first = first_of_activations_;
    first.assign(ProductTable::kPairs + 1, 0);
    for (const auto& exception : clock_.exceptions) ++first[exception.operands + 1u];
    for (std::size_t i = 0; i < ProductTable::kPairs; ++i) first[i + 1] += first[i];
    by_activations_.resize(clock_.exceptions.size());
    std::vector<std::uint64_t> next(first.begin(), first.end() - 1);
    for (unsigned weights = 0; weights < ProductTable::kPairs; ++weights) {
      for (const auto& exception : of_weights(weights)) {
        by_activations_[next[exception.operands]++] = {static_cast<std::uint16_t>(weights),
                                                       exception.delta};
      }
    }
  });
  return {by_activations_.data() + first_of_activations_[pair],
          by_activations_.data() + first_of_activations_[pair + 1]};
}

std::int32_t ExceptionSet::delta(unsigned activations, unsigned weights) const {
  const auto list = of_weights(weights);
  const auto found = std::lower_bound(
      list.begin(), list.end(), activations,
      [](const ProductTable::Exception& e, unsigned operands) { return e.operands < operands; });
  if (found == list.end() || found->operands != activations) return 0;
  return signed_delta(activations, weights, found->delta);
}

}  // namespace inure
