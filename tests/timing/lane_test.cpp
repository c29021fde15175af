#include "lane.hpp"

#include <cmath>
#include <deque>

#include "inure/timing/sta.hpp"

namespace inure::timing {
namespace {

int vectors() {  // INURE_TIMING_VECTORS: the long run by hand
  const char* text = std::getenv("INURE_TIMING_VECTORS");
  return text ? std::atoi(text) : 10000;
}

using PlacedLane = LaneTest;

TEST_P(PlacedLane, StaticTimingIsTheToolsOwn) {
  const StaticTiming timing = analyse(netlist_);
  EXPECT_GE(timing.critical_ps, 0.999 * tool_critical_ps_);
  // Where an exclusive or's delay depends on the edge of its input, OpenSTA's file has but the
  // longer.
  EXPECT_LE(timing.critical_ps, (GetParam().fpga ? 1.001 : 1.005) * tool_critical_ps_);
  EXPECT_EQ(timing.path.back(),
            netlist_.registers()[static_cast<std::size_t>(timing.critical_register)].d);
  std::printf("%s pipeline %d: %zu gates, %zu registers; own %d ps, the tool's %.1f ps\n",
              GetParam().fpga ? "hx8k" : "osu018", GetParam().pipeline, netlist_.gates().size(),
              netlist_.registers().size(), timing.critical_ps, tool_critical_ps_);
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
