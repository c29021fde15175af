#include "inure/timing/lane_simulator.hpp"

#include <fmt/format.h>

#include <ctime>
#include <map>

#include "inure/base/parallel.hpp"
#include "inure/timing/sta.hpp"
#include "lane.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

int cycles(bool fpga) {  // INURE_TIMING_CYCLES: the long run by hand
  const char* text = std::getenv("INURE_TIMING_CYCLES");
  return text ? std::atoi(text) : fpga ? 40 : 12;
}

class WholeLane : public LaneTest {
 protected:
  static void set(LaneSimulator::Run& run, int sequence, const Operands& operands) {
    std::copy(operands.a.begin(), operands.a.end(), run.activations(sequence));
    std::copy(operands.b.begin(), operands.b.end(), run.weights(sequence));
    run.set_first(sequence, operands.first);
  }
};

// As after a ReLU and in trained networks: half of the activations 0, small weights.
Operands network_operands(std::mt19937& random) {
  Operands operands;
  operands.first = random() % 25 == 0;
  for (auto& a : operands.a) a = static_cast<std::int8_t>(random() % 2 ? random() % 128 : 0);
  for (auto& b : operands.b) {
    b = static_cast<std::int8_t>(static_cast<int>(random() % 48 + random() % 48) - 48);
  }
  return operands;
}

// Sequences of random operands, each with a generator of its own; those that are watched also go
// through the exact simulator.
TEST_P(WholeLane, CapturesWhatTheSimulatorDoes) {
  const int critical = analyse(netlist_).critical_ps;
  // The last sequences of two batches of StepSimulator, and some within.
  const std::vector<int> watched = {0, 63, 64, 1000, 2047, 2048, 2050, 2099};
  constexpr int kSequences = 2100;
  for (const double clock : {0.99, 1.1, 1.35, 1.8}) {
    const int period = static_cast<int>(critical / clock);
    SCOPED_TRACE(fmt::format("period {} of {} ps", period, critical));
    const LaneSimulator lane(netlist_, kVecSize, period);
    LaneSimulator::Run run(lane, kSequences);
    std::map<int, Lane> exact;
    for (const int sequence : watched) exact.try_emplace(sequence, netlist_, period);
    std::vector<std::mt19937> random;
    for (int i = 0; i < kSequences; ++i) random.emplace_back(i);
    std::int64_t differ = 0, wrong = 0;
    for (int cycle = 0; cycle < cycles(GetParam().fpga); ++cycle) {
      for (int i = 0; i < kSequences; ++i) {
        const Operands now =
            i % 2 ? network_operands(random[index(i)]) : random_operands(random[index(i)]);
        set(run, i, now);
        if (const auto found = exact.find(i); found != exact.end()) found->second.cycle(now);
      }
      run.cycle();
      for (const auto& [sequence, twin] : exact) {
        const auto settled = twin.simulator.settled();
        for (int r = 0; r < static_cast<int>(settled.size()); ++r) {
          const auto bit = [&](const LaneSimulator::Block& block) {
            return (block[index(sequence / 64)] >> sequence % 64 & 1) != 0;
          };
          differ += bit(run.captured_bit(r)) != twin.simulator.captured(r);
          differ += bit(run.settled_bit(r)) != (settled[index(r)] != 0);
          wrong += (settled[index(r)] != 0) != twin.simulator.captured(r);
        }
      }
    }
    EXPECT_EQ(differ, 0);
    EXPECT_TRUE(clock > 1 || wrong == 0);
    EXPECT_TRUE(clock < 1.5 || wrong > 0) << "the clock is too slow to tell";
  }
}

