#include "inure/errors/vector_product_errors.hpp"

#include <algorithm>
#include <vector>

#include "inure/base/memory.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/vector_channels.hpp"
#include "inure/errors/vector_weights.hpp"

// In one step of a multiplier every image's pair of activations meets every channel's pair of
// weights. Exceptions come in patches of 64 pairs of weights (exception_set.hpp):
//   1. of each image, the patches of its pair of activations: often none, else some ten; a lookup;
//   2. the channels with weights at the place of any patch, sorted by place: a fraction of a cycle
//      for each that is passed over, some ten cycles for each other (vector_channels.hpp);
//   3. each patch meets the channels at its place, 16 at a time; about every second one errs.
// So the time follows the number of errors, but for reading the weights, a byte in four, once more.
namespace inure {
namespace {

using Patch = ExceptionSet::Patch;

constexpr int kListedSteps = 8;               // whose patches are fetched at once
constexpr std::size_t kFetched = 64;          // bytes of a list's places; of its patches four times
constexpr std::size_t kRowBytes = 128 << 10;  // of weights that are read at once

std::vector<int> erring_multipliers(const TimingLanes& lanes) {
  std::vector<int> multipliers;
  for (int v = 0; v < lanes.vec_size; ++v) {
    const auto errs = [&](const auto& lane) { return lane.products[v]->size() > 0; };
    if (std::any_of(lanes.lanes.begin(), lanes.lanes.end(), errs)) multipliers.push_back(v);
  }
  return multipliers;
}

class VectorErrors {
 public:
  VectorErrors(const TimingLanes& lanes, const BatchOperands& batch,
               std::span<const LaneOperands> strips, std::uint32_t* sums)
      : batch_(batch),
        strips_(strips),
        g_(*batch.geometry),
        first_(strips[0].first_channel),
        sums_(sums),
        multipliers_(erring_multipliers(lanes)),
        weights_(batch, strips, multipliers_),
        lanes_(lanes) {
    const std::size_t words = (static_cast<std::size_t>(weights_.channels()) + 63) / 64;
    of_lane_.assign(lanes.lanes.size(), std::vector<std::uint64_t>(words));
    streamed_ = of_lane_;
    for (int c = 0; c < weights_.channels(); ++c) {
      const std::size_t lane = static_cast<std::size_t>(g_.lane(first_ + c)) % lanes.lanes.size();
      const std::uint64_t bit = std::uint64_t{1} << (c % 64);
      of_lane_[lane][c / 64] |= bit;
      if ((first_ + c) % g_.out_per_group >= g_.lane_num) streamed_[lane][c / 64] |= bit;
    }
  }

  void run() {
    weights_.load_first();
    add_block(0, 1, 0);
    const std::size_t row_bytes = multipliers_.size() * weights_.channels();
    const int steps = std::max(kListedSteps, static_cast<int>(kRowBytes / row_bytes));
    for (int first = 1; first < g_.steps; first += steps) {
      const int end = std::min(first + steps, g_.steps);
      weights_.load(first, end);
      for (int step = first; step < end; step += kListedSteps) {
        add_block(step, std::min(step + kListedSteps, end), (step - first) * multipliers_.size());
      }
    }
  }

 private:
  // One multiplier of one step and one kind of lane.
  struct Meeting {
    std::size_t row;  // of the weights
    const std::vector<std::uint64_t>* channels;
    std::size_t first, end;  // in lists_
  };
  struct Listed {  // of one image
    std::uint32_t image;
    std::uint16_t pair;  // of activations
    ExceptionSet::List list;
  };

  // The weights of the steps have been loaded, the first ones are the row's. Each round's memory
  // is on its way while the round before is done.
  void add_block(int first, int end, std::size_t row) {
    const std::size_t images = static_cast<std::size_t>(batch_.images);
    pairs_.resize((end - first) * multipliers_.size() * images);
    std::uint16_t* pairs = pairs_.data();
    for (int step = first; step < end; ++step) {
      for (const int v : multipliers_) {
        load_pairs((step == 0 ? g_.steps - 1 : step - 1) * g_.vec_size + v, step * g_.vec_size + v,
                   pairs);
        for (const TimingLanes::Lane& lane : lanes_.lanes) {
          for (std::size_t n = 0; n < images; ++n) lane.products[v]->prefetch(pairs[n]);
        }
        pairs += images;
      }
    }
    meetings_.clear();
    list_count_ = 0;
    for (std::size_t at = 0; at < pairs_.size(); at += images, ++row) {
      const int v = multipliers_[row % multipliers_.size()];
      for (std::size_t lane = 0; lane < lanes_.lanes.size(); ++lane) {
        const std::size_t before = list_count_;
        list(*lanes_.lanes[lane].products[v], weights_.largest(row), {pairs_.data() + at, images});
        if (list_count_ == before) continue;
        meetings_.push_back({row, &(first == 0 ? streamed_ : of_lane_)[lane], before, list_count_});
      }
    }
    for (const Meeting& meeting : meetings_) join(meeting);
  }

