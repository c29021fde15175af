#pragma once

#include <span>
#include <vector>

#include "inure/timing/logic_graph.hpp"
#include "inure/timing/netlist.hpp"

namespace inure::timing {

// What registers capture one clock period after the registers before them have changed, as logic.
//
// With transport delays the value of a net at time t is its gate's function of the pins' nets at
// t - delay, and so on down to the launching registers: a function of their current contents, of
// the previous ones where a path is too long, and of nothing older as long as no path is longer
// than two periods. Only paths that matter at one of the periods are followed; everything that has
// settled, or has not begun to change, is the function of the current, or the previous, contents
// alone. So this is exact to the picosecond, and the nearer the periods are to the longest path,
// the smaller it is.
//
// Where a pin's rising delay r and falling delay f differ, the pin at t is the OR (r < f) or AND
// (f < r) of its net over [t - f, t - r] (or [t - r, t - f]): just what TimingSimulator does, which
// loses pulses whose edges cross.
struct StepResponse {
  // Inputs: the previous contents of the launching registers, then the current ones.
  LogicGraph graph{0};
  std::vector<int> settled;                // by capturing register: what it should capture
  std::vector<std::vector<int>> captured;  // by period, by register: what it does capture
  int longest_ps = 0;                      // as in StepPaths
};

// For circuits whose rising and falling delays differ the windows make it large: 10^5 nodes and
// more for a multiplier of standard cells. StepSimulator is for them.
//
// Throws Error where another register or an input port leads to the capturing ones, where a period
// is shorter than half the longest path, and where the logic grows beyond max_nodes.
StepResponse step_response(const Netlist& netlist, std::span<const int> launching,
                           std::span<const int> capturing, std::span<const int> periods_ps,
                           int max_nodes = 1'000'000);

// When a net may change after the clock edge: not before `first`, no more from `last` on. Times in
// ps; by net. Nets that no launching register leads to have 0 and the delays since.
struct ChangeWindow {
  int first = 0, last = 0;
};
std::vector<ChangeWindow> change_windows(const Netlist& netlist, std::span<const int> launching);

// The paths from launching to capturing registers. Throws Error as step_response does.
struct StepPaths {
  int longest_ps = 0;  // from the clock edge, setup included; by the slower edge of every pin
  bool edges_differ = false;  // a pin's rising and falling delays do
};
StepPaths check_step(const Netlist& netlist, std::span<const int> launching,
                     std::span<const int> capturing, std::span<const int> periods_ps);

}  // namespace inure::timing
