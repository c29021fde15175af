#include "inure/timing/netlist.hpp"

#include <algorithm>
#include <utility>

#include "inure/base/error.hpp"

namespace inure::timing {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

std::string bit_name(const std::string& name, int bit, int bits) {
  return bits == 1 ? name : fmt::format("{}[{}]", name, bit);
}

// How the function follows pin k over all values of the others.
Sense sense_of(const Gate& gate, int k) {
  bool rises = false, falls = false;
  for (int i = 0; i < 1 << gate.pin_count; ++i) {
    if (i >> k & 1) continue;
    const bool low = gate.truth >> i & 1, high = gate.truth >> (i | 1 << k) & 1;
    rises |= !low && high;
    falls |= low && !high;
  }
  if (rises == falls) return Sense::kBoth;
  return rises ? Sense::kPositive : Sense::kNegative;
}

}  // namespace

int Pin::delay(bool rising) const {
  const int wire_delay = rising ? wire.rise : wire.fall;
  if (sense == Sense::kBoth) return wire_delay + arc.longer();
  return wire_delay + (rising == (sense == Sense::kPositive) ? arc.rise : arc.fall);
}

int Netlist::add_net(std::string name) {
  const int net = net_count();
  nets_by_name_.emplace(name, net);
  net_names_.push_back(std::move(name));
  return net;
}

void Netlist::add_alias(std::string name, int net) { nets_by_name_.emplace(std::move(name), net); }

void Netlist::set_name(std::string name, int net) {
  nets_by_name_.insert_or_assign(std::move(name), net);
}

void Netlist::add_input(std::string name, int net) { inputs_.push_back({std::move(name), net}); }

void Netlist::add_output(std::string name, int net) { outputs_.push_back({std::move(name), net}); }

void Netlist::add_gate(std::string name, std::uint64_t truth, std::span<const Pin> pins,
                       int output) {
  if (pins.size() > kMaxPins) {
    fail("{}: a cell of {} inputs; up to {} are supported", name, pins.size(), kMaxPins);
  }
  const int first = static_cast<int>(pins_.size());
  pins_.insert(pins_.end(), pins.begin(), pins.end());
  gates_.push_back({std::move(name), truth, first, static_cast<int>(pins.size()), output});
}

void Netlist::add_register(Register what) { registers_.push_back(std::move(what)); }

std::span<const Pin> Netlist::pins(const Gate& gate) const {
  return std::span(pins_).subspan(index(gate.first_pin), index(gate.pin_count));
}

void Netlist::finish(std::string_view source) {
  check_drivers(source);
  sort_gates(source);
  find_senses(source);
}

void Netlist::check_drivers(std::string_view source) const {
  std::vector<int> drivers(net_names_.size(), 0);
  for (const Port& input : inputs_) ++drivers[index(input.net)];
  for (const Gate& gate : gates_) ++drivers[index(gate.output)];
  for (const Register& what : registers_) ++drivers[index(what.q)];
  const auto check = [&](int net, const std::string& reader) {
    if (drivers[index(net)] == 1) return;
    fail("{}: net {}, read by {}, has {} drivers; a net needs exactly one", source, net_name(net),
         reader, drivers[index(net)]);
  };
  for (const Gate& gate : gates_) {
    for (const Pin& pin : pins(gate)) check(pin.net, gate.name);
  }
  for (const Register& what : registers_) check(what.d, what.name);
}

