#pragma once

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

// Where each pair of weights stands in each of some jobs of a multiplier: the outputs. Places of
// weights (ExceptionSet::place) that some job uses have numbers, the least first.
class WeightUses {
 public:
  // weights: [channels][group_channels][kernel][kernel]. Only of channels that `counts` accepts.
  void build(const LaneGeometry& g, const std::int8_t* weights, std::span<const TapJob> jobs,
             const OutputRange& range, const std::function<bool(int channel)>& counts);

  // Of all jobs. By place: one bit for each of the lower six bits of the weight before, whether
  // such a pair is used; the place's number, if any is.
  const std::uint64_t* used() const { return used_.data(); }
  const std::uint16_t* numbers() const { return numbers_.data(); }

  struct Job {
    const std::uint64_t* used;   // by number, as above
    const std::uint16_t* first;  // by number, and one more: where a place's uses begin
    // By place: lower bits << kLower | output. kReadBehind more may be read.
    const std::uint32_t* uses;
    std::size_t count;
  };
  Job job(std::size_t i) const;
  void prefetch(std::size_t job) const;
  static constexpr int kLower = OutputRange::kBits;
  static constexpr std::size_t kReadBehind = 16;
  // Of all weights: each lies in -largest - 1 to largest.
  int largest() const { return largest_; }

 private:
  void number_places();

  std::vector<std::uint64_t> used_;
  std::vector<std::uint16_t> numbers_;
  std::size_t places_ = 0;  // that have numbers
  int largest_ = 0;
  std::vector<std::uint64_t> used_of_jobs_;
  std::vector<std::uint16_t> firsts_;
  std::vector<std::uint32_t> uses_, begins_;  // begins_: by job, and one more
};

}  // namespace inure
