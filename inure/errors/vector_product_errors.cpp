#include "inure/errors/vector_product_errors.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "inure/base/clones.hpp"
#include "inure/base/parallel.hpp"

// A step's pairs of activations, one an image, are few; its pairs of weights, one an output
// channel, are many. So the exceptions of the activations are marked in a bitmap over all pairs of
// weights, and each channel tests one bit.
namespace inure {
namespace {

constexpr unsigned kPairs = ProductTable::kPairs;
constexpr int kStrip = LaneGeometry::kStripChannels;
constexpr int kMapWords = kPairs / 32;

// One step's weights of a strip, element v in byte v.
using Quads = std::array<std::uint32_t, kStrip>;

INURE_CLONES
void test_bits(const std::uint32_t* before, const std::uint32_t* now, int shift,
               const std::uint32_t* map, const std::uint32_t* map_of_channel, std::uint8_t* hit) {
  for (int c = 0; c < kStrip; ++c) {
    const std::uint32_t pair = (before[c] >> shift & 255) << 8 | (now[c] >> shift & 255);
    hit[c] = map[map_of_channel[c] + (pair >> 5)] >> (pair & 31) & 1;
  }
}

// The marks of one multiplier in one step, for each kind of lane.
class Marks {
 public:
  explicit Marks(std::size_t lanes) : map_(lanes * kMapWords), head_(lanes * kPairs) {}

  void clear() {
    for (const Mark& mark : marks_) {
      map_[mark.lane * kMapWords + (mark.weights >> 5)] = 0;
      head_[mark.lane * kPairs + mark.weights] = 0;
    }
    marks_.clear();
    images_.clear();
  }

  // pairs: of activations, by image.
  void add(const TimingLanes& lanes, int v, const std::vector<std::uint16_t>& pairs) {
    order_.resize(pairs.size());
    for (std::size_t n = 0; n < pairs.size(); ++n) order_[n] = {pairs[n], static_cast<int>(n)};
    std::sort(order_.begin(), order_.end());
    for (std::size_t first = 0, last = 0; first < order_.size(); first = last) {
      while (last < order_.size() && order_[last].first == order_[first].first) ++last;
      const auto begin = static_cast<std::uint32_t>(images_.size());
      const unsigned pair = order_[first].first;
      for (std::size_t lane = 0; lane < lanes.lanes.size(); ++lane) {
        for (const auto& e : lanes.lanes[lane].products[v]->of_activations(pair)) {
          std::uint32_t& head = head_[lane * kPairs + e.weights];
          const auto delta = ExceptionSet::signed_delta(pair, e.weights, e.delta);
          marks_.push_back({head, static_cast<std::uint16_t>(lane), e.weights, delta, begin,
                            static_cast<std::uint32_t>(last - first)});
          head = static_cast<std::uint32_t>(marks_.size());
          map_[lane * kMapWords + (e.weights >> 5)] |= 1u << (e.weights & 31);
        }
      }
      for (std::size_t i = first; i < last; ++i) images_.push_back(order_[i].second);
    }
  }

  bool empty() const { return marks_.empty(); }
  const std::uint32_t* map() const { return map_.data(); }

  void add_deltas(std::size_t lane, unsigned weights, std::uint32_t* sums,
                  std::int64_t image_size) const {
    for (std::uint32_t i = head_[lane * kPairs + weights]; i != 0; i = marks_[i - 1].next) {
      const Mark& mark = marks_[i - 1];
      for (std::uint32_t k = 0; k < mark.image_count; ++k) {
        sums[images_[mark.first_image + k] * image_size] += static_cast<std::uint32_t>(mark.delta);
      }
    }
  }

 private:
  struct Mark {
    std::uint32_t next;  // of the same weights: its index + 1
    std::uint16_t lane, weights;
    std::int32_t delta;
    std::uint32_t first_image, image_count;  // in images_
  };
  std::vector<std::uint32_t> map_, head_;
  std::vector<Mark> marks_;
  std::vector<int> images_;
  std::vector<std::pair<std::uint16_t, int>> order_;
};

// The usual case: four multipliers, whose weights of a channel lie together.
bool load_whole_quads(const LaneOperands& strip, int step, Quads& quads) {
  const std::int32_t* taps = strip.tap_weight + step * 4;
  for (int v = 1; v < 4; ++v) {
    if (strip.tap_activation[step * 4 + v] < 0 || taps[v] != taps[0] + v) return false;
  }
  std::memcpy(quads.data(), strip.weights + taps[0], strip.channels * 4);
  return true;
}

class VectorErrors {
 public:
  VectorErrors(const TimingLanes& lanes, const std::string& layer, const BatchOperands& batch,
               std::uint32_t* sums)
      : lanes_(lanes), layer_(layer), batch_(batch), g_(*batch.geometry), sums_(sums) {}

