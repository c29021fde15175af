#pragma once

#include <string>

#include "inure/timing/netlist.hpp"

namespace inure::timing {

// The netlist as Verilog for an independent simulator: every pin a register that follows its net
// after the pin's whole delay. A time unit is half a picosecond: everything toggles at even times,
// the registers capture half a picosecond after the edge, so that a toggle at the edge counts.
//
// The model reads one line of hexadecimal inputs a cycle from `stimulus` and writes one line of
// what the registers captured (the last register is the leftmost bit) to `response`. The run
// gets +cycles=N and +period=PS.
std::string verilog_model(const Netlist& netlist, const std::string& stimulus,
                          const std::string& response);

}  // namespace inure::timing
