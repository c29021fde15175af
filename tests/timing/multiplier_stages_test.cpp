#include "inure/timing/multiplier_stages.hpp"

#include "inure/timing/lane_errors.hpp"
#include "inure/timing/multiplier_step.hpp"
#include "inure/timing/sta.hpp"
#include "lane.hpp"

namespace inure::timing {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

class MultiplierStages : public LaneTest {};

// Two 8x4 partial products, then their sum: what the product captures, from the operands alone,
// against the whole lane. An error of the first stage may change what the second one makes of the
// next step; that is rare.
TEST_P(MultiplierStages, ErrAsTheLane) {
  const double clock = GetParam().fpga ? 1.12 : 1.75;  // the accumulator of cells errs long before
  const int period = static_cast<int>(analyse(netlist_).critical_ps / clock);
  const Multiplier multiplier = lane_multiplier(netlist_, kVecSize, 1);
  EXPECT_EQ(multiplier_stages(netlist_, multiplier).size(), 2u);
  constexpr std::int64_t kSteps = MultiplierStep::kLanes;
  OperandTrace trace;
  trace.vec_size = kVecSize;
  std::mt19937 random(1);
  for (std::int64_t step = 0; step < kSteps; ++step) {
    trace.first.push_back(step % 20 == 0);
    for (int e = 0; e < kVecSize; ++e) {
      trace.activations.push_back(static_cast<std::int8_t>(random()));
      trace.weights.push_back(static_cast<std::int8_t>(random()));
    }
  }
  const MultiplierStep step(netlist_, multiplier, {period});
  MultiplierStep::Run run(step);
  const auto set = [&](MultiplierStep::Operand operand, const std::vector<std::int8_t>& of,
                       std::int64_t behind) {
    for (std::int64_t lane = behind; lane < kSteps; ++lane) {
      const int value = of[index((lane - behind) * kVecSize + 1)];
      for (int bit = 0; bit < 8; ++bit) {
        run.input(operand, bit)[index(lane / 64)] |= std::uint64_t(value >> bit & 1) << lane % 64;
      }
    }
  };
  for (const auto operand : {MultiplierStep::kPreviousActivation, MultiplierStep::kPreviousWeight,
                             MultiplierStep::kActivation, MultiplierStep::kWeight}) {
    run.set_all(operand, 0);
  }
  set(MultiplierStep::kPreviousActivation, trace.activations, 1);
  set(MultiplierStep::kPreviousWeight, trace.weights, 1);
  set(MultiplierStep::kActivation, trace.activations, 0);
  set(MultiplierStep::kWeight, trace.weights, 0);
  run.run();
  const LaneErrors errors = simulate_errors(LaneSimulator(netlist_, kVecSize, period), trace);
  std::vector<std::int32_t> deltas(index(kSteps));
  for (const StepError& error : errors.products[1]) deltas[index(error.step)] = error.delta;
  std::int64_t wrong = 0, differ = 0;
  for (std::int64_t lane = 1; lane < kSteps; ++lane) {
    int captured = 0;
    for (int bit = 0; bit < Multiplier::kProductBits; ++bit) {
      captured |= static_cast<int>(run.captured(0, bit)[index(lane / 64)] >> lane % 64 & 1) << bit;
    }
    const int right =
        trace.activations[index(lane * kVecSize + 1)] * trace.weights[index(lane * kVecSize + 1)];
    wrong += deltas[index(lane)] != 0;
    differ += static_cast<std::int16_t>(captured) != right + deltas[index(lane)];
  }
  std::printf("%lld of %lld products wrong, %lld foreseen otherwise\n",
              static_cast<long long>(wrong), static_cast<long long>(kSteps),
              static_cast<long long>(differ));
  EXPECT_GT(wrong, 0);
  EXPECT_LE(differ, wrong / 20);
}

INSTANTIATE_TEST_SUITE_P(Lanes, MultiplierStages,
                         testing::Values(LaneCase{true, 4}, LaneCase{false, 4}));

TEST(ExclusiveOr, TakesItsLongerOrItsShorterArc) {
  Netlist netlist;
  std::vector<Pin> pins;
  for (const char* name : {"a", "b"}) {
    const int net = netlist.add_net(name);
    netlist.add_input(name, net);
    pins.push_back({net, {}, {50, 40}, {}});
  }
  netlist.add_gate("xor", 0b0110, pins, netlist.add_net("x"));
  netlist.add_gate("and", 0b1000, pins, netlist.add_net("y"));
  netlist.finish("a test");
  const auto delays = [&](int gate) {
    const Pin& pin = netlist.pins(netlist.gates()[index(gate)])[0];
    return std::array{pin.delay(true), pin.delay(false)};
  };
  EXPECT_EQ(delays(0), (std::array{50, 50}));
  netlist.take_shorter_arcs();
  EXPECT_EQ(delays(0), (std::array{40, 40}));
  EXPECT_EQ(delays(1), (std::array{50, 40}));
}

}  // namespace
}  // namespace inure::timing
