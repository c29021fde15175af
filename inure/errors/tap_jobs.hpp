#pragma once

#include <cstdint>
#include <vector>

#include "inure/errors/error_model.hpp"

namespace inure {

// A convolution's products, sorted by where their operands and those of the step before lie.
//
// Neighbouring taps see the same pairs of activations: (a[y][x - 1], a[y][x]) of one input channel
// meets the weights of all taps (ky, kx > 0) and of all output channels. So do the others of a
// channel: a job is all taps of one input channel whose step before lies in the same direction.
//
// Input rows and columns are counted in strides: (y, x) is row y / stride, column x / stride of
// phase (y % stride, x % stride).
struct TapJob {
  enum class Before {
    kLeft,      // kx > 0: one to the left
    kRowAbove,  // kx = 0, ky > 0: the end of the kernel's row above
    kVector,    // the first tap of a vector of channels: the last one of the vector before
    kPixel,     // the first step: the last one of the previous pixel
  };
  int group = 0, c = 0;  // c may be a channel of the padding behind the last one
  Before before = Before::kLeft;
  int phase_y = 0, phase_x = 0;

  int c_before = 0;
  int dy = 0, dx = 0;  // from this step's activation to that of the step before, in inputs
  // The positions that have a step before, in strides. (kPixel: column 0 has one of its own, the
  // last pixel of the row above; row 0 column 0 none.)
  int first_row = 0, end_row = 0, first_column = 0, end_column = 0;
  bool has_before(int row, int column) const {
    return row >= first_row && row < end_row && column >= first_column && column < end_column &&
           (before != Before::kPixel || row > 0 || column > 0);
  }
  int last_down = 0, last_right = 0;  // the largest of the taps, in strides

  struct Tap {
    int ky, kx, ky_before, kx_before;
  };
  std::vector<Tap> taps(const LaneGeometry& g) const;
};

// All jobs of a multiplier. An input of the batch's size; its edge may go unused.
std::vector<TapJob> tap_jobs(const LaneGeometry& g, int groups, int multiplier, int height,
                             int width);

// Vectors of input channels, the last one filled up.
inline int channel_vectors(const LaneGeometry& g) { return g.steps / (g.kernel * g.kernel); }

}  // namespace inure
