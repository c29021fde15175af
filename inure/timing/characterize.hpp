#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "inure/errors/operand_trace.hpp"
#include "inure/errors/timing_profile.hpp"
#include "inure/timing/enumerate.hpp"
#include "inure/timing/flow.hpp"
#include "inure/timing/sta.hpp"

// From a design to its profiles: what `inure characterize` does, step by step.
namespace inure::timing {

enum class Technology { kHx8k, kOsu018 };
Technology parse_technology(const std::string& name);  // throws Error that lists the names

struct Characterization {
  Design design;
  Technology technology = Technology::kHx8k;
  std::vector<int> seeds = {1};  // of the placement; hx8k
  int target_ps = 1000;          // of the mapping; osu018
  bool shorter_arcs = false;     // of exclusive ors (Netlist::take_shorter_arcs); osu018
  bool negative_activations = true;
  // Relative to f_STA of the slowest circuit; none: chosen by choose_periods.
  std::vector<double> clocks;
  double effort = 1;  // factor of the number of trials
  // Operands for sums and accumulators; none: synthetic ones. What says where they are from.
  std::vector<OperandTrace> traces;
  std::string traces_from;
  std::filesystem::path cache;
};

// One placed or mapped lane, checked: its static timing is the tool's own, it computes right at the
// safe clock.
struct Circuit {
  std::string name;    // of its files: hx8k_p3_seed1
  std::string corner;  // what its delays mean
  FlowResult flow;
  double icetime_critical_ps = 0;  // hx8k: with the paths from and to pads
  double library_critical_ps = 0;  // osu018: with the arcs that the SDF file lacks
  Netlist netlist;
  StaticTiming timing;
  int vec_size = 0;
};

// Runs the flow (or finds its results in the cache), once for each seed. Throws Error as the flows
// and readers do, and where the design breaks the contract of rtl/lane.v.
std::vector<Circuit> make_circuits(const Characterization& what);

// What a profile's figures do not tell or hold for, in lines to print.
std::string caution(const TimingProfile& profile);

// Of gates, wires and delays: what a profile says of the circuit that it was made from.
std::uint64_t hash_netlist(const Netlist& netlist);

// The clock periods to characterise at, the longest first, in whole ps, the same for all circuits.
// Those asked for; else up to ten, spaced evenly in the logarithm of the part of steps with an
// error, from the first errors (1e-5) to about a tenth: by a scan of the frequency on synthetic
// operands, the mean over the circuits.
std::vector<int> choose_periods(const Characterization& what, const std::vector<Circuit>& circuits);

// The profile of a circuit; kept in the cache. `command` goes into the profile, for people.
TimingProfile fit_profile(const Characterization& what, const Circuit& circuit,
                          const std::vector<int>& periods_ps, const std::string& command);

// The exact tables of all multipliers: folder/product_0.table and so on, at those of the periods at
// which they stay sensible (kMaxTableRate of all changes of operands); returns these. Throws Error
// where there is none.
inline constexpr double kMaxTableRate = 0.02;
std::vector<int> write_tables(const Characterization& what, const Circuit& circuit,
                              const std::vector<int>& periods_ps,
                              const std::filesystem::path& folder);

}  // namespace inure::timing
