#include "verilog_model.hpp"

#include "inure/base/error.hpp"

namespace inure::timing {
namespace {

void write_gates(const Netlist& netlist, std::string& text) {
  int pin_number = 0;
  for (const Gate& gate : netlist.gates()) {
    std::string state;
    for (const Pin& pin : netlist.pins(gate)) {
      if (pin.delay(true) != pin.delay(false)) {
        fail("{}: the Verilog model needs equal rising and falling delays", gate.name);
      }
      text += fmt::format("  reg p{0}; always @(n{1}) p{0} <= #{2} n{1};\n", pin_number, pin.net,
                          2 * pin.delay(true));
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

}  // namespace

std::string verilog_model(const Netlist& netlist, int period_ps, int cycles,
                          const std::string& stimulus, const std::string& response) {
  const std::size_t inputs = netlist.inputs().size(), registers = netlist.registers().size();
  std::string text = "`timescale 1ps / 1ps\nmodule model;\n";
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
    launches += fmt::format("      q[{0}] <= #{1} d[{0}];\n", r, 2 * what.clock_to_q.rise - 1);
  }
  write_gates(netlist, text);
  text += fmt::format(
      "  integer stimulus, response, cycle, unused;\n"
      "  reg [{}:0] next;\n"
      "  initial begin\n"
      "    stimulus = $fopen(\"{}\", \"r\");\n"
      "    response = $fopen(\"{}\", \"w\");\n"
      "    #2 in = 0; q = 0;\n"
      "    #1000000;\n"
      "    for (cycle = 0; cycle <= {}; cycle = cycle + 1) begin\n"
      "      unused = $fscanf(stimulus, \"%h\", next);\n"
      "      in = next;\n"
      "      #1;\n"
      "      if (cycle > 0) $fdisplay(response, \"%b\", d);\n"
      "{}"
      "      #{};\n"
      "    end\n"
      "    $finish;\n"
      "  end\nendmodule\n",
      inputs - 1, stimulus, response, cycles, launches, 2 * period_ps - 1);
  return text;
}

}  // namespace inure::timing
