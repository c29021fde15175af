// Timing errors: the fast simulator against the reference, which asks cycle by cycle.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <random>

#include "inure/base/parallel.hpp"
#include "inure/errors/timing_lanes.hpp"
#include "inure/pipecnn/pipecnn.hpp"
#include "inure/pipecnn/simulator.hpp"
#include "tests/common.hpp"
#include "tests/errors/made_up_tree.hpp"
#include "tests/pipecnn/random_stage.hpp"

namespace inure {
namespace {

namespace fs = std::filesystem;

struct Rates {
  double product;  // about, of operands that are all as frequent
  double sum;      // of the classes of sums that err, at most
  bool negative = true;
  bool any_activations = false;  // products err whatever these are, also where they do not change
};

double random_rate(std::mt19937& random, double most) {
  return random() % 3 == 0 ? 0 : most * static_cast<double>(random() % 1000) / 1000;
}

std::vector<std::pair<int, unsigned>> random_deltas(std::mt19937& random) {
  std::vector<std::pair<int, unsigned>> deltas(1 + random() % 4);
  for (auto& [delta, count] : deltas) {
    delta = (random() % 2 != 0 ? 1 : -1) * (1 << random() % 16);
    count = 1 + random() % 9;
  }
  return deltas;
}

TimingProfile random_profile(unsigned seed, int vec_size, const Rates& rates) {
  std::mt19937 random(seed);
  TimingProfile profile;
  profile.set_design("random");
  profile.set_corner("none");
  profile.set_netlist(seed);
  profile.set_critical_ps(1000);
  profile.set_vec_size(vec_size);
  profile.set_negative_activations(rates.negative);
  ClockProfile& clock = *profile.add_clock();
  clock.set_period_ps(900);
  for (int v = 0; v < vec_size; ++v) {
    RegisterProfile& product = *clock.add_product();
    if (rates.product == 0) continue;
    add_random_tree(random, 3, product, [&](RegisterProfile& to) {
      std::vector<int> bits(32);  // of the operands
      std::iota(bits.begin(), bits.end(), 0);
      if (rates.any_activations) {
        std::erase_if(bits, [](int bit) {
          return bit < ProductTree::kBBefore || (bit >= ProductTree::kA && bit < ProductTree::kB);
        });
      }
      std::shuffle(bits.begin(), bits.end(), random);
      bits.resize(static_cast<std::size_t>(std::lround(-std::log2(rates.product))));
      add_all_of(to, bits, random_deltas(random));
    });
  }
  if (rates.sum == 0) return profile;
  const auto leaf = [&](RegisterProfile& to) {
    auto deltas = random_deltas(random);
    // Up to the highest bits: an error of a sum changes the classes of the steps after it.
    for (auto& [delta, count] : deltas) delta <<= random() % 16;
    add_leaf(to, random_rate(random, rates.sum), deltas);
  };
  add_random_tree(random, 9, *clock.mutable_accumulator(), leaf, SumTree::kTests);
  return profile;
}

// Only outputs' first two steps err, where A ^ S, for the second one or the carries, has a run of
// ones: always, never or now and then, by other tests.
TimingProfile profile_of_starts(unsigned seed) {
  std::mt19937 random(seed);
  TimingProfile profile = random_profile(seed, 4, {0, 0});
  RegisterProfile& sums = *profile.mutable_clock(0)->mutable_accumulator();
  const auto leaf = [&](RegisterProfile& to) {
    constexpr double kRates[] = {1, 1, 0.3, 1e-3, 0};
    add_leaf(to, kRates[random() % 5], {{std::numeric_limits<int>::min(), 2}, {1 << 20, 1}});
  };
  const auto run = [&](int word, unsigned first_bit) {
    add_test(sums, 32 * word + static_cast<int>(first_bit + random() % (32 - first_bit)));
    add_leaf(sums, 0);
    add_random_tree(random, 3, sums, leaf, SumTree::kTests);
  };
  add_test(sums, SumTree::kFirstStep);
  add_test(sums, SumTree::kSecondStep);
  add_leaf(sums, 0);
  run(random() % 2 ? SumTree::kCarryRunWord : SumTree::kOtherRunWord, 16);
  run(SumTree::kOtherRunWord, 8);
  return profile;
}

// Profiles in a folder of their own.
class TimingErrors : public testing::Test {
 protected:
  std::string write(const std::string& name, unsigned seed, int vec_size, const Rates& rates) {
    const fs::path file = folder_ / name;
    write_timing_profile(file, random_profile(seed, vec_size, rates));
    return file.string();
  }
  static AcceleratorDescription description(const std::vector<std::string>& profiles,
                                            const std::string& more = "") {
    std::string text = more + " errors { timing { clock_mhz: 1111.1 ";
    for (const std::string& profile : profiles) text += "profile: \"" + profile + "\" ";
    return parse_description(text + "} }", "test");
  }
  static std::unique_ptr<Accelerator> make(AcceleratorDescription d, const std::string& kind) {
    Registry registry;
    pipecnn::register_kinds(registry);
    d.set_kind(kind);
    return registry.make(d);
  }

