#include "inure/errors/vector_weights.hpp"

#include <algorithm>
#include <cstring>

#include "inure/base/clones.hpp"
#include "inure/errors/product_table.hpp"

namespace inure {
namespace {

// One tap's weights of a strip: of channel c in bits shift to shift + 7 of the c-th four bytes.
struct Quads {
  const std::int8_t* first;
  int shift;
};

// The pairs of weights, by channel, and the largest magnitude in them (-128 counting as 127).
INURE_CLONES
int join_weights(const Quads& before, const Quads& now, int count, std::uint16_t* pairs) {
  unsigned largest = 0;
  for (int c = 0; c < count; ++c) {
    std::uint32_t b, n;
    std::memcpy(&b, before.first + c * 4, 4);
    std::memcpy(&n, now.first + c * 4, 4);
    const std::uint32_t pair = (b >> before.shift & 255) << 8 | (n >> now.shift & 255);
    pairs[c] = static_cast<std::uint16_t>(pair);
    const std::uint32_t magnitudes = pair ^ (pair >> 7 & 0x0101) * 255;
    largest = std::max({largest, magnitudes >> 8, magnitudes & 255});
  }
  return static_cast<int>(largest);
}

Quads quads(const LaneOperands& strip, int tap) {
  static constexpr std::int8_t kZeros[LaneGeometry::kStripChannels * 4] = {};
  if (strip.tap_activation[tap] < 0) return {kZeros, 0};
  const std::int32_t at = strip.tap_weight[tap];
  return {strip.weights + (at & ~3), at % 4 * 8};
}

}  // namespace

VectorWeights::VectorWeights(const BatchOperands& batch, std::span<const LaneOperands> strips,
                             std::vector<int> multipliers)
    : batch_(batch), g_(*batch.geometry), strips_(strips), multipliers_(std::move(multipliers)) {
  for (const LaneOperands& strip : strips_) channels_ += strip.channels;
}

void VectorWeights::load_first() {
  pairs_.resize(multipliers_.size() * channels_);
  largest_.assign(multipliers_.size(), 127);
  std::uint16_t* pair = pairs_.data();
  for (const int v : multipliers_) {
    for (int c = 0; c < channels_; ++c, ++pair) {
      const int m = strips_[0].first_channel + c;
      if (m % g_.out_per_group < g_.lane_num) continue;
      *pair = static_cast<std::uint16_t>(ProductTable::pair(
          weight(m - g_.lane_num, (g_.steps - 1) * g_.vec_size + v), weight(m, v)));
    }
  }
}

void VectorWeights::load(int first, int end) {
  const std::size_t rows = (end - first) * multipliers_.size();
  pairs_.resize(rows * channels_);
  largest_.assign(rows, 0);
  for (const LaneOperands& strip : strips_) {
    std::uint16_t* pairs = pairs_.data() + strip.first_channel - strips_[0].first_channel;
    for (std::size_t row = 0; row < rows; ++row, pairs += channels_) {
      const int step = first + static_cast<int>(row / multipliers_.size());
      const int tap = step * g_.vec_size + multipliers_[row % multipliers_.size()];
      const int of_strip =
          join_weights(quads(strip, tap - g_.vec_size), quads(strip, tap), strip.channels, pairs);
      largest_[row] = std::max(largest_[row], of_strip);
    }
  }
}

int VectorWeights::weight(int channel, int tap) const {
  const int group = channel / g_.out_per_group, i = channel % g_.out_per_group;
  const std::size_t strips = batch_.strips.size() / batch_.groups();
  const LaneOperands& strip = batch_.strips[group * strips + i / LaneGeometry::kStripChannels];
  const Quads of_strip = quads(strip, tap);
  return of_strip.first[i % LaneGeometry::kStripChannels * 4 + of_strip.shift / 8];
}

}  // namespace inure
