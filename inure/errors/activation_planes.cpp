#include "inure/errors/activation_planes.hpp"

#include <algorithm>
#include <atomic>

#include "inure/base/clones.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/timing_lanes.hpp"

namespace inure {
namespace {

// Channels apart become pixels side by side.
INURE_CLONES
void transpose(const std::uint8_t* from, int pixels, std::int64_t from_pixel, int channels,
               std::uint8_t* to, std::int64_t to_channel) {
  constexpr int kPixels = 64, kChannels = 16;  // whose lines fit the first cache
  for (int first = 0; first < pixels; first += kPixels) {
    const int count = std::min(kPixels, pixels - first);
    for (int c0 = 0; c0 < channels; c0 += kChannels) {
      for (int c = c0; c < std::min(c0 + kChannels, channels); ++c) {
        const std::uint8_t* in = from + first * from_pixel + c;
        std::uint8_t* out = to + c * to_channel + first;
        for (int i = 0; i < count; ++i) out[i] = in[i * from_pixel] ^ 128;
      }
    }
  }
}

INURE_CLONES
unsigned any_negative(const std::uint8_t* bytes, std::size_t count) {
  unsigned all = 0;
  for (std::size_t i = 0; i < count; ++i) all |= bytes[i] ^ 128u;
  return all;
}

INURE_CLONES
void join_pairs(const std::uint8_t* before, const std::uint8_t* now, const std::uint16_t* valid,
                int count, int shift, std::uint16_t* keys) {
  for (int i = 0; i < count; ++i) {
    keys[i] = static_cast<std::uint16_t>((before[i] << shift | now[i]) & valid[i]);
  }
}

// Rounded down, as / is not.
int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

}  // namespace

void ActivationPlanes::arrange(const BatchOperands& batch, const std::string& layer,
                               bool negative) {
  g_ = batch.geometry;
  negative_ = negative;
  images_ = batch.images;
  const int s = g_->stride, k = g_->kernel;
  rows_ = (batch.height + s - 1) / s;
  columns_ = (batch.width + s - 1) / s;
  phases_ = std::min(s, k);
  plane_size_ = std::int64_t{images_} * rows_ * columns_;
  margin_ = (k / s + 2) * (columns_ + 1);
  const std::int64_t planes = std::int64_t{batch.groups()} * g_->group_channels * phases_ * phases_;
  values_.resize(static_cast<std::size_t>(planes * plane_size_ + 2 * margin_));
  zeros_.assign(static_cast<std::size_t>(plane_size_ + 2 * margin_), 0);
  std::atomic<unsigned> signs{0};
  parallel_for(std::int64_t{images_} * batch.groups(), [&](std::int64_t work) {
    const int image = static_cast<int>(work / batch.groups());
    const int group = static_cast<int>(work % batch.groups());
    arrange_image(batch, image, group);
    if (!negative) {
      const std::int64_t size = std::int64_t{batch.height} * batch.width * g_->group_channels;
      signs |= any_negative(batch.plane(image, group), static_cast<std::size_t>(size));
    }
  });
  if ((signs & 128) != 0) refuse_negative_activations(layer);
}

void ActivationPlanes::arrange_image(const BatchOperands& batch, int image, int group) {
  const int s = g_->stride, channels = g_->group_channels;
  const std::uint8_t* from = batch.plane(image, group);
  for (int py = 0; py < phases_; ++py) {
    for (int px = 0; px < phases_; ++px) {
      const std::int64_t first = ((std::int64_t{group} * channels * phases_ + py) * phases_ + px);
      std::uint8_t* to =
          values_.data() + margin_ + first * plane_size_ + std::int64_t{image} * positions();
      const std::int64_t to_channel = plane_size_ * phases_ * phases_;
      if (s == 1) {
        transpose(from, positions(), channels, channels, to, to_channel);
        continue;
      }
      const int columns = (batch.width - px + s - 1) / s;
      for (int y = py; y < batch.height; y += s, to += columns_) {
        transpose(from + (std::int64_t{y} * batch.width + px) * channels, columns,
                  std::int64_t{s} * channels, channels, to, to_channel);
      }
    }
  }
}

const std::uint8_t* ActivationPlanes::plane(int group, int c, int phase_y, int phase_x) const {
  if (c >= g_->group_channels) return zeros_.data() + margin_;
  const std::int64_t channel = std::int64_t{group} * g_->group_channels + c;
  return values_.data() + margin_ +
         ((channel * phases_ + phase_y) * phases_ + phase_x) * plane_size_;
}

ActivationPlanes::Pairs::Pairs(const ActivationPlanes& planes, const TapJob& job)
    : planes_(planes), job_(job) {
  const int s = planes.g_->stride, columns = planes.columns_;
  const int up = floor_div(job.phase_y + job.dy, s), left = floor_div(job.phase_x + job.dx, s);
  now_ = planes.plane(job.group, job.c, job.phase_y, job.phase_x);
  before_ = planes.plane(job.group, job.c_before, job.phase_y + job.dy - up * s,
                         job.phase_x + job.dx - left * s) +
            up * columns + left;
  keys_.resize(static_cast<std::size_t>(planes.positions()));
  valid_.assign(keys_.size(), 0);
  for (int row = job.first_row; row < job.end_row; ++row) {
    std::uint16_t* of_row = valid_.data() + std::ptrdiff_t{row} * columns;
    std::fill(of_row + job.first_column, of_row + job.end_column, 0xFFFF);
  }
}

std::span<const std::uint16_t> ActivationPlanes::Pairs::of_image(int image) {
  const LaneGeometry& g = *planes_.g_;
  const int s = g.stride, shift = planes_.negative_ ? 8 : 7, end = g.kernel - 1;
  const int columns = planes_.columns_;
  const std::ptrdiff_t first = std::ptrdiff_t{image} * planes_.positions();
  join_pairs(before_ + first, now_ + first, valid_.data(), planes_.positions(), shift,
             keys_.data());
  if (job_.before != TapJob::Before::kPixel) return keys_;
  // The last pixel of the row above comes before a row's first one.
  const std::uint8_t* last = planes_.plane(job_.group, job_.c_before, end % s, end % s) + first +
                             (end / s) * columns + g.width - 1 + end / s;
  for (int row = 1; row < job_.end_row; ++row) {
    const unsigned previous = last[(row - 1) * columns], current = now_[first + row * columns];
    keys_[static_cast<std::size_t>(row) * columns] =
        static_cast<std::uint16_t>(previous << shift | current);
  }
  keys_[0] = 0;
  return keys_;
}

}  // namespace inure
