#pragma once

#include <string>
#include <vector>

#include "inure/timing/netlist.hpp"

namespace inure::timing {

// Static timing analysis between registers: the longest delay from a clock edge to each register's
// D, setup included, over rising and falling edges apart. Input ports start no path (they are
// ideal). False paths count, as in every static analysis.
struct StaticTiming {
  int critical_ps = 0;          // the shortest safe clock period
  int critical_register = -1;   // where the longest path ends
  std::vector<int> arrival_ps;  // by register, at its D; -1 where no register leads to it
  std::vector<int> path;        // the nets of the longest path, from a register's output to a D
};

StaticTiming analyse(const Netlist& netlist);

// The longest path into any of these registers (what find_registers gave).
int longest_arrival(const StaticTiming& timing, const std::vector<int>& registers);

}  // namespace inure::timing
