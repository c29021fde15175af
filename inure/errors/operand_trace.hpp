#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "inure/accelerator/stage.hpp"
#include "inure/errors/error_model.hpp"

namespace inure {

// What the multipliers of one lane see, cycle by cycle, while a network runs: the operands of a
// stage in hardware order. From these a profile of timing errors can be fitted or judged.
//
// The file, little-endian:
//   8 bytes  "INURETR\n"
//   u32      version, 1
//   u32      vec_size
//   u32      lane
//   u32      length of layer, then its text: the layer's name
//   u32      length of about, then its text: geometry and origin, for people
//   u64      number of steps
//   then for each step: vec_size int8 activations, vec_size int8 weights, u8 first (1 where an
//   output begins, else 0)
struct OperandTrace {
  int vec_size = 0, lane = 0;
  std::string layer, about;
  std::vector<std::int8_t> activations, weights;  // [steps][vec_size]
  std::vector<std::uint8_t> first;                // [steps]

  std::int64_t steps() const { return static_cast<std::int64_t>(first.size()); }
  std::span<const std::int8_t> activations_at(std::int64_t step) const {
    return std::span(activations).subspan(step * vec_size, vec_size);
  }
  std::span<const std::int8_t> weights_at(std::int64_t step) const {
    return std::span(weights).subspan(step * vec_size, vec_size);
  }
};

// Follows one lane through a stage's images:
//   for z: for y: for x (an output: channel z * lane_num + lane - pad_offset)
//     for c (vectors of input channels): for ky: for kx (kx fastest): one step
// A lane without a channel in a block (the output channels are padded to whole blocks) multiplies
// with zeros, as the hardware does.
class OperandTracer {
 public:
  struct Limits {
    std::int64_t steps = 0;  // the most; the trace ends after the last whole output within
    int every_row = 1;       // of all rows of outputs, only each such one
  };

  // about: what `trace().about` is to say besides the geometry. Throws Error for a lane that the
  // accelerator does not have and for limits without room for one output.
  OperandTracer(const StageSpec& stage, const LaneGeometry& geometry, int lane,
                const Limits& limits, const std::string& about);

  // image: [H][W][C]; weights: [channels][C/groups][K][K].
  void add_image(const std::int8_t* image, std::span<const std::int8_t> weights);

  bool full() const { return full_; }
  const OperandTrace& trace() const { return trace_; }

 private:
  void add_output(const std::int8_t* image, std::span<const std::int8_t> weights, int z, int y,
                  int x);

  StageSpec stage_;
  LaneGeometry geometry_;
  Limits limits_;
  OperandTrace trace_;
  std::int64_t row_ = 0;
  bool full_ = false;
};

// Throws Error where the file is missing, is none, is of another version or is damaged.
OperandTrace read_operand_trace(const std::filesystem::path& path);
void write_operand_trace(const std::filesystem::path& path, const OperandTrace& trace);

}  // namespace inure
