#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "inure/accelerator/accelerator.hpp"
#include "inure/pipecnn/simulator.hpp"
#include "inure/timing/characterize.hpp"
#include "inure/timing/lane_simulator.hpp"

namespace inure::timing {

// Circuits at a clock: lane l of an accelerator is simulators[l % simulators.size()].
struct GateLanes {
  std::vector<Circuit> circuits;
  std::vector<LaneSimulator> simulators;
};

// The circuits of a description's profiles, made again (the design as the profile says where it
// lies), at the description's clock. Where the profile has been measured at that clock, it is the
// profile's, to the picosecond. Throws Error as circuit_of and read_timing_profiles do.
std::shared_ptr<const GateLanes> load_gate_lanes(const TimingDescription& description,
                                                 const std::filesystem::path& cache);

// PipeCNN whose lanes are simulated gate by gate: the sums of the layers concerned are those that
// the circuits capture (simulate_stage); rounding, bias, ReLU, pooling and LRN are PipeCNN's, and
// so is everything in the other layers. Nothing is drawn.
class GateProgram : public pipecnn::SimulatorProgram {
 public:
  // layers: those concerned, none: all.
  GateProgram(std::vector<StageSpec> stages, const pipecnn::Build& build,
              std::shared_ptr<const GateLanes> lanes, std::set<std::string> layers);

 protected:
  void run_stage(int index, const Int8Map& in, const std::vector<std::int8_t>& weights,
                 const RunKey& key, const Maps& maps) override;

 private:
  std::shared_ptr<const GateLanes> lanes_;
  std::set<std::string> layers_;
};

// Registers "pipecnn_gates". Its circuits are kept in the cache.
void register_kinds(Registry& registry, const std::filesystem::path& cache = ".inure-cache");

}  // namespace inure::timing
