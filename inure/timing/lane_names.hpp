#pragma once

#include "inure/timing/design.hpp"
#include "inure/timing/netlist.hpp"

namespace inure::timing {

// Gives a lane's registers the names of rtl/lane.v, activation[i], weight[i] and product[i]: those
// that design.registers names; else those of these names in the instance design.prefix; else those
// whose name is, or ends in, these. Returns how many products the lane makes in a cycle. Throws
// Error where there is no such register, more than one instance has them, or the numbers of bits do
// not fit.
int name_registers(Netlist& netlist, const Design& design);

}  // namespace inure::timing
