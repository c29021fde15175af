#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/product_table.hpp"
#include "inure/errors/tap_jobs.hpp"

namespace inure {

// Where each pair of weights stands in up to 64 jobs of a multiplier: the outputs and taps.
class WeightUses {
 public:
  static constexpr int kJobs = 64;

  // An output channel at a tap.
  struct Use {
    std::int32_t offset;  // of its sum from that of channel 0 at the input's position
    std::int32_t tap;     // down * 16 + right, in strides
  };
  struct Pair {
    std::uint64_t jobs = 0;   // which of them use it
    std::uint32_t first = 0;  // the lowest of them: where it stands in firsts(); others follow
  };

  // weights: [channels][group_channels][kernel][kernel]. Only of channels that `counts` accepts.
  void build(const LaneGeometry& g, const std::int8_t* weights, std::span<const TapJob> jobs,
             const std::function<bool(int channel)>& counts);

  // One bit a pair (ProductTable::pair): is it used?
  const std::uint32_t* used() const { return used_.data(); }
  // The number of a pair that is used, and by number what is known of it.
  const std::uint16_t* numbers() const { return numbers_.data(); }
  const Pair* pairs() const { return pairs_.data(); }
  // The uses of pair and job number i are uses()[firsts()[i]] to uses()[firsts()[i + 1]].
  const std::uint32_t* firsts() const { return firsts_.data(); }
  const Use* uses() const { return uses_.data(); }
  // Of all weights: each lies in -largest - 1 to largest.
  int largest() const { return largest_; }

 private:
  struct Found {
    std::uint32_t number;  // of the pair
    std::uint32_t job;
    Use use;
  };
  void find(const LaneGeometry& g, const std::int8_t* weights, const TapJob& job,
            std::uint32_t number, const std::vector<int>& channels, std::vector<Found>& found);
  void number_pairs(std::vector<Found>& found);
  void sort(const std::vector<Found>& found);

  std::vector<std::uint16_t> numbers_;  // only of pairs that are used
  std::vector<std::uint32_t> used_;
  std::vector<Pair> pairs_;
  std::vector<std::uint32_t> firsts_;
  std::vector<Use> uses_;
  int largest_ = 0;
};

}  // namespace inure
