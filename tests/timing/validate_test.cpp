#include "inure/timing/validate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "inure/base/parallel.hpp"
#include "inure/timing/enumerate.hpp"
#include "inure/timing/sta.hpp"
#include "lane.hpp"
#include "tests/common.hpp"
#include "tests/errors/made_up_tree.hpp"

namespace inure::timing {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

// A layer's operands as they might be: after a ReLU, of a few weights.
OperandTrace random_trace(std::int64_t steps, int output, unsigned seed,
                          const std::vector<int>& weights) {
  OperandTrace trace;
  trace.vec_size = kVecSize;
  trace.layer = "made up";
  std::mt19937 random(seed);
  for (std::int64_t step = 0; step < steps; ++step) {
    trace.first.push_back(step % output == 0);
    for (int i = 0; i < kVecSize; ++i) {
      trace.activations.push_back(static_cast<std::int8_t>(random() % 3 ? random() % 128 : 0));
      trace.weights.push_back(static_cast<std::int8_t>(weights[random() % weights.size()]));
    }
  }
  return trace;
}

const std::vector<int> kWeights = {-128, -93, -41, -17, -6, -1, 0, 2, 5, 9, 23, 60, 101, 127};

// The long runs by hand: INURE_TIMING_TRACE names a trace of a network, INURE_TIMING_VECTORS says
// how many of its steps to take.
std::int64_t long_run(std::int64_t otherwise) {
  const char* text = std::getenv("INURE_TIMING_VECTORS");
  return text ? std::atoll(text) : otherwise;
}

OperandTrace trace_of_network_or(const OperandTrace& otherwise, std::int64_t steps) {
  const char* path = std::getenv("INURE_TIMING_TRACE");
  if (!path) return otherwise;
  OperandTrace trace = read_operand_trace(path);
  steps = std::min(steps, trace.steps());
  trace.first.resize(index(steps));
  trace.activations.resize(index(steps * trace.vec_size));
  trace.weights.resize(index(steps * trace.vec_size));
  return trace;
}

// The pairs of weights that follow each other somewhere in the trace.
std::vector<int> weight_pairs(const OperandTrace& trace) {
  std::vector<bool> there(ProductTable::kPairs);
  for (std::size_t i = 0; i < trace.weights.size(); ++i) {
    const auto vec = index(trace.vec_size);
    const int before = i < vec ? 0 : trace.weights[i - vec];
    there[index(ProductTable::pair(before, trace.weights[i]))] = true;
  }
  std::vector<int> pairs;
  for (int pair = 0; pair < ProductTable::kPairs; ++pair) {
    if (there[index(pair)]) pairs.push_back(pair);
  }
  return pairs;
}

std::int32_t wrapped(std::int64_t value) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
}

class ValidatedLane : public LaneTest {};

