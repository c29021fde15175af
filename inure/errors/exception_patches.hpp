#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/exception_set.hpp"

namespace inure {

// The wrong products of one multiplier once more, 64 changes of weight at a time. What a multiplier
// captures wrong depends on the activation before and now and on the weight now; of the weight
// before mostly its upper bits count. So a patch is one weight now with 64 weights before that
// differ in their lower six bits, all wrong by the same delta. A lane of the hx8k at 3e-3 wrong
// products has 300 exceptions for a pair of activations, but 13 patches; tables measured gate by
// gate look the same. The worst case, no two exceptions alike, costs three times the memory of
// an ExceptionSet.
class ExceptionPatches {
 public:
  explicit ExceptionPatches(const ExceptionSet& set);

  struct Patch {
    std::uint32_t before[2];  // bit i % 32 of i / 32: with weights before of which i is the lower
    std::uint16_t place;      // of all of them, place()
    std::uint16_t delta;      // modulo 2^16

    std::uint64_t mask() const { return before[0] | std::uint64_t{before[1]} << 32; }
  };
  static constexpr unsigned kPlaces = 1024;
  // The place of weights as bytes.
  static unsigned place(unsigned before, unsigned now) { return before >> 6 << 8 | now; }

  struct List {
    const Patch* patches = nullptr;
    const std::uint16_t* places = nullptr;  // theirs once more, closer together
    std::size_t size = 0;
  };
  // Those with weights of which both lie in -largest - 1 to largest (0 to 127), and some more.
  List of_activations(unsigned activations, int largest) const {
    const std::size_t at = std::size_t{key(activations)} * kMagnitudes;
    const std::uint32_t first = first_[at];
    const unsigned magnitude = static_cast<unsigned>(largest) / kMagnitude;
    return {patches_.data() + first, places_.data() + first, first_[at + magnitude + 1] - first};
  }

  // Fetches what of_activations looks up.
  void prefetch(unsigned activations) const {
    __builtin_prefetch(&first_[std::size_t{key(activations)} * kMagnitudes]);
  }

 private:
  static constexpr unsigned kMagnitude = 16, kMagnitudes = 8;

  // Pairs of activations of 0 to 127 lie closer together.
  unsigned key(unsigned activations) const {
    return negative_activations_ ? activations : activations >> 8 << 7 | (activations & 127);
  }

  std::vector<Patch> patches_;  // by key, then by the least magnitude of their weights
  std::vector<std::uint16_t> places_;
  std::vector<std::uint32_t> first_;  // by key and magnitude, and one more
  bool negative_activations_;
};

}  // namespace inure
