#pragma once

#include <memory>
#include <string>

#include "inure/errors/error_model.hpp"
#include "inure/errors/timing_lanes.hpp"

namespace inure {

// Timing errors of one layer on these lanes.
//
// Products: wrong where the lane's multiplier has an exception for (a_before, b_before, a, b), the
// operands of this step and of the one before: step - 1 of the same output; for step 0 the last
// step of the previous pixel in raster order, for the first pixel the last step of the last pixel
// that the lane's previous output channel had (channel - lane_num; weights of 0 where that is one
// of the padding before the first channel), and zeros where there is none (a lane rests between
// images). A fixed function of the operands: nothing is drawn.
//
// Sums and accumulators: drawn for every step with the rate of its class (timing_profile.proto),
// which for many is 0 or 1. Products are the right ones there; the accumulator is what errors of
// its own output's sums have left, but before an output's first step the right one of the output
// before (the same as for products; zeros where there is none).
std::unique_ptr<ErrorModel> make_timing_errors(std::shared_ptr<const TimingLanes> lanes,
                                               const std::string& layer);

}  // namespace inure