// The whole trace through the exact simulator in one go: what every product and every accumulator
// was, against the right ones and the errors that were found.
TEST_P(ValidatedLane, ErrorsAreThoseOfTheSimulator) {
  constexpr int kOutput = 25;
  const std::int64_t steps = long_run(1200);
  const OperandTrace trace = trace_of_network_or(random_trace(steps, kOutput, 1, kWeights), steps);
  // Not so deep that an error of a lead-in's own start lives on into the piece.
  const double clock = GetParam().fpga ? 1.25 : 1.35;
  const int period = static_cast<int>(analyse(netlist_).critical_ps / clock);
  const LaneSimulator simulator(netlist_, kVecSize, period);
  const LaneErrors errors = simulate_errors(simulator, trace);
  std::vector<std::int32_t> total(index(trace.steps()));
  std::vector<std::vector<std::int32_t>> products(kVecSize, total);
  for (int i = 0; i < kVecSize; ++i) {
    for (const StepError& error : errors.products[index(i)]) {
      products[index(i)][index(error.step)] = error.delta;
      total[index(error.step)] = wrapped(std::int64_t{total[index(error.step)]} + error.delta);
    }
  }
  for (const StepError& error : errors.accumulator) {
    total[index(error.step)] = wrapped(std::int64_t{total[index(error.step)]} + error.delta);
  }
  Lane lane(netlist_, period);
  std::int64_t wrong = 0, wrong_products = 0;
  std::int32_t value = 0;
  const int to_product = simulator.cycles_to(0);
  const int to_accumulator = simulator.cycles_to(simulator.accumulator());
  for (std::int64_t cycle = 0; cycle < trace.steps() + to_accumulator; ++cycle) {
    Operands operands;
    if (cycle < trace.steps()) {
      operands.first = trace.first[index(cycle)];
      std::copy_n(trace.activations_at(cycle).begin(), kVecSize, operands.a.begin());
      std::copy_n(trace.weights_at(cycle).begin(), kVecSize, operands.b.begin());
    }
    lane.cycle(operands);
    const std::int64_t product = cycle - to_product, step = cycle - to_accumulator;
    for (int i = 0; i < kVecSize && product >= 0 && product < trace.steps(); ++i) {
      const int right =
          trace.activations_at(product)[index(i)] * trace.weights_at(product)[index(i)];
      const int got = static_cast<std::int16_t>(lane.captured_products() >> 16 * i);
      ASSERT_EQ(got, right + products[index(i)][index(product)]) << "step " << product;
      wrong_products += got != right;
    }
    if (step < 0) continue;
    if (trace.first[index(step)]) value = 0;
    value = wrapped(std::int64_t{value} + sum_of_products(trace, step) + total[index(step)]);
    ASSERT_EQ(static_cast<std::int32_t>(lane.captured_accumulator()), value) << "step " << step;
    wrong += total[index(step)] != 0;
  }
  EXPECT_GT(wrong, 0);
  const ErrorStatistics found = measure(errors, trace);
  double rate = 0;
  for (const double product : found.products) rate += product;
  EXPECT_NEAR(rate * static_cast<double>(trace.steps()), static_cast<double>(wrong_products), 1e-6);
  EXPECT_GE(found.wrong_steps * static_cast<double>(trace.steps()), static_cast<double>(wrong));
}

INSTANTIATE_TEST_SUITE_P(Lanes, ValidatedLane, all_lanes());

class ValidatedTables : public LaneTest {};

// Exact tables foresee the products' errors exactly: 0 differences.
TEST_P(ValidatedTables, ForeseeEveryProduct) {
  const std::int64_t steps = long_run(20000);
  const int count = GetParam().fpga ? 14 : 5;  // cells take 100 times as long
  const std::vector<int> weights(kWeights.begin(), kWeights.begin() + count);
  const OperandTrace trace = trace_of_network_or(random_trace(steps, 50, 2, weights), steps);
  const int critical = analyse(netlist_).critical_ps;
  const bool negative = std::any_of(trace.activations.begin(), trace.activations.end(),
                                    [](std::int8_t a) { return a < 0; });
  Enumeration what{"a test", {}, negative, weight_pairs(trace)};
  std::vector<double> clocks = {1.02, 1.1, 1.2, 1.3};
  if (std::getenv("INURE_TIMING_TRACE")) clocks = {1.02, 1.04, 1.06, 1.1, 1.15, 1.2, 1.25, 1.3};
  for (const double clock : clocks) {
    what.periods_ps.push_back(static_cast<int>(critical / clock));
  }
  TemporaryFolder cache;
  std::vector<ProductTable> tables;
  for (int i = 0; i < kVecSize; ++i) {
    tables.push_back(
        enumerate_products(netlist_, lane_multiplier(netlist_, kVecSize, i), what, cache.path())
            .table);
  }
  std::int64_t wrong = 0;
  for (std::size_t clock = 0; clock < what.periods_ps.size(); ++clock) {
    LaneModel model;
    model.negative_activations = negative;
    for (const ProductTable& table : tables) model.products.push_back(table.clocks[clock]);
    const LaneErrors foreseen = predict_errors(model, trace, 1);
    const LaneErrors truth =
        simulate_errors(LaneSimulator(netlist_, kVecSize, what.periods_ps[clock]), trace);
    EXPECT_TRUE(foreseen.accumulator.empty());
    for (std::size_t i = 0; i < kVecSize; ++i) {
      const auto& a = foreseen.products[i];
      const auto& b = truth.products[i];
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t k = 0; k < a.size(); ++k) {
        ASSERT_EQ(a[k].step, b[k].step);
        ASSERT_EQ(a[k].delta, b[k].delta);
      }
      wrong += static_cast<std::int64_t>(b.size());
    }
    const ErrorStatistics of_truth = measure(truth, trace);
    if (truth.accumulator.empty()) {
      const Difference difference = compare(of_truth, measure(foreseen, trace));
      EXPECT_EQ(difference.rate_ratio, 1);
      EXPECT_EQ(difference.ks, (std::array<double, 3>{}));
      EXPECT_EQ(difference.value_bit, 0);
    }
    std::printf("%s pipeline %d, %d ps: %.2e of %lld steps wrong, products %s\n",
                GetParam().fpga ? "hx8k" : "osu018", GetParam().pipeline, what.periods_ps[clock],
                of_truth.wrong_steps, static_cast<long long>(trace.steps()),
                fmt::format("{:.2e}", fmt::join(of_truth.products, " ")).c_str());
  }
  EXPECT_GT(wrong, 100);
}

