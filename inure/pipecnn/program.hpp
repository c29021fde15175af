#pragma once

#include <memory>
#include <vector>

#include "inure/accelerator/accelerator.hpp"
#include "inure/errors/error_model.hpp"
#include "inure/pipecnn/mapping.hpp"

namespace inure::pipecnn {

// What the reference and the fast simulator have in common: the stages, their weights and error
// models, and the order of a run. Each stage is run by run_stage().
class PipecnnProgram : public Program {
 public:
  PipecnnProgram(std::vector<StageSpec> stages, const Build& build, const ErrorSources& errors);

  const std::vector<StageSpec>& stages() const override { return specs_; }
  void load(int stage, std::span<const std::int8_t> weights,
            std::span<const std::int32_t> bias) override;
  void run(std::shared_ptr<const Int8Map> input, const RunKey& key, bool keep,
           std::vector<StageResult>& results) override;

 protected:
  struct Stage {
    StageSpec spec;
    LaneGeometry geometry;
    std::uint32_t id;  // of the name: ErrorKey.stage
    ErrorModels errors;
    bool weights_err = false, activations_err = false, sums_err = false, batches_err = false,
         outputs_err = false;
    std::vector<std::int8_t> weights;  // [M][C/groups][K][K]; as loaded
    std::vector<std::int32_t> bias;
  };
  struct Maps {
    Int8Map *convolved, *pooled, *normalised;  // the latter two only where the stage has them
  };

  // weights: the loaded ones or, where errors touch them, the corrupted copy of this pass.
  virtual void run_stage(int index, const Int8Map& in, const std::vector<std::int8_t>& weights,
                         const RunKey& key, const Maps& maps) = 0;

  static ErrorKey error_key(const Stage& stage, const RunKey& key, int image);
  const Build& build() const { return build_; }
  const Stage& stage(int index) const { return stages_[index]; }

 private:
  Build build_;
  std::vector<StageSpec> specs_;
  std::vector<Stage> stages_;
  std::vector<StageResult> unkept_;  // maps that the caller did not ask for, to be used again
};

}  // namespace inure::pipecnn
