#pragma once

#include <cstdint>
#include <string>

#include "inure/errors/error_model.hpp"
#include "inure/errors/timing_lanes.hpp"

namespace inure {

// The part of add_product_errors for fully connected stages (one output pixel), where every weight
// meets one activation an image: all steps but the first one of each group's first lane_num
// channels.
void add_vector_product_errors(const TimingLanes& lanes, const std::string& layer,
                               const BatchOperands& batch, std::uint32_t* sums);

}  // namespace inure
