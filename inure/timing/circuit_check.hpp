#pragma once

#include <string>
#include <vector>

#include "inure/timing/characterize.hpp"

// What a circuit must be for a profile to tell its errors.
namespace inure::timing {

inline constexpr double kFastestClock = 1.9;  // that a profile may have, relative to f_STA

// Throw Error where a product is not a * b, in stages one after the other; where the operands'
// registers may err at a clock that a profile may have.
void check_products(const Circuit& circuit, const Design& design);
void check_operands(const Circuit& circuit, const Design& design);

// What is wrong in a register behind all that keep a state is right again in the next step; a
// profile's errors stay. Says from which clock on there are such, as a line for made_by; empty
// where there are none at these periods.
std::string note_of_passing(const Circuit& circuit, const std::vector<int>& periods_ps);

}  // namespace inure::timing
