#pragma once

#include <optional>
#include <string>

#include "inure/accelerator/description.pb.h"
#include "inure/accelerator/stage.hpp"
#include "inure/errors/error_model.hpp"

namespace inure::pipecnn {

// A build of PipeCNN: what is fixed when it is synthesised.
struct Build {
  int vec_size = 4, lane_num = 16;
  bool arithmetic_2018 = false;
  int window_width = 9;     // CONV_GP_SIZE_X
  int buffer_bytes = 9216;  // the window's buffer and a lane's weight buffer, each
};

// Throws Error for a vec_size or lane_num that no build has.
Build build_of(const AcceleratorDescription& description);

// How the stage's work lies on the lanes and cycles.
LaneGeometry geometry_of(const StageSpec& stage, const Build& build);

// Why PipeCNN cannot run the stage; nothing where it can.
std::optional<std::string> why_not(const StageSpec& stage, const Build& build);

}  // namespace inure::pipecnn
