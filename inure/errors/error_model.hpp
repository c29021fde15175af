#pragma once

#include <algorithm>
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
//
// Work is done in strips: an output row of up to 64 channels of one group. Random draws are keyed
// by strip.
struct LaneGeometry {
  static constexpr int kStripChannels = 64;

  int width = 0, height = 0, channels = 0;  // of the convolution's output
  int group_channels = 0;
  int out_per_group = 0;  // output channels a group
  int vec_size = 0, lane_num = 0;
  int pad_offset =
      0;          // channel m sits at padded position m + pad_offset: lane = position % lane_num
  int steps = 0;  // cycles an output
  int kernel = 0, stride = 0;
  int taps() const { return steps * vec_size; }
  int lane(int channel) const { return (channel + pad_offset) % lane_num; }

  // The strip that a channel belongs to: its first channel, and how many it has.
  int strip_first(int channel) const {
    const int in_group = channel % out_per_group;
    return channel - in_group % kStripChannels;
  }
  int strip_channels(int first) const {
    return std::min(kStripChannels, out_per_group - first % out_per_group);
  }
  std::uint32_t strip_id(int y, int first) const {
    return static_cast<std::uint32_t>(y) * static_cast<std::uint32_t>(channels) +
           static_cast<std::uint32_t>(first);
  }
};

struct LaneOperands;

// The strips of an image.
class ImageStrips {
 public:
  virtual ~ImageStrips() = default;
  virtual LaneOperands strip(int y, int channel) const = 0;  // the one that has this channel
};

// The operands of one strip, for models that need them at a few places.
struct LaneOperands {
  const LaneGeometry* geometry = nullptr;
  const ImageStrips* image = nullptr;
  int y = 0, first_channel = 0, channels = 0;
  // value + 128 as unsigned bytes: the window of output x begins at x * column_stride; tap t lies
  // tap_activation[t] further, or is a padded channel's zero where that is -1.
  const std::uint8_t* activations = nullptr;
  std::int64_t column_stride = 0;
  const std::int32_t* tap_activation = nullptr;
  // The weight of the strip's channel c at tap t lies at tap_weight[t] + c * 4.
  const std::int8_t* weights = nullptr;
  const std::int32_t* tap_weight = nullptr;
  // What the strip's sums have besides products, by channel; or nothing.
  const std::int32_t* bias = nullptr;

  int product(int x, int channel_in_strip, int tap) const {
    const std::int32_t offset = tap_activation[tap];
    if (offset < 0) return 0;
    return (activations[x * column_stride + offset] - 128) *
           weights[tap_weight[tap] + channel_in_strip * 4];
  }
};

// The operands of a whole batch, for models that group them.
struct BatchOperands {
  const LaneGeometry* geometry = nullptr;
  int images = 0;
  // value + 128 as unsigned bytes, zero padding included:
  // [images][groups][height][width][group_channels].
  const std::uint8_t* activations = nullptr;
  int height = 0, width = 0;
  const std::int8_t* weights = nullptr;  // [channels][group_channels][kernel][kernel]
  std::uint64_t weights_version = 0;     // not 0; another whenever the weights are others
  // Of a fully connected stage: the same weights as the strips of image 0 have them.
  std::span<const LaneOperands> strips;

  int groups() const { return geometry->channels / geometry->out_per_group; }
  // Of channel c at (y, x), the bytes apart: one row, one pixel, one channel.
  const std::uint8_t* plane(int image, int group) const {
    return activations +
           (std::int64_t{image} * groups() + group) * height * width * geometry->group_channels;
  }
  int weight(int channel, int c, int ky, int kx) const {
    const int k = geometry->kernel;
    return weights[((std::int64_t{channel} * geometry->group_channels + c) * k + ky) * k + kx];
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

  // The fast path: adds the deltas of a strip to its sums (modulo 2^32): that of output x, channel
  // c of the strip is sums[x * stride + c]. The sums of a stage's first model are right.
  virtual void add_deltas(const ErrorKey&, const LaneOperands&, std::uint32_t* /*sums*/,
                          std::int64_t /*stride*/) const {}
  // The same for whole batches: finds their errors, then adds an image's to its sums,
  // [height][width][channels] of the convolution's output; any image, from any thread, once. The
  // operands stay until then, but for the strips. key.image is 0; image n has key.image = n.
  virtual bool corrupts_batches() const { return false; }
  virtual void find_batch_errors(const ErrorKey&, const BatchOperands&) const {}
  virtual void add_image_deltas(int /*image*/, std::uint32_t* /*sums*/) const {}
  // The plain twin of both.
  virtual std::unique_ptr<CycleErrors> cycles(const ErrorKey&, const LaneGeometry&) const {
    return nullptr;
  }
};

using ErrorModels = std::vector<std::unique_ptr<ErrorModel>>;

struct TimingLanes;
class TimingLanesCache;

// What a description that check_description() passes says about errors, its files read once for all
// layers; with a cache, once for all that share it.
class ErrorSources {
 public:
  ErrorSources() = default;
  ErrorSources(ErrorsDescription description);  // NOLINT: a description is one
  ErrorSources(ErrorsDescription description, TimingLanesCache& cache);

  // The models that concern this layer; of equal faults one. Throws Error where the profiles' lanes
  // have another number of multipliers.
  ErrorModels models(const std::string& layer, std::uint32_t vec_size) const;

 private:
  ErrorsDescription description_;
  std::shared_ptr<const TimingLanes> timing_;
};

}  // namespace inure
