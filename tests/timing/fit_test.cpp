#include "inure/timing/fit.hpp"

#include <cmath>
#include <map>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/sum_class.hpp"
#include "inure/timing/enumerate.hpp"
#include "inure/timing/sta.hpp"
#include "lane.hpp"
#include "scratch.hpp"

namespace inure::timing {
namespace {

class FittedLane : public LaneTest {
 protected:
  int period(double clock) const { return static_cast<int>(analyse(netlist_).critical_ps / clock); }
};

// Bins so narrow that a class is one change of weights: its rate and deltas are then those of the
// exact table, up to the sample's noise.
TEST_P(FittedLane, ClassesAreWhatTheExactTableSays) {
  const Multiplier multiplier = lane_multiplier(netlist_, kVecSize, 1);
  ProductFit fit;
  fit.periods_ps = {period(1.06), period(1.03)};
  fit.activation_bins = {-128, 0};
  fit.weight_bins = {-128, -86, -85, 0, 57, 58};  // -86 and 57 are bins of one value
  fit.weight_pairs = 64;
  const std::vector<RegisterProfile> fitted = fit_products(netlist_, multiplier, fit);
  ASSERT_EQ(fitted.size(), 2u);
  const Scratch cache;
  const Enumeration what{"a test", fit.periods_ps, true, {ProductTable::pair(-86, 57)}};
  const ProductTable table = enumerate_products(netlist_, multiplier, what, cache.path).table;
  const ProductBins bins(fit.activation_bins, fit.weight_bins);
  int compared = 0;
  for (int clock = 0; clock < 2; ++clock) {
    // By class of activations: the density of those that err, and of each delta.
    std::map<std::uint32_t, double> rate;
    std::map<std::uint32_t, std::map<int, double>> deltas;
    std::map<bool, double> all;  // by sign
    for (int a = -128; a < 128; ++a) all[a < 0] += operand_density(a);
    for (const ProductTable::Exception what_errs : table.exceptions(clock, -86, 57)) {
      const int before = static_cast<std::int8_t>(what_errs.operands >> 8);
      const int now = static_cast<std::int8_t>(what_errs.operands);
      const double part =
          operand_density(before) / all[before < 0] * operand_density(now) / all[now < 0];
      const std::uint32_t id = bins.id(before, -86, now, 57);
      rate[id] += part;
      deltas[id][ProductTable::signed_delta(what_errs, 57)] += part;
    }
    for (const ErrorClass& fits : fitted[static_cast<std::size_t>(clock)].error_class()) {
      if (!rate.count(fits.id())) continue;
      const double trials = 64 * 2048 / 4;
      EXPECT_EQ(fits.trials(), 64u * 2048 / 4);
      EXPECT_NEAR(fits.rate(), rate[fits.id()], 6 * std::sqrt(rate[fits.id()] / trials) + 1e-4);
      const double part = deltas[fits.id()][fits.delta(0)];
      EXPECT_NEAR(fits.count(0), part * trials, 6 * std::sqrt(part * trials) + 4);
      ++compared;
      rate.erase(fits.id());
    }
    for (const auto& [id, left] : rate) EXPECT_LT(left, 6 / (64.0 * 2048 / 4)) << "class " << id;
  }
  EXPECT_GT(compared, 1);
}

// The classes' rates, weighted by how frequent the classes are, against a stream of operands that
// the sample was not drawn from.
TEST_P(FittedLane, RatesTransferToOtherOperands) {
  const Multiplier multiplier = lane_multiplier(netlist_, kVecSize, 1);
  ProductFit fit;
  fit.periods_ps = {period(1.02), period(1.04), period(1.06)};
  fit.activation_bins = default_activation_bins(true);
  fit.weight_bins = default_weight_bins();
  fit.weight_pairs = 256;
  const auto fitted = fit_products(netlist_, multiplier, fit);
  const ProductBins bins(fit.activation_bins, fit.weight_bins);
  const MultiplierStep step(netlist_, multiplier, fit.periods_ps);
  MultiplierStep::Run run(step);
  std::mt19937 random(11);
  std::normal_distribution<double> normal;
  std::vector<double> foreseen(3), wrong(3);
  std::vector<std::map<std::uint32_t, double>> rates(3);
  for (std::size_t p = 0; p < 3; ++p) {
    for (const ErrorClass& what : fitted[p].error_class()) rates[p][what.id()] = what.rate();
  }
  int before[2] = {0, 0};
  constexpr int kBlocks = 40;
  for (int block = 0; block < kBlocks; ++block) {
    for (int lane = 0; lane < MultiplierStep::kLanes; ++lane) {
      const int now[2] = {static_cast<int>(std::clamp(normal(random) * 30, 0.0, 127.0)),
                          static_cast<int>(std::clamp(normal(random) * 25, -128.0, 127.0))};
      const int operands[4] = {before[0], before[1], now[0], now[1]};
      for (int k = 0; k < 4; ++k) {
        for (int bit = 0; bit < 8; ++bit) {
          auto& word = run.input(static_cast<MultiplierStep::Operand>(k),
                                 bit)[static_cast<std::size_t>(lane / 64)];
          const std::uint64_t mask = std::uint64_t{1} << lane % 64;
          word = operands[k] >> bit & 1 ? word | mask : word & ~mask;
        }
      }
      for (std::size_t p = 0; p < 3; ++p) {
        const auto found = rates[p].find(bins.id(before[0], before[1], now[0], now[1]));
        if (found != rates[p].end()) foreseen[p] += found->second;
      }
      std::copy_n(now, 2, before);
    }
    run.run();
    for (int p = 0; p < 3; ++p) {
      for (const std::uint64_t word : run.wrong(p)) {
        wrong[static_cast<std::size_t>(p)] += std::popcount(word);
      }
    }
  }
  for (std::size_t p = 0; p < 3; ++p) {
    const double count = static_cast<double>(kBlocks) * MultiplierStep::kLanes;
    std::printf("%d ps: %.2e wrong, %.2e foreseen\n", fit.periods_ps[p], wrong[p] / count,
                foreseen[p] / count);
    EXPECT_NEAR(foreseen[p] / wrong[p], 1, 0.1);
  }
  EXPECT_GT(wrong[2], 1000);
}

TEST_P(FittedLane, DoNotDependOnThreads) {
  const Multiplier multiplier = lane_multiplier(netlist_, kVecSize, 1);
  ProductFit fit{{period(1.06)}, false, {0, 1, 20}, {-128, 0}, 16, 3};
  set_threads(1);
  const std::string alone = fit_products(netlist_, multiplier, fit)[0].SerializeAsString();
  set_threads(3);
  EXPECT_EQ(fit_products(netlist_, multiplier, fit)[0].SerializeAsString(), alone);
  set_threads(0);
  EXPECT_FALSE(alone.empty());
}

INSTANTIATE_TEST_SUITE_P(Lanes, FittedLane, testing::Values(LaneCase{true, 3}));

class FittedSums : public FittedLane {};

// One sequence after another through the exact simulator, against the fit's classes: the rate of
// the accumulator's errors and the most frequent delta.
TEST_P(FittedSums, AreWhatTheSimulatorCaptures) {
  const int at = period(GetParam().fpga ? 1.10 : 1.20);
  const LaneFit fit = fit_sums(netlist_, kVecSize, at, true, 150);
  ASSERT_GT(fit.accumulator.rate(), 1e-3);
  std::map<std::uint32_t, const ErrorClass*> classes;
  for (const ErrorClass& what : fit.accumulator.error_class()) classes[what.id()] = &what;

  Lane lane(netlist_, at);
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  const auto operand = [&] {
    return static_cast<std::int8_t>(std::clamp(std::round(normal(random) * 30), -128.0, 127.0));
  };
  SumState older, before, now;  // of this cycle's operands and those of one and two cycles ago
  double foreseen = 0, wrong = 0;
  constexpr int kCycles = 8000, kSteps = 100;
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    Operands operands;
    operands.first = cycle % kSteps == 0;
    int sum = 0, negative = 0;
    for (std::size_t e = 0; e < kVecSize; ++e) {
      operands.a[e] = cycle / 1000 % 2 ? operand() : std::max<std::int8_t>(operand(), 0);
      operands.b[e] = operand();
      sum += operands.a[e] * operands.b[e];
      negative += operands.a[e] * operands.b[e] < 0;
    }
    older = before;
    before = now;
    now.step(operands.first, sum, negative, kVecSize);
    lane.cycle(operands);
    if (cycle >= 2) {  // two cycles from the ports to the accumulator
      const auto id = static_cast<std::uint32_t>(older.sum_class());
      if (classes.count(id)) foreseen += classes[id]->rate();
      const auto settled = lane.simulator.settled();
      bool errs = false;
      for (const int r : lane.accumulator) {
        errs |= lane.simulator.captured(r) != (settled[static_cast<std::size_t>(r)] != 0);
      }
      wrong += errs;
    }
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
  const LaneFit other = fit_sums(netlist_, kVecSize, at, false, cycles, std::span(halves).last(1));
  double foreseen = 0, wrong = 0;
  for (const ErrorClass& what : other.accumulator.error_class()) {
    wrong += what.rate() * static_cast<double>(what.trials());
    for (const ErrorClass& fitted : one.accumulator.error_class()) {
      if (fitted.id() == what.id()) foreseen += fitted.rate() * static_cast<double>(what.trials());
    }
  }
  std::printf("at %d ps: %.0f wrong, %.0f foreseen\n", at, wrong, foreseen);
  EXPECT_GT(wrong, 1000);
  EXPECT_NEAR(foreseen / wrong, 1, 0.1);
  halves[0].activations[7] = -1;
  EXPECT_EQ(error_of([&] { fit_sums(netlist_, kVecSize, at, false, 60, halves); }),
            "trace of made up: it has negative activations; expected 0 to 127");
  halves[0].vec_size = 8;
  EXPECT_EQ(error_of([&] { fit_sums(netlist_, kVecSize, at, true, 60, halves); }),
            "trace of made up: 120000 steps of 8 products; expected steps of 4");
}

INSTANTIATE_TEST_SUITE_P(Lanes, FittedSums, testing::Values(LaneCase{true, 2}, LaneCase{false, 2}));

}  // namespace
}  // namespace inure::timing
