#pragma once

#include "inure/accelerator/accelerator.hpp"
#include "inure/pipecnn/mapping.hpp"

// PipeCNN (doonny/PipeCNN), an OpenCL FPGA accelerator for CNN inference in 8-bit fixed point:
// simulated to the bit.
namespace inure::pipecnn {

// Registers "pipecnn" (the fast simulator) and "pipecnn_reference" (plain loops). Accelerators of
// one registry share what they make of timing profiles and tables (TimingLanesCache).
void register_kinds(Registry& registry);

}  // namespace inure::pipecnn
