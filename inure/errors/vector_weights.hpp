#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/error_model.hpp"

namespace inure {

// The weights, as bytes, that some multipliers of a fully connected stage see in some steps and
// those before: a row for each step and multiplier, by channel.
class VectorWeights {
 public:
  // strips: some neighbouring ones of the batch, of one group.
  VectorWeights(const BatchOperands& batch, std::span<const LaneOperands> strips,
                std::vector<int> multipliers);

  int channels() const { return channels_; }
  // Those of the first step, which follows the last one of the lane's channel before; only of
  // channels from the group's lane_num-th on.
  void load_first();
  // Those of the steps from first (at least 1) to end - 1. Quicker where they follow those before.
  void load(int first, int end);

  // Row i: of the i / multipliers-th step loaded and the i % multipliers-th multiplier. Whole
  // vectors of 64 bytes can be read.
  const std::uint8_t* before(std::size_t i) const { return bytes_.data() + i * stride_; }
  const std::uint8_t* now(std::size_t i) const { return before(i + multipliers_.size()); }
  // All weights of the row, now and before, lie in -largest - 1 to largest.
  int largest(std::size_t i) const;

 private:
  int weight(int channel, int tap) const;

  const BatchOperands& batch_;
  const LaneGeometry& g_;
  std::span<const LaneOperands> strips_;
  std::vector<int> multipliers_;
  int channels_ = 0;
  int end_ = 0;  // of the steps loaded
  std::size_t stride_ = 0;
  std::vector<std::uint8_t> bytes_;  // of the step before the first one, then of each step
  std::vector<int> largest_;         // of each row
};

}  // namespace inure
