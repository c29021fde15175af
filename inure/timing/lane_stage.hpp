#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/accelerator/stage.hpp"
#include "inure/errors/error_model.hpp"
#include "inure/timing/lane_simulator.hpp"

namespace inure::timing {

// A stage's convolution computed by the circuit itself: every lane of the accelerator through the
// gate-level simulator, in hardware order, its state carried from pixel to pixel; before each image
// its registers hold 0. What comes out are the accumulators as they were captured, before rounding
// and bias, [images][height][width][channels].
//
// Lane l of the accelerator is circuit l % circuits.size(). images: [images][H][W][C]; weights:
// [channels][C/groups][K][K]. The result does not depend on the number of threads. Throws Error
// where the circuits have not the geometry's vec_size and where the sizes do not fit.
std::vector<std::int32_t> simulate_stage(std::span<const LaneSimulator> circuits,
                                         const StageSpec& stage, const LaneGeometry& geometry,
                                         std::span<const std::int8_t> images,
                                         std::span<const std::int8_t> weights);

}  // namespace inure::timing
