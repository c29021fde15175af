#include "inure/timing/fit.hpp"

#include <cmath>
#include <map>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/product_logic.hpp"
#include "inure/errors/product_tree.hpp"
#include "inure/errors/sum_tree.hpp"
#include "inure/timing/enumerate.hpp"
#include "inure/timing/lane_errors.hpp"
#include "inure/timing/sta.hpp"
#include "lane.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

class FittedLane : public LaneTest {
 protected:
  int period(double clock) const { return static_cast<int>(analyse(netlist_).critical_ps / clock); }
};

// On a stream of operands that the sample was not drawn from: how many products the classes foresee
// to be wrong, and which ones.
TEST_P(FittedLane, ClassesForeseeOtherOperands) {
  const Multiplier multiplier = lane_multiplier(netlist_, kVecSize, 1);
  ProductFit fit;
  fit.periods_ps = {period(1.02), period(1.04), period(1.06)};
  fit.transitions = 1 << 22;
  const auto fitted = fit_products(netlist_, multiplier, fit);
  ASSERT_EQ(fitted.size(), 3u);
  std::vector<ProductTree> trees;
  std::vector<std::vector<double>> rates;
  for (const RegisterProfile& what : fitted) {
    const auto& split = what.split();
    ASSERT_FALSE(split.empty());
    trees.emplace_back(std::span(split.data(), static_cast<std::size_t>(split.size())), "a test");
    rates.emplace_back(static_cast<std::size_t>(trees.back().leaves()));
    for (const ErrorClass& c : what.error_class()) rates.back()[c.id()] = c.rate();
  }
  const MultiplierStep step(netlist_, multiplier, fit.periods_ps);
  MultiplierStep::Run run(step);
  std::mt19937 random(11);
  std::normal_distribution<double> normal;
  std::vector<double> foreseen(3), wrong(3), of_wrong(3);
  int before[2] = {0, 0};
  constexpr int kBlocks = 40;
  for (int block = 0; block < kBlocks; ++block) {
    std::vector<std::array<double, 3>> rate(MultiplierStep::kLanes);
    for (std::size_t lane = 0; lane < MultiplierStep::kLanes; ++lane) {
      const int now[2] = {static_cast<int>(std::clamp(normal(random) * 30, 0.0, 127.0)),
                          static_cast<int>(std::clamp(normal(random) * 25, -128.0, 127.0))};
      const int operands[4] = {before[0], before[1], now[0], now[1]};
      for (int k = 0; k < 4; ++k) {
        for (int bit = 0; bit < 8; ++bit) {
          auto& word = run.input(static_cast<MultiplierStep::Operand>(k), bit)[lane / 64];
          const std::uint64_t mask = std::uint64_t{1} << lane % 64;
          word = operands[k] >> bit & 1 ? word | mask : word & ~mask;
        }
      }
      const auto tests = ProductTree::tests(before[0], before[1], now[0], now[1]);
      for (std::size_t p = 0; p < 3; ++p) {
        rate[lane][p] = rates[p][static_cast<std::size_t>(trees[p].leaf(tests))];
        foreseen[p] += rate[lane][p];
      }
      std::copy_n(now, 2, before);
    }
    run.run();
    for (std::size_t p = 0; p < 3; ++p) {
      const auto lanes = run.wrong(static_cast<int>(p));
      for (std::size_t lane = 0; lane < rate.size(); ++lane) {
        if (!(lanes[lane / 64] >> lane % 64 & 1)) continue;
        ++wrong[p];
        of_wrong[p] += rate[lane][p];
      }
    }
  }
  for (std::size_t p = 0; p < 3; ++p) {
    const double count = static_cast<double>(kBlocks) * MultiplierStep::kLanes;
    std::printf("%d ps: %.2e wrong, %.2e foreseen, wrong ones at %.2f\n", fit.periods_ps[p],
                wrong[p] / count, foreseen[p] / count, of_wrong[p] / wrong[p]);
    EXPECT_NEAR(foreseen[p] / wrong[p], 1, 0.1);
    EXPECT_GT(of_wrong[p] / wrong[p], 0.5);
  }
  EXPECT_GT(wrong[2], 1000);
}

TEST_P(FittedLane, DoNotDependOnThreads) {
  const Multiplier multiplier = lane_multiplier(netlist_, kVecSize, 1);
  ProductFit fit{{period(1.06)}, false, 1 << 20, 50, 3};
  set_threads(1);
  const RegisterProfile alone = fit_products(netlist_, multiplier, fit)[0];
  set_threads(3);
  EXPECT_EQ(fit_products(netlist_, multiplier, fit)[0].SerializeAsString(),
            alone.SerializeAsString());
  set_threads(0);
  EXPECT_EQ(alone.split_size(), 2 * 50 - 1);
}

