#pragma once

#include <cstdint>
#include <filesystem>

#include "inure/errors/product_table.hpp"
#include "inure/errors/timing_profile.pb.h"

namespace inure {

// A profile's file: text where the name ends in .txt, else binary. Both throw Error of one line
// where the file cannot be read or written or the profile contradicts its schema
// (timing_profile.proto): trees, classes, rates, deltas and clocks are all checked.
TimingProfile read_timing_profile(const std::filesystem::path& path);
void write_timing_profile(const std::filesystem::path& path, const TimingProfile& profile);

// The index of the clock whose period is within 0.1 % of this one. Throws Error that lists the
// clocks there are; the caller puts the profile's name before it.
int find_clock(const TimingProfile& profile, double period_ps);

// One multiplier's errors at one clock as a list of exceptions: exactly those that its late bits
// say (product_logic.hpp); or, from classes, made up so that it has the profile's statistics: each
// change of operands errs with its class's rate, with one of its class's deltas, by their counts.
// Which ones do is drawn here, once for all (Philox, keyed by the netlist's hash, the multiplier
// and the period): the same operands then always err in the same way, as on silicon. All weight
// pairs count as enumerated; activations are those of the profile. Deltas are kept modulo 2^16.
// All changes are gone through (tree_draw.hpp says how), some tenths of a second to some seconds,
// with logic some seconds; the result does not depend on the number of threads.
//
// Throws Error where more than `most` exceptions come out; 2^28 are a sixteenth of all changes.
ProductTable::Clock expand_products(const TimingProfile& profile, int clock, int multiplier,
                                    std::uint64_t most = std::uint64_t{1} << 28);

}  // namespace inure
