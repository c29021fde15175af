#include "inure/errors/timing_errors.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "inure/base/error.hpp"
#include "inure/errors/product_errors.hpp"
#include "inure/errors/sum_errors.hpp"

namespace inure {
namespace {

class TimingErrors : public ErrorModel {
 public:
  TimingErrors(std::shared_ptr<const TimingLanes> lanes, std::string layer)
      : lanes_(std::move(lanes)),
        layer_(std::move(layer)),
        sum_errors_(*lanes_),
        product_errors_(*lanes_, layer_) {
    for (const TimingLanes::Lane& lane : lanes_->lanes) {
      for (const auto& product : lane.products) products_ |= product->size() > 0;
    }
  }

  bool corrupts_sums() const override { return sum_errors_.any(); }
  bool corrupts_batches() const override { return products_; }

  void add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                  std::int64_t stride) const override {
    if (sum_errors_.any()) sum_errors_.add_deltas(key, operands, sums, stride);
  }
  void find_batch_errors(const ErrorKey&, const BatchOperands& batch) const override {
    product_errors_.find(batch);
  }
  void add_image_deltas(int image, std::uint32_t* sums) const override {
    product_errors_.add_deltas(image, sums);
  }
  std::unique_ptr<CycleErrors> cycles(const ErrorKey& key, const LaneGeometry& g) const override;

  const TimingLanes& lanes() const { return *lanes_; }
  const std::string& layer() const { return layer_; }
  const SumErrors& sum_errors() const { return sum_errors_; }

 private:
  std::shared_ptr<const TimingLanes> lanes_;
  std::string layer_;
  SumErrors sum_errors_;
  mutable ProductErrors product_errors_;  // remembers the batch and what it knows of the weights
  bool products_ = false;
};

// Every register's contents, cycle by cycle.
class TimingCycles : public CycleErrors {
 public:
  TimingCycles(const TimingErrors& errors, const ErrorKey& key, const LaneGeometry& geometry)
      : errors_(errors), key_(key), g_(geometry), operands_(geometry.channels) {
    for (auto& of_channel : operands_) of_channel.resize(geometry.vec_size);
    sums_.resize(geometry.channels);
  }

  std::int32_t product_delta(const Cycle& at, int multiplier, int activation, int weight) override {
    if (activation < 0 && !errors_.lanes().negative_activations) {
      refuse_negative_activations(errors_.layer());
    }
    const bool first = at.y == 0 && at.x == 0 && at.step == 0;
    Operands before = operands_[at.channel][multiplier];
    if (first) {
      before = {};
      if (at.channel >= g_.lane_num) {
        before = operands_[at.channel - g_.lane_num][multiplier];
      } else if (at.channel + g_.pad_offset >= g_.lane_num) {  // a channel of the padding
        before.activation = operands_[0][multiplier].activation;
      }
    }
    operands_[at.channel][multiplier] = {activation, weight};
    signs_.add(activation * weight);
    const auto pair = [](int previous, int now) {
      return static_cast<unsigned>(ProductTable::pair(previous, now));
    };
    return lane(at).products[multiplier]->delta(pair(before.activation, activation),
                                                pair(before.weight, weight));
  }

  std::int32_t accumulator_delta(const Cycle& at, int /*chain*/, std::int32_t sum) override {
    if (!errors_.sum_errors().any()) return 0;
    SumState& state = sums_[at.channel];
    if (at.y == 0 && at.x == 0 && at.step == 0) {  // after the lane's channel before
      state = at.channel >= g_.lane_num ? sums_[at.channel - g_.lane_num] : SumState();
    }
    state.step(at.step == 0, sum, signs_.bits);
    signs_ = {};
    const int first = g_.strip_first(at.channel), channels = g_.strip_channels(first);
    const SumErrors::Part part = SumErrors::part(at.step);
    const std::int64_t site = SumErrors::site(g_, channels, at.x, at.channel - first, at.step);
    const std::uint32_t strip = g_.strip_id(at.y, first);
    auto number = static_cast<std::size_t>(site);
    if (part == SumErrors::kLater) {
      const std::vector<std::int64_t>& candidates = candidates_of(strip, channels);
      const auto found = std::lower_bound(candidates.begin(), candidates.end(), site);
      if (found == candidates.end() || *found != site) return 0;
      number = static_cast<std::size_t>(found - candidates.begin());
    }
    const std::int32_t delta =
        errors_.sum_errors().delta(SumErrors::word(key_, part, strip, number), g_.lane(at.channel),
                                   part, state.tests(g_.vec_size));
    state.add_error(delta);
    return delta;
  }

 private:
  struct Operands {
    int activation = 0, weight = 0;
  };

  const TimingLanes::Lane& lane(const Cycle& at) const {
    return errors_.lanes().of(g_.lane(at.channel));
  }

  const std::vector<std::int64_t>& candidates_of(std::uint32_t strip, int channels) {
    const auto [known, fresh] = candidates_.try_emplace(strip);
    if (fresh) {
      known->second = errors_.sum_errors().candidates().sample_plain(
          key_, strip, SumErrors::sites(g_, channels, SumErrors::kLater));
    }
    return known->second;
  }

  const TimingErrors& errors_;
  ErrorKey key_;
  LaneGeometry g_;
  std::vector<std::vector<Operands>> operands_;  // by channel and multiplier: of its last step
  std::vector<SumState> sums_;                   // by channel
  ProductSigns signs_;                           // of the step under way
  std::unordered_map<std::uint32_t, std::vector<std::int64_t>> candidates_;  // by strip
};

std::unique_ptr<CycleErrors> TimingErrors::cycles(const ErrorKey& key,
                                                  const LaneGeometry& g) const {
  return std::make_unique<TimingCycles>(*this, key, g);
}

}  // namespace

std::unique_ptr<ErrorModel> make_timing_errors(std::shared_ptr<const TimingLanes> lanes,
                                               const std::string& layer) {
  return std::make_unique<TimingErrors>(std::move(lanes), layer);
}

}  // namespace inure
