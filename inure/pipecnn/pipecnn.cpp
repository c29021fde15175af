#include "inure/pipecnn/pipecnn.hpp"

#include <fmt/format.h>

#include "inure/errors/timing_lanes.hpp"
#include "inure/pipecnn/reference.hpp"
#include "inure/pipecnn/simulator.hpp"

namespace inure::pipecnn {
namespace {

template <typename ProgramType>
class Pipecnn : public Accelerator {
 public:
  Pipecnn(const AcceleratorDescription& description, TimingLanesCache& lanes, const char* how)
      : build_(build_of(description)), errors_(description.errors(), lanes), how_(how) {
    errors_.models("", build_.vec_size);  // for its check
  }

  std::string summary() const override {
    return fmt::format("PipeCNN, {}: {} lanes of {} multipliers, {} arithmetic", how_,
                       build_.lane_num, build_.vec_size,
                       build_.arithmetic_2018 ? "2018" : "wide bias");
  }
  std::optional<std::string> why_not(const StageSpec& stage) const override {
    return pipecnn::why_not(stage, build_);
  }
  int bias_bits() const override { return build_.arithmetic_2018 ? 8 : 32; }
  int bias_fraction(const StageSpec& stage) const override {
    return build_.arithmetic_2018 ? stage.frac_w : stage.frac_w + stage.frac_in;
  }
  std::unique_ptr<Program> compile(std::vector<StageSpec> stages) override {
    return std::make_unique<ProgramType>(std::move(stages), build_, errors_);
  }

 private:
  Build build_;
  ErrorSources errors_;
  const char* how_;
};

}  // namespace

void register_kinds(Registry& registry) {
  const auto lanes = std::make_shared<TimingLanesCache>();
  registry.add("pipecnn", "PipeCNN simulated to the bit, fast", [lanes](const auto& description) {
    return std::make_unique<Pipecnn<SimulatorProgram>>(description, *lanes, "fast simulator");
  });
  registry.add("pipecnn_reference", "PipeCNN simulated to the bit in plain loops: slow, the truth",
               [lanes](const auto& description) {
                 return std::make_unique<Pipecnn<ReferenceProgram>>(description, *lanes,
                                                                    "reference");
               });
}

}  // namespace inure::pipecnn
