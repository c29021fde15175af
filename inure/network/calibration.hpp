#pragma once

#include <functional>
#include <string>
#include <vector>

#include "inure/network/stage_groups.hpp"

namespace inure {

// What was found about one layer's formats.
struct CalibratedLayer {
  LayerFormat format;
  float largest_weight = 0, largest_input = 0, largest_output = 0;
  double weight_error = 0, input_error = 0, output_error = 0;  // relative, root of the mean square
};

struct Calibration {
  std::vector<CalibratedLayer> layers;
  std::vector<PlacementNote> notes;
};

// Chooses the formats of the layers that the accelerator can run, from `passes` float passes of the
// network; `pass` fills the inputs and runs one. Each fraction is the one with the least squared
// error; inputs that another stage computes have that stage's output fraction. headroom: bits kept
// free in the outputs.
Calibration calibrate(Network& network, const Accelerator& accelerator, int passes,
                      const std::function<void(int)>& pass, int headroom = 0);

}  // namespace inure
