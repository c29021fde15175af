#include "lane.hpp"

#include <cmath>
#include <deque>

#include "inure/timing/liberty.hpp"
#include "inure/timing/sta.hpp"
#include "inure/timing/standard_cells.hpp"

namespace inure::timing {
namespace {

int vectors() {  // INURE_TIMING_VECTORS: the long run by hand
  const char* text = std::getenv("INURE_TIMING_VECTORS");
  return text ? std::atoi(text) : 10000;
}

using PlacedLane = LaneTest;

TEST_P(PlacedLane, StaticTimingIsTheToolsOwn) {
  const StaticTiming timing = analyse(netlist_);
  double own = timing.critical_ps;
  if (!GetParam().fpga) {  // cells' delays are not whole picoseconds: the same file in tenths
    const Osu018Flow flow = run_osu018_flow(lane_design(GetParam().pipeline), 1000, test_cache());
    own = analyse(read_standard_cells(flow.netlist, flow.sdf, read_liberty(flow.library), 10))
              .critical_ps /
          10.0;
    EXPECT_NEAR(timing.critical_ps, own, 0.5 * static_cast<double>(timing.path.size()));
    // What the file lost: no more than some arcs of exclusive ors.
    EXPECT_NEAR(flow.critical_ps, flow.library_critical_ps, 0.005 * flow.library_critical_ps);
    std::printf("by all of the library's arcs %.1f ps; ", flow.library_critical_ps);
  }
  EXPECT_NEAR(own, tool_critical_ps_, 2e-4 * tool_critical_ps_);
  EXPECT_EQ(timing.path.back(),
            netlist_.registers()[static_cast<std::size_t>(timing.critical_register)].d);
  std::printf("%s pipeline %d: %zu gates, %zu registers; own %.1f ps, the tool's %.1f ps\n",
              GetParam().fpga ? "hx8k" : "osu018", GetParam().pipeline, netlist_.gates().size(),
              netlist_.registers().size(), own, tool_critical_ps_);
}

std::uint64_t exact_products(const Operands& operands) {
  std::uint64_t word = 0;
  for (int i = 0; i < kVecSize; ++i) {
    const auto lane = static_cast<std::size_t>(i);
    const auto product = static_cast<std::uint16_t>(operands.a[lane] * operands.b[lane]);
    word |= std::uint64_t{product} << 16 * i;
  }
  return word;
}

std::uint32_t exact_sum(const Operands& operands) {
  int sum = 0;
  for (std::size_t i = 0; i < kVecSize; ++i) sum += operands.a[i] * operands.b[i];
  return static_cast<std::uint32_t>(sum);
}

TEST_P(PlacedLane, SettledValuesAreArithmetic) {
  const int period = analyse(netlist_).critical_ps;  // just long enough
  Lane lane(netlist_, period);
  std::mt19937 random(1);
  std::deque<Operands> passed;
  std::uint32_t accumulator = 0;
  int wrong = 0;
  // Captured at the end of the cycle in which the ports changed: the operand registers; the
  // products one or two cycles later; the accumulator PIPELINE cycles later.
  const std::size_t to_product = GetParam().pipeline == 4 ? 2 : 1;
  const auto to_accumulator = static_cast<std::size_t>(GetParam().pipeline);
  for (int cycle = 0; cycle < vectors(); ++cycle) {
    passed.push_front(random_operands(random));
    passed.front().first |= cycle == 0;
    lane.cycle(passed.front());
    if (passed.size() > to_product) {
      wrong += lane.captured_products() != exact_products(passed[to_product]);
    }
    if (passed.size() > to_accumulator) {
      const Operands& added = passed[to_accumulator];
      accumulator = (added.first ? 0 : accumulator) + exact_sum(added);
      wrong += lane.captured_accumulator() != accumulator;
      passed.pop_back();
    }
  }
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Lanes, PlacedLane, all_lanes());

}  // namespace
}  // namespace inure::timing
