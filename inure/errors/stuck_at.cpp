#include "inure/errors/stuck_at.hpp"

namespace inure {
namespace {

class StuckAt : public ErrorModel {
 public:
  StuckAt(int lane, int multiplier, int bit, bool value)
      : lane_(lane), multiplier_(multiplier), mask_(1 << bit), value_(value ? 1 << bit : 0) {}

  bool corrupts_sums() const override { return true; }

  void add_deltas(const ErrorKey&, const LaneOperands& operands, std::uint32_t* sums,
                  std::int64_t stride) const override {
    const LaneGeometry& g = *operands.geometry;
    for (int c = 0; c < operands.channels; ++c) {
      if (g.lane(operands.first_channel + c) != lane_) continue;
      for (int x = 0; x < g.width; ++x) {
        std::uint32_t delta = 0;
        for (int tap = multiplier_; tap < g.taps(); tap += g.vec_size) {
          delta += static_cast<std::uint32_t>(delta_of(operands.product(x, c, tap)));
        }
        sums[x * stride + c] += delta;
      }
    }
  }

  std::unique_ptr<CycleErrors> cycles(const ErrorKey&, const LaneGeometry& g) const override;

  bool concerns(int lane, int multiplier) const {
    return lane == lane_ && multiplier == multiplier_;
  }
  int delta_of(int product) const {
    return static_cast<std::int16_t>((product & ~mask_) | value_) - product;
  }

 private:
  int lane_, multiplier_, mask_, value_;
};

class StuckAtCycles : public CycleErrors {
 public:
  StuckAtCycles(const StuckAt& fault, const LaneGeometry& geometry)
      : fault_(fault), geometry_(geometry) {}
  std::int32_t product_delta(const Cycle& at, int multiplier, int activation, int weight) override {
    if (!fault_.concerns(geometry_.lane(at.channel), multiplier)) return 0;
    return fault_.delta_of(activation * weight);
  }

 private:
  const StuckAt& fault_;
  LaneGeometry geometry_;
};

std::unique_ptr<CycleErrors> StuckAt::cycles(const ErrorKey&, const LaneGeometry& g) const {
  return std::make_unique<StuckAtCycles>(*this, g);
}

}  // namespace

std::unique_ptr<ErrorModel> make_stuck_at(int lane, int multiplier, int bit, bool value) {
  return std::make_unique<StuckAt>(lane, multiplier, bit, value);
}

}  // namespace inure