// Late bits foresee every single product: as enumeration does for some pairs of weights.
TEST_P(FittedLane, LogicIsExact) {
  const Multiplier multiplier = lane_multiplier(netlist_, kVecSize, 1);
  const std::vector<int> periods = {period(1.02), period(1.04), period(1.06), period(1.3)};
  std::vector<RegisterProfile> profiles(periods.size());
  const auto logic = fit_logic(netlist_, multiplier, periods, profiles);
  ASSERT_TRUE(logic);
  Enumeration some{"a test", periods, true, {}};
  for (int i = 0; i < 16; ++i) some.weight_pairs.push_back((i * 7919 + 66 * 256 + 190) % 65536);
  const TemporaryFolder scratch;
  const ProductTable table = enumerate_products(netlist_, multiplier, some, scratch.path()).table;
  const RandomStream unused(0, RandomPurpose::kErrors, 0, 0);
  for (std::size_t p = 0; p < periods.size(); ++p) {
    SCOPED_TRACE(fmt::format("{} ps, {} late bits", periods[p], profiles[p].late_bit_size()));
    check_late_bits(*logic, profiles[p], "a test");
    const LateBits late(*logic, profiles[p], true);
    std::size_t wrong = 0;
    for (const int pair : some.weight_pairs) {
      const auto b_before = static_cast<std::int8_t>(pair >> 8), b = static_cast<std::int8_t>(pair);
      std::vector<ProductTable::Exception> foreseen;
      LateBits::Weights(late, b_before).draw(b, unused, foreseen);
      const auto expected = table.exceptions(static_cast<int>(p), b_before, b);
      EXPECT_EQ(foreseen, std::vector(expected.begin(), expected.end()));
      wrong += expected.size();
    }
    EXPECT_GT(wrong, p == 3 ? 10000u : 100u);
  }
}

using CellsLane = FittedLane;

TEST_P(CellsLane, HasNoLogicSinceEdgesDiffer) {
  std::vector<RegisterProfile> profiles(1);
  EXPECT_FALSE(
      fit_logic(netlist_, lane_multiplier(netlist_, kVecSize, 0), {period(1.1)}, profiles));
}

INSTANTIATE_TEST_SUITE_P(Lanes, CellsLane, testing::Values(LaneCase{false, 3}));
INSTANTIATE_TEST_SUITE_P(Lanes, FittedLane, testing::Values(LaneCase{true, 3}));

class FittedSums : public FittedLane {};

// One sequence after another through the exact simulator, against the fit's classes: the rate of
// the accumulator's errors, by what the registers hold.
TEST_P(FittedSums, AreWhatTheSimulatorCaptures) {
  const int at = period(GetParam().fpga ? 1.10 : 1.20);
  const LaneFit fit = fit_sums(netlist_, kVecSize, at, true, 150);
  ASSERT_GT(fit.accumulator.rate(), 1e-3);
  const SumTree tree(fit.accumulator, "");

  Lane lane(netlist_, at);
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  const auto operand = [&] {
    return static_cast<std::int8_t>(std::clamp(std::round(normal(random) * 30), -128.0, 127.0));
  };
  Operands older, old;  // of two cycles ago and one
  SumState state;
  double foreseen = 0, wrong = 0;
  constexpr int kCycles = 8000, kSteps = 100;
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    Operands operands;
    operands.first = cycle % kSteps == 0;
    for (std::size_t e = 0; e < kVecSize; ++e) {
      operands.a[e] = cycle / 1000 % 2 ? operand() : std::max<std::int8_t>(operand(), 0);
      operands.b[e] = operand();
    }
    lane.cycle(operands);
    if (cycle >= 2) {  // two cycles from the ports to the accumulator
      int sum = 0;
      ProductSigns signs;
      for (std::size_t e = 0; e < kVecSize; ++e) {
        sum += older.a[e] * older.b[e];
        signs.add(older.a[e] * older.b[e]);
      }
      state.step(older.first, sum, signs.bits);
      foreseen += tree.leaves()[static_cast<std::size_t>(tree.leaf(state.tests(kVecSize)))].rate;
      std::uint32_t captured = 0, settled = 0;
      int bit = 0;
      for (const int r : lane.accumulator) {
        captured |= std::uint32_t{lane.simulator.captured(r)} << bit;
        settled |= std::uint32_t{lane.simulator.settled()[static_cast<std::size_t>(r)] != 0}
                   << bit++;
      }
      state.add_error(static_cast<std::int32_t>(captured - settled));
      wrong += captured != settled;
    }
    older = old;
    old = operands;
  }
  std::printf("at %d ps: %.2e wrong, %.2e foreseen\n", at, wrong / kCycles, foreseen / kCycles);
  // The operands differ, and the classes do not hold all that matters: not closer than this.
  EXPECT_GT(wrong, 20);
  EXPECT_NEAR(std::log(foreseen / wrong), 0, std::log(2));
}

