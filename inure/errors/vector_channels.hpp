#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/exception_patches.hpp"

namespace inure {

// Of the channels that meet one multiplier's pairs of activations in one step, those whose weights
// lie where some patch does, by place.
class VectorChannels {
 public:
  struct Channel {
    std::uint32_t number;
    std::uint32_t before;  // the lower six bits of its weight before
  };

  // Forgets all marks.
  void clear() { marked_.fill(0); }
  void mark(std::span<const ExceptionPatches::Patch> patches) {
    for (const auto& patch : patches) marked_[patch.place & 127] |= bit(patch.place);
  }

  // Finds the channels at marked places. Their weights: whole vectors of 64 can be
  // read. allowed: bit i % 64 of word i / 64 says whether channel i is wanted.
  void find(const std::uint8_t* before, const std::uint8_t* now,
            std::span<const std::uint64_t> allowed);

  // Only of a marked place.
  std::span<const Channel> at(unsigned place) const {
    return {channels_.data() + end_[place] - count_[place], count_[place]};
  }

 private:
  static std::uint8_t bit(unsigned place) { return static_cast<std::uint8_t>(1u << (place >> 7)); }

  std::array<std::uint8_t, 128> marked_{};  // bit i / 128 of byte i % 128: place i
  std::vector<std::uint32_t> found_;        // channels
  std::vector<std::uint16_t> places_;       // theirs
  std::vector<Channel> channels_;           // by place
  std::array<std::uint32_t, ExceptionPatches::kPlaces> count_{}, end_{};  // by place
  std::array<std::uint16_t, ExceptionPatches::kPlaces + 1> distinct_places_;
  std::size_t distinct_ = 0;
};

}  // namespace inure
