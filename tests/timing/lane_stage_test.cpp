#include "inure/timing/lane_stage.hpp"

#include "inure/base/random.hpp"
#include "inure/errors/operand_trace.hpp"
#include "inure/timing/sta.hpp"
#include "lane.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

// A small convolution on 3 lanes of 4 multipliers: channels and lanes that do not fill up.
struct Convolution {
  static constexpr int kImages = 2;

  Convolution() {
    spec.name = "conv";
    spec.in_channels = 6, spec.out_channels = 4;
    spec.in_height = 4, spec.in_width = 5;
    spec.kernel = 3, spec.pad = 1;
    geometry.width = spec.conv_width(), geometry.height = spec.conv_height();
    geometry.channels = spec.out_channels, geometry.out_per_group = spec.out_channels;
    geometry.group_channels = spec.in_channels;
    geometry.vec_size = kVecSize, geometry.lane_num = 3;
    geometry.pad_offset = 1;
    geometry.steps = spec.kernel * spec.kernel * 2;
    geometry.kernel = spec.kernel, geometry.stride = spec.stride;
    RandomStream random(1, RandomPurpose::kShuffle, 0, 0);
    const auto fill = [&](std::vector<std::int8_t>& values, int count) {
      for (int i = 0; i < count; ++i) {
        values.push_back(static_cast<std::int8_t>(static_cast<int>(random.below(256)) - 128));
      }
    };
    fill(images, kImages * image_size());
    fill(weights, spec.out_channels * spec.taps());
  }

  int image_size() const { return spec.in_height * spec.in_width * spec.in_channels; }

  // By the definition, [images][height][width][channels].
  std::vector<std::int32_t> exact() const {
    std::vector<std::int32_t> sums;
    for (int image = 0; image < kImages; ++image) {
      for (int y = 0; y < geometry.height; ++y) {
        for (int x = 0; x < geometry.width; ++x) {
          for (int m = 0; m < geometry.channels; ++m) sums.push_back(sum(image, y, x, m));
        }
      }
    }
    return sums;
  }

  std::int32_t sum(int image, int y, int x, int m) const {
    std::int32_t result = 0;
    for (int c = 0; c < spec.in_channels; ++c) {
      for (int ky = 0; ky < spec.kernel; ++ky) {
        for (int kx = 0; kx < spec.kernel; ++kx) {
          const int row = y + ky - spec.pad, column = x + kx - spec.pad;
          if (row < 0 || row >= spec.in_height || column < 0 || column >= spec.in_width) continue;
          const int at = (row * spec.in_width + column) * spec.in_channels + c;
          const int weight = ((m * spec.in_channels + c) * spec.kernel + ky) * spec.kernel + kx;
          result += images[static_cast<std::size_t>(image * image_size() + at)] *
                    weights[static_cast<std::size_t>(weight)];
        }
      }
    }
    return result;
  }

  StageSpec spec;
  LaneGeometry geometry;
  std::vector<std::int8_t> images, weights;
};

// Each lane and image through the exact simulator, one after the other.
std::vector<std::int32_t> simulate_plainly(const Netlist& netlist, const std::vector<int>& periods,
                                           int pipeline, const Convolution& c) {
  const LaneGeometry& g = c.geometry;
  std::vector<std::int32_t> sums(
      static_cast<std::size_t>(Convolution::kImages * g.height * g.width * g.channels));
  for (int image = 0; image < Convolution::kImages; ++image) {
    for (int l = 0; l < g.lane_num; ++l) {
      OperandTracer tracer(c.spec, g, l, {1 << 30, 1}, "");
      tracer.add_image(c.images.data() + image * c.image_size(), c.weights);
      const OperandTrace& trace = tracer.trace();
      Lane lane(netlist, periods[static_cast<std::size_t>(l) % periods.size()]);
      for (std::int64_t cycle = 0; cycle < trace.steps() + pipeline; ++cycle) {
        Operands operands;
        const std::int64_t step = std::min(cycle, trace.steps() - 1);
        operands.first = cycle % g.steps == 0;
        std::copy_n(trace.activations_at(step).begin(), kVecSize, operands.a.begin());
        std::copy_n(trace.weights_at(step).begin(), kVecSize, operands.b.begin());
        lane.cycle(operands);
        const std::int64_t done = cycle - pipeline + 1;
        if (done <= 0 || done % g.steps != 0) continue;
        const int output = static_cast<int>(done / g.steps) - 1, pixels = g.height * g.width;
        const int m = output / pixels * g.lane_num + l - g.pad_offset;
        if (m < 0 || m >= g.channels) continue;
        sums[static_cast<std::size_t>((image * pixels + output % pixels) * g.channels + m)] =
            static_cast<std::int32_t>(lane.captured_accumulator());
      }
    }
  }
  return sums;
}

using StageOnLanes = LaneTest;

TEST_P(StageOnLanes, IsExactAtASafeClockAndTheSimulatorsAtAnother) {
  const Convolution c;
  const int critical = analyse(netlist_).critical_ps;
  std::vector<LaneSimulator> safe;
  safe.emplace_back(netlist_, kVecSize, critical);
  EXPECT_EQ(simulate_stage(safe, c.spec, c.geometry, c.images, c.weights), c.exact());
  // Lanes that are not alike: 0 and 2 at the one clock, 1 at the other.
  const std::vector<int> periods = {static_cast<int>(critical / 1.3),
                                    static_cast<int>(critical / 1.4)};
  std::vector<LaneSimulator> fast;
  for (const int period : periods) fast.emplace_back(netlist_, kVecSize, period);
  const auto sums = simulate_stage(fast, c.spec, c.geometry, c.images, c.weights);
  EXPECT_NE(sums, c.exact());
  EXPECT_EQ(sums, simulate_plainly(netlist_, periods, GetParam().pipeline, c));
}

TEST_P(StageOnLanes, RefusesSizesThatDoNotFit) {
  Convolution c;
  std::vector<LaneSimulator> lanes;
  lanes.emplace_back(netlist_, kVecSize, analyse(netlist_).critical_ps);
  c.images.pop_back();
  EXPECT_EQ(error_of([&] { simulate_stage(lanes, c.spec, c.geometry, c.images, c.weights); }),
            "stage conv: 239 activations; expected a multiple of 120");
  c.geometry.vec_size = 8;
  EXPECT_EQ(error_of([&] { simulate_stage(lanes, c.spec, c.geometry, c.images, c.weights); }),
            "stage conv: a circuit of vec_size 4; expected 8");
}

INSTANTIATE_TEST_SUITE_P(Lanes, StageOnLanes,
                         testing::Values(LaneCase{true, 2}, LaneCase{true, 3}, LaneCase{false, 3}));

}  // namespace
}  // namespace inure::timing