  // The strips from first to last, of one group.
  void run(std::size_t first, std::size_t last) {
    std::vector<Marks> marks(std::min(g_.vec_size, 4), Marks(lanes_.lanes.size()));
    std::vector<std::uint16_t> pairs(batch_.images);
    for (int step = 1; step < g_.steps; ++step) {
      for (int from = 0; from < g_.vec_size; from += 4) {  // multipliers four at a time
        const int to = std::min(from + 4, g_.vec_size);
        bool any = false;
        for (int v = from; v < to; ++v) {
          marks[v - from].clear();
          activations(batch_.strips[first], step * g_.vec_size + v, pairs);
          marks[v - from].add(lanes_, v, pairs);
          any |= !marks[v - from].empty();
        }
        if (!any) continue;
        for (std::size_t i = first; i < last; ++i) test(batch_.strips[i], step, from, to, marks);
      }
    }
  }

 private:
  void activations(const LaneOperands& strip, int tap, std::vector<std::uint16_t>& pairs) const {
    const std::int32_t now = strip.tap_activation[tap];
    const std::int32_t before = strip.tap_activation[tap - g_.vec_size];
    const std::int64_t image =
        std::int64_t{batch_.groups()} * batch_.height * batch_.width * g_.group_channels;
    unsigned all = 0;
    for (int n = 0; n < batch_.images; ++n) {
      const std::uint8_t* base = strip.activations + n * image;
      const unsigned pair =
          ((before < 0 ? 128u : base[before]) << 8 | (now < 0 ? 128u : base[now])) ^ 0x8080u;
      pairs[n] = static_cast<std::uint16_t>(pair);
      all |= pair;
    }
    if ((all & 0x8080) != 0 && !lanes_.negative_activations) {
      refuse_negative_activations(layer_);
    }
  }

  void load(const LaneOperands& strip, int step, int from, Quads& quads) const {
    if (g_.vec_size == 4 && load_whole_quads(strip, step, quads)) return;
    quads.fill(0);
    for (int v = 0; v < std::min(4, g_.vec_size); ++v) {
      const int tap = step * g_.vec_size + from + v;
      if (strip.tap_activation[tap] < 0) continue;
      for (int c = 0; c < strip.channels; ++c) {
        const std::int8_t weight = strip.weights[strip.tap_weight[tap] + c * 4];
        quads[c] |= std::uint32_t{static_cast<std::uint8_t>(weight)} << 8 * v;
      }
    }
  }

  void test(const LaneOperands& strip, int step, int from, int to,
            const std::vector<Marks>& marks) const {
    Quads before, now;
    load(strip, step - 1, from, before);
    load(strip, step, from, now);
    std::array<std::uint32_t, kStrip> map_of_channel{};
    for (int c = 0; c < strip.channels; ++c) map_of_channel[c] = lane(strip, c) * kMapWords;
    alignas(64) std::array<std::uint8_t, kStrip> hit;
    for (int v = from; v < to; ++v) {
      const Marks& of_v = marks[v - from];
      if (of_v.empty()) continue;
      const int shift = 8 * (v - from);
      test_bits(before.data(), now.data(), shift, of_v.map(), map_of_channel.data(), hit.data());
      for (int c = 0; c < strip.channels; ++c) {
        if (hit[c] == 0) continue;
        const unsigned pair = (before[c] >> shift & 255) << 8 | (now[c] >> shift & 255);
        of_v.add_deltas(lane(strip, c), pair, sums_ + strip.first_channel + c, g_.channels);
      }
    }
  }

  std::uint32_t lane(const LaneOperands& strip, int c) const {
    return static_cast<std::uint32_t>(g_.lane(strip.first_channel + c)) %
           static_cast<std::uint32_t>(lanes_.lanes.size());
  }

  const TimingLanes& lanes_;
  const std::string& layer_;
  const BatchOperands& batch_;
  const LaneGeometry& g_;
  std::uint32_t* sums_;
};

}  // namespace

void add_vector_product_errors(const TimingLanes& lanes, const std::string& layer,
                               const BatchOperands& batch, std::uint32_t* sums) {
  // Each job marks for itself: as many as there are threads.
  const std::size_t strips = batch.strips.size() / batch.groups();
  const std::size_t jobs_a_group = std::clamp<std::size_t>(threads(), 1, strips);
  const auto jobs = static_cast<std::int64_t>(jobs_a_group) * batch.groups();
  parallel_for(jobs, [&](std::int64_t job) {
    const std::size_t group = job / jobs_a_group, part = job % jobs_a_group;
    const std::size_t first = group * strips + part * strips / jobs_a_group;
    const std::size_t last = group * strips + (part + 1) * strips / jobs_a_group;
    VectorErrors(lanes, layer, batch, sums).run(first, last);
  });
}

}  // namespace inure
