#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/error_model.hpp"

namespace inure {

// Some steps of a strip's outputs, what is added in each and what was added in the step before (0
// where there is none). By candidate.
struct StepBatch {
  static constexpr int kMost = 960;  // no power of two, or all arrays meet in the same cache sets
  int count = 0;
  std::int32_t x[kMost], channel[kMost], step[kMost];
  std::int32_t sum[kMost], sum_before[kMost];       // of the step's products
  std::uint32_t signs[kMost], signs_before[kMost];  // ProductSigns::bits
};

// A strip's operands in hardware order, and the sums that its lanes should have. One is best kept
// from strip to strip: it keeps its memory.
class StripSums {
 public:
  static constexpr int kVector = 16;  // channels that are summed side by side

  // `steps` of each output will be asked for, from its first one.
  void load(const LaneOperands& strip, int steps);

  // The sums and signs of a batch whose x, channel and step are given; x may not fall, from batch
  // to batch neither.
  void add_products(StepBatch& batch);

  // What the accumulators should hold before steps 0 to `last` of some pixels (at most kPixels),
  // which a batch had: of the `width` (kVector or twice that) channels from `first`. Kept for every
  // second step: before(p, step, channel) is that of step / 2 * 2 of the p-th of these pixels,
  // channel counting from `first`.
  void accumulate(std::span<const int> pixels, int first, int width, int last);
  std::int32_t before(int p, int step, int channel) const {
    return kept_[static_cast<std::size_t>(p) * pixel_kept_ +
                 static_cast<std::size_t>(step / 2 * width_ + channel)];
  }

  static constexpr int kPixels = 4;
  struct Run {  // what is accumulated at a time; [pixel][step / 2][channel] is kept
    const std::uint32_t* activations[kPixels];
    const std::int8_t* weights;
    const std::int32_t* offsets;
    int quads, steps;
    std::int32_t* kept;
    std::int64_t kept_stride;
  };

 private:
  void load_apart();
  void gather(int x);

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
  std::vector<std::int32_t> kept_;            // [pixel][step / 2][width_]
  std::size_t pixel_kept_ = 0;                // of a pixel
  int width_ = kVector;
};

}  // namespace inure
