#include "inure/timing/gate_program.hpp"

#include <cmath>

#include "inure/base/error.hpp"
#include "inure/errors/timing_lanes.hpp"
#include "inure/pipecnn/pipecnn.hpp"
#include "inure/timing/lane_stage.hpp"
#include "inure/timing/validate.hpp"

namespace inure::timing {
namespace {

// A clock in MHz or in f_STA is rarely a whole period: that of the profile's, where it has it.
int whole_period(const TimingProfile& profile, double period_ps) {
  for (const ClockProfile& clock : profile.clock()) {
    if (std::abs(clock.period_ps() - period_ps) <= 1e-3 * period_ps) {
      return static_cast<int>(profile.clock(find_clock(profile, period_ps)).period_ps());
    }
  }
  return static_cast<int>(std::lround(period_ps));
}

void check_errors(const ErrorsDescription& errors) {
  constexpr const char* kKind = "pipecnn_gates";
  if (!errors.has_timing()) {
    fail(
        "{}: the description has no timing; write errors {{ timing {{ profile: \"FILE\" "
        "relative_clock: 1.05 }} }}, which says what circuits the lanes are and their clock",
        kKind);
  }
  if (errors.bit_flip_size() + errors.stuck_at_size() > 0) {
    fail(
        "{}: bit_flip and stuck_at have no place in it, the gates alone say what errs; leave them "
        "out, or use the kind \"pipecnn\"",
        kKind);
  }
  if (errors.timing().tables_size() > 0) {
    fail(
        "{}: tables have no place in it, the gates themselves are simulated; leave them out, or "
        "use the kind \"pipecnn\"",
        kKind);
  }
}

class GateAccelerator : public Accelerator {
 public:
  GateAccelerator(const AcceleratorDescription& description, const std::filesystem::path& cache)
      : build_(pipecnn::build_of(description)) {
    check_errors(description.errors());
    const TimingDescription& timing = description.errors().timing();
    lanes_ = load_gate_lanes(timing, cache);
    layers_ = {timing.layer().begin(), timing.layer().end()};
    const int vec_size = lanes_->simulators[0].vec_size();
    if (vec_size != build_.vec_size) {
      fail("errors: timing: {}: a lane of {} multipliers; the accelerator's vec_size is {}",
           timing.profile(0), vec_size, build_.vec_size);
    }
    Registry kinds;
    pipecnn::register_kinds(kinds);
    AcceleratorDescription exact = description;
    exact.set_kind("pipecnn");
    exact.clear_errors();
    pipecnn_ = kinds.make(exact);
  }

  std::string summary() const override {
    return fmt::format("{}; lanes of gates: {} at {} ps", pipecnn_->summary(),
                       lanes_->circuits[0].name, lanes_->simulators[0].period_ps());
  }
  std::optional<std::string> why_not(const StageSpec& stage) const override {
    return pipecnn_->why_not(stage);
  }
  int bias_bits() const override { return pipecnn_->bias_bits(); }
  int bias_fraction(const StageSpec& stage) const override {
    return pipecnn_->bias_fraction(stage);
  }
  std::unique_ptr<Program> compile(std::vector<StageSpec> stages) override {
    return std::make_unique<GateProgram>(std::move(stages), build_, lanes_, layers_);
  }

 private:
  pipecnn::Build build_;
  std::shared_ptr<const GateLanes> lanes_;
  std::set<std::string> layers_;
  std::unique_ptr<Accelerator> pipecnn_;  // for what does not depend on the lanes
};

}  // namespace

std::shared_ptr<const GateLanes> load_gate_lanes(const TimingDescription& description,
                                                 const std::filesystem::path& cache) {
  const auto [profiles, period_ps] = read_timing_profiles(description);
  auto lanes = std::make_shared<GateLanes>();
  lanes->circuits.reserve(profiles.size());  // the simulators refer to them
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    const std::string& name = description.profile(static_cast<int>(i));
    lanes->circuits.push_back(circuit_of(profiles[i], name, {}, std::filesystem::absolute(cache)));
    const Circuit& circuit = lanes->circuits.back();
    try {
      lanes->simulators.emplace_back(circuit.netlist, circuit.vec_size,
                                     whole_period(profiles[i], period_ps));
    } catch (const Error& error) {
      fail("{}: {}", name, error.what());
    }
  }
  return lanes;
}

GateProgram::GateProgram(std::vector<StageSpec> stages, const pipecnn::Build& build,
                         std::shared_ptr<const GateLanes> lanes, std::set<std::string> layers)
    : SimulatorProgram(std::move(stages), build, {}),
      lanes_(std::move(lanes)),
      layers_(std::move(layers)) {}

void GateProgram::run_stage(int index, const Int8Map& in, const std::vector<std::int8_t>& weights,
                            const RunKey& key, const Maps& maps) {
  const Stage& st = stage(index);
  const LaneGeometry& g = st.geometry;
  if (!layers_.empty() && !layers_.contains(st.spec.name)) {
    SimulatorProgram::run_stage(index, in, weights, key, maps);
    return;
  }
  const auto captured =
      simulate_stage(lanes_->simulators, st.spec, g,
                     {in.values.data(), static_cast<std::size_t>(in.size())}, weights);
  std::vector<std::uint32_t> sums(captured.begin(), captured.end());
  if (!build().arithmetic_2018) {
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i] += static_cast<std::uint32_t>(st.bias[i % static_cast<std::size_t>(g.channels)]);
    }
  }
  const std::size_t image = std::size_t(g.height) * std::size_t(g.width) * std::size_t(g.channels);
  for (int n = 0; n < in.images; ++n) {
    finish_rows(index, key, n, 0, g.height, sums.data() + static_cast<std::size_t>(n) * image,
                *maps.convolved);
  }
  pool_and_normalise(index, maps);
}

void register_kinds(Registry& registry, const std::filesystem::path& cache) {
  registry.add("pipecnn_gates",
               "PipeCNN on the circuits and at the clock of errors { timing }, gate by gate: slow",
               [cache](const auto& description) {
                 return std::make_unique<GateAccelerator>(description, cache);
               });
}

}  // namespace inure::timing
