#include "inure/timing/step_response.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "inure/timing/late_bound.hpp"
#include "inure/timing/simulator.hpp"
#include "inure/timing/step_simulator.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

// Registers, random gates with random delays, registers.
struct RandomCircuit {
  RandomCircuit(unsigned seed, bool edges_differ) : random(seed) {
    const auto delay = [&](int longest) {
      Edges edges;
      edges.rise = static_cast<int>(random() % static_cast<unsigned>(longest));
      edges.fall =
          edges_differ ? static_cast<int>(random() % static_cast<unsigned>(longest)) : edges.rise;
      return edges;
    };
    const auto add_register = [&](const std::string& name, int from, std::vector<int>& list) {
      const int d = netlist.add_net(name + "/D"), q = netlist.add_net(name);
      const Pin pin{from, {}, delay(50), {}};
      netlist.add_gate(name + "/setup", 0b10, std::span(&pin, 1), d);
      list.push_back(static_cast<int>(netlist.registers().size()));
      netlist.add_register({name, d, q, delay(60)});
      return q;
    };
    std::vector<int> nets;
    for (int i = 0; i < 5; ++i) {
      const int port = netlist.add_net(fmt::format("port{}", i));
      netlist.add_input(fmt::format("port{}", i), port);
      nets.push_back(add_register(fmt::format("from{}", i), port, launching));
    }
    for (int g = 0; g < 25; ++g) {
      std::vector<Pin> pins;
      const std::size_t count = g == 0 ? 0 : 1 + random() % 4;  // the first is a constant
      for (std::size_t k = 0; k < count; ++k) {
        const std::size_t recent = std::min<std::size_t>(nets.size(), 9);
        pins.push_back({nets[nets.size() - 1 - random() % recent], delay(40), delay(90), {}});
      }
      const std::uint64_t rows = std::uint64_t{1} << count;
      const std::uint64_t truth = (random() << 16 ^ random()) & ((std::uint64_t{1} << rows) - 1);
      const int net = netlist.add_net(fmt::format("g{}", g));
      netlist.add_gate(fmt::format("g{}", g), truth, pins, net);
      nets.push_back(net);
    }
    for (int i = 0; i < 4; ++i) {
      add_register(fmt::format("to{}", i), nets[nets.size() - 1 - static_cast<std::size_t>(i)],
                   capturing);
    }
    netlist.finish("random circuit");
  }

  std::mt19937 random;
  Netlist netlist;
  std::vector<int> launching, capturing;
};

// What the logic says that the registers capture, transition by transition: contents[i] ->
// contents[i + 1]. At most LogicProgram::kLanes of them.
std::vector<std::uint64_t> captured(const StepResponse& response, const std::vector<int>& ids,
                                    const std::vector<unsigned>& contents) {
  const LogicProgram program(response.graph, ids);
  LogicProgram::State state(program);
  const int launching = response.graph.inputs() / 2;
  std::vector<std::uint64_t> words(contents.size() - 1);
  for (std::size_t t = 0; t < words.size(); ++t) {
    for (int i = 0; i < launching; ++i) {
      state.input(i)[t / 64] |= std::uint64_t{contents[t] >> i & 1} << t % 64;
      state.input(launching + i)[t / 64] |= std::uint64_t{contents[t + 1] >> i & 1} << t % 64;
    }
  }
  program.run(state);
  for (std::size_t t = 0; t < words.size(); ++t) {
    for (int i = 0; i < program.outputs(); ++i) {
      words[t] |= (program.output(state, i)[t / 64] >> t % 64 & 1) << i;
    }
  }
  return words;
}

// The same by the event simulator, for all periods at once: by period.
std::vector<std::vector<std::uint64_t>> captured(StepSimulator& simulator, std::size_t periods,
                                                 const RandomCircuit& circuit,
                                                 const std::vector<unsigned>& contents) {
  for (std::size_t t = 0; t + 1 < contents.size(); ++t) {
    for (int i = 0; i < static_cast<int>(circuit.launching.size()); ++i) {
      simulator.before(i)[t / 64] |= std::uint64_t{contents[t] >> i & 1} << t % 64;
      simulator.now(i)[t / 64] |= std::uint64_t{contents[t + 1] >> i & 1} << t % 64;
    }
  }
  simulator.run();
  std::vector<std::vector<std::uint64_t>> words;
  for (std::size_t p = 0; p < periods; ++p) {
    auto& list = words.emplace_back(contents.size() - 1);
    for (std::size_t t = 0; t < list.size(); ++t) {
      for (int i = 0; i < static_cast<int>(circuit.capturing.size()); ++i) {
        list[t] |= (simulator.captured(static_cast<int>(p), i)[t / 64] >> t % 64 & 1) << i;
      }
    }
  }
  return words;
}

class StepResponseOfRandomCircuits : public testing::TestWithParam<bool> {};

