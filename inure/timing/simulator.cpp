#include "inure/timing/simulator.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "inure/base/error.hpp"

namespace inure::timing {

TimingSimulator::TimingSimulator(const Netlist& netlist, int period_ps, int glitch_filter_ps)
    : netlist_(netlist),
      period_(period_ps),
      glitch_filter_(glitch_filter_ps),
      next_inputs_(netlist.inputs().size()),
      captured_(netlist.registers().size()),
      net_value_(index(netlist.net_count())),
      gate_state_(netlist.gates().size()),
      net_toggles_(index(netlist.net_count())),
      carried_by_pin_(netlist.all_pins().size()),
      carry_by_pin_(netlist.all_pins().size()) {
  for (const Register& what : netlist.registers()) {
    if (what.clock_to_q.longer() >= period_ps) {
      fail("timing simulation: a period of {} ps; expected more than the {} ps of register {}",
           period_ps, what.clock_to_q.longer(), what.name);
    }
  }
  settle();
}

namespace {

// The values at the gate's pins, the first in bit 0.
std::uint8_t pin_values(const Netlist& netlist, const Gate& gate,
                        const std::vector<std::uint8_t>& net_values) {
  int state = 0, bit = 0;
  for (const Pin& pin : netlist.pins(gate)) {
    state |= net_values[static_cast<std::size_t>(pin.net)] << bit++;
  }
  return static_cast<std::uint8_t>(state);
}

}  // namespace

// Values without toggles: inputs and registers at 0.
void TimingSimulator::settle() {
  const auto& gates = netlist_.gates();
  for (std::size_t g = 0; g < gates.size(); ++g) {
    gate_state_[g] = pin_values(netlist_, gates[g], net_value_);
    net_value_[index(gates[g].output)] = gates[g].truth >> gate_state_[g] & 1;
  }
  for (std::size_t r = 0; r < captured_.size(); ++r) {
    captured_[r] = net_value_[index(netlist_.registers()[r].d)];
  }
}

std::vector<std::uint8_t> TimingSimulator::settled() const {
  std::vector<std::uint8_t> values = net_value_;  // inputs and registers hold since the edge
  for (const Gate& gate : netlist_.gates()) {
    values[index(gate.output)] = gate.truth >> pin_values(netlist_, gate, values) & 1;
  }
  std::vector<std::uint8_t> captured;
  for (const Register& what : netlist_.registers()) captured.push_back(values[index(what.d)]);
  return captured;
}

std::uint64_t TimingSimulator::captured_word(std::span<const int> registers) const {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < registers.size(); ++i) {
    word |= std::uint64_t{captured_[index(registers[i])]} << i;
  }
  return word;
}

void TimingSimulator::launch(int net, bool value, Edges delay) {
  if (net_value_[index(net)] == static_cast<std::uint8_t>(value)) return;
  net_toggles_[index(net)] = {static_cast<int>(times_.size()), 1};
  times_.push_back(value ? delay.rise : delay.fall);
  active_.push_back(net);
}

void TimingSimulator::cycle() {
  for (std::size_t i = 0; i < next_inputs_.size(); ++i) {
    launch(netlist_.inputs()[i].net, next_inputs_[i] != 0, {});
  }
  for (std::size_t r = 0; r < captured_.size(); ++r) {
    const Register& what = netlist_.registers()[r];
    launch(what.q, captured_[r] != 0, what.clock_to_q);
  }
  for (std::size_t g = 0; g < netlist_.gates().size(); ++g) {
    if (has_events(netlist_.gates()[g])) evaluate(g);
  }

  toggles_ += static_cast<std::int64_t>(times_.size());
  for (const int net : active_) {
    net_value_[index(net)] ^= net_toggles_[index(net)].count & 1;
    net_toggles_[index(net)].count = 0;
  }
  active_.clear();
  times_.clear();
  for (std::size_t r = 0; r < captured_.size(); ++r) {
    captured_[r] = net_value_[index(netlist_.registers()[r].d)];
  }

  for (const int pin : carried_pins_) carried_by_pin_[index(pin)].count = 0;
  carried_pins_.clear();
  carried_.clear();
  std::swap(carried_, carry_);
  std::swap(carried_by_pin_, carry_by_pin_);
  std::swap(carried_pins_, carry_pins_);
}

bool TimingSimulator::has_events(const Gate& gate) const {
  int count = 0;
  for (int pin = gate.first_pin; pin < gate.first_pin + gate.pin_count; ++pin) {
    count |= net_toggles_[index(netlist_.all_pins()[index(pin)].net)].count;
    count |= carried_by_pin_[index(pin)].count;
  }
  return count != 0;
}

// The toggles at a delayed pin, in order of time; those after this cycle go to the next one.
int TimingSimulator::gather(int pin, std::vector<int>& events) {
  const Pin& what = netlist_.all_pins()[index(pin)];
  events.clear();
  const Span carried = carried_by_pin_[index(pin)];
  for (int i = 0; i < carried.count; ++i) events.push_back(carried_[index(carried.first + i)]);

  const Span toggles = net_toggles_[index(what.net)];
  bool value = net_value_[index(what.net)] != 0;
  const int rise = what.delay(true), fall = what.delay(false);
  for (int i = 0; i < toggles.count; ++i) {
    value = !value;
    const int time = times_[index(toggles.first + i)] + (value ? rise : fall);
    if (!events.empty() && time <= events.back()) {
      events.pop_back();  // the edges of a pulse have crossed
    } else {
      events.push_back(time);
    }
  }

  int count = static_cast<int>(events.size());
  while (count > 0 && events[index(count - 1)] > period_) --count;
  const int late = static_cast<int>(events.size()) - count;
  if (late > 0) {
    carry_by_pin_[index(pin)] = {static_cast<int>(carry_.size()), late};
    carry_pins_.push_back(pin);
    for (std::size_t i = index(count); i < events.size(); ++i) {
      carry_.push_back(events[i] - period_);
    }
  }
  return count;
}

void TimingSimulator::evaluate(std::size_t g) {
  const Gate& gate = netlist_.gates()[g];
  constexpr int kNone = std::numeric_limits<int>::max();
  int next[Netlist::kMaxPins];
  int counts[Netlist::kMaxPins];
  int used[Netlist::kMaxPins] = {};
  for (int k = 0; k < gate.pin_count; ++k) {
    counts[k] = gather(gate.first_pin + k, events_[k]);
    next[k] = counts[k] ? events_[k][0] : kNone;
  }

  const int first = static_cast<int>(times_.size());
  unsigned state = gate_state_[g];
  bool value = gate.truth >> state & 1;
  while (true) {
    const int time = *std::min_element(next, next + gate.pin_count);
    if (time == kNone) break;
    for (int k = 0; k < gate.pin_count; ++k) {
      while (next[k] == time) {
        state ^= 1u << k;
        ++used[k];
        next[k] = used[k] < counts[k] ? events_[k][index(used[k])] : kNone;
      }
    }
    if ((gate.truth >> state & 1) == value) continue;
    value = !value;
    if (static_cast<int>(times_.size()) > first && time - times_.back() < glitch_filter_) {
      times_.pop_back();
    } else {
      times_.push_back(time);
    }
  }
  gate_state_[g] = static_cast<std::uint8_t>(state);
  const int count = static_cast<int>(times_.size()) - first;
  if (!count) return;
  net_toggles_[index(gate.output)] = {first, count};
  active_.push_back(gate.output);
}

}  // namespace inure::timing