  // Returns in how many stages the errors changed something.
  static int compare(const AcceleratorDescription& d, int count, const char* test) {
    const auto reference = make(d, "pipecnn_reference"), fast = make(d, "pipecnn");
    AcceleratorDescription exact_description = d;
    exact_description.clear_errors();
    const auto exact = make(exact_description, "pipecnn");
    int changed = 0;
    for (const std::uint64_t number : cases(count)) {
      RandomStage stage = make_random_stage(number, *reference);
      if (d.errors().timing().profile(0).find("relu") != std::string::npos) {
        for (auto& v : stage.input->values) v = static_cast<std::int8_t>(v & 127);
      }
      const RunKey key{number, 3, true};
      const StageResult expected = run(*reference, stage, key), got = run(*fast, stage, key);
      EXPECT_EQ(expected.output->values, got.output->values)
          << repeat_line(test, number, stage.spec);
      changed += run(*exact, stage, key).output->values != got.output->values;
      if (testing::Test::HasFailure()) break;
    }
    return changed;
  }

  const TemporaryFolder folder_;
};

TEST_F(TimingErrors, ProductsEqualReference) {
  const std::string dense = write("dense", 1, 4, {2e-3, 0}), rare = write("rare", 2, 4, {1e-4, 0});
  EXPECT_GT(compare(description({dense}), 60, "*ProductsEqualReference*"), 40);
  EXPECT_GT(compare(description({rare}), 60, "*ProductsEqualReference*"), 10);
  EXPECT_GT(compare(description({dense, rare, dense}), 40, "*ProductsEqualReference*"), 20);
}

TEST_F(TimingErrors, ProductsAfterReluEqualReference) {
  const std::string relu = write("relu", 3, 4, {4e-3, 0, false});
  EXPECT_GT(compare(description({relu}), 40, "*ProductsAfterRelu*"), 20);
}

// Also where there is no step before, and so no change of activations to look up.
TEST_F(TimingErrors, ProductsOfAnyActivationsEqualReference) {
  const std::string any = write("any_relu", 9, 4, {1e-2, 0, false, true});
  EXPECT_GT(compare(description({any}), 40, "*ProductsOfAnyActivations*"), 20);
}

TEST_F(TimingErrors, SumsEqualReference) {
  const std::string dense = write("dense", 4, 4, {0, 3e-2}), rare = write("rare", 5, 4, {0, 1e-3});
  EXPECT_GT(compare(description({dense}), 60, "*SumsEqualReference*"), 30);
  EXPECT_GT(compare(description({rare, dense}), 60, "*SumsEqualReference*"), 30);
}

TEST_F(TimingErrors, StartsEqualReference) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    const fs::path file = folder_ / ("starts" + std::to_string(seed));
    write_timing_profile(file, profile_of_starts(seed));
    compare(description({file.string()}), 15, "*StartsEqualReference*");
    ASSERT_FALSE(HasFailure()) << "profile " << seed;
  }
}

