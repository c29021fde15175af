#include "inure/study/clocks.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "inure/base/error.hpp"
#include "inure/errors/timing_profile.hpp"
#include "tests/common.hpp"

namespace inure {
namespace {

class ClocksTest : public testing::Test {
 protected:
  std::string profile(const std::string& name, unsigned critical_ps,
                      const std::vector<unsigned>& periods) {
    TimingProfile profile;
    profile.set_design("by hand");
    profile.set_corner("none");
    profile.set_netlist(1);
    profile.set_critical_ps(critical_ps);
    profile.set_vec_size(1);
    profile.set_negative_activations(true);
    for (const unsigned period : periods) {
      ClockProfile& clock = *profile.add_clock();
      clock.set_period_ps(period);
      clock.add_product();
    }
    write_timing_profile(folder_ / name, profile);
    return (folder_ / name).string();
  }
  static TimingDescription timing(const std::vector<std::string>& profiles) {
    TimingDescription timing;
    for (const std::string& file : profiles) timing.add_profile(file);
    return timing;
  }

  const TemporaryFolder folder_;
};

// f_STA is that of the slowest profile; clocks count that all of them hold.
TEST_F(ClocksTest, AreThoseOfAllProfiles) {
  const std::string slow = profile("slow", 10000, {8000, 9804, 9091, 11000});
  const std::string fast = profile("fast", 9000, {8001, 9091, 9500});
  EXPECT_EQ(interesting_clocks(timing({slow})), (std::vector<double>{1, 1.02, 1.1, 1.25}));
  EXPECT_EQ(interesting_clocks(timing({slow, fast})), (std::vector<double>{1, 1.1, 1.25}));
  EXPECT_EQ(interesting_clocks(timing({fast, slow})), (std::vector<double>{1, 1.1, 1.2498}));
  const std::string apart = profile("apart", 9000, {7000});
  EXPECT_EQ(
      error_of([&] {
        interesting_clocks(timing({slow, apart}));
      }),
      slow + ": no clock with errors that all profiles hold; characterize them at the same clocks");
}

TEST_F(ClocksTest, AreCheckedBeforeTheFirstRun) {
  const std::string file = profile("p", 10000, {9804, 9091});
  EXPECT_EQ(error_of([&] { check_clocks(timing({file}), {0.9, 1, 1.02, 1.1}); }), "");
  const std::string message = error_of([&] { check_clocks(timing({file}), {1.02, 1.05}); });
  EXPECT_EQ(message.find(file + ": at 1.05 f_STA: "), 0u) << message;
  EXPECT_NE(error_of([&] { check_clocks(timing({}), {1}); }).find("no profile"), std::string::npos);
}

// A lower voltage stretches every delay: the same period is a higher clock then.
TEST_F(ClocksTest, TakeTheVoltageIntoAccount) {
  const std::string file = profile("p", 10000, {8000});
  TimingDescription low = timing({file});
  low.mutable_voltage()->set_supply(0.8);
  low.mutable_voltage()->set_nominal(1.0);
  low.mutable_voltage()->set_threshold(0.0);
  low.mutable_voltage()->set_alpha(2);  // delays 1.25 times as long
  ASSERT_EQ(interesting_clocks(low).size(), 1u);
  EXPECT_NEAR(interesting_clocks(low)[0], 1.0, 1e-4);
  AcceleratorDescription description;
  *description.mutable_errors()->mutable_timing() = low;
  EXPECT_TRUE(at_clock(description, 1.0).errors().has_timing());  // f_STA no longer holds
}

TEST_F(ClocksTest, DescriptionsTakeTheClock) {
  AcceleratorDescription description = parse_description(
      "errors { bit_flip { where: PRODUCTS rate: 1e-5 } timing { profile: 'p' "
      "clock_mhz: 100 } }",
      "test");
  const AcceleratorDescription fast = at_clock(description, 1.05);
  EXPECT_EQ(fast.errors().timing().relative_clock(), 1.05);
  EXPECT_FALSE(fast.errors().timing().has_clock_mhz());
  const AcceleratorDescription safe = at_clock(description, 1.0);
  EXPECT_FALSE(safe.errors().has_timing());
  EXPECT_EQ(safe.errors().bit_flip_size(), 1);
}

}  // namespace
}  // namespace inure
