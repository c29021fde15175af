#include "inure/errors/vector_product_errors.hpp"

#include <algorithm>
#include <vector>

#include "inure/base/clones.hpp"
#include "inure/base/parallel.hpp"

// In one step of a multiplier every image's pair of activations meets every channel's pair of
// weights. Each side is grouped by pair. The exceptions of the pairs of the smaller side are gone
// through, and those whose other pair occurs on the other side add their deltas.
namespace inure {
namespace {

constexpr unsigned kPairs = ProductTable::kPairs;
constexpr int kBlockSteps = 8;  // whose pairs of weights are made at once

// Positions from 0 to count - 1 at which pairs[i] is marked; `found` has room for one more.
std::uint32_t find_marked(const std::uint16_t* pairs, std::uint32_t count,
                          const std::uint8_t* marked, std::uint32_t* found) {
  std::uint32_t n = 0;
#pragma GCC unroll 4
  for (std::uint32_t i = 0; i < count; ++i) {
    found[n] = i;
    n += marked[pairs[i]];
  }
  return n;
}

using Exception = ExceptionSet::OfActivations;

// Those of marked weights; `found` has room for one more.
std::uint32_t find_marked(std::span<const Exception> list, const std::uint8_t* marked,
                          Exception* found) {
  std::uint32_t n = 0;
#pragma GCC unroll 4
  for (const Exception& e : list) {
    found[n] = e;
    n += marked[e.weights];
  }
  return n;
}

// Numbers of images or of channels by their pair.
class Group {
 public:
  void reset(std::size_t numbers) {
    for (std::size_t i = 0; i < distinct_; ++i) last_[pairs_[i]] = 0;
    distinct_ = 0;
    if (pairs_.size() < numbers + 1) pairs_.resize(numbers + 1), before_.resize(numbers + 1);
  }
  void add(std::uint16_t pair, std::uint32_t number) {
    const std::uint32_t before = last_[pair];
    before_[number] = before;
    last_[pair] = number + 1;
    pairs_[distinct_] = pair;
    distinct_ += before == 0;
  }
  std::span<const std::uint16_t> pairs() const { return {pairs_.data(), distinct_}; }
  template <typename Visit>
  void each(unsigned pair, Visit visit) const {
    for (std::uint32_t i = last_[pair]; i != 0; i = before_[i - 1]) visit(i - 1);
  }

 private:
  std::vector<std::uint32_t> last_ = std::vector<std::uint32_t>(kPairs);  // its number + 1
  std::vector<std::uint32_t> before_;  // of the same pair: its number + 1
  std::vector<std::uint16_t> pairs_;   // distinct
  std::size_t distinct_ = 0;
};

INURE_CLONES
int join_weights(const std::int8_t* before, const std::int8_t* now, int count,
                 std::uint16_t* pairs) {
  int largest = 0;
  for (int c = 0; c < count; ++c) {
    const int b = before[c * 4], n = now[c * 4];
    pairs[c] = static_cast<std::uint16_t>((b & 255) << 8 | (n & 255));
    largest = std::max(largest, std::max(b ^ b >> 7, n ^ n >> 7));
  }
  return largest;
}

class VectorErrors {
 public:
  VectorErrors(const TimingLanes& lanes, const BatchOperands& batch,
               std::span<const LaneOperands> strips, std::uint32_t* sums)
      : lanes_(lanes),
        batch_(batch),
        strips_(strips),
        g_(*batch.geometry),
        first_(strips[0].first_channel),
        sums_(sums) {
    for (const LaneOperands& strip : strips_) channels_ += strip.channels;
    for (int v = 0; v < g_.vec_size; ++v) {
      const auto errs = [&](const auto& lane) { return lane.products[v]->size() > 0; };
      if (std::any_of(lanes.lanes.begin(), lanes.lanes.end(), errs)) multipliers_.push_back(v);
    }
    channels_of_lane_.resize(lanes.lanes.size());
    streamed_.resize(lanes.lanes.size());
    for (int c = 0; c < channels_; ++c) {
      const std::size_t lane = static_cast<std::size_t>(g_.lane(first_ + c)) % lanes.lanes.size();
      channels_of_lane_[lane].push_back(static_cast<std::uint32_t>(c));
      if ((first_ + c) % g_.out_per_group < g_.lane_num) continue;
      streamed_[lane].push_back(static_cast<std::uint32_t>(c));
    }
  }

