// Wrong products of fully connected layers: the fast simulator against the reference, for the
// shapes that decide how images meet channels.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/timing_profile.hpp"
#include "inure/pipecnn/pipecnn.hpp"
#include "tests/common.hpp"
#include "tests/errors/made_up_tree.hpp"
#include "tests/pipecnn/random_stage.hpp"

namespace inure {
namespace {

namespace fs = std::filesystem;

struct Shape {
  int images, inputs, kernel, outputs, groups;
  double weights;  // their standard deviation
};

class VectorTimingErrors : public testing::Test {
 protected:
  void TearDown() override { set_threads(0); }

  // Appends the tree of an operand (b_before, b, a_before, a) and of those after it: with `rate`
  // where all are small, -16 to 15; elsewhere where the lower four bits of all are 1.
  static void add_operand(RegisterProfile& product, int operand, double rate) {
    const std::vector<std::pair<int, unsigned>> deltas{{-256, 1}, {4096, 1}};
    if (operand == 4) return add_leaf(product, rate, deltas);
    const auto add_large = [&] {
      add_all_of(product, {8, 9, 10, 11, 24, 25, 26, 27, 0, 1, 2, 3, 16, 17, 18, 19}, deltas);
    };
    const int first = std::array{8, 24, 0, 16}[static_cast<std::size_t>(operand)];  // its tests
    add_test(product, first + 7);
    for (const bool negative : {false, true}) {  // the next three bits are those of the sign
      for (const int bit : {6, 5, 4}) {
        add_test(product, first + bit);
        if (negative) add_large();
      }
      add_operand(product, operand + 1, rate);
      for (int bit = 0; bit < 3 && !negative; ++bit) add_large();
    }
  }

  // Each multiplier errs at another rate, up to `rate`, the first one never; seldom where operands
  // are large, so that the lists are made quickly.
  std::string profile(int number, double rate, bool negative = true, int vec_size = 4) {
    TimingProfile profile;
    profile.set_design("vector");
    profile.set_corner("none");
    profile.set_netlist(number);
    profile.set_critical_ps(1000);
    profile.set_vec_size(vec_size);
    profile.set_negative_activations(negative);
    ClockProfile& clock = *profile.add_clock();
    clock.set_period_ps(900);
    for (int v = 0; v < vec_size; ++v) {
      RegisterProfile& product = *clock.add_product();
      if (v > 0) add_operand(product, 0, rate * v / vec_size);
    }
    const fs::path file = folder_ / (std::to_string(number) + ".profile");
    write_timing_profile(file, profile);
    return file.string();
  }

  static std::unique_ptr<Accelerator> make(const std::string& kind,
                                           const std::vector<std::string>& profiles,
                                           const std::string& build = "") {
    std::string text = build + " errors { timing { clock_mhz: 1111.1 ";
    for (const std::string& profile : profiles) text += "profile: \"" + profile + "\" ";
    AcceleratorDescription description = parse_description(text + "} }", "test");
    description.set_kind(kind);
    Registry registry;
    pipecnn::register_kinds(registry);
    return registry.make(description);
  }

  static RandomStage stage(const Shape& shape, bool negative) {
    RandomStage stage;
    StageSpec& s = stage.spec;
    s.name = "vector";
    s.groups = shape.groups;
    s.in_channels = shape.inputs, s.out_channels = shape.outputs;
    s.in_height = s.in_width = s.kernel = shape.kernel;
    s.frac_w = 8, s.frac_in = 3, s.frac_out = 1;
    std::mt19937 random(7);
    std::normal_distribution<double> normal;
    const auto draw = [&](double deviation, int least) {
      return static_cast<std::int8_t>(
          std::clamp(static_cast<int>(std::lround(normal(random) * deviation)), least, 127));
    };
    stage.input = std::make_shared<Int8Map>();
    stage.input->reshape(shape.images, shape.kernel, shape.kernel, shape.inputs);
    stage.input->fraction = s.frac_in;
    for (auto& v : stage.input->values) v = draw(3, negative ? -128 : 0);  // many alike
    stage.weights.resize(std::int64_t{s.out_channels} * s.taps());
    for (auto& w : stage.weights) w = draw(shape.weights, -128);
    stage.bias.resize(s.out_channels, 1000);
    return stage;
  }

  static void compare(const std::vector<std::string>& profiles, const Shape& shape,
                      bool negative = true, const std::string& build = "") {
    SCOPED_TRACE(fmt::format("{} images, {} x {} x {} -> {}, {} groups, {} profiles, {}",
                             shape.images, shape.inputs, shape.kernel, shape.kernel, shape.outputs,
                             shape.groups, profiles.size(), build));
    const RandomStage one = stage(shape, negative);
    const auto expected = run(*make("pipecnn_reference", profiles, build), one).output->values;
    for (const int threads : {1, 3}) {
      set_threads(threads);
      EXPECT_EQ(run(*make("pipecnn", profiles, build), one).output->values, expected);
    }
    AcceleratorDescription exact = parse_description(build, "test");
    exact.set_kind("pipecnn");
    Registry registry;
    pipecnn::register_kinds(registry);
    EXPECT_NE(run(*registry.make(exact), one).output->values, expected) << "nothing was wrong";
  }

  const TemporaryFolder folder_;
};

constexpr Shape kShapes[] = {
    {1, 64, 1, 100, 1, 13},   // one image
    {40, 48, 1, 150, 1, 13},  // more exceptions than channels
    {3, 24, 1, 700, 1, 13},   // many more channels
    {20, 160, 1, 7, 1, 13},   // channels fewer than a strip, and than lanes
    {5, 37, 1, 90, 1, 127},   // inputs that are no whole vectors, every magnitude
    {4, 8, 3, 130, 1, 20},    // a kernel
    {6, 64, 1, 192, 2, 30},   // groups
    {70, 8, 1, 65, 1, 2},     // few pairs of weights, many times
};

TEST_F(VectorTimingErrors, EqualReference) {
  const std::string dense = profile(1, 2e-2), rare = profile(2, 5e-4);
  for (const Shape& shape : kShapes) {
    compare({dense}, shape);
    if (HasFailure()) break;
  }
  compare({rare}, {64, 100, 1, 200, 1, 13});
}

TEST_F(VectorTimingErrors, LanesThatDiffer) {
  const std::string dense = profile(1, 2e-2), rare = profile(2, 2e-3), other = profile(3, 1e-2);
  for (const Shape& shape : kShapes) compare({dense, rare, other}, shape);
}

TEST_F(VectorTimingErrors, AfterRelu) {
  const std::string relu = profile(1, 2e-2, false);
  for (const Shape& shape : kShapes) compare({relu}, shape, false);
  EXPECT_THROW(run(*make("pipecnn", {relu}), stage(kShapes[0], true)), Error);
}

TEST_F(VectorTimingErrors, OtherBuilds) {
  for (const int vec_size : {2, 8}) {
    const std::string build = fmt::format("lane_num: 8 vec_size: {}", vec_size);
    compare({profile(vec_size, 1e-2, true, vec_size)}, {9, 64, 1, 80, 1, 13}, true, build);
  }
}

}  // namespace
}  // namespace inure
