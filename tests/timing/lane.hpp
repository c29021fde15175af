#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "inure/timing/flow.hpp"
#include "inure/timing/simulator.hpp"

namespace inure::timing {

// The lanes of rtl/lane.v, placed and routed; the results are kept beside the test program, so that
// the tests share one run of the tools.
inline const std::filesystem::path& rtl_folder() {
  static const auto folder = std::filesystem::path(__FILE__).parent_path() / "../../rtl";
  return folder;
}

inline std::filesystem::path test_cache() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "timing-flow";
}

constexpr int kVecSize = 4;

inline Design design_of(const std::filesystem::path& file, const std::string& top) {
  Design design;
  design.files = {file};
  design.top = top;
  return design;
}

inline Design lane_design(int pipeline) {
  Design design = design_of(rtl_folder() / "lane.v", "lane");
  design.parameters = {{"VEC_SIZE", kVecSize}, {"PIPELINE", pipeline}};
  return design;
}

#define SKIP_WITHOUT_ICE40_TOOLS()                                  \
  if (const auto missing = missing_ice40_tools(); !missing.empty()) \
  GTEST_SKIP() << missing.front() << " is not installed: no placed design"
#define SKIP_WITHOUT_OSU018_TOOLS()                                  \
  if (const auto missing = missing_osu018_tools(); !missing.empty()) \
  GTEST_SKIP() << missing.front() << " is not installed: no mapped design"

struct LaneCase {
  bool fpga = true;
  int pipeline = 0;
};

inline void PrintTo(const LaneCase& which, std::ostream* out) {
  *out << (which.fpga ? "hx8k" : "osu018") << " pipeline " << which.pipeline;
}

// A lane on one of the two technologies: netlist and the tool's own critical path.
class LaneTest : public testing::TestWithParam<LaneCase> {
 protected:
  void SetUp() override {
    const Design design = lane_design(GetParam().pipeline);
    if (GetParam().fpga) {
      SKIP_WITHOUT_ICE40_TOOLS();
      const Ice40Flow flow = run_ice40_flow(design, 1, test_cache());
      tool_critical_ps_ = flow.critical_ps;
      netlist_ = flow.read();
    } else {
      SKIP_WITHOUT_OSU018_TOOLS();
      const Osu018Flow flow = run_osu018_flow(design, 1000, test_cache());
      tool_critical_ps_ = flow.critical_ps;
      netlist_ = flow.read();
    }
  }

  Netlist netlist_;
  double tool_critical_ps_ = 0;
};

inline auto all_lanes() {
  return testing::Values(LaneCase{true, 2}, LaneCase{true, 3}, LaneCase{true, 4},
                         LaneCase{false, 2}, LaneCase{false, 3}, LaneCase{false, 4});
}

struct Operands {
  bool first = false;
  std::array<std::int8_t, kVecSize> a{}, b{};
};

inline Operands random_operands(std::mt19937& random) {
  Operands operands;
  operands.first = random() % 16 == 0;
  for (auto* side : {&operands.a, &operands.b}) {
    for (auto& value : *side) {
      value = static_cast<std::int8_t>(random());
      if (random() % 8 == 0) value = random() % 2 ? -128 : 127;
    }
  }
  return operands;
}

// A simulated lane by the names of its port contract.
class Lane {
 public:
  Lane(const Netlist& netlist, int period_ps, int glitch_filter_ps = 0)
      : simulator(netlist, period_ps, glitch_filter_ps),
        products(netlist.find_registers("product", 16 * kVecSize)),
        accumulator(netlist.find_registers("accumulator", 32)),
        a_(netlist.find_inputs("activations", 8 * kVecSize)),
        b_(netlist.find_inputs("weights", 8 * kVecSize)),
        first_(netlist.find_inputs("first", 1)) {}

  void cycle(const Operands& operands) {
    simulator.set_input(first_[0], operands.first);
    for (std::size_t bit = 0; bit < a_.size(); ++bit) {
      simulator.set_input(a_[bit], operands.a[bit / 8] >> bit % 8 & 1);
      simulator.set_input(b_[bit], operands.b[bit / 8] >> bit % 8 & 1);
    }
    simulator.cycle();
  }

  std::uint32_t captured_accumulator() const {
    return static_cast<std::uint32_t>(simulator.captured_word(accumulator));
  }
  std::uint64_t captured_products() const { return simulator.captured_word(products); }

  TimingSimulator simulator;
  std::vector<int> products, accumulator;

 private:
  std::vector<int> a_, b_, first_;
};

}  // namespace inure::timing