  void run() {
    load_first_weights();
    add_block(0, 1);
    for (int step = 1; step < g_.steps; step += kBlockSteps) {
      const int end = std::min(step + kBlockSteps, g_.steps);
      load_weights(step, end);
      add_block(step, end);
    }
  }

 private:
  // The weights of the steps have been loaded.
  void add_block(int first, int end) {
    weights_ = weight_pairs_.data();
    const int* largest = largest_.data();
    for (int step = first; step < end; ++step) {
      for (const int v : multipliers_) {
        load_activations((step == 0 ? g_.steps - 1 : step - 1) * g_.vec_size + v,
                         step * g_.vec_size + v);
        for (std::size_t lane = 0; lane < lanes_.lanes.size(); ++lane) {
          const auto& channels = (step == 0 ? streamed_ : channels_of_lane_)[lane];
          join(*lanes_.lanes[lane].products[v], channels, *largest);
        }
        weights_ += channels_;
        ++largest;
      }
    }
  }

  // Of the first step, which follows the last one of the lane's channel before.
  void load_first_weights() {
    weight_pairs_.resize(multipliers_.size() * channels_);
    largest_.assign(multipliers_.size(), 127);
    std::uint16_t* pairs = weight_pairs_.data();
    for (const int v : multipliers_) {
      for (int c = 0; c < channels_; ++c, ++pairs) {
        const int m = first_ + c;
        if (m % g_.out_per_group < g_.lane_num) continue;
        *pairs = static_cast<std::uint16_t>(ProductTable::pair(
            weight(m - g_.lane_num, (g_.steps - 1) * g_.vec_size + v), weight(m, v)));
      }
    }
  }

  void load_weights(int step, int end) {
    const std::size_t rows = (end - step) * multipliers_.size();
    weight_pairs_.resize(rows * channels_);
    largest_.assign(rows, 0);
    for (const LaneOperands& strip : strips_) {
      std::uint16_t* pairs = weight_pairs_.data() + strip.first_channel - first_;
      for (std::size_t row = 0; row < rows; ++row, pairs += channels_) {
        const int s = step + static_cast<int>(row / multipliers_.size());
        const int tap = s * g_.vec_size + multipliers_[row % multipliers_.size()];
        const int largest = join_weights(weights(strip, tap - g_.vec_size), weights(strip, tap),
                                         strip.channels, pairs);
        largest_[row] = std::max(largest_[row], largest);
      }
    }
  }

  int weight(int channel, int tap) const {
    const int group = channel / g_.out_per_group, i = channel % g_.out_per_group;
    const std::size_t strips = batch_.strips.size() / batch_.groups();
    const LaneOperands& strip = batch_.strips[group * strips + i / LaneGeometry::kStripChannels];
    return weights(strip, tap)[i % LaneGeometry::kStripChannels * 4];
  }

  const std::int8_t* weights(const LaneOperands& strip, int tap) const {
    static constexpr std::int8_t kZeros[LaneGeometry::kStripChannels * 4] = {};
    return strip.tap_activation[tap] < 0 ? kZeros : strip.weights + strip.tap_weight[tap];
  }