void Netlist::sort_gates(std::string_view source) {
  std::vector<int> driver(net_names_.size(), -1);
  for (std::size_t g = 0; g < gates_.size(); ++g) {
    driver[index(gates_[g].output)] = static_cast<int>(g);
  }
  std::vector<int> waits(gates_.size(), 0);
  std::vector<std::vector<int>> readers(gates_.size());
  for (std::size_t g = 0; g < gates_.size(); ++g) {
    for (const Pin& pin : pins(gates_[g])) {
      const int from = driver[index(pin.net)];
      if (from < 0) continue;
      readers[index(from)].push_back(static_cast<int>(g));
      ++waits[g];
    }
  }
  std::vector<int> order;
  for (std::size_t g = 0; g < gates_.size(); ++g) {
    if (!waits[g]) order.push_back(static_cast<int>(g));
  }
  for (std::size_t done = 0; done < order.size(); ++done) {
    for (const int reader : readers[index(order[done])]) {
      if (!--waits[index(reader)]) order.push_back(reader);
    }
  }
  if (order.size() != gates_.size()) {
    const auto stuck = std::find_if(waits.begin(), waits.end(), [](int n) { return n > 0; });
    fail("{}: a loop of gates through {}; only registers may close a loop", source,
         gates_[static_cast<std::size_t>(stuck - waits.begin())].name);
  }
  std::vector<Gate> sorted;
  std::vector<Pin> sorted_pins;  // in the order of the gates: they are read in that order
  for (const int g : order) {
    Gate& gate = gates_[index(g)];
    const auto old = pins(gate);
    const int first = static_cast<int>(sorted_pins.size());
    sorted_pins.insert(sorted_pins.end(), old.begin(), old.end());
    gate.first_pin = first;
    sorted.push_back(std::move(gate));
  }
  gates_ = std::move(sorted);
  pins_ = std::move(sorted_pins);
}

void Netlist::find_senses(std::string_view source) {
  for (const Gate& gate : gates_) {
    for (int k = 0; k < gate.pin_count; ++k) {
      Pin& pin = pins_[index(gate.first_pin + k)];
      pin.sense = sense_of(gate, k);
      if (pin.delay(true) < 0 || pin.delay(false) < 0) {
        fail("{}: {}: the delay from net {} is negative ({} ps rising, {} ps falling)", source,
             gate.name, net_name(pin.net), pin.delay(true), pin.delay(false));
      }
    }
  }
}

void Netlist::take_shorter_arcs() {
  for (Pin& pin : pins_) {
    if (pin.sense != Sense::kBoth) continue;
    const int shorter = std::max(0, std::min(pin.arc.rise, pin.arc.fall));
    pin.arc = {shorter, shorter};
  }
}

int Netlist::find_net(const std::string& name) const {
  const auto found = nets_by_name_.find(name);
  return found == nets_by_name_.end() ? -1 : found->second;
}

std::vector<int> Netlist::registers_by_net() const {
  std::vector<int> by_net(net_names_.size(), -1);
  for (std::size_t r = 0; r < registers_.size(); ++r) {
    by_net[index(registers_[r].q)] = static_cast<int>(r);
  }
  return by_net;
}

std::vector<int> Netlist::find_registers(const std::string& name, int bits) const {
  const std::vector<int> by_net = registers_by_net();
  std::vector<int> found;
  for (int bit = 0; bit < bits; ++bit) {
    const std::string wanted = bit_name(name, bit, bits);
    const int net = find_net(wanted);
    if (net < 0 || by_net[index(net)] < 0) {
      fail("netlist: {} is not the output of a register", wanted);
    }
    found.push_back(by_net[index(net)]);
  }
  return found;
}

std::vector<int> Netlist::find_output_registers(const std::string& name, int bits) const {
  const std::vector<int> by_net = registers_by_net();
  std::vector<int> found;
  for (int bit = 0; bit < bits; ++bit) {
    const std::string wanted = bit_name(name, bit, bits);
    const auto port = std::find_if(outputs_.begin(), outputs_.end(),
                                   [&](const Port& output) { return output.name == wanted; });
    if (port == outputs_.end()) fail("netlist: no output port {}", wanted);
    const int reg = by_net[index(port->net)];
    if (reg < 0) {
      fail("netlist: the port {} shows {}, which is not the output of a register", wanted,
           net_name(port->net));
    }
    found.push_back(reg);
  }
  return found;
}

std::vector<int> Netlist::find_inputs(const std::string& name, int bits) const {
  std::vector<int> found;
  for (int bit = 0; bit < bits; ++bit) {
    const std::string wanted = bit_name(name, bit, bits);
    const auto at = std::find_if(inputs_.begin(), inputs_.end(),
                                 [&](const Port& input) { return input.name == wanted; });
    if (at == inputs_.end()) fail("netlist: no input port {}", wanted);
    found.push_back(static_cast<int>(at - inputs_.begin()));
  }
  return found;
}

}  // namespace inure::timing
