#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/tap_jobs.hpp"

namespace inure {

// Some output channels, and the numbers of their sums around an input's position: 15 bits, the
// sum's distance (down, right) from the position, in strides, and the channel.
struct OutputRange {
  static constexpr int kBits = 15;
  static constexpr std::uint32_t kOutput = (1u << kBits) - 1;

  int first = 0, channels = 0;
  int sides = 0;         // distances down, and as many right
  int channel_bits = 0;  // the lowest; the others are down * sides + right

  int distances() const { return sides * sides; }
  // As many ranges as there have to be. Throws Error for kernels that are too large.
  static std::vector<OutputRange> split(const LaneGeometry& g);
};

// Where each pair of weights stands in some jobs of a multiplier: the outputs.
class WeightUses {
 public:
  static constexpr int kJobs = 256;
  struct Span {
    std::uint32_t first, end;
  };
  using JobSet = std::array<std::uint32_t, kJobs / 32>;  // one bit a job

  // weights: [channels][group_channels][kernel][kernel]. Only of channels that `counts` accepts.
  void build(const LaneGeometry& g, const std::int8_t* weights, std::span<const TapJob> jobs,
             const OutputRange& range, const std::function<bool(int channel)>& counts);

  // By place of weights (ExceptionSet::place), one bit for each of the lower six bits of the weight
  // before: is such a pair used?
  const std::uint64_t* used() const { return used_.data(); }
  // Where the uses of a place's pairs stand in uses(), from the lowest that mask has to the
  // highest; one of them is used.
  Span span(unsigned place, std::uint64_t mask) const {
    const std::uint64_t used = used_[place], met = used & mask;
    const std::uint64_t below = (met & (~met + 1)) - 1;
    const std::uint64_t up_to = ~std::uint64_t{0} >> std::countl_zero(met);
    return {firsts_[ranks_[place] + static_cast<unsigned>(std::popcount(used & below))],
            firsts_[ranks_[place] + static_cast<unsigned>(std::popcount(used & up_to))]};
  }
  // Of a place, by the lower bits, then by job: lower bits << kLower | job << kJob | output. Some
  // more may be read behind the last one.
  const std::uint32_t* uses() const { return uses_.data(); }
  static constexpr int kJob = OutputRange::kBits, kLower = kJob + 8;
  static_assert(kJobs == 1 << (kLower - kJob));
  static constexpr std::size_t kReadBehind = 16;
  // Of all weights: each lies in -largest - 1 to largest.
  int largest() const { return largest_; }

 private:
  void number_pairs(const std::vector<std::uint32_t>& counts);

  std::vector<std::uint64_t> used_;
  std::vector<std::uint16_t> ranks_;   // how many are used in the words of used_ before
  std::vector<std::uint32_t> firsts_;  // of those that are used, and one more
  std::vector<std::uint32_t> uses_;
  int largest_ = 0;
};

}  // namespace inure
