#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "inure/timing/netlist.hpp"

namespace inure::timing {

// A circuit as its author wrote it. The port contract of a lane is in rtl/lane.v.
struct Design {
  std::filesystem::path verilog;
  std::string top;
  std::map<std::string, int> parameters;  // of the top module
};

// What the tools made of a design on an iCE40 HX8K (package ct256).
struct Ice40Flow {
  std::filesystem::path folder;  // with everything below, the tools' logs and made_by.txt
  std::filesystem::path synthesis, netlist, sdf, report;
  double critical_ps = 0;          // nextpnr's critical path between registers
  double icetime_critical_ps = 0;  // icetime's, from and to pads included
  std::vector<std::string> tool_versions;
  bool cached = false;  // nothing was run

  Netlist read() const;
};

// Synthesis (yosys), place and route (nextpnr-ice40, with this seed) and icetime. The results lie
// in a folder of `cache` named by a hash of the source, the parameters, the seed, the commands and
// the tools' versions; where it is there already, nothing is run. A folder appears whole or not at
// all. Throws Error of one line that names the missing tool, or the tool's own error and its log.
Ice40Flow run_ice40_flow(const Design& design, int seed, const std::filesystem::path& cache);

// The tools that run_ice40_flow needs and PATH lacks.
std::vector<std::string> missing_ice40_tools();

}  // namespace inure::timing
