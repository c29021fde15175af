#include "inure/errors/exception_set.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "inure/base/error.hpp"

namespace inure {
namespace {

// The pair of a value followed by itself.
bool unchanged(unsigned pair) { return pair >> 8 == (pair & 255); }

// The larger of a pair's two, -128 counting as 127.
unsigned largest_weight(unsigned pair) {
  const auto magnitude = [](unsigned byte) { return byte < 128 ? byte : 255 - byte; };
  return std::max(magnitude(pair >> 8), magnitude(pair & 255));
}

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

void ExceptionSet::sort_by_activations() const {
  std::vector<std::uint32_t>& first = first_of_activations_;
  first.assign(std::size_t{ProductTable::kPairs} * kMagnitudes + 1, 0);
  for (const bool count : {true, false}) {
    for (unsigned pair = 0; pair < ProductTable::kPairs; ++pair) {
      const List list = of_weights(pair);
      const unsigned magnitude = largest_weight(pair) / (128 / kMagnitudes);
      for (std::uint32_t i = 0; i < list.count; ++i) {
        std::uint32_t& at = first[list.keys[i] * kMagnitudes + magnitude];
        if (!count) by_activations_[at] = {static_cast<std::uint16_t>(pair), list.deltas[i]};
        ++at;
      }
    }
    if (count) {  // from how many to where each begins
      std::uint32_t next = 0;
      for (std::uint32_t& n : first) next += std::exchange(n, next);
      by_activations_.resize(keys_.size());
    }
  }
  // Each is where its successor begins now.
  first.insert(first.begin(), 0);
  is_sorted_.store(true, std::memory_order_release);
}

std::span<const ExceptionSet::OfActivations> ExceptionSet::of_activations(unsigned activations,
                                                                          int largest) const {
  if (!is_sorted_.load(std::memory_order_acquire)) {
    std::call_once(sorted_, [this] { sort_by_activations(); });
  }
  const std::size_t at = std::size_t{key(activations)} * kMagnitudes;
  const unsigned magnitude = static_cast<unsigned>(largest) / (128 / kMagnitudes);
  return {by_activations_.data() + first_of_activations_[at],
          by_activations_.data() + first_of_activations_[at + magnitude + 1]};
}

std::int32_t ExceptionSet::delta(unsigned activations, unsigned weights) const {
  const List list = of_weights(weights);
  const std::uint16_t* end = list.keys + list.count;
  const std::uint16_t* found = std::lower_bound(list.keys, end, key(activations));
  if (found == end || *found != key(activations)) return 0;
  return signed_delta(activations, weights, list.deltas[found - list.keys]);
}

}  // namespace inure
