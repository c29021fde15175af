#pragma once

#include <span>

#include "inure/timing/logic_graph.hpp"
#include "inure/timing/netlist.hpp"

namespace inure::timing {

// With which contents of the launching registers a capturing register may miss its settled value at
// a clock period, whatever the contents were before: a bound as logic. Where it is 0 the registers
// capture the settled values at this period and at every longer one; where it is 1 they may err,
// and StepSimulator tells after which contents they do.
//
// Of every net: its settled value, and whether it may still have another one at time t or later
// (the delay of a single vector in floating mode: Chen and Du, "Path sensitization in critical path
// problem", IEEE Transactions on CAD 12(2), 1993). At first every net may. A gate's output may
// where its function is no constant with such pins free and the others settled: a settled
// controlling pin hides the rest. A net that settles at v at time s settles at a pin at s + the
// delay of the edge to v, since a pulse that is lost on the way is lost to v.
struct LateBound {
  LogicGraph graph{0};  // inputs: the current contents
  int late = 0;         // the graph's id
};

// No other registers than the launching ones may lead to the capturing ones, as check_step tells.
// Where the logic would grow beyond max_nodes nothing is known: late is 1.
LateBound late_bound(const Netlist& netlist, std::span<const int> launching,
                     std::span<const int> capturing, int period_ps, int max_nodes = 1'000'000);

}  // namespace inure::timing
