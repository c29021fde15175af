#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "inure/timing/design.hpp"
#include "inure/timing/netlist.hpp"

namespace inure::timing {

// What the tools made of a design. Everything lies in `folder`, with the tools' logs and
// made_by.txt, which holds the commands and the tools' versions.
struct FlowResult {
  std::filesystem::path folder;
  double critical_ps = 0;  // the tool's critical path between registers
  std::vector<std::string> tool_versions;
  bool cached = false;  // nothing was run
};

// On an iCE40 HX8K, package ct256: files of nextpnr-ice40. read() also throws where our static
// timing analysis differs from the tool's critical path by more than 0.1 %, here and with cells.
struct Ice40Flow : FlowResult {
  std::filesystem::path synthesis, netlist, sdf, report;
  double icetime_critical_ps = 0;  // icetime's, from and to pads included

  Netlist read() const;
};

// In cells of the library osu018 (0.18 um, 1.8 V, 25 C, typical); wires have no delay.
// `critical_ps` is OpenSTA's of the delays in the SDF file, which are ours. It differs, by 0.2 % in
// our lanes, from that of the library's: an exclusive or's input has four arcs, by its edge and the
// output's, of which write_sdf keeps one for each edge of the output, the inverting one, be it the
// longer or not.
struct Osu018Flow : FlowResult {
  std::filesystem::path netlist, sdf, library;
  double library_critical_ps = 0;  // OpenSTA's of all arcs

  Netlist read() const;
};

// Synthesis (yosys), place and route (nextpnr-ice40, with this seed) and icetime; or synthesis and
// mapping (yosys with abc, aiming at `target_ps`) and OpenSTA. The results lie in a folder of
// `cache` named by a hash of the source, the parameters, the commands and the tools' versions;
// where it is there already and holds what it held then, nothing is run. A folder appears whole,
// its files read, or not at all; after a failure its logs stay in cache/failed-*. Throws Error of
// one line that names the missing tool, or the tool's own error and its log.
Ice40Flow run_ice40_flow(const Design& design, int seed, const std::filesystem::path& cache);
Osu018Flow run_osu018_flow(const Design& design, int target_ps, const std::filesystem::path& cache);

// What the flows need and this machine lacks.
std::vector<std::string> missing_ice40_tools();
std::vector<std::string> missing_osu018_tools();

}  // namespace inure::timing
