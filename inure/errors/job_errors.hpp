#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/surroundings.hpp"

namespace inure {

// What the wrong products of some jobs (tap_jobs.hpp) add to the sums of a batch.
class JobErrors {
 public:
  // Forgets all.
  void reset(int images, int positions);

  // What one pair of activations adds in one job, a segment of entries: a delta of 17 bits to an
  // output, delta << OutputRange::kBits | output. They are written to where room for that many is;
  // then `add` takes them, and returns the segment's number, which is not 0.
  std::uint32_t* room(std::size_t entries) {
    const std::size_t most = size_ + 1 + entries;
    if (words_.size() < most) words_.resize(2 * most);
    return words_.data() + size_ + 1;
  }
  std::uint32_t add(std::size_t entries) {
    const auto segment = static_cast<std::uint32_t>(size_);
    words_[size_] = static_cast<std::uint32_t>(entries);
    size_ += 1 + entries;
    return segment;
  }

  // A position of the batch, and the pair of activations there (a key of ActivationPlanes).
  struct At {
    std::uint32_t position;
    std::uint32_t key;
  };
  // The segments at these positions, by key: their numbers, or 0.
  void add_hits(std::span<const At> at, const std::uint32_t* segments);
  void sort_hits();  // once, when all are known

  // Of several for the same outputs, to one image's sums.
  static void apply(std::span<const JobErrors> all, const Surroundings& around, int image,
                    std::uint32_t* sums);

 private:
  struct Hit {
    std::uint32_t segment;
    std::uint32_t position;
  };
  std::span<const std::uint32_t> segments(std::size_t position) const {
    const std::uint32_t begin = position == 0 ? 0 : ends_[position - 1];
    return {segments_.data() + begin, segments_.data() + ends_[position]};
  }

  // Segment after segment: how many entries, and these.
  std::vector<std::uint32_t> words_;  // the first size_ of them
  std::size_t size_ = 0;
  std::vector<Hit> unsorted_;  // the first hits_
  std::size_t hits_ = 0;
  std::vector<std::uint32_t> segments_;  // by position; some more may be read
  std::vector<std::uint32_t> ends_;      // by position
  std::size_t positions_ = 0;            // of an image
};

}  // namespace inure
