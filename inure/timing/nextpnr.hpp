#pragma once

#include <filesystem>

#include "inure/timing/netlist.hpp"

namespace inure::timing {

// A design placed and routed by nextpnr-ice40: its JSON netlist (--write) with the delays of its
// SDF (--sdf). `synthesis` is the JSON netlist that nextpnr read: there a net has all its names, of
// which nextpnr keeps one; registers are found by any of them.
//
// Logic cells become LUT gates and carry gates (majority of I1, I2 and CIN); a logic cell with its
// flip-flop in use captures its LUT, whose arcs are the flip-flop's setup times.
//
// Throws Error where an arc is missing, and for what timing is not modelled: set, reset, clock
// enable, falling clock edges, several clocks or clock skew, registered pads, memories, DSP blocks.
Netlist read_nextpnr(const std::filesystem::path& json, const std::filesystem::path& sdf,
                     const std::filesystem::path& synthesis);

// What nextpnr's report (--report) says of the longest path between registers, in ps.
double read_nextpnr_critical_path(const std::filesystem::path& report);

}  // namespace inure::timing
