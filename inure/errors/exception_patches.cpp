#include "inure/errors/exception_patches.hpp"

#include <algorithm>
#include <array>

#include "inure/base/parallel.hpp"

namespace inure {
namespace {

using Patch = ExceptionPatches::Patch;

// Makes the patches of one pair of activations after another.
class Builder {
 public:
  std::vector<Patch> patches;

  void begin_pair() {
    for (std::size_t i = first_; i < patches.size(); ++i) last_[patches[i].place] = 0;
    first_ = patches.size();
  }

  void add(const ExceptionSet::Exception& e) {
    const unsigned before = e.weights >> 8, now = e.weights & 255;
    const unsigned place = ExceptionPatches::place(before, now);
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
  std::size_t first_ = 0;                                        // patch of the pair
  std::array<std::uint32_t, ExceptionPatches::kPlaces> last_{};  // its number + 1
  std::vector<std::uint32_t> earlier_;  // of the same pair and place: its number + 1
};

}  // namespace

ExceptionPatches::ExceptionPatches(const ExceptionSet& set)
    : negative_activations_(set.negative_activations()) {
  const unsigned side = negative_activations_ ? 256 : 128;
  std::vector<Builder> of_previous(side);  // activations
  first_.assign(std::size_t{side} * side * kMagnitudes + 1, 0);
  parallel_for(side, [&](std::int64_t previous) {
    Builder& builder = of_previous[previous];
    for (unsigned now = 0; now < side; ++now) {
      const unsigned pair = static_cast<unsigned>(previous) << 8 | now;
      builder.begin_pair();
      // The list is sorted by magnitude, so that a patch begins with its least.
      std::size_t done = 0;
      for (unsigned m = 0; m < kMagnitudes; ++m) {
        first_[std::size_t{key(pair)} * kMagnitudes + m] =
            static_cast<std::uint32_t>(builder.patches.size());
        const auto list = set.of_activations(pair, static_cast<int>((m + 1) * kMagnitude - 1));
        for (; done < list.size(); ++done) builder.add(list[done]);
      }
    }
  });
  std::uint32_t count = 0;
  for (unsigned previous = 0; previous < side; ++previous) {
    const std::size_t row = std::size_t{side} * kMagnitudes;
    for (std::size_t i = previous * row; i < (previous + 1) * row; ++i) first_[i] += count;
    count += static_cast<std::uint32_t>(of_previous[previous].patches.size());
  }
  first_.back() = count;
  patches_.reserve(count);
  for (Builder& builder : of_previous) {
    patches_.insert(patches_.end(), builder.patches.begin(), builder.patches.end());
    builder = {};
  }
  places_.resize(count);
  std::transform(patches_.begin(), patches_.end(), places_.begin(),
                 [](const Patch& patch) { return patch.place; });
}

}  // namespace inure