  // Of activations, by image.
  void load_pairs(int tap_before, int tap, std::uint16_t* pairs) const {
    const std::int32_t* offsets = strips_[0].tap_activation;
    const std::int32_t before = offsets[tap_before], now = offsets[tap];
    const std::int64_t image =
        std::int64_t{batch_.groups()} * batch_.height * batch_.width * g_.group_channels;
    const std::uint8_t* base = strips_[0].activations;
    for (int n = 0; n < batch_.images; ++n, base += image) {
      const unsigned pair =
          ((before < 0 ? 128u : base[before]) << 8 | (now < 0 ? 128u : base[now])) ^ 0x8080u;
      pairs[n] = static_cast<std::uint16_t>(pair);
    }
  }

  // The patches of each image that has some.
  void list(const ExceptionSet& set, int largest, std::span<const std::uint16_t> pairs) {
    lists_.resize(std::max(lists_.size(), list_count_ + pairs.size() + 1));
    for (std::size_t n = 0; n < pairs.size(); ++n) {
      const ExceptionSet::List of_image = set.of_activations(pairs[n], largest);
      fetch_lines(of_image.places, kFetched);
      fetch_lines(of_image.patches, 4 * kFetched);
      lists_[list_count_] = {static_cast<std::uint32_t>(n), pairs[n], of_image};
      list_count_ += of_image.size > 0;
    }
  }

  void join(const Meeting& meeting) {
    const auto lists = std::span(lists_).subspan(meeting.first, meeting.end - meeting.first);
    std::size_t patches = 0, longest = 0;
    for (const Listed& listed : lists) {
      patches += listed.list.size;
      longest = std::max(longest, listed.list.size);
    }
    // Where patches are many, hardly a channel would be left out.
    if (patches > static_cast<std::size_t>(weights_.channels())) {
      channels_.mark_all();
    } else {
      channels_.clear();
      for (const Listed& listed : lists) channels_.mark({listed.list.places, listed.list.size});
    }
    channels_.find(weights_.before(meeting.row), weights_.now(meeting.row), *meeting.channels);
    if (present_.size() <= longest) present_.resize(longest + 1);
    if (meets_.size() < patches) meets_.resize(patches);
    std::size_t met = 0;
    for (const Listed& listed : lists) {
      const std::size_t present =
          channels_.find_present({listed.list.places, listed.list.size}, present_.data());
      const std::size_t sums = std::size_t{listed.image} * g_.channels + first_;
      for (std::size_t i = 0; i < present; ++i) {
        const Patch& patch = listed.list.patches[present_[i]];
        const std::int32_t delta = ExceptionSet::signed_delta(
            listed.pair, ExceptionSet::weight_now(patch.place), patch.delta);
        meets_[met++] = {patch.mask(), patch.place, static_cast<std::uint32_t>(sums),
                         static_cast<std::uint32_t>(delta)};
      }
    }
    channels_.add_errors({meets_.data(), met}, sums_);
  }

  const BatchOperands& batch_;
  std::span<const LaneOperands> strips_;  // of one group
  const LaneGeometry& g_;
  const int first_;  // channel
  std::uint32_t* sums_;

  const std::vector<int> multipliers_;  // that err
  VectorWeights weights_;
  // By kind of lane, a bit a channel: all, and those of the first step.
  std::vector<std::vector<std::uint64_t>> of_lane_, streamed_;
  const TimingLanes& lanes_;

  std::vector<Meeting> meetings_;
  std::vector<Listed> lists_;
  std::size_t list_count_ = 0;
  std::vector<std::uint16_t> pairs_;  // of activations, by row and image
  VectorChannels channels_;           // of the present meeting
  std::vector<VectorChannels::Meet> meets_;
  std::vector<std::uint32_t> present_;  // of a list's patches
};

void check_activations(const std::string& layer, const BatchOperands& batch) {
  const LaneGeometry& g = *batch.geometry;
  const std::int64_t size =
      std::int64_t{batch.groups()} * batch.height * batch.width * g.group_channels;
  for (int n = 0; n < batch.images; ++n) {
    const std::uint8_t* image = batch.plane(n, 0);
    if (size > 0 && *std::min_element(image, image + size) < 128)
      refuse_negative_activations(layer);
  }
}

}  // namespace

void add_vector_product_errors(const TimingLanes& lanes, const std::string& layer,
                               const BatchOperands& batch, std::uint32_t* sums) {
  if (!lanes.negative_activations) check_activations(layer, batch);
  const std::size_t strips = batch.strips.size() / batch.groups();
  const std::size_t jobs_a_group = std::clamp<std::size_t>(threads(), 1, strips);
  const auto jobs = static_cast<std::int64_t>(jobs_a_group) * batch.groups();
  parallel_for(jobs, [&](std::int64_t job) {
    const std::size_t group = job / jobs_a_group, part = job % jobs_a_group;
    const std::size_t first = group * strips + part * strips / jobs_a_group;
    const std::size_t last = group * strips + (part + 1) * strips / jobs_a_group;
    VectorErrors(lanes, batch, batch.strips.subspan(first, last - first), sums).run();
  });
}

}  // namespace inure