// Fitted on one half of a trace, the sums' classes foresee the errors of the other half.
TEST_P(FittedSums, TransferWithinATrace) {
  const int at = period(GetParam().fpga ? 1.10 : 1.20);
  std::mt19937 random(5);
  std::normal_distribution<double> normal;
  std::vector<std::int8_t> weights;  // of 16 outputs, which repeat with other activations
  for (int i = 0; i < 16 * 40 * kVecSize; ++i) {
    weights.push_back(static_cast<std::int8_t>(std::clamp(normal(random) * 12, -128.0, 127.0)));
  }
  std::vector<OperandTrace> halves(2);
  for (OperandTrace& half : halves) {
    half.vec_size = kVecSize;
    half.layer = "made up";
    for (std::size_t step = 0; step < 40 * 3000; ++step) {
      half.first.push_back(step % 40 == 0);
      for (std::size_t e = 0; e < kVecSize; ++e) {
        half.activations.push_back(
            static_cast<std::int8_t>(std::clamp(normal(random) * 40, 0.0, 127.0)));
        half.weights.push_back(weights[(step * kVecSize + e) % weights.size()]);
      }
    }
  }
  const int cycles = GetParam().fpga ? 60 : 120;
  const LaneFit one = fit_sums(netlist_, kVecSize, at, false, cycles, std::span(halves).first(1));
  // The rate of the steps of the other half by the classes of this one.
  const LaneErrors errors = simulate_errors(LaneSimulator(netlist_, kVecSize, at), halves[1]);
  LaneModel model;
  for (std::size_t e = 0; e < kVecSize; ++e) {
    model.products.emplace_back().first.assign(ProductTable::kPairs + 1, 0);
  }
  model.sums = SumTree(one.accumulator, "");
  const auto wrong = static_cast<double>(errors.accumulator.size());
  const auto foreseen = static_cast<double>(predict_errors(model, halves[1], 1).accumulator.size());
  std::printf("at %d ps: %.0f wrong, %.0f foreseen\n", at, wrong, foreseen);
  EXPECT_GT(wrong, 100);
  EXPECT_NEAR(foreseen / wrong, 1, 0.1);
  halves[0].activations[7] = -1;
  EXPECT_EQ(error_of([&] { fit_sums(netlist_, kVecSize, at, false, 60, halves); }),
            "trace of made up: it has negative activations; expected 0 to 127");
  halves[0].vec_size = 8;
  EXPECT_EQ(error_of([&] { fit_sums(netlist_, kVecSize, at, true, 60, halves); }),
            "trace of made up: 120000 steps of 8 products; expected steps of 4");
}

class FittedStarts : public FittedLane {};

// Where only the accumulator errs, and in outputs' first two steps, its errors are no chance: which
// steps err, and by how much, on operands that the fit has not seen.
TEST_P(FittedStarts, AreForeseenStepByStep) {
  const int at = period(1.08);
  const LaneFit fit = fit_sums(netlist_, kVecSize, at, true, 800);
  std::mt19937 random(6);
  std::normal_distribution<double> normal;
  OperandTrace trace;
  trace.vec_size = kVecSize;
  trace.layer = "made up";
  const auto operand = [&](double deviation, double least) {
    return static_cast<std::int8_t>(std::clamp(normal(random) * deviation, least, 127.0));
  };
  for (int step = 0; step < 20 * 40000; ++step) {
    trace.first.push_back(step % 20 == 0);
    for (std::size_t e = 0; e < kVecSize; ++e) {
      trace.activations.push_back(operand(25, 0)), trace.weights.push_back(operand(15, -128));
    }
  }
  const LaneErrors errors = simulate_errors(LaneSimulator(netlist_, kVecSize, at), trace);
  LaneModel model;
  for (std::size_t e = 0; e < kVecSize; ++e) {
    EXPECT_TRUE(errors.products[e].empty());
    model.products.emplace_back().first.assign(ProductTable::kPairs + 1, 0);
  }
  model.sums = SumTree(fit.accumulator, "");
  const auto foreseen = predict_errors(model, trace, 1).accumulator;
  std::map<std::int64_t, std::int32_t> deltas;
  for (const StepError& error : errors.accumulator) deltas[error.step] = error.delta;
  std::size_t right = 0;
  for (const StepError& error : foreseen) {
    const auto found = deltas.find(error.step);
    right += found != deltas.end() && found->second == error.delta;
  }
  std::printf("at %d ps: %zu wrong, %zu foreseen, %zu of them with their delta\n", at,
              deltas.size(), foreseen.size(), right);
  EXPECT_GT(deltas.size(), 100u);
  EXPECT_GT(static_cast<double>(right), 0.9 * static_cast<double>(deltas.size()));
  EXPECT_GT(static_cast<double>(right), 0.9 * static_cast<double>(foreseen.size()));
}

INSTANTIATE_TEST_SUITE_P(Lanes, FittedStarts, testing::Values(LaneCase{false, 3}));
INSTANTIATE_TEST_SUITE_P(Lanes, FittedSums, testing::Values(LaneCase{true, 2}, LaneCase{false, 2}));

}  // namespace
}  // namespace inure::timing