INSTANTIATE_TEST_SUITE_P(Lanes, ValidatedTables,
                         testing::Values(LaneCase{true, 3}, LaneCase{false, 3}));

// Errors made up: in every third step product 2 lost its sign bit.
TEST(Validate, IndependentFlipsHaveTheirRates) {
  const OperandTrace trace = random_trace(60000, 100, 3, kWeights);
  LaneErrors truth;
  truth.products.resize(kVecSize);
  for (std::int64_t step = 0; step < trace.steps(); step += 3) {
    const int right = trace.activations_at(step)[2] * trace.weights_at(step)[2];
    truth.products[2].push_back({step, right, right < 0 ? 32768 : -32768});
    truth.accumulator.push_back({step, 3, 5});  // 011 -> 1000
  }
  const LaneErrors flips = flip_independently(truth, trace, 1);
  EXPECT_TRUE(flips.products[0].empty());
  const double steps = static_cast<double>(trace.steps());
  EXPECT_NEAR(static_cast<double>(flips.products[2].size()) / steps, 1 / 3., 0.01);
  for (const StepError& error : flips.products[2]) ASSERT_EQ(std::abs(error.delta), 32768);
  const auto bits = flip_rates(flips.accumulator, 32, trace.steps());
  for (int bit = 0; bit < 32; ++bit)
    EXPECT_NEAR(bits[index(bit)], bit < 4 && bit != 2 ? 1 / 3. : 0, 0.01);
  const ErrorStatistics a = measure(truth, trace), b = measure(flips, trace);
  EXPECT_NEAR(a.wrong_steps, 1 / 3., 1e-6);
  EXPECT_GT(b.wrong_steps, 0.5);
  const Difference difference = compare(a, b);
  EXPECT_NEAR(difference.rate_ratio, b.wrong_steps / a.wrong_steps, 1e-9);
  EXPECT_GT(difference.ks[0], 0.1);
  EXPECT_LT(difference.product_bit, 0.01);
}

class CircuitOfAProfile : public LaneTest {};

