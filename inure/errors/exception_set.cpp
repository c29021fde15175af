#include "inure/errors/exception_set.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"

namespace inure {
namespace {

// The pair of a value followed by itself.
bool unchanged(unsigned pair) { return pair >> 8 == (pair & 255); }

// Of the larger of a pair's two, -128 counting as 127.
unsigned largest_of(unsigned pair) {
  const auto magnitude = [](unsigned byte) { return byte < 128 ? byte : 255 - byte; };
  return std::max(magnitude(pair >> 8), magnitude(pair & 255));
}

}  // namespace

// Makes the patches of one pair of activations after another.
class ExceptionSet::PatchBuilder {
 public:
  std::vector<Patch> patches;

  void begin_pair() {
    for (std::size_t i = first_; i < patches.size(); ++i) last_[patches[i].place] = 0;
    first_ = patches.size();
  }

  void add(const Exception& e) {
    const unsigned before = e.weights >> 8, now = e.weights & 255;
    const unsigned place = ExceptionSet::place(before, now);
    std::size_t i = last_[place];
    while (i != 0 && patches[i - 1].delta != e.delta) i = earlier_[i - 1];
    if (i == 0) {
      patches.push_back({{0, 0}, static_cast<std::uint16_t>(place), e.delta});
      earlier_.push_back(last_[place]);
      i = last_[place] = static_cast<std::uint32_t>(patches.size());
    }
    patches[i - 1].before[before >> 5 & 1] |= 1u << (before & 31);
  }

 private:
  std::size_t first_ = 0;                                    // patch of the pair
  std::array<std::uint32_t, ExceptionSet::kPlaces> last_{};  // its number + 1
  std::vector<std::uint32_t> earlier_;  // of the same pair and place: its number + 1
};

std::vector<ExceptionSet::Exception> ExceptionSet::sort(const ProductTable::Clock& clock,
                                                        std::vector<std::uint32_t>& first) const {
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
        const unsigned magnitude = largest_of(pair) / kMagnitude;
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
  first.assign(std::size_t{keys()} * kMagnitudes + 1, 0);
  for_each([&](std::size_t at, unsigned, std::uint16_t) { ++first[at]; });
  std::uint32_t count = 0;
  for (std::uint32_t& n : first) count += std::exchange(n, count);
  std::vector<Exception> sorted(count);
  std::vector<std::uint32_t> next = first;
  for_each([&](std::size_t at, unsigned pair, std::uint16_t delta) {
    sorted[next[at]++] = {static_cast<std::uint16_t>(pair), delta};
  });
  return sorted;
}

ExceptionSet::ExceptionSet(const ProductTable::Clock& clock, bool negative_activations)
    : negative_activations_(negative_activations) {
  if (clock.exceptions.size() > std::numeric_limits<std::uint32_t>::max()) {
    fail("errors: timing: {} wrong products at {} ps are too many; give a lower clock",
         clock.exceptions.size(), clock.period_ps);
  }
  std::vector<std::uint32_t> first;
  const std::vector<Exception> exceptions = sort(clock, first);
  size_ = exceptions.size();
  build(exceptions, first);
}

void ExceptionSet::build(const std::vector<Exception>& exceptions,
                         const std::vector<std::uint32_t>& first) {
  const unsigned side = negative_activations_ ? 256 : 128;
  const std::size_t row = std::size_t{side} * kMagnitudes;
  std::vector<PatchBuilder> of_previous(side);  // activations
  first_.assign(first.size(), 0);
  parallel_for(side, [&](std::int64_t previous) {
    PatchBuilder& builder = of_previous[static_cast<std::size_t>(previous)];
    const std::size_t begin = static_cast<std::size_t>(previous) * row;
    // By magnitude, so that a patch begins with its least.
    for (std::size_t at = begin; at < begin + row; ++at) {
      if (at % kMagnitudes == 0) builder.begin_pair();
      first_[at] = static_cast<std::uint32_t>(builder.patches.size());
      for (std::uint32_t i = first[at]; i < first[at + 1]; ++i) builder.add(exceptions[i]);
    }
  });
  std::uint32_t count = 0;
  for (std::size_t previous = 0; previous < side; ++previous) {
    for (std::size_t i = previous * row; i < (previous + 1) * row; ++i) first_[i] += count;
    count += static_cast<std::uint32_t>(of_previous[previous].patches.size());
  }
  first_.back() = count;
  patches_.reserve(count);
  for (PatchBuilder& builder : of_previous) {
    patches_.insert(patches_.end(), builder.patches.begin(), builder.patches.end());
    builder = {};
  }
  places_.resize(count);
  std::transform(patches_.begin(), patches_.end(), places_.begin(),
                 [](const Patch& patch) { return patch.place; });
}

std::int32_t ExceptionSet::delta(unsigned activations, unsigned weights) const {
  const unsigned before = weights >> 8, now = weights & 255, place = this->place(before, now);
  const List list = of_activations(activations, static_cast<int>(largest_of(weights)));
  for (std::size_t i = 0; i < list.size; ++i) {
    const Patch& patch = list.patches[i];
    if (list.places[i] != place || (patch.before[before >> 5 & 1] >> (before & 31) & 1) == 0)
      continue;
    return signed_delta(activations, now, patch.delta);
  }
  return 0;
}

}  // namespace inure
