#pragma once

#include "inure/pipecnn/kernels.hpp"
#include "inure/pipecnn/program.hpp"

namespace inure::pipecnn {

// The fast simulator: the same integers as ReferenceProgram. Sums of products run as a direct
// convolution on channels-last maps; the errors' deltas are added to the sums; then rounding, ReLU,
// pooling, LRN.
class SimulatorProgram : public PipecnnProgram {
 public:
  SimulatorProgram(std::vector<StageSpec> stages, const Build& build, const ErrorSources& errors,
                   Convolve convolve = best_convolve());
  void load(int stage, std::span<const std::int8_t> weights,
            std::span<const std::int32_t> bias) override;

 protected:
  void run_stage(int index, const Int8Map& in, const std::vector<std::int8_t>& weights,
                 const RunKey& key, const Maps& maps) override;

  // Sums of an image's rows to its outputs. With a wide bias the sums include it.
  void finish_rows(int index, const RunKey& key, int image, int first_row, int rows,
                   const std::uint32_t* sums, Int8Map& out) const;
  void pool_and_normalise(int index, const Maps& maps) const;

 private:
  // What is derived from a stage's weights.
  struct Prepared {
    std::uint64_t version = 0;  // of the weights: how many times they were prepared
    std::vector<PackedWeights> groups;
    // What the sums begin with: it takes the inputs' offset back and adds the wide bias.
    std::vector<std::int32_t> start;
    std::vector<std::int32_t> rounded_bias;  // 2018
    // For error models that look at operands, by tap: where its activation and its weight lie, the
    // latter in a whole block of channels and in the last one, which is narrower (LaneOperands).
    std::vector<std::int32_t> tap_activation, tap_weight, tap_weight_last;
  };
  // The zero-padded, offset input of the batch: [images][groups][height][width][channels of the
  // group].
  struct Padded {
    int height = 0, width = 0;
    std::int64_t row = 0, group = 0, image = 0;  // strides
    std::vector<std::uint8_t> bytes;
  };

  void prepare(int index, const std::vector<std::int8_t>& weights);
  void pad(const StageSpec& spec, const Int8Map& in);
  void map_taps(int index);
  void convolve_rows(int index, const RunKey& key, int image, int first_row, int rows,
                     std::uint32_t* sums) const;
  class Strips;
  LaneOperands strip_operands(int index, int image, int y, int group, int block) const;
  void add_deltas(int index, const RunKey& key, int image, int y, int group, int block,
                  std::uint32_t* sums) const;
  void find_batch_errors(int index, const RunKey& key, const std::vector<std::int8_t>& weights,
                         int images) const;
  void add_image_deltas(int index, int image, std::uint32_t* sums) const;
  void convolve_batch(int index, const Int8Map& in, const std::vector<std::int8_t>& weights,
                      const RunKey& key, const Maps& maps);
  void convolve_vectors(int index, const Int8Map& in, const std::vector<std::int8_t>& weights,
                        const RunKey& key, const Maps& maps);

  Convolve convolve_;
  std::vector<Prepared> prepared_;
  Padded padded_;
  // Of some images, [images][height][width][channels]: all for fully connected stages, a few where
  // an error model wants whole ones.
  std::vector<std::uint32_t> batch_sums_;
};

}  // namespace inure::pipecnn
