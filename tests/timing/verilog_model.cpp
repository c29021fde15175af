#include "verilog_model.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace inure::timing {
namespace {

// Pins of one kind only: those of the other kind would change one step later within an instant, and
// a net between them would show a pulse of no length.
bool has_one_delay(const Netlist& netlist) {
  const auto& pins = netlist.all_pins();
  return std::all_of(pins.begin(), pins.end(),
                     [](const Pin& pin) { return pin.delay(true) == pin.delay(false); });
}

void write_gates(const Netlist& netlist, std::string& text) {
  const bool one_delay = has_one_delay(netlist);
  int pin_number = 0;
  for (const Gate& gate : netlist.gates()) {
    std::string state;
    for (const Pin& pin : netlist.pins(gate)) {
      const int rise = 2 * pin.delay(true), fall = 2 * pin.delay(false);
      if (one_delay) {
        text += fmt::format("  reg p{0}; always @(n{1}) p{0} <= #{2} n{1};\n", pin_number, pin.net,
                            rise);
      } else {
        text += fmt::format("  wire p{0}; pin_delay #({1}, {2}) d{0} (n{3}, p{0});\n", pin_number,
                            rise, fall, pin.net);
      }
      state = fmt::format("p{}{}{}", pin_number, state.empty() ? "" : ", ", state);
      ++pin_number;
    }
    const int rows = 1 << gate.pin_count;
    std::string truth;
    for (int i = rows - 1; i >= 0; --i) truth += gate.truth >> i & 1 ? '1' : '0';
    if (gate.pin_count == 0) {  // late enough that those who wait for it see it come
      text += fmt::format("  assign #1 n{} = 1'b{};\n", gate.output, truth);
    } else {
      text += fmt::format("  wire [{}:0] t{} = {}'b{};\n", rows - 1, gate.output, rows, truth);
      text += fmt::format("  assign n{0} = t{0}[{{{1}}}];\n", gate.output, state);
    }
  }
}

// A toggle is due after the delay of its edge. One that would be due no later than the one before
// takes that one away with itself. `due` holds those under way; every push wakes the reader when it
// would be due, and what was taken away is not found then. (`seen`: a net that changes and changes
// back within one instant has not toggled.)
constexpr const char* kPinDelay = R"(
module pin_delay #(parameter RISE = 1, FALL = 1) (input n, output reg p);
  reg [63:0] due[0:63];
  reg [63:0] at;
  reg [31:0] pushes = 0, wake = 0;
  reg [5:0] head = 0, tail = 0;
  reg [5:0] last;
  reg seen;
  always @(n) #0 if (n !== 1'bx && n !== seen) begin
    seen = n;
    if (p === 1'bx) p = !n;
    at = $time + (n ? RISE : FALL);
    last = tail - 1;
    if (head != tail && at <= due[last]) tail = last;
    else begin
      due[tail] = at;
      tail = tail + 1;
      pushes = pushes + 1;
      wake <= #(n ? RISE : FALL) pushes;
    end
  end
  always @(wake) if (head != tail && due[head] == $time) begin
    p <= !p;
    head = head + 1;
  end
endmodule
)";

}  // namespace

std::string verilog_model(const Netlist& netlist, const std::string& stimulus,
                          const std::string& response) {
  const std::size_t inputs = netlist.inputs().size(), registers = netlist.registers().size();
  std::string text = fmt::format("`timescale 1ps / 1ps\n{}module model;\n", kPinDelay);
  for (int net = 0; net < netlist.net_count(); ++net) text += fmt::format("  wire n{};\n", net);
  text += fmt::format("  reg [{}:0] in;\n  reg [{}:0] q;\n", inputs - 1, registers - 1);
  text += fmt::format("  wire [{}:0] d;\n", registers - 1);
  std::string launches;
  for (std::size_t i = 0; i < inputs; ++i) {
    text += fmt::format("  assign n{} = in[{}];\n", netlist.inputs()[i].net, i);
  }
  for (std::size_t r = 0; r < registers; ++r) {
    const Register& what = netlist.registers()[r];
    text += fmt::format("  assign n{} = q[{}];\n  assign d[{}] = n{};\n", what.q, r, r, what.d);
    launches += fmt::format("      q[{0}] <= #(d[{0}] ? {1} : {2}) d[{0}];\n", r,
                            2 * what.clock_to_q.rise - 1, 2 * what.clock_to_q.fall - 1);
  }
  write_gates(netlist, text);
  text += fmt::format(
      "  integer stimulus, response, cycle, cycles, period, unused;\n"
      "  reg [{}:0] next;\n"
      "  initial begin\n"
      "    stimulus = $fopen(\"{}\", \"r\");\n"
      "    response = $fopen(\"{}\", \"w\");\n"
      "    unused = $value$plusargs(\"cycles=%d\", cycles);\n"
      "    unused = $value$plusargs(\"period=%d\", period);\n"
      "    #2 in = 0; q = 0;\n"
      "    #1000000;\n"
      "    for (cycle = 0; cycle <= cycles; cycle = cycle + 1) begin\n"
      "      unused = $fscanf(stimulus, \"%h\", next);\n"
      "      in = next;\n"
      "      #1;\n"
      "      if (cycle > 0) $fdisplay(response, \"%b\", d);\n"
      "{}"
      "      #(2 * period - 1);\n"
      "    end\n"
      "    $finish;\n"
      "  end\nendmodule\n",
      inputs - 1, stimulus, response, launches);
  return text;
}

}  // namespace inure::timing