  void load_activations(int tap_before, int tap) {
    const std::int32_t* offsets = strips_[0].tap_activation;
    const std::int32_t before = offsets[tap_before], now = offsets[tap];
    const std::int64_t image =
        std::int64_t{batch_.groups()} * batch_.height * batch_.width * g_.group_channels;
    images_.reset(batch_.images);
    for (int n = 0; n < batch_.images; ++n) {
      const std::uint8_t* base = strips_[0].activations + n * image;
      const unsigned pair =
          ((before < 0 ? 128u : base[before]) << 8 | (now < 0 ? 128u : base[now])) ^ 0x8080u;
      images_.add(static_cast<std::uint16_t>(pair), n);
    }
  }

  // Adds the deltas of one multiplier and one kind of lane.
  void join(const ExceptionSet& set, const std::vector<std::uint32_t>& channels, int largest) {
    std::size_t exceptions = 0;
    lists_.clear();
    for (const std::uint16_t pair : images_.pairs()) {
      const std::span<const Exception> list = set.of_activations(pair, largest);
      if (list.empty()) continue;
      __builtin_prefetch(list.data());
      lists_.push_back({pair, list});
      exceptions += list.size();
    }
    if (lists_.empty()) return;
    exceptions_.resize(exceptions + 1);
    found_.resize(channels.size() + 1);
    const bool thin = channels.size() * 2 > exceptions;
    channels_by_pair_.reset(channels_);
    if (thin) {
      mark_lists(1);
      pairs_.resize(channels.size());
      for (std::size_t i = 0; i < channels.size(); ++i) pairs_[i] = weights_[channels[i]];
      const std::uint32_t n =
          find_marked(pairs_.data(), static_cast<std::uint32_t>(channels.size()), marked_.data(),
                      found_.data());
      mark_lists(0);
      for (std::uint32_t i = 0; i < n; ++i) {
        const std::uint32_t c = channels[found_[i]];
        channels_by_pair_.add(weights_[c], c);
      }
    } else {
      for (const std::uint32_t c : channels) channels_by_pair_.add(weights_[c], c);
    }
    for (const std::uint16_t pair : channels_by_pair_.pairs()) marked_[pair] = 1;
    for (const auto& [pair, list] : lists_) {
      const std::uint32_t n = find_marked(list, marked_.data(), exceptions_.data());
      for (std::uint32_t i = 0; i < n; ++i) add(pair, exceptions_[i]);
    }
    for (const std::uint16_t pair : channels_by_pair_.pairs()) marked_[pair] = 0;
  }

  void add(unsigned activations, const Exception& e) {
    const auto delta =
        static_cast<std::uint32_t>(ExceptionSet::signed_delta(activations, e.weights, e.delta));
    channels_by_pair_.each(e.weights, [&](std::uint32_t c) {
      std::uint32_t* sum = sums_ + first_ + c;
      images_.each(activations, [&](std::size_t image) { sum[image * g_.channels] += delta; });
    });
  }

  void mark_lists(std::uint8_t mark) {
    for (const Listed& listed : lists_) {
      for (const Exception& e : listed.list) marked_[e.weights] = mark;
    }
  }

  const TimingLanes& lanes_;
  const BatchOperands& batch_;
  std::span<const LaneOperands> strips_;  // of one group
  const LaneGeometry& g_;
  const int first_;  // channel
  std::uint32_t* sums_;

  int channels_ = 0;              // of the strips
  std::vector<int> multipliers_;  // that err
  std::vector<std::vector<std::uint32_t>> channels_of_lane_;
  std::vector<std::vector<std::uint32_t>> streamed_;  // those of the first step
  std::vector<std::uint16_t> weight_pairs_;           // of a block: [step][multiplier][channel]
  std::vector<int> largest_;  // [step][multiplier]: of the magnitudes of the weights

  struct Listed {
    std::uint16_t pair;
    std::span<const Exception> list;
  };
  const std::uint16_t* weights_ = nullptr;
  Group images_, channels_by_pair_;
  std::vector<Listed> lists_;
  std::vector<std::uint8_t> marked_ = std::vector<std::uint8_t>(kPairs);
  std::vector<std::uint16_t> pairs_;
  std::vector<std::uint32_t> found_;
  std::vector<Exception> exceptions_;
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
