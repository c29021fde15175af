#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/error_model.hpp"

namespace inure {

// The pairs of weights, previous * 256 + now, that some multipliers of a fully connected stage see
// in some steps: a row for each step and multiplier, by channel.
class VectorWeights {
 public:
  // strips: some neighbouring ones of the batch, of one group.
  VectorWeights(const BatchOperands& batch, std::span<const LaneOperands> strips,
                std::vector<int> multipliers);

  int channels() const { return channels_; }
  // Those of the first step, which follows the last one of the lane's channel before; only of
  // channels from the group's lane_num-th on.
  void load_first();
  // Those of the steps from first (at least 1) to end - 1.
  void load(int first, int end);

  const std::uint16_t* row(std::size_t i) const { return pairs_.data() + i * channels_; }
  // All weights of the row lie in -largest - 1 to largest.
  int largest(std::size_t i) const { return largest_[i]; }

 private:
  int weight(int channel, int tap) const;

  const BatchOperands& batch_;
  const LaneGeometry& g_;
  std::span<const LaneOperands> strips_;
  std::vector<int> multipliers_;
  int channels_ = 0;
  std::vector<std::uint16_t> pairs_;
  std::vector<int> largest_;
};

}  // namespace inure
