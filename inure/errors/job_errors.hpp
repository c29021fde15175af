#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/tap_jobs.hpp"
#include "inure/errors/weight_uses.hpp"

namespace inure {

// What the wrong products of one job (tap_jobs.hpp) add to the sums of a batch.
class JobErrors {
 public:
  std::size_t bytes() const { return size_ * sizeof(Entry) + hits_.size() * sizeof(Hit); }
  void clear() { size_ = 0, segments_.clear(), hits_.clear(); }

  // A pair of activations (its key) that meets a pair of weights adds delta to these uses of it.
  // Pairs of activations one after the other.
  void add(std::uint16_t key, std::span<const WeightUses::Use> uses, std::int32_t delta) {
    if (segments_.empty() || segments_.back().key != key) {
      segments_.push_back({key, static_cast<std::uint32_t>(size_)});
    }
    if (entries_.size() < size_ + uses.size()) entries_.resize(2 * (size_ + uses.size()));
    Entry* to = entries_.data() + size_;
    size_ += uses.size();
    for (const WeightUses::Use& use : uses) *to++ = {use.offset, delta * 256 + use.tap};
  }
  // Where they are in the batch. keys: the pairs of activations at the job's positions, [image]
  // [position]; heads: by key, all zeros before and after.
  void find_hits(const std::vector<std::uint16_t>& keys, int images,
                 std::vector<std::uint32_t>& heads);
  // To one image's sums. columns: positions a row.
  void apply(const LaneGeometry& g, const TapJob& job, int columns, int image,
             std::uint32_t* sums) const;

 private:
  struct Entry {
    std::int32_t offset;  // of the sum, from the position's
    std::int32_t packed;  // delta * 256 + down * 16 + right, these in strides
    std::int32_t delta() const { return packed >> 8; }
    int down() const { return packed >> 4 & 15; }
    int right() const { return packed & 15; }
  };
  struct Segment {  // entries of one pair of activations
    std::uint16_t key;
    std::uint32_t first;
    std::uint32_t next = 0;  // of the same key, from another kind of lane: its number + 1
  };
  struct Hit {  // a position whose pair of activations has entries
    std::uint32_t position, first, end;
  };
  std::vector<Entry> entries_;  // the first size_ of them
  std::size_t size_ = 0;
  std::vector<Segment> segments_;
  std::vector<Hit> hits_;
  std::vector<std::uint32_t> image_hits_;  // where an image's begin, and one more
};

}  // namespace inure
