#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "inure/timing/lane_simulator.hpp"

namespace inure::timing {

// What each step adds wrongly to the accumulator: what the accumulator captured, less what it held
// before (0 in an output's first step) and less the products that were captured of the step. So the
// error of any register between products and result counts, whatever its name.
class SumDeltas {
 public:
  // Keeps a reference to the lane. Lasting: of a result that is no state, but made of registers
  // that are (lane.keeps_state()), what these hold counts, not what it captured of them: its own
  // errors are gone with the next step. Throws Error where more cycles lie between operands and
  // accumulator than are kept.
  SumDeltas(const LaneSimulator& lane, int sequences, bool lasting = false);

  // Before each cycle of the run: whether the step whose operands are at the ports is an output's
  // first.
  void set_first(int sequence, bool first) { step(cycle_).first[at(sequence)] = first; }
  // After each cycle. False: the accumulators include no step yet.
  bool follow(const LaneSimulator::Run& run);

  // Of the step that the accumulators include since the last cycle, by sequence; and what they
  // captured.
  std::span<const std::int32_t> deltas() const { return deltas_; }
  std::span<const std::int32_t> captured() const { return captured_; }

 private:
  static constexpr int kHistory = 32;
  struct Step {
    std::vector<std::uint8_t> first;
    std::vector<std::uint32_t> products;  // the sum of what was captured of them
  };
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  Step& step(std::int64_t cycle) { return steps_[at(cycle % kHistory)]; }

  const LaneSimulator& lane_;
  const bool settled_;
  std::int64_t cycle_ = 0;
  std::array<Step, kHistory> steps_;
  std::vector<std::int32_t> deltas_, captured_, held_;
};

}  // namespace inure::timing
