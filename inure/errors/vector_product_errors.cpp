#include "inure/errors/vector_product_errors.hpp"

#include <algorithm>
#include <vector>

#include "inure/base/parallel.hpp"
#include "inure/errors/vector_weights.hpp"

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

using Exception = ExceptionSet::Exception;

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
      : lanes_(lanes),
        batch_(batch),
        strips_(strips),
        g_(*batch.geometry),
        first_(strips[0].first_channel),
        sums_(sums),
        multipliers_(erring_multipliers(lanes)),
        weights_(batch, strips, multipliers_),
        channels_(weights_.channels()) {
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
    weights_.load_first();
    add_block(0, 1);
    for (int step = 1; step < g_.steps; step += kBlockSteps) {
      const int end = std::min(step + kBlockSteps, g_.steps);
      weights_.load(step, end);
      add_block(step, end);
    }
  }

 private:
  // All images' lists of exceptions for one multiplier of one step and one kind of lane.
  struct Meeting {
    std::size_t first, end;  // in lists_
    std::size_t exceptions;
    const std::vector<std::uint32_t>* channels;  // of the lanes
    const std::uint16_t* weights;                // their pairs, by channel
  };
  struct Images {  // of one pair of activations
    std::uint16_t pair;
    std::size_t first, end;  // in image_numbers_
  };
  struct Listed {
    Images images;
    std::span<const Exception> list;
  };

  // The weights of the steps have been loaded. All lists first: they are on their way from memory
  // while those before are used.
  void add_block(int first, int end) {
    meetings_.clear();
    lists_.clear();
    image_numbers_.clear();
    std::size_t row = 0;
    for (int step = first; step < end; ++step) {
      for (const int v : multipliers_) {
        load_activations((step == 0 ? g_.steps - 1 : step - 1) * g_.vec_size + v,
                         step * g_.vec_size + v);
        for (std::size_t lane = 0; lane < lanes_.lanes.size(); ++lane) {
          Meeting meeting{lists_.size(), 0, 0, nullptr, weights_.row(row)};
          meeting.channels = &(step == 0 ? streamed_ : channels_of_lane_)[lane];
          add_lists(*lanes_.lanes[lane].products[v], weights_.largest(row), meeting);
          if (meeting.exceptions > 0) meetings_.push_back(meeting);
        }
        ++row;
      }
    }
    for (const Meeting& meeting : meetings_) join(meeting);
  }

  void add_lists(const ExceptionSet& set, int largest, Meeting& meeting) {
    for (const Images& images : images_) {
      const std::span<const Exception> list = set.of_activations(images.pair, largest);
      if (list.empty()) continue;
      constexpr std::size_t kLine = 64 / sizeof(Exception), kLines = 12;
      for (std::size_t i = 0; i < std::min(list.size(), kLines * kLine); i += kLine) {
        __builtin_prefetch(&list[i], 0, 2);
      }
      lists_.push_back({images, list});
      meeting.exceptions += list.size();
    }
    meeting.end = lists_.size();
  }

  void load_activations(int tap_before, int tap) {
    const std::int32_t* offsets = strips_[0].tap_activation;
    const std::int32_t before = offsets[tap_before], now = offsets[tap];
    const std::int64_t image =
        std::int64_t{batch_.groups()} * batch_.height * batch_.width * g_.group_channels;
    images_by_pair_.reset(batch_.images);
    for (int n = 0; n < batch_.images; ++n) {
      const std::uint8_t* base = strips_[0].activations + n * image;
      const unsigned pair =
          ((before < 0 ? 128u : base[before]) << 8 | (now < 0 ? 128u : base[now])) ^ 0x8080u;
      images_by_pair_.add(static_cast<std::uint16_t>(pair), n);
    }
    images_.clear();
    for (const std::uint16_t pair : images_by_pair_.pairs()) {
      const std::size_t first = image_numbers_.size();
      images_by_pair_.each(pair, [&](std::uint32_t n) { image_numbers_.push_back(n); });
      images_.push_back({pair, first, image_numbers_.size()});
    }
  }

  // Adds the deltas.
  void join(const Meeting& meeting) {
    const std::vector<std::uint32_t>& channels = *meeting.channels;
    lists_now_ = std::span(lists_).subspan(meeting.first, meeting.end - meeting.first);
    pairs_now_ = meeting.weights;
    channels_by_pair_.reset(channels_);
    if (channels.size() * 2 > meeting.exceptions) {
      group_some(channels);
    } else {
      for (const std::uint32_t c : channels) channels_by_pair_.add(pairs_now_[c], c);
    }
    exceptions_.resize(std::max(exceptions_.size(), meeting.exceptions + 1));
    for (const std::uint16_t pair : channels_by_pair_.pairs()) marked_[pair] = 1;
    for (const Listed& listed : lists_now_) {
      const std::uint32_t n = find_marked(listed.list, marked_.data(), exceptions_.data());
      for (std::uint32_t i = 0; i < n; ++i) add(listed.images, exceptions_[i]);
    }
    for (const std::uint16_t pair : channels_by_pair_.pairs()) marked_[pair] = 0;
  }

  // Where channels are many, only those that err.
  void group_some(const std::vector<std::uint32_t>& channels) {
    const std::uint16_t* pairs = pairs_now_;
    if (lanes_.lanes.size() > 1 || channels.size() < static_cast<std::size_t>(channels_)) {
      pairs_.resize(channels.size());
      for (std::size_t i = 0; i < channels.size(); ++i) pairs_[i] = pairs_now_[channels[i]];
      pairs = pairs_.data();
    }
    found_.resize(channels.size() + 1);
    mark_lists(1);
    const std::uint32_t n = find_marked(pairs, static_cast<std::uint32_t>(channels.size()),
                                        marked_.data(), found_.data());
    mark_lists(0);
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t c = channels[found_[i]];
      channels_by_pair_.add(pairs_now_[c], c);
    }
  }

  void add(const Images& images, const Exception& e) {
    const auto delta =
        static_cast<std::uint32_t>(ExceptionSet::signed_delta(images.pair, e.weights, e.delta));
    channels_by_pair_.each(e.weights, [&](std::uint32_t c) {
      std::uint32_t* sum = sums_ + first_ + c;
      for (std::size_t i = images.first; i < images.end; ++i) {
        sum[std::size_t{image_numbers_[i]} * g_.channels] += delta;
      }
    });
  }

  void mark_lists(std::uint8_t mark) {
    for (const Listed& listed : lists_now_) {
      for (const Exception& e : listed.list) marked_[e.weights] = mark;
    }
  }

  const TimingLanes& lanes_;
  const BatchOperands& batch_;
  std::span<const LaneOperands> strips_;  // of one group
  const LaneGeometry& g_;
  const int first_;  // channel
  std::uint32_t* sums_;

  const std::vector<int> multipliers_;  // that err
  VectorWeights weights_;
  const int channels_;  // of the strips
  std::vector<std::vector<std::uint32_t>> channels_of_lane_;
  std::vector<std::vector<std::uint32_t>> streamed_;  // those of the first step

  std::vector<Meeting> meetings_;
  std::vector<Listed> lists_;
  std::vector<std::uint32_t> image_numbers_;
  std::vector<Images> images_;
  Group images_by_pair_;

  // Of the present meeting.
  std::span<const Listed> lists_now_;
  const std::uint16_t* pairs_now_ = nullptr;  // of weights, by channel
  Group channels_by_pair_;
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
