#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/timing/netlist.hpp"

namespace inure::timing {

// Exact dynamic timing simulation of one circuit at one clock period: what the registers capture,
// cycle by cycle, every toggle of every net at its picosecond.
//
// Transport delay: every toggle is passed on. Where a pin's rising and falling delays differ, the
// edges of a pulse may cross; such a pulse is lost. With glitch_filter_ps > 0 a gate also swallows
// its own pulses shorter than that, those that straddle a clock edge excepted (the register has
// seen them).
//
// Toggles still under way at the clock edge carry into the next cycle; a toggle exactly at the edge
// is captured. Ideal registers: no metastability, no hold time.
class TimingSimulator {
 public:
  // Everything is settled, registers and inputs at 0. Keeps a reference to the netlist.
  // Throws Error where the period is not longer than a register's clock-to-output delay.
  TimingSimulator(const Netlist& netlist, int period_ps, int glitch_filter_ps = 0);

  int period_ps() const { return period_; }

  void set_input(int input, bool value) { next_inputs_[index(input)] = value; }

  // One clock edge, at which the registers put out what they last captured and the inputs take
  // their new values; one period; and the capture at its end.
  void cycle();

  bool captured(int reg) const { return captured_[index(reg)] != 0; }
  std::uint64_t captured_word(std::span<const int> registers) const;  // the first is bit 0

  // By register: what it would have captured in the last cycle had the period been long enough. A
  // timing error of that cycle is where captured() differs; errors of earlier cycles are not
  // counted again, since this starts from what the registers really held.
  std::vector<std::uint8_t> settled() const;

  // Sets what a register will put out at the next edge.
  void force(int reg, bool value) { captured_[index(reg)] = value; }

  std::int64_t toggles() const { return toggles_; }  // of all nets since the beginning

 private:
  struct Span {
    int first = 0, count = 0;
  };

  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  void settle();
  void launch(int net, bool value, Edges delay);
  bool has_events(const Gate& gate) const;
  int gather(int pin, std::vector<int>& events);  // returns how many lie in this cycle
  void evaluate(std::size_t gate);

  const Netlist& netlist_;
  const int period_, glitch_filter_;

  std::vector<std::uint8_t> next_inputs_, captured_;
  std::vector<std::uint8_t>
      net_value_;  // before the toggles of this cycle, once it has ended: after
  std::vector<std::uint8_t> gate_state_;  // the delayed values at the gate's pins
  std::vector<int> times_;                // toggles of this cycle, net by net
  std::vector<Span> net_toggles_;
  std::vector<int> active_;  // nets with toggles in this cycle
  // Toggles under way at the clock edge, by pin, in times after it: of this cycle and of the next.
  std::vector<int> carried_, carry_;
  std::vector<Span> carried_by_pin_, carry_by_pin_;
  std::vector<int> carried_pins_, carry_pins_;
  std::vector<int> events_[Netlist::kMaxPins];  // of the gate that is evaluated
  std::int64_t toggles_ = 0;
};

}  // namespace inure::timing
