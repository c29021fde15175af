#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/error_model.hpp"

namespace inure {

// Some steps of a strip's outputs, what is added in each and what was added in the step before (0
// and none negative where there is none). By candidate.
struct StepBatch {
  static constexpr int kMost = 1024;
  int count = 0;
  std::int32_t x[kMost], channel[kMost], step[kMost];
  std::int32_t sum[kMost], sum_before[kMost];            // of the step's products
  std::int32_t negative[kMost], negative_before[kMost];  // how many of them are below 0
};

// A strip's operands in hardware order, and the sums that its lanes should have. One is best kept
// from strip to strip: it keeps its memory.
class StripSums {
 public:
  static constexpr int kVector = 16;  // channels that are summed side by side

  // `steps` of each output will be asked for, from its first one.
  void load(const LaneOperands& strip, int steps);

  // The sums and numbers of a batch whose x, channel and step are given; x may not fall, from batch
  // to batch neither.
  void add_products(StepBatch& batch);

  // What the accumulators should hold before steps 0 to `last` of pixel x, which a batch had: of
  // the `width` (kVector or twice that) channels from `first`. Kept for every second step:
  // before(step, channel) is that of step / 2 * 2, channel counting from `first`.
  void accumulate(int x, int first, int width, int last);
  std::int32_t before(int step, int channel) const {
    return kept_[static_cast<std::size_t>(step / 2 * width_ + channel)];
  }

 private:
  void load_apart();
  void gather(int x);
  const std::uint32_t* pixel(int x) const {
    return activations_.data() + static_cast<std::size_t>(x) * pixel_words_;
  }
  template <int count>
  void accumulate(const std::uint32_t* activations, int first, int steps);

  // A quad: 4 multipliers of a step; zeros fill the last one of a step. Quads are counted from a
  // step of zeros before the first step.
  LaneOperands strip_;
  int steps_ = 0, quads_ = 0;  // quads a step
  std::size_t pixel_words_ = 0;
  int gathered_ = -1;                       // the last pixel whose activations are there
  bool negative_activations_ = false;       // some of those are
  std::vector<std::uint32_t> activations_;  // [x][quad]: 4 bytes
  std::vector<std::int32_t> offsets_;       // [quad]: of the activations in a window
  const std::int8_t* weights_ = nullptr;
  std::vector<std::int32_t> weight_offsets_;  // [quad]: of the strip's channels, 4 bytes each
  bool together_ = true;                      // the strip itself has all quads so
  std::vector<std::int8_t> assembled_;        // else: copies of the weights
  std::vector<std::int32_t> kept_;            // [step / 2][width_]
  int width_ = kVector;
};

}  // namespace inure