TEST_F(TimingErrors, AllEqualReferenceOnOtherBuilds) {
  for (const int vec_size : {1, 2, 8, 16}) {
    const std::string profile = write("vec" + std::to_string(vec_size), 6, vec_size, {1e-3, 1e-3});
    const std::string build =
        "lane_num: 8 vec_size: " + std::to_string(vec_size) + " arithmetic: PIPECNN_2018";
    EXPECT_GT(compare(description({profile}, build), 25, "*OtherBuilds*"), 10);
  }
}

// More channels than are looked up at once; more outputs around an input than one range holds; few
// weights and many activations.
TEST_F(TimingErrors, LargeStagesEqualReference) {
  const AcceleratorDescription d = description({write("dense", 8, 4, {2e-3, 0})});
  const auto reference = make(d, "pipecnn_reference"), fast = make(d, "pipecnn");
  StageSpec deep, wide, few;
  deep.in_channels = 400, deep.out_channels = 20, deep.in_height = deep.in_width = 3;
  deep.kernel = 2;
  wide.in_channels = 2, wide.out_channels = 300, wide.in_height = wide.in_width = 13;
  wide.kernel = 11;
  few.in_channels = 1, few.out_channels = 20, few.in_height = few.in_width = 60;
  few.kernel = 2;
  for (StageSpec spec : {deep, wide, few}) {
    spec.name = "large", spec.frac_w = 8, spec.frac_in = 3;
    RandomStream random(1, RandomPurpose::kDummyData, 0, 0);
    const RandomStage stage = add_operands(spec, random, *reference);
    EXPECT_EQ(run(*reference, stage).output->values, run(*fast, stage).output->values)
        << to_string(spec);
  }
}

// Weights that lie side by side where errors are looked up, but do not err alike: any number of
// channels have a weight that errs, the others the next one.
TEST_F(TimingErrors, NeighbouringWeightsEqualReference) {
  TimingProfile profile = random_profile(1, 4, {0, 0});
  RegisterProfile& product = *profile.mutable_clock(0)->mutable_product(0);
  using Tree = ProductTree;  // errs where all of these are 1
  const std::vector<int> tests = {Tree::kBBefore + 2, Tree::kB,           Tree::kB + 2,
                                  Tree::kABefore,     Tree::kABefore + 1, Tree::kABefore + 2,
                                  Tree::kA,           Tree::kA + 1,       Tree::kA + 2};
  add_all_of(product, tests, {{1 << 14, 1}});
  const fs::path file = folder_ / "odd";
  write_timing_profile(file, profile);
  const AcceleratorDescription d = description({file.string()});
  const auto reference = make(d, "pipecnn_reference"), fast = make(d, "pipecnn");
  StageSpec spec;
  spec.name = "neighbours";
  spec.in_channels = 4, spec.out_channels = 64, spec.in_height = spec.in_width = 12;
  spec.frac_w = 8, spec.frac_in = 3;
  RandomStream random(1, RandomPurpose::kDummyData, 0, 0);
  RandomStage stage = add_operands(spec, random, *reference);
  for (int erring = 0; erring <= spec.out_channels; ++erring) {
    for (std::size_t i = 0; i < stage.weights.size(); ++i) {
      stage.weights[i] = static_cast<int>(i) / spec.taps() < erring ? 5 : 6;
    }
    ASSERT_EQ(run(*reference, stage).output->values, run(*fast, stage).output->values)
        << erring << " channels err";
  }
}

TEST_F(TimingErrors, DoNotDependOnThreads) {
  const auto accelerator = make(description({write("both", 7, 4, {1e-3, 1e-3})}), "pipecnn");
  for (const std::uint64_t number : cases(25)) {
    const RandomStage stage = make_random_stage(number, *accelerator);
    set_threads(1);
    const StageResult one = run(*accelerator, stage);
    set_threads(3);
    const StageResult three = run(*accelerator, stage);
    set_threads(0);
    ASSERT_EQ(one.output->values, three.output->values)
        << repeat_line("*DoNotDependOnThreads*", number, stage.spec);
  }
}

}  // namespace
}  // namespace inure
