#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "inure/accelerator/description.pb.h"

// The interface between a simulator and what goes wrong: operands in hardware order in, deltas out.
//
// Products and sums are linear modulo 2^32, so an error at any cycle is an additive delta on the
// output's final accumulator. A simulator computes exact sums at full speed and lets the models add
// their deltas; a model visits only the sites that it corrupts. Deltas of several models add.
namespace inure {

// Identifies one image in one stage of one pass. Random draws are functions of it and of the place.
struct ErrorKey {
  std::uint64_t seed = 0;
  std::uint64_t iteration = 0;
  bool training = false;
  std::uint32_t stage = 0;  // a hash of the stage's name: the same wherever the program begins
  std::uint32_t image = 0;
};

// How a stage's work lies on the lanes. A product's place is (y, x, channel, tap): output pixel,
// output channel, and tap = step * vec_size + multiplier with step = (c * K + ky) * K + kx, c
// counting vectors of vec_size input channels (padded with zeros).
struct LaneGeometry {
  int width = 0, height = 0, channels = 0;  // of the convolution's output
  int kernel = 0, stride = 0, group_channels = 0;
  int out_per_group = 0;  // output channels a group
  int vec_size = 0, lane_num = 0;
  int pad_offset =
      0;          // channel m sits at padded position m + pad_offset: lane = position % lane_num
  int steps = 0;  // cycles an output
  int taps() const { return steps * vec_size; }
  int lane(int channel) const { return (channel + pad_offset) % lane_num; }
};

// The operands of one image, for models that need them at a few places.
struct LaneOperands {
  const LaneGeometry* geometry = nullptr;
  // value + 128 as unsigned bytes; window (y, x) of group g begins at g * group_stride + y *
  // row_stride + x * column_stride; tap t lies tap_offset[t] further, or is a padded channel's zero
  // where that is -1.
  const std::uint8_t* activations = nullptr;
  std::int64_t group_stride = 0, row_stride = 0, column_stride = 0;
  const std::int32_t* tap_offset = nullptr;
  const std::int8_t* weights = nullptr;  // [channels][taps]

  int activation(int channel, int y, int x, int tap) const {
    if (tap_offset[tap] < 0) return 0;
    const int group = channel >= geometry->out_per_group ? channel / geometry->out_per_group : 0;
    return activations[group * group_stride + y * row_stride + x * column_stride +
                       tap_offset[tap]] -
           128;
  }
  int weight(int channel, int tap) const {
    return weights[std::int64_t{channel} * geometry->taps() + tap];
  }
};

// The plain twin's view of a model: asked at every cycle, in hardware order, on one image.
class CycleErrors {
 public:
  virtual ~CycleErrors() = default;
  struct Cycle {
    int y, x, channel, step;
  };
  // What to add to one product.
  virtual std::int32_t product_delta(const Cycle&, int /*multiplier*/, int /*activation*/,
                                     int /*weight*/) {
    return 0;
  }
  // What to add to the sum that this cycle's exact products have just been accumulated to. `chain`
  // is step mod 6: PipeCNN interleaves six partial sums.
  virtual std::int32_t accumulator_delta(const Cycle&, int /*chain*/,
                                         std::int32_t /*exact_sum_of_products*/) {
    return 0;
  }
};

class ErrorModel {
 public:
  virtual ~ErrorModel() = default;

  // What the model touches, so that a simulator can skip the rest.
  virtual bool corrupts_weights() const { return false; }
  virtual bool corrupts_activations() const { return false; }
  virtual bool corrupts_sums() const { return false; }
  virtual bool corrupts_outputs() const { return false; }

  // In place: the stage's weights [channels][C/groups][K][K] (key.image = 0), an image of its input
  // [H][W][C], a row [width][channels] of its output before pooling.
  virtual void corrupt_weights(const ErrorKey&, std::span<std::int8_t>) const {}
  virtual void corrupt_activations(const ErrorKey&, std::span<std::int8_t>) const {}
  virtual void corrupt_outputs(const ErrorKey&, int /*y*/, std::span<std::int8_t>) const {}

  // The fast path: adds the deltas of output row y to sums[width][channels] (modulo 2^32).
  virtual void add_deltas(const ErrorKey&, const LaneOperands&, int /*y*/, std::uint32_t*) const {}
  // The plain twin of add_deltas.
  virtual std::unique_ptr<CycleErrors> cycles(const ErrorKey&, const LaneGeometry&) const {
    return nullptr;
  }
};

using ErrorModels = std::vector<std::unique_ptr<ErrorModel>>;

// The models of a description that concern this layer. Throws Error for a rate outside [0, 1], bits
// outside the value, a lane or multiplier that the accelerator does not have.
ErrorModels make_error_models(const ErrorsDescription& errors, const std::string& layer,
                              std::uint32_t vec_size, std::uint32_t lane_num);

}  // namespace inure
