#include "inure/timing/gate_program.hpp"

#include <fmt/format.h>

#include "inure/base/random.hpp"
#include "inure/errors/timing_lanes.hpp"
#include "inure/pipecnn/arithmetic.hpp"
#include "inure/pipecnn/pipecnn.hpp"
#include "inure/timing/lane_stage.hpp"
#include "inure/timing/sta.hpp"
#include "lane.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

constexpr double kUnsafe = 1.3;

// A small stage with its operands: two images.
struct SmallStage {
  StageSpec spec;
  std::shared_ptr<Int8Map> input = std::make_shared<Int8Map>();
  std::vector<std::int8_t> weights;
  std::vector<std::int32_t> bias;
};

SmallStage make_stage(const StageSpec& spec, bool narrow_bias) {
  SmallStage stage;
  stage.spec = spec;
  stage.input->fraction = spec.frac_in;
  stage.input->reshape(2, spec.in_height, spec.in_width, spec.in_channels);
  RandomStream random(7, RandomPurpose::kDummyData, 0, 0);
  for (auto& value : stage.input->values) value = static_cast<std::int8_t>(random.next());
  for (int i = 0; i < spec.out_channels * spec.taps(); ++i) {
    stage.weights.push_back(static_cast<std::int8_t>(random.next()));
  }
  for (int m = 0; m < spec.out_channels; ++m) {
    const auto word = static_cast<std::int32_t>(random.next());
    stage.bias.push_back(narrow_bias ? static_cast<std::int8_t>(word) : word >> 16);
  }
  return stage;
}

std::vector<StageSpec> small_specs() {
  StageSpec plain;
  plain.name = "plain";
  plain.in_channels = 6, plain.in_height = 3, plain.in_width = 10, plain.out_channels = 6;
  plain.kernel = 3, plain.pad = 1, plain.relu = true;
  plain.frac_w = 7, plain.frac_in = 5, plain.frac_out = 1;
  StageSpec pooled = plain;
  pooled.name = "pooled", pooled.relu = false;
  pooled.in_height = 10, pooled.in_channels = 3, pooled.out_channels = 8;
  pooled.pool = MaxPooling{2, 2}, pooled.lrn = true, pooled.frac_out = 0;
  StageSpec groups = plain;
  groups.name = "groups";
  groups.in_channels = groups.out_channels = 8, groups.groups = 2, groups.kernel = 2;
  StageSpec vector = plain;
  vector.name = "vector", vector.out_channels = 8;
  vector.in_height = vector.in_width = vector.kernel, vector.pad = 0;
  return {plain, pooled, groups, vector};
}

StageResult run(Accelerator& accelerator, const SmallStage& stage) {
  const auto program = accelerator.compile({stage.spec});
  program->load(0, stage.weights, stage.bias);
  std::vector<StageResult> results;
  program->run(stage.input, {}, true, results);
  return results[0];
}

bool same(const std::shared_ptr<Int8Map>& a, const std::shared_ptr<Int8Map>& b) {
  return (!a && !b) || (a && b && a->values == b->values && a->fraction == b->fraction);
}

std::unique_ptr<Accelerator> make(const std::string& text) {
  Registry registry;
  pipecnn::register_kinds(registry);
  register_kinds(registry, test_cache());
  return registry.make(parse_description(text, "test"));
}

// Profiles without errors, as only the circuit and the clock are wanted of them.
class Gates : public LaneTest {
 protected:
  void SetUp() override {
    LaneTest::SetUp();
    if (IsSkipped()) return;
    critical_ = analyse(netlist_).critical_ps;
    TimingProfile profile;
    profile.set_design("lane.v");
    profile.set_corner("seed 1");
    profile.set_netlist(hash_netlist(netlist_));
    profile.set_critical_ps(static_cast<std::uint32_t>(critical_));
    profile.set_vec_size(kVecSize);
    profile.set_negative_activations(true);
    profile.add_made_by(fmt::format(
        "inure characterize --technology {} --design {} --top lane --parameter VEC_SIZE={} "
        "--parameter PIPELINE={} {} --output DIR",
        GetParam().fpga ? "hx8k" : "osu018", (rtl_folder() / "lane.v").string(), kVecSize,
        GetParam().pipeline, GetParam().fpga ? "--seeds 1" : "--target-ps 1000"));
    // A picosecond less than the clock kUnsafe would have: the profile's counts.
    ClockProfile& clock = *profile.add_clock();
    clock.set_period_ps(static_cast<std::uint32_t>(critical_ / kUnsafe) - 1);
    for (int i = 0; i < kVecSize; ++i) clock.add_product();
    write_timing_profile(file(), profile);
  }