TEST_P(StepResponseOfRandomCircuits, IsWhatTheSimulatorCaptures) {
  int late = 0;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    RandomCircuit circuit(seed, GetParam());
    const int longest =
        step_response(circuit.netlist, circuit.launching, circuit.capturing, {}).longest_ps;
    const int shortest = std::max((longest + 1) / 2, 61);
    std::vector<int> periods = {longest, shortest};
    for (int i = 0; i < 4; ++i) {
      periods.push_back(shortest + static_cast<int>(circuit.random() %
                                                    static_cast<unsigned>(longest - shortest)));
    }
    const auto response =
        step_response(circuit.netlist, circuit.launching, circuit.capturing, periods);
    for (std::size_t p = 0; p < periods.size(); ++p) {
      SCOPED_TRACE(fmt::format("seed {} period {} of {}", seed, periods[p], longest));
      std::vector<unsigned> contents = {0};
      std::vector<std::uint64_t> simulated;
      TimingSimulator simulator(circuit.netlist, periods[p]);
      for (int cycle = 0; cycle < 100; ++cycle) {
        contents.push_back(circuit.random() & 31u);
        for (std::size_t i = 0; i < circuit.launching.size(); ++i) {
          simulator.force(circuit.launching[i], contents.back() >> i & 1);
        }
        simulator.cycle();
        simulated.push_back(simulator.captured_word(circuit.capturing));
      }
      ASSERT_EQ(captured(response, response.captured[p], contents), simulated);
      StepSimulator events(circuit.netlist, circuit.launching, circuit.capturing, periods);
      ASSERT_EQ(captured(events, periods.size(), circuit, contents)[p], simulated);
      const auto settled = captured(response, response.settled, contents);
      if (p == 0) {
        ASSERT_EQ(settled, simulated);
      }
      for (std::size_t t = 0; t < settled.size(); ++t) late += settled[t] != simulated[t];
    }
  }
  EXPECT_GT(late, 500);  // the periods were short enough for errors
}

INSTANTIATE_TEST_SUITE_P(, StepResponseOfRandomCircuits, testing::Values(false, true),
                         [](const auto& edges) {
                           return edges.param ? "EdgesDiffer" : "OneDelay";
                         });

// All contents after all others: where a register errs after some of them, the bound says so.
TEST_P(StepResponseOfRandomCircuits, LateBoundMissesNoError) {
  constexpr int kContents = 32;
  int errs = 0, late = 0, all = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    RandomCircuit circuit(seed, GetParam());
    const auto& [random, netlist, launching, capturing] = circuit;
    const int longest = check_step(netlist, launching, capturing, {}).longest_ps;
    const int period = longest * (100 - static_cast<int>(seed % 50)) / 100;
    const std::vector<int> periods = {longest, period};
    StepSimulator simulator(netlist, launching, capturing, periods);
    for (int bit = 0; bit < 5; ++bit) {
      for (int lane = 0; lane < kContents * kContents; ++lane) {
        const std::uint64_t at = std::uint64_t{1} << lane % 64;
        const auto word = static_cast<std::size_t>(lane / 64);
        if (lane >> bit & 1) simulator.now(bit)[word] |= at;
        if (lane >> (5 + bit) & 1) simulator.before(bit)[word] |= at;
      }
    }
    simulator.run();
    unsigned wrong = 0;  // by contents
    for (int r = 0; r < static_cast<int>(capturing.size()); ++r) {
      for (std::size_t word = 0; word < kContents * kContents / 64; ++word) {
        const std::uint64_t lanes = simulator.captured(0, r)[word] ^ simulator.captured(1, r)[word];
        wrong |= static_cast<unsigned>(lanes) | static_cast<unsigned>(lanes >> 32);
      }
    }
    const LateBound bound = late_bound(netlist, launching, capturing, period);
    const LogicProgram program(bound.graph, {bound.late});
    LogicProgram::State state(program);
    for (int bit = 0; bit < 5; ++bit) {
      for (unsigned now = 0; now < kContents; ++now) {
        state.input(bit)[0] |= std::uint64_t{now >> bit & 1} << now;
      }
    }
    program.run(state);
    const auto may = static_cast<unsigned>(program.output(state, 0)[0]);
    ASSERT_EQ(wrong & ~may, 0u) << "seed " << seed << ", period " << period << " ps";
    errs += std::popcount(wrong);
    late += std::popcount(may);
    all += kContents;
  }
  std::printf("%d of %d contents err, %d may by the bound\n", errs, all, late);
  EXPECT_GT(errs, 100);
  EXPECT_LT(late - errs, (all - errs) / 4);  // the bound tells most of those that never err
}

TEST(LateBound, KnowsNothingWhereItsLogicWouldBeTooLarge) {
  const RandomCircuit circuit(1, true);
  EXPECT_EQ(late_bound(circuit.netlist, circuit.launching, circuit.capturing, 100, 10).late, 1);
}

TEST(StepResponse, RefusesWhatItCannotTell) {
  RandomCircuit circuit(1, false);
  const auto& [random, netlist, launching, capturing] = circuit;
  const int longest = step_response(netlist, launching, capturing, {}).longest_ps;
  EXPECT_EQ(error_of([&] {
              step_response(netlist, launching, capturing, std::vector{(longest - 1) / 2});
            }),
            fmt::format("step response: a period of {} ps is shorter than half the longest path, "
                        "{} ps: what is captured then depends on more than the previous and the "
                        "current operands; give {} ps or more",
                        (longest - 1) / 2, longest, (longest + 1) / 2));
  EXPECT_EQ(error_of([&] { step_response(netlist, {}, capturing, {}); }).substr(0, 19),
            "step response: from");
}

}  // namespace
}  // namespace inure::timing
