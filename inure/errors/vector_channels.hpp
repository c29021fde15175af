#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/exception_set.hpp"

namespace inure {

// Of the channels that meet one multiplier's pairs of activations in one step, those whose weights
// lie where some patch does, by place.
class VectorChannels {
 public:
  // A patch of an image.
  struct Meet {
    std::uint64_t mask;
    std::uint32_t place;
    std::uint32_t sums;  // where the image's begin
    std::uint32_t delta;
  };

  // Forgets all marks. Places are marked one by one, or all of them.
  void clear() { marked_.fill(0); }
  void mark(std::span<const std::uint16_t> places) {
    for (const unsigned place : places) marked_[place & 127] |= 1u << (place >> 7);
  }
  void mark_all() { marked_.fill(255); }

  // Finds the channels at marked places. Their weights: whole vectors of 64 can be
  // read. allowed: bit i % 64 of word i / 64 says whether channel i is wanted.
  void find(const std::uint8_t* before, const std::uint8_t* now,
            std::span<const std::uint64_t> allowed);

  // Of places that are all marked, those that have channels: where they stand in the list. There
  // is room for one more. Returns how many.
  std::size_t find_present(std::span<const std::uint16_t> places, std::uint32_t* found) const;

  // Adds the deltas to the sums of channels that the patches' masks have. Only of marked places.
  void add_errors(std::span<const Meet> meets, std::uint32_t* sums);

 private:
  std::array<std::uint8_t, 128> marked_{};  // bit i / 128 of byte i % 128: place i
  std::vector<std::uint32_t> found_;        // channels
  std::vector<std::uint16_t> places_;       // theirs
  // By place: the channels, and the lower six bits of their weights before.
  std::vector<std::uint32_t> channels_;
  std::vector<std::uint8_t> before_;
  std::array<std::uint32_t, ExceptionSet::kPlaces> count_{}, end_{};  // by place
  std::array<std::uint8_t, ExceptionSet::kPlaces> present_{};         // whether count_ is not 0
  std::uint32_t largest_count_ = 0;
  std::array<std::uint16_t, ExceptionSet::kPlaces + 1> distinct_places_;
  std::size_t distinct_ = 0;
  // Of the errors: where, and how much.
  std::vector<std::uint32_t> sites_, deltas_;
};

}  // namespace inure
