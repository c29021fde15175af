#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/sum_forest.hpp"

namespace inure {

// A strip's operands in hardware order, and the sums that its lanes should have. One is best kept
// from strip to strip: it keeps its memory.
class StripSums {
 public:
  static constexpr int kVector = 16;  // channels that are summed side by side

  // `steps` of each output will be asked for, from its first one.
  void load(const LaneOperands& strip, int steps);

  // What a step's activations are: bit e says that the e-th of the first four is not 0, bit 4 + e
  // the same of the step before. x may not fall.
  std::uint8_t nonzero(int x, int step) {
    if (x != gathered_) gather(x);
    return nonzero_[static_cast<std::size_t>(x * steps_ + step)];
  }
  // What steps 0 and 1 add, of a pixel and of all the strip's channels: of both 0 where there is no
  // such step. x may not fall.
  using Sums = std::int32_t[LaneGeometry::kStripChannels];
  void find_first_sums(int x, Sums& first, Sums& second);
  // The sums and signs of the steps from the first-th on, for whose pixels nonzero() was called.
  void add_products(SumSteps& steps, int first) const;

  // What the accumulators should hold before steps 0 to `last` of some pixels (at most kPixels) for
  // which nonzero() was called: of the `width` (kVector or twice that) channels from `first`. Kept
  // for every second step: before(p, step, channel) is that of step / 2 * 2 of the p-th of these
  // pixels, channel counting from `first`.
  static constexpr int kPixels = 8;
  void accumulate(std::span<const int> pixels, int first, int width, int last);
  std::int32_t before(int p, int step, int channel) const {
    return kept_[static_cast<std::size_t>((step / 2 * pixels_ + p) * width_ + channel)];
  }

  struct Run {  // what is accumulated at a time; [step / 2][pixel][channel] is kept
    const std::uint32_t* activations[kPixels];
    const std::int8_t* weights;
    const std::int32_t* offsets;
    int quads, steps;
    std::int32_t* kept;
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
  std::vector<std::uint8_t> nonzero_;       // [x][step]: as nonzero() says
  std::vector<std::int32_t> offsets_;       // [quad]: of the activations in a window
  const std::int8_t* weights_ = nullptr;
  std::vector<std::int32_t> weight_offsets_;  // [quad]: of the strip's channels, 4 bytes each
  bool together_ = true;                      // the strip itself has all quads so
  std::vector<std::int8_t> assembled_;        // else: copies of the weights
  std::vector<std::int32_t> kept_;            // [step / 2][pixels_][width_]
  int pixels_ = 1, width_ = kVector;
};

}  // namespace inure
