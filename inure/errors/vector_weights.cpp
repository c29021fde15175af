#include "inure/errors/vector_weights.hpp"

#include <algorithm>
#include <cstring>

#include "inure/base/clones.hpp"
#include "inure/base/memory.hpp"

namespace inure {
namespace {

// Bits shift to shift + 7 of each four bytes. Returns the largest magnitude, -128 counting as 127.
INURE_CLONES
int copy_bytes(const std::int8_t* quads, int shift, int count, std::uint8_t* bytes) {
  for (int c = 0; c < count; ++c) {
    bytes[c] = static_cast<std::uint8_t>(load_word(quads + c * 4) >> shift);
  }
  std::uint8_t largest = 0;
  for (int c = 0; c < count; ++c) {
    const std::uint8_t magnitude = bytes[c] < 128 ? bytes[c] : 255 - bytes[c];
    largest = std::max(largest, magnitude);
  }
  return largest;
}

}  // namespace

VectorWeights::VectorWeights(const BatchOperands& batch, std::span<const LaneOperands> strips,
                             std::vector<int> multipliers)
    : batch_(batch), g_(*batch.geometry), strips_(strips), multipliers_(std::move(multipliers)) {
  for (const LaneOperands& strip : strips_) channels_ += strip.channels;
  stride_ = (static_cast<std::size_t>(channels_) + 63) / 64 * 64;
}

void VectorWeights::load_first() {
  const std::size_t rows = multipliers_.size();
  bytes_.assign(2 * rows * stride_, 0);
  largest_.assign(2 * rows, 127);
  end_ = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const int v = multipliers_[row];
    for (int c = 0; c < channels_; ++c) {
      const int m = strips_[0].first_channel + c;
      if (m % g_.out_per_group < g_.lane_num) continue;
      bytes_[row * stride_ + c] =
          static_cast<std::uint8_t>(weight(m - g_.lane_num, (g_.steps - 1) * g_.vec_size + v));
      bytes_[(rows + row) * stride_ + c] = static_cast<std::uint8_t>(weight(m, v));
    }
  }
}

void VectorWeights::load(int first, int end) {
  const std::size_t multipliers = multipliers_.size();
  const std::size_t rows = (end - first + 1) * multipliers, known = end_ == first ? multipliers : 0;
  if (known != 0) {
    std::copy(bytes_.end() - known * stride_, bytes_.end(), bytes_.begin());
    std::copy(largest_.end() - known, largest_.end(), largest_.begin());
  }
  end_ = end;
  bytes_.resize(rows * stride_);
  largest_.resize(rows);
  std::fill(largest_.begin() + known, largest_.end(), 0);
  for (const LaneOperands& strip : strips_) {
    const LaneOperands& next = &strip == &strips_.back() ? strip : (&strip)[1];
    const int place = strip.first_channel - strips_[0].first_channel;
    for (std::size_t row = known; row < rows; ++row) {
      const int step = first - 1 + static_cast<int>(row / multipliers);
      const int tap = step * g_.vec_size + multipliers_[row % multipliers];
      std::uint8_t* const bytes = bytes_.data() + row * stride_ + place;
      if (strip.tap_activation[tap] < 0) {  // a padded channel's
        std::memset(bytes, 0, strip.channels);
        continue;
      }
      const std::int32_t at = strip.tap_weight[tap];
      // The next strip's: the processor does not foresee where they lie.
      fetch_lines(next.weights + (at & ~3), LaneGeometry::kStripChannels * 4);
      const int of_strip = copy_bytes(strip.weights + (at & ~3), at % 4 * 8, strip.channels, bytes);
      largest_[row] = std::max(largest_[row], of_strip);
    }
  }
}

int VectorWeights::largest(std::size_t i) const {
  return std::max(largest_[i], largest_[i + multipliers_.size()]);
}

int VectorWeights::weight(int channel, int tap) const {
  const int group = channel / g_.out_per_group, i = channel % g_.out_per_group;
  const std::size_t strips = batch_.strips.size() / batch_.groups();
  const LaneOperands& strip = batch_.strips[group * strips + i / LaneGeometry::kStripChannels];
  if (strip.tap_activation[tap] < 0) return 0;  // a padded channel's
  return strip.weights[strip.tap_weight[tap] + i % LaneGeometry::kStripChannels * 4];
}

}  // namespace inure
