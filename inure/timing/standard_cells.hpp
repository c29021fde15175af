#pragma once

#include <filesystem>

#include "inure/timing/liberty.hpp"
#include "inure/timing/netlist.hpp"

namespace inure::timing {

// A design mapped to standard cells: yosys's JSON netlist, flat, with the instance names that the
// SDF file of OpenSTA has; functions from the library. Rising and falling delays are kept; an
// output of a cell is a gate. Times are in units of 1 / per_ps picoseconds.
//
// Throws Error where an arc is missing, and for what timing is not modelled: latches, set, reset,
// falling clock edges, several clocks, a clock behind gates, tristates.
Netlist read_standard_cells(const std::filesystem::path& json, const std::filesystem::path& sdf,
                            const LibertyCells& library, int per_ps = 1);

}  // namespace inure::timing
