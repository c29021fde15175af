#include "inure/errors/product_errors.hpp"

#include <algorithm>
#include <bitset>

#include "inure/base/parallel.hpp"
#include "inure/errors/activation_planes.hpp"
#include "inure/errors/job_errors.hpp"
#include "inure/errors/job_finder.hpp"
#include "inure/errors/vector_product_errors.hpp"

namespace inure {
namespace {

bool errs(const TimingLanes& lanes, int multiplier) {
  return std::any_of(lanes.lanes.begin(), lanes.lanes.end(), [&](const TimingLanes::Lane& lane) {
    return lane.products[static_cast<std::size_t>(multiplier)]->size() > 0;
  });
}

// The errors of one multiplier on activations that are mostly those of the last time: at most
// places of weights these have no exceptions.
class RepeatedActivations {
 public:
  std::int32_t delta(const ExceptionSet& set, unsigned activations, unsigned weights) {
    if (activations != activations_) {
      activations_ = activations;
      places_.reset();
      const ExceptionSet::List list = set.of_activations(activations, 127);
      for (std::size_t i = 0; i < list.size; ++i) places_.set(list.places[i]);
    }
    if (!places_[ExceptionSet::place(weights >> 8, weights & 255)]) return 0;
    return set.delta(activations, weights);
  }

 private:
  unsigned activations_ = ~0u;  // none
  std::bitset<ExceptionSet::kPlaces> places_;
};

// The first pixel of a block of output channels: the lane's last step was of another channel.
void add_at_first_pixels(const TimingLanes& lanes, const BatchOperands& batch, int image,
                         std::uint32_t* sums) {
  const LaneGeometry& g = *batch.geometry;
  const int end = g.kernel - 1;
  const std::int64_t row = std::int64_t{batch.width} * g.group_channels;
  const std::int64_t last_pixel =
      ((g.height - 1) * g.stride + end) * row + ((g.width - 1) * g.stride + end) * g.group_channels;
  const bool vector = g.width == 1 && g.height == 1;
  // Multiplier by multiplier: most channels have the same activations.
  for (int v = 0; v < g.vec_size; ++v) {
    if (!errs(lanes, v)) continue;
    std::vector<RepeatedActivations> of_kind(lanes.lanes.size());
    const int c = (channel_vectors(g) - 1) * g.vec_size + v;
    for (int m = 0; m < g.channels; ++m) {
      // Of vectors a group's first block only: add_vector_product_errors does the others.
      if (vector && m % g.out_per_group == g.lane_num) m += g.out_per_group - g.lane_num;
      if (m == g.channels) break;
      const int before = m - g.lane_num;
      unsigned activations = 0, weights = 0;
      // A lane's channel before may be one of the padding: the same activations, weights of 0.
      const bool streamed = m + g.pad_offset >= g.lane_num;
      if (streamed && c < g.group_channels) {
        const int group = std::max(before, 0) / g.out_per_group;
        activations = batch.plane(image, group)[last_pixel + c] ^ 128u;
        if (before >= 0) weights = static_cast<std::uint8_t>(batch.weight(before, c, end, end));
      }
      activations <<= 8, weights <<= 8;
      if (v < g.group_channels) {
        activations |= batch.plane(image, m / g.out_per_group)[v] ^ 128u;
        weights |= static_cast<std::uint8_t>(batch.weight(m, v, 0, 0));
      }
      const std::size_t kind = static_cast<std::size_t>(g.lane(m)) % of_kind.size();
      const ExceptionSet& set = *lanes.lanes[kind].products[static_cast<std::size_t>(v)];
      sums[m] += static_cast<std::uint32_t>(of_kind[kind].delta(set, activations, weights));
    }
  }
}

}  // namespace

void ProductErrors::plan(const BatchOperands& batch) {
  const LaneGeometry& g = *batch.geometry;
  if (height_ != batch.height || width_ != batch.width) {
    height_ = batch.height, width_ = batch.width;
    ranges_.clear();
    blocks_.clear();
    weights_version_ = 0;
    for (const OutputRange& range : OutputRange::split(g)) {
      for (int v = 0; v < g.vec_size; ++v) {
        if (errs(lanes_, v)) add_blocks(v, ranges_.size());
      }
      ranges_.emplace_back(g, range, height_, width_);
    }
  }
  if (weights_version_ == batch.weights_version) return;
  weights_version_ = batch.weights_version;
  const std::size_t kinds = lanes_.lanes.size();
  for (Block& block : blocks_) block.uses.resize(kinds);
  parallel_for(static_cast<std::int64_t>(blocks_.size() * kinds), [&](std::int64_t work) {
    Block& block = blocks_[static_cast<std::size_t>(work) / kinds];
    const std::size_t kind = static_cast<std::size_t>(work) % kinds;
    block.uses[kind].build(
        g, batch.weights, block.jobs, ranges_[block.range].range(),
        [&](int channel) { return static_cast<std::size_t>(g.lane(channel)) % kinds == kind; });
  });
}

void ProductErrors::add_blocks(int multiplier, std::size_t range) {
  const LaneGeometry& g = *batch_.geometry;
  const std::vector<TapJob> jobs = tap_jobs(g, batch_.groups(), multiplier, height_, width_);
  constexpr std::size_t kJobs = 256;  // of a block at most
  const std::size_t blocks = (jobs.size() + kJobs - 1) / kJobs;
  for (std::size_t i = 0; i < blocks; ++i) {
    const auto first = jobs.begin() + static_cast<std::ptrdiff_t>(i * jobs.size() / blocks);
    const auto last = jobs.begin() + static_cast<std::ptrdiff_t>((i + 1) * jobs.size() / blocks);
    blocks_.push_back({multiplier, range, {first, last}, {}});
  }
}

void ProductErrors::find(const BatchOperands& batch) {
  batch_ = batch;
  batch_.strips = {};
  const LaneGeometry& g = *batch.geometry;
  if (g.width == 1 && g.height == 1) {
    vectors_.assign(static_cast<std::size_t>(batch.images) * g.channels, 0);
    add_vector_product_errors(lanes_, layer_, batch, vectors_.data());
    return;
  }
  thread_local ActivationPlanes kept_planes;
  ActivationPlanes& planes = kept_planes;  // the caller's, in whichever thread
  plan(batch);
  planes.arrange(batch, layer_, lanes_.negative_activations);
  errors_.resize(blocks_.size());
  parallel_for(static_cast<std::int64_t>(blocks_.size()), [&](std::int64_t i) {
    thread_local JobFinder finder;
    const Block& b = blocks_[static_cast<std::size_t>(i)];
    finder.run(lanes_, planes, batch.images, b.multiplier, b.jobs, b.uses,
               errors_[static_cast<std::size_t>(i)]);
  });
}

void ProductErrors::add_deltas(int image, std::uint32_t* sums) const {
  const LaneGeometry& g = *batch_.geometry;
  add_at_first_pixels(lanes_, batch_, image, sums);
  if (g.width == 1 && g.height == 1) {
    const std::uint32_t* deltas = vectors_.data() + std::int64_t{image} * g.channels;
    for (int c = 0; c < g.channels; ++c) sums[c] += deltas[c];
    return;
  }
  for (std::size_t first = 0, last = 0; first < blocks_.size(); first = last) {
    const std::size_t range = blocks_[first].range;
    while (last < blocks_.size() && blocks_[last].range == range) ++last;
    JobErrors::apply({errors_.data() + first, last - first}, ranges_[range], image, sums);
  }
}

}  // namespace inure
