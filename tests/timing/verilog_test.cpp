#include "verilog_model.hpp"

#include <fmt/format.h>

#include <sstream>

#include "inure/base/file.hpp"
#include "inure/timing/process.hpp"
#include "inure/timing/sta.hpp"
#include "lane.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

struct Latched {
  std::vector<std::string> captured;  // a digit a register, the last register first
  int errors = 0;                     // cycles in which a register is not what it should be
};

std::string digits(const TimingSimulator& simulator, std::size_t registers) {
  std::string text;
  for (std::size_t r = registers; r-- > 0;) {
    text += simulator.captured(static_cast<int>(r)) ? '1' : '0';
  }
  return text;
}

// Both simulators get the same operands; `stimulus` is what Verilog reads.
Latched simulate(const Netlist& netlist, int period_ps, int cycles, std::string& stimulus) {
  Lane lane(netlist, period_ps);
  Lane slow(netlist, 1000000);
  const auto activations = netlist.find_inputs("activations", 8 * kVecSize);
  const auto weights = netlist.find_inputs("weights", 8 * kVecSize);
  const int first = netlist.find_inputs("first", 1)[0];
  std::mt19937 random(2);
  Latched run;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    const Operands operands = random_operands(random);
    std::vector<int> bits(netlist.inputs().size());
    bits[static_cast<std::size_t>(first)] = operands.first;
    for (std::size_t bit = 0; bit < 8 * kVecSize; ++bit) {
      bits[static_cast<std::size_t>(activations[bit])] = operands.a[bit / 8] >> bit % 8 & 1;
      bits[static_cast<std::size_t>(weights[bit])] = operands.b[bit / 8] >> bit % 8 & 1;
    }
    std::string line((bits.size() + 3) / 4, '0');
    for (std::size_t i = 0; i < bits.size(); ++i) {
      char& digit = line[line.size() - 1 - i / 4];
      const int value = (digit <= '9' ? digit - '0' : digit - 'a' + 10) | bits[i] << i % 4;
      digit = "0123456789abcdef"[value];
    }
    stimulus += line + '\n';
    lane.cycle(operands);
    slow.cycle(operands);
    run.captured.push_back(digits(lane.simulator, netlist.registers().size()));
    run.errors += run.captured.back() != digits(slow.simulator, netlist.registers().size());
  }
  return run;
}

// vvp takes nearly all of the time, and it is not what the sanitizers watch: one clock does there.
#ifdef __SANITIZE_ADDRESS__
constexpr double kPeriods[] = {0.5};
#else
constexpr double kPeriods[] = {0.8, 0.65, 0.5};
#endif

using AgainstVerilog = LaneTest;

TEST_P(AgainstVerilog, LatchedValuesAreTheSame) {
  if (!has_program("iverilog")) GTEST_SKIP() << "iverilog is not installed";
  const char* long_run = std::getenv("INURE_TIMING_CYCLES");
  // Cells take a second for ten cycles.
  const int cycles = long_run ? std::atoi(long_run) : GetParam().fpga ? 100 : 15;
  int errors = 0;
  const int critical = analyse(netlist_).critical_ps;
  TemporaryFolder scratch;
  write_file_atomically(scratch / "model.v", verilog_model(netlist_, "in.txt", "out.txt"));
  ASSERT_EQ(run_program({"iverilog", "-o", "model", "model.v"}, scratch.path(), "log", "iverilog"),
            0)
      << read_file(scratch / "log");
  for (const double part : kPeriods) {
    const int period = static_cast<int>(part * critical);
    std::string stimulus;
    const Latched run = simulate(netlist_, period, cycles, stimulus);
    stimulus += stimulus.substr(0, stimulus.find('\n') + 1);  // for the last edge
    write_file_atomically(scratch / "in.txt", stimulus);
    ASSERT_EQ(run_program({"vvp", "-n", "model", fmt::format("+cycles={}", cycles),
                           fmt::format("+period={}", period)},
                          scratch.path(), "log", "iverilog"),
              0);
    std::istringstream response(read_file(scratch / "out.txt"));
    int differences = 0;
    for (const std::string& captured : run.captured) {
      std::string line;
      std::getline(response, line);
      differences += line != captured;
    }
    EXPECT_EQ(differences, 0) << "period " << period << " ps";
    EXPECT_TRUE(run.errors > 0 || !long_run) << "the clock is too slow to tell";
    errors += run.errors;
    std::printf(
        "%s pipeline %d at %.2f f_STA: %d cycles, %d with an error, %d differ from iverilog\n",
        GetParam().fpga ? "hx8k" : "osu018", GetParam().pipeline, 1 / part, cycles, run.errors,
        differences);
  }
  EXPECT_GT(errors, cycles / 2);
}

INSTANTIATE_TEST_SUITE_P(Lanes, AgainstVerilog, all_lanes());

}  // namespace
}  // namespace inure::timing
