#include "inure/errors/stage_taps.hpp"

#include <atomic>

#include "inure/base/parallel.hpp"
#include "inure/errors/timing_lanes.hpp"

namespace inure {

void StageTaps::arrange(const BatchOperands& batch, const std::string& layer, bool negative) {
  const LaneGeometry& g = *batch.geometry;
  channels_ = g.group_channels, out_per_group_ = g.out_per_group, kernel_ = g.kernel;
  taps_ = std::int64_t{channels_} * kernel_ * kernel_;
  const std::int64_t pixels = std::int64_t{batch.height} * batch.width;
  plane_size_ = pixels * batch.images;
  planes_.resize(static_cast<std::size_t>(plane_size_) * channels_ * batch.groups());
  zeros_.assign(static_cast<std::size_t>(plane_size_), 0);
  std::atomic<unsigned> signs{0};
  parallel_for(std::int64_t{batch.images} * batch.groups(), [&](std::int64_t job) {
    const int n = static_cast<int>(job / batch.groups());
    const int group = static_cast<int>(job % batch.groups());
    const std::uint8_t* from = batch.plane(n, group);
    unsigned all = 0;
    for (int c = 0; c < channels_; ++c) {
      std::uint8_t* to =
          planes_.data() + (std::int64_t{group} * channels_ + c) * plane_size_ + n * pixels;
      for (std::int64_t i = 0; i < pixels; ++i) {
        to[i] = from[i * channels_ + c] ^ 128;
        all |= to[i];
      }
    }
    signs |= all;
  });
  if ((signs & 128) != 0 && !negative) {
    refuse_negative_activations(layer);
  }

  weights_.resize(static_cast<std::size_t>(taps_) * g.channels);
  zero_weights_.assign(out_per_group_, 0);
  const int plane = kernel_ * kernel_;
  parallel_for(std::int64_t{batch.groups()} * channels_, [&](std::int64_t job) {
    const std::int64_t group = job / channels_, c = job % channels_;
    std::int8_t* to = weights_.data() + (group * taps_ + c * plane) * out_per_group_;
    const std::int8_t* from = batch.weights + group * out_per_group_ * taps_ + c * plane;
    for (int m = 0; m < out_per_group_; ++m) {
      for (int i = 0; i < plane; ++i) to[i * out_per_group_ + m] = from[m * taps_ + i];
    }
  });
}

}  // namespace inure
