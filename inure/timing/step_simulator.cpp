#include "inure/timing/step_simulator.hpp"

#include <algorithm>
#include <limits>

#include "inure/base/clones.hpp"
#include "inure/timing/step_response.hpp"

namespace inure::timing {
namespace {

using Block = StepSimulator::Block;
constexpr std::size_t kWords = StepSimulator::kWords;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

[[gnu::always_inline]] inline void flip(Block& value, const Block& lanes) {
  for (std::size_t i = 0; i < kWords; ++i) value[i] ^= lanes[i];
}

[[gnu::always_inline]] inline bool any(const Block& lanes) {
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < kWords; ++i) all |= lanes[i];
  return all != 0;
}

// A function of three values by its truth table.
[[gnu::always_inline]] inline void look_up(std::uint64_t truth, const Block& a, const Block& b,
                                           const Block& c, Block& out) {
  std::uint64_t leaf[8];
  for (int i = 0; i < 8; ++i) leaf[i] = -(truth >> i & 1);
  const std::uint64_t flip0 = leaf[0] ^ leaf[1], flip1 = leaf[2] ^ leaf[3];
  const std::uint64_t flip2 = leaf[4] ^ leaf[5], flip3 = leaf[6] ^ leaf[7];
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint64_t v0 = leaf[0] ^ (a[i] & flip0), v1 = leaf[2] ^ (a[i] & flip1);
    const std::uint64_t v2 = leaf[4] ^ (a[i] & flip2), v3 = leaf[6] ^ (a[i] & flip3);
    const std::uint64_t low = v0 ^ (b[i] & (v0 ^ v1)), high = v2 ^ (b[i] & (v2 ^ v3));
    out[i] = low ^ (c[i] & (low ^ high));
  }
}

}  // namespace

StepSimulator::StepSimulator(const Netlist& netlist, std::span<const int> launching,
                             std::span<const int> capturing, std::span<const int> periods_ps)
    : netlist_(netlist),
      launching_(launching.begin(), launching.end()),
      capturing_(capturing.begin(), capturing.end()),
      periods_(periods_ps.begin(), periods_ps.end()),
      nets_(index(netlist.net_count())),
      before_(launching.size()),
      now_(launching.size()),
      captured_(periods_ps.size(), std::vector<Block>(capturing.size())) {
  check_step(netlist, launching, capturing, periods_ps);
  if (!periods_.empty()) find_windows(periods_ps);
}

void StepSimulator::find_windows(std::span<const int> periods) {
  const auto [first, last] = std::minmax_element(periods.begin(), periods.end());
  const auto widen = [&](int id, int from, int to) {
    Net& net = nets_[index(id)];
    net.from = net.needed ? std::min(net.from, from) : from;
    net.to = net.needed ? std::max(net.to, to) : to;
    net.needed = true;
  };
  for (const int r : capturing_) widen(netlist_.registers()[index(r)].d, *first, *last);
  for (std::size_t g = netlist_.gates().size(); g-- > 0;) {
    const Gate& gate = netlist_.gates()[g];
    const Net& out = nets_[index(gate.output)];
    if (!out.needed) continue;
    gates_.push_back(static_cast<int>(g));
    for (const Pin& pin : netlist_.pins(gate)) {
      const int rise = pin.delay(true), fall = pin.delay(false);
      widen(pin.net, out.from - std::max(rise, fall), out.to - std::min(rise, fall));
    }
  }
  std::reverse(gates_.begin(), gates_.end());
}

void StepSimulator::launch(std::size_t i) {
  const Register& what = netlist_.registers()[index(launching_[i])];
  Net& net = nets_[index(what.q)];
  if (!net.needed) return;
  Wave& wave = net.wave;
  wave.value = before_[i];
  wave.events.clear();
  Event rise{what.clock_to_q.rise, {}}, fall{what.clock_to_q.fall, {}};
  for (std::size_t w = 0; w < kWords; ++w) {
    rise.lanes[w] = ~before_[i][w] & now_[i][w];
    fall.lanes[w] = before_[i][w] & ~now_[i][w];
  }
  if (rise.time > fall.time) std::swap(rise, fall);
  for (const Event& event : {rise, fall}) {
    if (event.time <= net.from) {
      flip(wave.value, event.lanes);
    } else {
      wave.events.push_back(event);
    }
  }
}