  std::string file() const { return (folder_ / "lane.profile").string(); }
  std::string timing(double clock, const std::string& more = "") const {
    return fmt::format("errors {{ timing {{ profile: \"{}\" relative_clock: {} {} }} }} ", file(),
                       clock, more);
  }

  TemporaryFolder folder_;
  int critical_ = 0;
};

TEST_P(Gates, EqualTheReferenceAtASafeClock) {
  for (const char* arithmetic : {"WIDE_BIAS", "PIPECNN_2018"}) {
    const std::string build = fmt::format("lane_num: 4 arithmetic: {} ", arithmetic);
    const auto gates = make("kind: \"pipecnn_gates\" " + build + timing(1));
    const auto reference = make("kind: \"pipecnn_reference\" " + build);
    EXPECT_EQ(gates->bias_bits(), reference->bias_bits());
    int stages = 0;
    for (const StageSpec& spec : small_specs()) {
      const SmallStage stage = make_stage(spec, gates->bias_bits() == 8);
      ASSERT_EQ(gates->why_not(spec), reference->why_not(spec));
      if (gates->why_not(spec)) continue;
      ++stages;
      const StageResult a = run(*gates, stage), b = run(*reference, stage);
      EXPECT_TRUE(same(a.before_pool, b.before_pool)) << arithmetic << " " << to_string(spec);
      EXPECT_TRUE(same(a.before_lrn, b.before_lrn)) << arithmetic << " " << to_string(spec);
      EXPECT_TRUE(same(a.output, b.output)) << arithmetic << " " << to_string(spec);
    }
    EXPECT_GE(stages, 3) << arithmetic;  // 2018 cannot have 6 channels
  }
}

// The sums by simulate_stage, each finished by hand.
TEST_P(Gates, HaveTheCircuitsSumsAtAnUnsafeClock) {
  const std::string build = "lane_num: 4 ";
  const auto gates = make("kind: \"pipecnn_gates\" " + build + timing(kUnsafe));
  const auto exact = make("kind: \"pipecnn\" " + build);
  const SmallStage stage = make_stage(small_specs()[0], false);
  const StageSpec& s = stage.spec;
  std::vector<LaneSimulator> lanes;
  lanes.emplace_back(netlist_, kVecSize, static_cast<int>(critical_ / kUnsafe) - 1);
  pipecnn::Build pipecnn_build;
  pipecnn_build.lane_num = 4;
  const auto sums = simulate_stage(lanes, s, pipecnn::geometry_of(s, pipecnn_build),
                                   stage.input->values, stage.weights);
  std::vector<std::int8_t> expected;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    expected.push_back(
        pipecnn::finish_wide_bias(static_cast<std::uint32_t>(sums[i]),
                                  stage.bias[i % static_cast<std::size_t>(s.out_channels)],
                                  s.frac_w + s.frac_in - s.frac_out, s.relu));
  }
  const auto got = run(*gates, stage).output;
  EXPECT_TRUE(std::equal(got->values.begin(), got->values.end(), expected.begin(), expected.end()));
  EXPECT_FALSE(same(got, run(*exact, stage).output));
  // A layer that is not concerned.
  const auto other = make("kind: \"pipecnn_gates\" " + build + timing(kUnsafe, "layer: \"b\""));
  EXPECT_TRUE(same(run(*other, stage).output, run(*exact, stage).output));
}

TEST_P(Gates, RefuseWhatHasNoPlaceInThem) {
  const std::string kind = "kind: \"pipecnn_gates\" ";
  const auto error = [&](const std::string& text) { return error_of([&] { make(kind + text); }); };
  EXPECT_EQ(error("").substr(0, 93),
            "pipecnn_gates: the description has no timing; write errors { timing { profile: "
            "\"FILE\" relativ");
  EXPECT_EQ(error(timing(1, "} bit_flip { where: PRODUCTS rate: 0.1")).substr(0, 51),
            "pipecnn_gates: bit_flip and stuck_at have no place ");
  EXPECT_EQ(error(timing(1, "tables: \"t\"")).substr(0, 38),
            "pipecnn_gates: tables have no place in");
  EXPECT_EQ(
      error("vec_size: 8 " + timing(1)),
      "errors: timing: " + file() + ": a lane of 4 multipliers; the accelerator's vec_size is 8");
  EXPECT_EQ(error("errors { timing { profile: \"" + file() + "\" } }"),
            "errors: timing: give either clock_mhz or relative_clock");
  EXPECT_EQ(error("vec_size: 3 " + timing(1)),
            "accelerator: vec_size 3 and lane_num 16 must be powers of two from 1 to 64");
}

INSTANTIATE_TEST_SUITE_P(Lanes, Gates,
                         testing::Values(LaneCase{true, 2}, LaneCase{true, 3}, LaneCase{false, 3}));

}  // namespace
}  // namespace inure::timing
