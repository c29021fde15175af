#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inure/accelerator/accelerator.hpp"
#include "inure/network/stage_groups.hpp"

namespace inure {

// Which layers of a network run on an accelerator, and their programs. Each stage's input is
// quantised where it is not int8 already; what the stage computed becomes the values of its layers,
// which backward on the host then uses with the float master weights (a straight-through
// estimator).
class Placement {
 public:
  // Throws Error where the description lacks a layer's format, names a layer that does not exist,
  // or demands the accelerator (accelerator_layer) for one that cannot run there.
  Placement(const Network& network, const AcceleratorDescription& description,
            const Registry& registry);

  // Runs node `index`, if it is the accelerator's, from the bottoms' values to the tops'. False:
  // the host's.
  bool run(const Network& network, std::size_t index, const PassContext& pass);

  // With the saturation mask, gradients do not pass where the stage's output saturated.
  void set_saturation_mask(bool on) { saturation_mask_ = on; }
  void mask_gradient(const Network& network, std::size_t index) const;

  const Accelerator& accelerator() const { return *accelerator_; }
  std::vector<StageSpec> stages() const;
  // What the accelerator was last given for a layer: the stage's int8 input of the network's last
  // pass, and the int8 weights [channels][C/groups][K][K]. Throws Error where the layer is no
  // stage.
  struct Operands {
    StageSpec spec;
    std::shared_ptr<const Int8Map> input;
    std::vector<std::int8_t> weights;
  };
  Operands operands(const Network& network, const std::string& layer) const;
  // Why layers are on the host, in the order of the network.
  const std::vector<PlacementNote>& notes() const { return notes_; }

 private:
  struct Loaded {  // the parameter that the program has, and its version
    std::shared_ptr<Parameter> parameter;
    std::int64_t version;
  };
  struct Stage {
    StageGroup group;
    std::unique_ptr<Program> program;
    std::vector<StageResult> results;
    std::vector<Loaded> loaded;
  };

  void add(const Network& network, const StageGroup& group, const AcceleratorDescription& d);
  std::string why_on_host(const Network& network, std::size_t index,
                          const std::vector<StageGroup>& groups) const;
  void check_errors_of(const google::protobuf::RepeatedPtrField<std::string>& layers) const;
  std::vector<std::string> stage_names() const;
  void load(const Network& network, Stage& stage);
  std::shared_ptr<const Int8Map> input_of(const Network& network, const Stage& stage) const;

  std::unique_ptr<Accelerator> accelerator_;
  std::vector<std::unique_ptr<Stage>> stages_;
  std::vector<Stage*> stage_at_;  // by node; null on the host
  std::vector<PlacementNote> notes_;
  std::vector<std::int8_t> int8_weights_;  // of the stage that is being loaded; kept for the next
  bool saturation_mask_ = false;
};

// The registry of all accelerators that this program knows.
Registry all_accelerators();

}  // namespace inure
