#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/product_table.hpp"

namespace inure {

// The wrong products of one multiplier at one clock period, by pair of activations: pairs are
// ProductTable::pair(previous, now), 0 to 65,535.
//
// What a multiplier captures wrong depends on the activation before and now and on the weight now;
// of the weight before mostly its upper bits count. So exceptions come in patches: one weight now
// with up to 64 weights before that differ in their lower six bits, all wrong by the same delta. A
// patch of a lane of the hx8k or of osu018 holds some 30 exceptions.
//
// Operands that do not change make nothing toggle: such exceptions, which a table made by classes
// may have, are dropped.
class ExceptionSet {
 public:
  // Throws Error where there are more than 2^32.
  ExceptionSet(const ProductTable::Clock& clock, bool negative_activations);

  bool negative_activations() const { return negative_activations_; }
  std::size_t size() const { return size_; }  // exceptions

  struct Patch {
    std::uint32_t before[2];  // bit i % 32 of i / 32: with weights before of which i is the lower
    std::uint16_t place;      // of all of them, place()
    std::uint16_t delta;      // modulo 2^16

    std::uint64_t mask() const { return before[0] | std::uint64_t{before[1]} << 32; }
  };
  static constexpr unsigned kPlaces = 1024;
  // The place of weights as bytes.
  static unsigned place(unsigned before, unsigned now) { return before >> 6 << 8 | now; }
  static unsigned weight_now(unsigned place) { return place & 255; }

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

  // What to add to the product of these operands; 0 where it is right.
  std::int32_t delta(unsigned activations, unsigned weights) const;

  // captured - right product, for an exception's delta.
  static std::int32_t signed_delta(unsigned activations, unsigned weight, std::uint16_t delta) {
    const int right = static_cast<std::int8_t>(activations) * static_cast<std::int8_t>(weight);
    return static_cast<std::int16_t>(right + delta) - right;
  }

 private:
  // By the magnitude of the larger weight.
  static constexpr unsigned kMagnitude = 16, kMagnitudes = 8;

  // Pairs of activations of 0 to 127 lie closer together.
  unsigned key(unsigned activations) const {
    return negative_activations_ ? activations : activations >> 8 << 7 | (activations & 127);
  }
  unsigned keys() const { return negative_activations_ ? 1 << 16 : 1 << 14; }

  struct Exception {
    std::uint16_t weights = 0;  // a pair
    std::uint16_t delta = 0;
  };
  // By key, then by magnitude, then by weights; first: by key and magnitude, and one more.
  std::vector<Exception> sort(const ProductTable::Clock& clock,
                              std::vector<std::uint32_t>& first) const;
  void build(const std::vector<Exception>& exceptions, const std::vector<std::uint32_t>& first);
  class PatchBuilder;

  bool negative_activations_;
  std::size_t size_ = 0;
  std::vector<Patch> patches_;  // by key, then by the least magnitude of their weights
  std::vector<std::uint16_t> places_;
  std::vector<std::uint32_t> first_;  // by key and magnitude, and one more
};

}  // namespace inure