TEST_P(WholeLane, GivesNumbersOfWords) {
  const int critical = analyse(netlist_).critical_ps;
  const LaneSimulator lane(netlist_, kVecSize, static_cast<int>(critical / 1.5));
  constexpr int kSequences = 200;
  LaneSimulator::Run run(lane, kSequences);
  std::mt19937 random(1);
  std::vector<std::int32_t> captured(kSequences), settled(kSequences), held(kSequences);
  std::vector<std::int32_t> before(kSequences);
  ASSERT_EQ(lane.cycles_to(lane.product(0)), GetParam().pipeline == 4 ? 2 : 1);
  ASSERT_EQ(lane.cycles_to(lane.accumulator()), GetParam().pipeline);
  std::vector<LaneSimulator::Run::Error> errors;
  int found = 0;
  for (int cycle = 0; cycle < 15; ++cycle) {
    for (int i = 0; i < kSequences; ++i) set(run, i, random_operands(random));
    run.captured(lane.accumulator(), before);
    run.cycle();
    run.held(lane.accumulator(), held);
    EXPECT_EQ(held, before);
    for (int word = 0; word <= lane.accumulator(); ++word) {
      run.captured(word, captured);
      run.settled(word, settled);
      std::size_t next = 0;
      found += run.find_errors(word, errors);
      for (int i = 0; i < kSequences; ++i) {
        ASSERT_EQ(captured[index(i)], run.captured(word, i));
        ASSERT_EQ(settled[index(i)], run.settled(word, i));
        if (captured[index(i)] == settled[index(i)]) continue;
        ASSERT_LT(next, errors.size());
        EXPECT_EQ(errors[next].sequence, i);
        EXPECT_EQ(static_cast<std::uint32_t>(settled[index(i)]) +
                      static_cast<std::uint32_t>(errors[next].delta),
                  static_cast<std::uint32_t>(captured[index(i)]));
        ++next;
      }
      EXPECT_EQ(next, errors.size());
    }
  }
  EXPECT_GT(found, 0);
}

// Settled words against arithmetic, and the speed on one core.
TEST_P(WholeLane, SettlesAtArithmetic) {
  const int critical = analyse(netlist_).critical_ps;
  for (const double clock : {1.0, 1.1, 1.3}) {
    const LaneSimulator lane(netlist_, kVecSize, static_cast<int>(critical / clock));
    const int sequences = GetParam().fpga ? LaneSimulator::kSequences : 2048;
    LaneSimulator::Run run(lane, sequences);
    std::mt19937 random(2);
    std::vector<Operands> last(index(sequences));
    double seconds = 0;
    const int count = 8;
    for (int cycle = 0; cycle < count; ++cycle) {
      const std::clock_t start = std::clock();
      run.cycle();
      seconds += static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      if (cycle > 0 && GetParam().pipeline != 4) {
        for (int i = 0; i < sequences; ++i) {
          for (int e = 0; e < kVecSize; ++e) {
            const Operands& what = last[index(i)];
            ASSERT_EQ(run.settled(e, i), what.a[index(e)] * what.b[index(e)]);
          }
        }
      }
      for (int i = 0; i < sequences; ++i) {
        if (cycle > 0) {
          // The operands of the cycle before are in the registers now.
          std::copy_n(run.activations(i), kVecSize, last[index(i)].a.begin());
          std::copy_n(run.weights(i), kVecSize, last[index(i)].b.begin());
        }
        const Operands now = network_operands(random);
        set(run, i, now);
      }
    }
    std::printf("%s pipeline %d at %.2f f_STA: %.3g million lane cycles/s on one core\n",
                GetParam().fpga ? "hx8k" : "osu018", GetParam().pipeline, clock,
                1e-6 * count * sequences / seconds);
  }
}

TEST_P(WholeLane, RefusesAClockThatNeedsMoreThanTheCycleBefore) {
  EXPECT_EQ(error_of([&] { LaneSimulator(netlist_, kVecSize, 1000); }).substr(0, 35),
            "step response: a period of 1000 ps ");
  EXPECT_EQ(error_of([&] { LaneSimulator(netlist_, kVecSize + 1, 8000); }).substr(0, 17),
            "netlist: product[");
}

INSTANTIATE_TEST_SUITE_P(Lanes, WholeLane, all_lanes());

}  // namespace
}  // namespace inure::timing
