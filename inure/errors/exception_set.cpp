#include "inure/errors/exception_set.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/exception_patches.hpp"

namespace inure {
namespace {

// The pair of a value followed by itself.
bool unchanged(unsigned pair) { return pair >> 8 == (pair & 255); }

// Of the larger of a pair's two, -128 counting as 127: 0 to 7.
unsigned magnitude_of(unsigned pair) {
  const auto magnitude = [](unsigned byte) { return byte < 128 ? byte : 255 - byte; };
  return std::max(magnitude(pair >> 8), magnitude(pair & 255)) / 16;
}

}  // namespace

ExceptionSet::ExceptionSet(const ProductTable::Clock& clock, bool negative_activations)
    : negative_activations_(negative_activations) {
  if (clock.exceptions.size() > std::numeric_limits<std::uint32_t>::max()) {
    fail("errors: timing: {} wrong products at {} ps are too many; give a lower clock",
         clock.exceptions.size(), clock.period_ps);
  }
  // Visits those with a part of the activations before, since so many lists grow at a time as the
  // caches hold; parts do not meet in one list, so that each has a thread.
  constexpr unsigned kPart = 16 * 256;
  const auto for_each = [&](const auto& visit) {
    parallel_for(ProductTable::kPairs / kPart, [&](std::int64_t part) {
      const auto begin = static_cast<unsigned>(part) * kPart;
      const auto below = [](const ProductTable::Exception& e, unsigned operands) {
        return e.operands < operands;
      };
      for (unsigned pair = 0; pair < ProductTable::kPairs; ++pair) {
        const bool same_weight = unchanged(pair);
        const unsigned magnitude = magnitude_of(pair);
        const auto* const end = clock.exceptions.data() + clock.first[pair + 1];
        const auto* at =
            std::lower_bound(clock.exceptions.data() + clock.first[pair], end, begin, below);
        for (; at != end && at->operands < begin + kPart; ++at) {
          if (same_weight && unchanged(at->operands)) continue;
          visit(key(at->operands) * kMagnitudes + magnitude, pair, at->delta);
        }
      }
    });
  };
  const std::size_t keys = negative_activations ? ProductTable::kPairs : ProductTable::kPairs / 4;
  first_.assign(keys * kMagnitudes + 1, 0);
  for_each([&](std::size_t at, unsigned, std::uint16_t) { ++first_[at]; });
  std::uint32_t count = 0;
  for (std::uint32_t& n : first_) count += std::exchange(n, count);
  exceptions_.resize(count);
  std::vector<std::uint32_t> next = first_;
  for_each([&](std::size_t at, unsigned pair, std::uint16_t delta) {
    exceptions_[next[at]++] = {static_cast<std::uint16_t>(pair), delta};
  });
}

ExceptionSet::~ExceptionSet() = default;

std::span<const ProductTable::Exception> ExceptionSet::of_weights(unsigned weights) const {
  std::call_once(by_weights_made_, [&] { by_weights_ = sort_by_weights(); });
  const std::uint32_t first = by_weights_.first[weights], end = by_weights_.first[weights + 1];
  return {by_weights_.exceptions.data() + first, by_weights_.exceptions.data() + end};
}

ExceptionSet::ByWeights ExceptionSet::sort_by_weights() const {
  ByWeights sorted;
  sorted.first.assign(ProductTable::kPairs + 1, 0);
  for (const Exception& e : exceptions_) ++sorted.first[e.weights];
  std::uint32_t count = 0;
  for (std::uint32_t& n : sorted.first) count += std::exchange(n, count);
  sorted.exceptions.resize(count);
  std::vector<std::uint32_t> next = sorted.first;
  for (unsigned key = 0; key < (first_.size() - 1) / kMagnitudes; ++key) {
    const auto activations =
        static_cast<std::uint16_t>(negative_activations_ ? key : (key & ~127u) << 1 | (key & 127));
    for (std::uint32_t i = first_[key * kMagnitudes]; i < first_[(key + 1) * kMagnitudes]; ++i) {
      sorted.exceptions[next[exceptions_[i].weights]++] = {activations, exceptions_[i].delta};
    }
  }
  return sorted;
}

const ExceptionPatches& ExceptionSet::patches() const {
  std::call_once(patches_made_, [&] { patches_ = std::make_unique<ExceptionPatches>(*this); });
  return *patches_;
}

std::span<const ExceptionSet::Exception> ExceptionSet::of_activations(unsigned activations,
                                                                      int largest) const {
  const std::size_t at = std::size_t{key(activations)} * kMagnitudes;
  const unsigned magnitude = static_cast<unsigned>(largest) / 16;
  return {exceptions_.data() + first_[at], exceptions_.data() + first_[at + magnitude + 1]};
}

std::int32_t ExceptionSet::delta(unsigned activations, unsigned weights) const {
  const std::size_t at = std::size_t{key(activations)} * kMagnitudes + magnitude_of(weights);
  const Exception* const end = exceptions_.data() + first_[at + 1];
  const Exception* const found =
      std::lower_bound(exceptions_.data() + first_[at], end, weights,
                       [](const Exception& e, unsigned pair) { return e.weights < pair; });
  if (found == end || found->weights != weights) return 0;
  return signed_delta(activations, weights, found->delta);
}

}  // namespace inure
