#pragma once

#include <filesystem>
#include <vector>

#include "inure/accelerator/int8_map.hpp"
#include "inure/accelerator/stage.hpp"

namespace inure {

// One stage in a folder of its own, for comparing with RTL or a board: layer.txt (lines key=value:
// w h c k kh m stride pad split relu pool pool_size pool_stride lrn frac_w frac_din frac_dout), and
// raw int8 files: input.bin [C][H][W], weights.bin [M][C/groups][K][K], bias.bin [M].
struct StageFiles {
  StageSpec spec;
  Int8Map input;
  std::vector<std::int8_t> weights, bias;
};

// Throws Error that names the file: missing, a key missing or not a number, a size that does not
// fit.
StageFiles read_stage(const std::filesystem::path& folder);

// One image of a map as raw int8, [C][H][W].
std::string channels_first(const Int8Map& map, int image = 0);

}  // namespace inure
