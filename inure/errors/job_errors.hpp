#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "inure/errors/activation_planes.hpp"
#include "inure/errors/surroundings.hpp"
#include "inure/errors/tap_jobs.hpp"
#include "inure/errors/weight_uses.hpp"

namespace inure {

// What the wrong products of some jobs (tap_jobs.hpp) add to the sums of a batch.
class JobErrors {
 public:
  // A pair of activations that meets a pair of weights in a job adds delta, 17 bits, to an output.
  struct Errors {
    const std::uint32_t* entries;  // delta << OutputRange::kBits | output
    const std::uint8_t* jobs;
    std::size_t count;
  };
  struct Key {  // of a pair of activations (ActivationPlanes)
    std::uint16_t key;
    std::uint32_t end;  // of its errors
  };

  std::size_t bytes() const { return 4 * (size_ + segments_.size() * 2); }
  void reset(std::size_t jobs);
  // More errors, by key.
  void add(std::span<const Key> keys, const Errors& errors);
  // Where they are in the batch.
  void find_hits(const ActivationPlanes& planes, std::span<const TapJob> jobs, int images);
  // Of several for the same outputs, to one image's sums.
  static void apply(std::span<const JobErrors> all, const Surroundings& around, int image,
                    std::uint32_t* sums);

 private:
  struct Hit {  // a position whose pair of activations has entries
    std::uint32_t segment;
    std::uint32_t position;  // of the batch
  };
  void find_hits(const ActivationPlanes& planes, const TapJob& job, std::size_t number, int images);
  void sort_hits(std::size_t positions);
  std::span<const std::uint32_t> segments(std::size_t position) const {
    const std::uint32_t begin = position == 0 ? 0 : ends_[position - 1];
    return {segments_.data() + begin, segments_.data() + ends_[position]};
  }

  // Segment after segment, each of one pair of activations in one job: its key * 65536 + how many
  // entries; where the segment before of the same key and job stands, + 1; the entries. What was
  // added at once lies together by job.
  static constexpr std::uint32_t kHeader = 2;
  std::vector<std::uint32_t> words_;  // the first size_ of them
  std::size_t size_ = 0;
  std::size_t jobs_ = 0;
  std::vector<std::uint32_t> job_ends_;  // [addition][job], with the addition's begin in front

  std::vector<Hit> hits_;
  std::vector<std::uint32_t> segments_;  // by position; some more may be read
  std::vector<std::uint32_t> ends_;      // by position
  std::size_t positions_ = 0;            // of an image
};

}  // namespace inure
