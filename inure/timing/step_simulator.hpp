#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "inure/timing/netlist.hpp"

namespace inure::timing {

// What registers capture after one change of the registers before them, by events, for many changes
// at once: a toggle of a net is a time and the lanes in which it happens. Exact to the picosecond,
// whatever the rising and falling delays; the twin of step_response for circuits where they differ
// and the logic would be too large. Of each net only what can still reach a capturing register
// within the periods is followed.
class StepSimulator {
 public:
  static constexpr int kLanes = 2048;
  static constexpr int kWords = kLanes / 64;
  using Block = std::array<std::uint64_t, kWords>;  // lane i is bit i % 64 of word i / 64

  // Keeps a reference to the netlist. Throws Error as step_response does.
  StepSimulator(const Netlist& netlist, std::span<const int> launching,
                std::span<const int> capturing, std::span<const int> periods_ps);

  Block& before(int launching) { return before_[static_cast<std::size_t>(launching)]; }
  Block& now(int launching) { return now_[static_cast<std::size_t>(launching)]; }
  void run();
  const Block& captured(int period, int capturing) const {
    return captured_[static_cast<std::size_t>(period)][static_cast<std::size_t>(capturing)];
  }

  std::int64_t events() const { return events_; }  // of all nets since the beginning

 private:
  struct Event {
    int time;
    Block lanes;  // that toggle
  };
  struct Wave {
    Block value;  // at the beginning of the net's window
    std::vector<Event> events;
  };
  struct Net {
    bool needed = false;
    int from = 0, to = 0;  // the window: what happens outside does not matter
    Wave wave;
  };
  struct PinWave {  // of the gate that is evaluated
    Block value;
    const Event* next = nullptr;
    const Event* end = nullptr;
    int delay = 0;
    std::vector<Event> delayed;  // where the edges' delays differ
  };

  void find_windows(std::span<const int> periods);
  void launch(std::size_t i);
  void evaluate(const Gate& gate);
  void output(const Gate& gate, Block& out) const;
  void prepare(const Pin& pin, int from, PinWave& wave);
  void delay_edges(const Wave& wave, int rise, int fall, std::vector<Event>& delayed);

  const Netlist& netlist_;
  const std::vector<int> launching_, capturing_;
  std::vector<int> periods_;
  std::vector<int> gates_;  // of the cone, in topological order
  std::vector<Net> nets_;
  std::vector<Block> before_, now_;
  std::vector<std::vector<Block>> captured_;
  PinWave pins_[Netlist::kMaxPins];
  std::vector<Event> slow_;  // edges under way at a pin's slower delay
  std::int64_t events_ = 0;
};

}  // namespace inure::timing