// The toggles behind a pin whose edges take different times. A fast edge that overtakes the slow
// one before it makes both vanish.
INURE_CLONES
void StepSimulator::delay_edges(const Wave& wave, int rise, int fall, std::vector<Event>& delayed) {
  const int fast = std::min(rise, fall), slow = std::max(rise, fall);
  Block value = wave.value;
  delayed.clear();
  slow_.clear();
  std::size_t done = 0;  // slow edges that nothing can overtake any more
  for (const Event& event : wave.events) {
    flip(value, event.lanes);
    Event quick{event.time + fast, event.lanes}, late{event.time + slow, event.lanes};
    for (std::size_t i = 0; i < kWords; ++i) {
      const std::uint64_t up = rise < fall ? value[i] : ~value[i];  // the fast edge's new value
      quick.lanes[i] &= up;
      late.lanes[i] &= ~up;
    }
    for (; done < slow_.size() && slow_[done].time < quick.time; ++done) {
      delayed.push_back(slow_[done]);
    }
    for (std::size_t k = done; k < slow_.size(); ++k) {
      for (std::size_t i = 0; i < kWords; ++i) {
        const std::uint64_t both = slow_[k].lanes[i] & quick.lanes[i];
        slow_[k].lanes[i] ^= both;
        quick.lanes[i] ^= both;
      }
    }
    if (any(quick.lanes)) delayed.push_back(quick);
    if (any(late.lanes)) slow_.push_back(late);
  }
  delayed.insert(delayed.end(), slow_.begin() + static_cast<std::ptrdiff_t>(done), slow_.end());
}

void StepSimulator::prepare(const Pin& pin, int from, PinWave& wave) {
  const Wave& source = nets_[index(pin.net)].wave;
  const int rise = pin.delay(true), fall = pin.delay(false);
  const std::vector<Event>* events = &source.events;
  wave.value = source.value;
  wave.delay = rise;
  if (rise != fall) {
    delay_edges(source, rise, fall, wave.delayed);
    events = &wave.delayed;
    wave.delay = 0;
  }
  wave.next = events->data();
  wave.end = wave.next + events->size();
  for (; wave.next != wave.end && wave.next->time + wave.delay <= from; ++wave.next) {
    flip(wave.value, wave.next->lanes);
  }
}

// The gate's function of its pins' values.
INURE_CLONES
void StepSimulator::output(const Gate& gate, Block& out) const {
  static constexpr Block kZero{};
  const Block& a = gate.pin_count > 0 ? pins_[0].value : kZero;
  const Block& b = gate.pin_count > 1 ? pins_[1].value : kZero;
  const Block& c = gate.pin_count > 2 ? pins_[2].value : kZero;
  look_up(gate.truth, a, b, c, out);
  for (int row = 8; row < 1 << gate.pin_count; row += 8) {  // where pins 3 and above are these bits
    Block part;
    look_up(gate.truth >> row, a, b, c, part);
    for (std::size_t i = 0; i < kWords; ++i) {
      std::uint64_t here = ~std::uint64_t{0};
      for (int k = 3; k < gate.pin_count; ++k) {
        here &= row >> k & 1 ? pins_[k].value[i] : ~pins_[k].value[i];
      }
      out[i] ^= here & (out[i] ^ part[i]);
    }
  }
}

INURE_CLONES
void StepSimulator::evaluate(const Gate& gate) {
  Net& net = nets_[index(gate.output)];
  for (int k = 0; k < gate.pin_count; ++k) {
    prepare(netlist_.pins(gate)[index(k)], net.from, pins_[k]);
  }
  net.wave.events.clear();
  output(gate, net.wave.value);
  Block value = net.wave.value;
  while (true) {
    int time = std::numeric_limits<int>::max();
    for (int k = 0; k < gate.pin_count; ++k) {
      if (pins_[k].next != pins_[k].end)
        time = std::min(time, pins_[k].next->time + pins_[k].delay);
    }
    if (time > net.to) break;
    for (int k = 0; k < gate.pin_count; ++k) {
      PinWave& wave = pins_[k];
      for (; wave.next != wave.end && wave.next->time + wave.delay == time; ++wave.next) {
        flip(wave.value, wave.next->lanes);
      }
    }
    Event event{time, {}};
    output(gate, event.lanes);
    flip(event.lanes, value);
    if (!any(event.lanes)) continue;
    flip(value, event.lanes);
    net.wave.events.push_back(event);
  }
  events_ += static_cast<std::int64_t>(net.wave.events.size());
}

void StepSimulator::run() {
  for (std::size_t i = 0; i < launching_.size(); ++i) launch(i);
  for (const int g : gates_) evaluate(netlist_.gates()[index(g)]);
  for (std::size_t r = 0; r < capturing_.size(); ++r) {
    const Wave& wave = nets_[index(netlist_.registers()[index(capturing_[r])].d)].wave;
    for (std::size_t p = 0; p < periods_.size(); ++p) {
      Block value = wave.value;
      for (const Event& event : wave.events) {
        if (event.time <= periods_[p]) flip(value, event.lanes);
      }
      captured_[p][r] = value;
    }
  }
}

}  // namespace inure::timing
