#pragma once

#include <cstdint>
#include <string>

#include "inure/errors/error_model.hpp"
#include "inure/errors/timing_lanes.hpp"

namespace inure {

// Adds the deltas of all wrong products of a batch to its sums, [images][height][width][channels].
// Throws Error that names the layer where an activation is negative and the lanes know none.
void add_product_errors(const TimingLanes& lanes, const std::string& layer,
                        const BatchOperands& batch, std::uint32_t* sums);

}  // namespace inure
