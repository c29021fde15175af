#pragma once

#include <vector>

#include "inure/accelerator/accelerator.hpp"

namespace inure {

// The clocks, relative to f_STA, at which there is something to see: 1, and those above that all
// profiles of the description hold; with a voltage of its own all that they hold. Ascending. Throws
// Error where it names no profile or there is no such clock.
std::vector<double> interesting_clocks(const TimingDescription& timing);

// Throws Error with the clocks there are where a profile does not hold one of these. Clocks that
// at_clock() makes free of errors need not be there.
void check_clocks(const TimingDescription& timing, const std::vector<double>& clocks);

// The description at this clock instead of its own. Up to f_STA static timing analysis says that
// nothing is late: at a relative clock of 1 or less (and the nominal voltage) it has no timing
// errors.
AcceleratorDescription at_clock(AcceleratorDescription description, double relative_clock);

}  // namespace inure
