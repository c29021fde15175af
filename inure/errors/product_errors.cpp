#include "inure/errors/product_errors.hpp"

#include <algorithm>

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

// Errors are added to an image at a time, as many as fit the cache beside the image's sums.
constexpr std::size_t kErrorBytes = 4 << 20;

// The first pixel of a block of output channels: the lane's last step was of another channel.
void add_at_first_pixels(const TimingLanes& lanes, const BatchOperands& batch, int image,
                         std::uint32_t* sums) {
  const LaneGeometry& g = *batch.geometry;
  const int end = g.kernel - 1;
  const std::int64_t row = std::int64_t{batch.width} * g.group_channels;
  const std::int64_t last_pixel =
      ((g.height - 1) * g.stride + end) * row + ((g.width - 1) * g.stride + end) * g.group_channels;
  const bool vector = g.width == 1 && g.height == 1;
  for (int m = 0; m < g.channels; ++m) {
    // Of vectors a group's first block only: add_vector_product_errors does the others.
    if (vector && m % g.out_per_group == g.lane_num) m += g.out_per_group - g.lane_num;
    if (m == g.channels) break;
    const TimingLanes::Lane& lane = lanes.of(g.lane(m));
    const int before = m - g.lane_num;
    for (int v = 0; v < g.vec_size; ++v) {
      unsigned activations = 0, weights = 0;
      // A lane's channel before may be one of the padding: the same activations, weights of 0.
      const bool streamed = m + g.pad_offset >= g.lane_num;
      const int c = (channel_vectors(g) - 1) * g.vec_size + v;
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
      sums[m] += static_cast<std::uint32_t>(lane.products[v]->delta(activations, weights));
    }
  }
}

}  // namespace

void ProductErrors::plan(const BatchOperands& batch) {
  const LaneGeometry& g = *batch.geometry;
  if (height_ != batch.height || width_ != batch.width) {
    height_ = batch.height, width_ = batch.width;
    blocks_.clear();
    weights_version_ = 0;
    for (int v = 0; v < g.vec_size; ++v) {
      if (!errs(lanes_, v)) continue;
      const std::vector<TapJob> jobs = tap_jobs(g, batch.groups(), v, height_, width_);
      for (const OutputRange& range : OutputRange::split(g)) add_blocks(v, jobs, range);
    }
  }
  if (weights_version_ == batch.weights_version) return;
  weights_version_ = batch.weights_version;
  const std::size_t kinds = lanes_.lanes.size();
  for (Block& block : blocks_) block.uses.resize(kinds);
  parallel_for(static_cast<std::int64_t>(blocks_.size() * kinds), [&](std::int64_t work) {
    Block& block = blocks_[static_cast<std::size_t>(work) / kinds];
    const std::size_t kind = static_cast<std::size_t>(work) % kinds;
    block.uses[kind].build(g, batch.weights, block.jobs, block.range, [&](int channel) {
      return static_cast<std::size_t>(g.lane(channel)) % kinds == kind;
    });
  });
}

void ProductErrors::add_blocks(int multiplier, const std::vector<TapJob>& jobs,
                               const OutputRange& range) {
  const std::size_t blocks = (jobs.size() + WeightUses::kJobs - 1) / WeightUses::kJobs;
  for (std::size_t i = 0; i < blocks; ++i) {
    const auto first = jobs.begin() + static_cast<std::ptrdiff_t>(i * jobs.size() / blocks);
    const auto last = jobs.begin() + static_cast<std::ptrdiff_t>((i + 1) * jobs.size() / blocks);
    blocks_.push_back({multiplier, range, {first, last}, {}});
  }
}

void ProductErrors::add_deltas(const BatchOperands& batch, std::uint32_t* sums) {
  const LaneGeometry& g = *batch.geometry;
  const std::int64_t image_size = std::int64_t{g.height} * g.width * g.channels;
  parallel_for(batch.images, [&](std::int64_t n) {
    add_at_first_pixels(lanes_, batch, static_cast<int>(n), sums + n * image_size);
  });
  if (g.width == 1 && g.height == 1) {
    add_vector_product_errors(lanes_, layer_, batch, sums);
    return;
  }
  thread_local ActivationPlanes kept_planes;
  thread_local std::vector<JobErrors> kept_errors;
  ActivationPlanes& planes = kept_planes;  // the caller's, in whichever thread
  std::vector<JobErrors>& errors = kept_errors;
  plan(batch);
  planes.arrange(batch, layer_, lanes_.negative_activations);
  const auto at_once = static_cast<std::size_t>(threads());
  errors.resize(std::max(errors.size(), blocks_.size()));
  for (std::size_t first = 0, last = 0; first < blocks_.size(); first = last) {
    for (std::size_t bytes = 0; last < blocks_.size() && bytes < kErrorBytes;) {
      const std::size_t count = std::min(at_once, blocks_.size() - last);
      parallel_for(static_cast<std::int64_t>(count), [&](std::int64_t i) {
        thread_local JobFinder finder;
        const Block& b = blocks_[last + i];
        finder.run(lanes_, planes, batch.images, b.multiplier, b.jobs, b.uses,
                   errors[last - first + i]);
      });
      for (std::size_t i = 0; i < count; ++i, ++last) bytes += errors[last - first].bytes();
    }
    parallel_for(batch.images, [&](std::int64_t n) {
      for (std::size_t i = first; i < last; ++i) {
        errors[i - first].apply(g, blocks_[i].range, static_cast<int>(n), sums + n * image_size);
      }
    });
  }
}

}  // namespace inure
