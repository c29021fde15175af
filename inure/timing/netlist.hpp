#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// A placed or mapped circuit with its delays, whatever it came from: gates with truth tables, and
// registers on the rising edge of one clock. Times are whole picoseconds.
//
// Semantics, which static and dynamic timing share:
//   - A toggle of a net reaches a gate's pin after the wire's delay and acts on the output after
//     the arc's delay; both are folded into one delay of the pin, and the gate's function sees the
//     delayed values (transport delay: no pulse is lost, unless a glitch filter is asked for).
//   - A register's setup time is the arc of the gate before its D (a gate of its own, the identity
//     where the register had none): the register captures D's value at the clock edge, events at
//     the very edge included.
//   - Input ports are ideal: they change at the clock edge and their wires have no delay.
namespace inure::timing {

struct Edges {
  int rise = 0, fall = 0;  // ps
  int longer() const { return rise > fall ? rise : fall; }
};

enum class Sense : std::uint8_t { kPositive, kNegative, kBoth };  // how the output follows a pin

struct Pin {
  int net = -1;
  Edges wire;  // by the edge at the pin
  Edges arc;   // by the edge of the gate's output
  Sense sense = Sense::kBoth;

  // From the net's edge to its effect on the output. Where either output edge may follow, the
  // longer arc counts.
  int delay(bool rising) const;
};

struct Gate {
  std::string name;
  std::uint64_t truth = 0;  // bit i: the output where pin k has bit k of i
  int first_pin = 0, pin_count = 0;
  int output = -1;  // net
};

struct Register {
  std::string name;
  int d = -1, q = -1;  // nets; d is driven by the gate that stands for the setup time
  Edges clock_to_q;
};

class Netlist {
 public:
  static constexpr int kMaxPins = 6;

  // Building: nets first, then what drives them; at last finish().
  int add_net(std::string name);
  void add_alias(std::string name, int net);  // a further name of the net, where it is new
  void set_name(std::string name, int net);   // likewise, whatever had the name before
  void add_input(std::string name, int net);
  void add_output(std::string name, int net);
  void add_gate(std::string name, std::uint64_t truth, std::span<const Pin> pins, int output);
  void add_register(Register what);
  // Sorts the gates, finds senses. Throws Error, with `source` before it, where a net has no
  // driver or two, gates form a loop, or a negative delay appears.
  void finish(std::string_view source);

  // Where either output edge may follow a pin's edge, which of the two arcs acts depends on the
  // other pins. The longer one counts; after this the shorter one does.
  void take_shorter_arcs();

  struct Port {
    std::string name;
    int net = -1;
  };

  const std::vector<Gate>& gates() const { return gates_; }  // in topological order
  std::span<const Pin> pins(const Gate& gate) const;
  const std::vector<Pin>& all_pins() const { return pins_; }
  const std::vector<Register>& registers() const { return registers_; }
  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<Port>& outputs() const { return outputs_; }
  int net_count() const { return static_cast<int>(net_names_.size()); }
  const std::string& net_name(int net) const { return net_names_[static_cast<std::size_t>(net)]; }

  int find_net(const std::string& name) const;  // -1 where there is none
  const std::unordered_map<std::string, int>& names() const { return nets_by_name_; }
  // The registers whose outputs are name[0] .. name[bits - 1] (or name where bits is 1); those
  // that drive the output ports of these names; the inputs likewise. Throw Error where one is
  // missing.
  std::vector<int> find_registers(const std::string& name, int bits) const;
  std::vector<int> find_output_registers(const std::string& name, int bits) const;
  std::vector<int> find_inputs(const std::string& name, int bits) const;

 private:
  std::vector<int> registers_by_net() const;  // -1: none
  void check_drivers(std::string_view source) const;
  void sort_gates(std::string_view source);
  void find_senses(std::string_view source);

  std::vector<std::string> net_names_;
  std::unordered_map<std::string, int> nets_by_name_;
  std::vector<Port> inputs_, outputs_;
  std::vector<Gate> gates_;
  std::vector<Pin> pins_;
  std::vector<Register> registers_;
};

}  // namespace inure::timing
