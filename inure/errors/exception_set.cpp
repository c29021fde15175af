#include "inure/errors/exception_set.hpp"

#include <algorithm>
#include <limits>

#include "inure/base/error.hpp"

namespace inure {
namespace {

// The pair of a value followed by itself.
bool unchanged(unsigned pair) { return pair >> 8 == (pair & 255); }

}  // namespace

ExceptionSet::ExceptionSet(const ProductTable::Clock& clock, bool negative_activations)
    : negative_activations_(negative_activations) {
  if (clock.exceptions.size() > std::numeric_limits<std::uint32_t>::max()) {
    fail("errors: timing: {} wrong products at {} ps are too many; give a lower clock",
         clock.exceptions.size(), clock.period_ps);
  }
  keys_.reserve(clock.exceptions.size());
  deltas_.reserve(clock.exceptions.size());
  first_.resize(ProductTable::kPairs + 1);
  for (unsigned pair = 0; pair < ProductTable::kPairs; ++pair) {
    first_[pair] = static_cast<std::uint32_t>(keys_.size());
    const bool same_weight = unchanged(pair);
    for (std::size_t i = clock.first[pair]; i < clock.first[pair + 1]; ++i) {
      const ProductTable::Exception& exception = clock.exceptions[i];
      if (same_weight && unchanged(exception.operands)) continue;
      keys_.push_back(static_cast<std::uint16_t>(key(exception.operands)));
      deltas_.push_back(exception.delta);
    }
  }
  first_[ProductTable::kPairs] = static_cast<std::uint32_t>(keys_.size());
}

std::span<const ExceptionSet::OfActivations> ExceptionSet::of_activations(
    unsigned activations) const {
  std::call_once(transposed_, [this] {
    std::vector<std::uint32_t>& first = first_of_activations_;
    first.assign(ProductTable::kPairs + 1, 0);
    for (const std::uint16_t k : keys_) ++first[k + 1u];
    for (std::size_t i = 0; i < ProductTable::kPairs; ++i) first[i + 1] += first[i];
    by_activations_.resize(keys_.size());
    std::vector<std::uint32_t> next(first.begin(), first.end() - 1);
    for (unsigned weights = 0; weights < ProductTable::kPairs; ++weights) {
      const List list = of_weights(weights);
      for (std::uint32_t i = 0; i < list.count; ++i) {
        by_activations_[next[list.keys[i]]++] = {static_cast<std::uint16_t>(weights),
                                                 list.deltas[i]};
      }
    }
  });
  const unsigned k = key(activations);
  return {by_activations_.data() + first_of_activations_[k],
          by_activations_.data() + first_of_activations_[k + 1]};
}

std::int32_t ExceptionSet::delta(unsigned activations, unsigned weights) const {
  const List list = of_weights(weights);
  const std::uint16_t* end = list.keys + list.count;
  const std::uint16_t* found = std::lower_bound(list.keys, end, key(activations));
  if (found == end || *found != key(activations)) return 0;
  return signed_delta(activations, weights, list.deltas[found - list.keys]);
}

}  // namespace inure