TEST_P(CircuitOfAProfile, IsMadeAgainByItsCommand) {
  TimingProfile profile;
  profile.set_vec_size(kVecSize);
  profile.set_critical_ps(static_cast<std::uint32_t>(analyse(netlist_).critical_ps));
  profile.add_made_by("yosys 1.0");
  const std::string command = fmt::format(
      "inure characterize --technology {} --design rtl/gone.v --top lane --relu --parameter "
      "VEC_SIZE={} --parameter PIPELINE={} {} --output DIR",
      GetParam().fpga ? "hx8k" : "osu018", kVecSize, GetParam().pipeline,
      GetParam().fpga ? "--seeds 5,1" : "--target-ps 1000");
  profile.set_corner("some delays, seed 1");
  profile.set_netlist(hash_netlist(netlist_));
  const auto again = [&] {
    return circuit_of(profile, "a.profile", {rtl_folder() / "lane.v"}, test_cache());
  };
  EXPECT_EQ(error_of(again),
            "a.profile: made_by has no line \"inure characterize ...\": its circuit cannot be made "
            "again");
  profile.add_made_by(command);
  const Circuit circuit = again();
  EXPECT_TRUE(circuit.flow.cached);
  EXPECT_EQ(circuit.netlist.gates().size(), netlist_.gates().size());
  profile.set_netlist(1);
  EXPECT_EQ(error_of(again).substr(0, 40), "a.profile: of a netlist 0000000000000001");
  EXPECT_EQ(
      error_of([&] { circuit_of(profile, "a.profile", {}, test_cache()); }),
      "a.profile: its circuit is made of rtl/gone.v, which is neither here nor beside or above "
      "the profile; say where it lies by --design");
  profile.set_critical_ps(4711);
  EXPECT_EQ(error_of(again).substr(0, 64),
            "a.profile: of 4 multipliers with a critical path of 4711 ps; the");
}

INSTANTIATE_TEST_SUITE_P(Lanes, CircuitOfAProfile,
                         testing::Values(LaneCase{true, 3}, LaneCase{false, 3}));

TEST(Validate, DrawsSumsByTheirClass) {
  // One product a step: 1 and -1 in turn, in outputs of 4 steps. Sums of a positive accumulator err
  // where the product is negative: in each output's second step, and in its fourth where an error
  // before has not made the accumulator negative.
  OperandTrace trace;
  trace.vec_size = 1;
  for (int step = 0; step < 40000; ++step) {
    trace.first.push_back(step % 4 == 0);
    trace.activations.push_back(1);
    trace.weights.push_back(step % 2 ? -1 : 1);
  }
  LaneModel model;
  model.products.resize(1);
  model.products[0].first.assign(ProductTable::kPairs + 1, 0);
  RegisterProfile sums;
  constexpr int kNegativeSum = 31, kNegativeAccumulator = 3 * 32 + 31;
  add_test(sums, kNegativeSum), add_leaf(sums, 0);
  add_test(sums, kNegativeAccumulator), add_leaf(sums, 0.5, {{-20, 1}, {7, 3}}), add_leaf(sums, 0);
  model.sums = SumTree(sums, "");
  const LaneErrors errors = predict_errors(model, trace, 1);
  int negative = 0, second = 0;
  std::int64_t last_negative = -4;
  for (const StepError& error : errors.accumulator) {
    ASSERT_EQ(error.step % 2, 1) << error.step;
    ASSERT_TRUE(error.delta == -20 || error.delta == 7);
    ASSERT_NE(error.step, last_negative + 2);
    if (error.step % 4 == 1 && error.delta == -20) last_negative = error.step;
    second += error.step % 4 == 1;
    negative += error.step % 4 == 1 && error.delta == -20;
  }
  EXPECT_NEAR(second, 5000, 300);
  EXPECT_NEAR(negative, 1250, 150);
  EXPECT_NEAR(static_cast<double>(errors.accumulator.size()) - second, 0.5 * (10000 - negative),
              300);
  trace.activations[5] = -1;
  model.negative_activations = false;
  EXPECT_EQ(error_of([&] { predict_errors(model, trace, 1); }),
            "operand trace of : an activation of -1; the model knows 0 to 127 only");
}

TEST(Validate, KolmogorovSmirnovDistance) {
  EXPECT_EQ(kolmogorov_smirnov({0, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 1, 1}), 0);
  EXPECT_EQ(kolmogorov_smirnov({1, 2}, {3, 4}), 1);
  EXPECT_EQ(kolmogorov_smirnov({0, 0, 0, 0}, {-9, 0, 0, 9}), 0.25);
}

}  // namespace
}  // namespace inure::timing
