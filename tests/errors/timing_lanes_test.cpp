#include "inure/errors/timing_lanes.hpp"
#include "tests/common.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace inure {
namespace {

class TimingLanesCaches : public testing::Test {
 protected:
  TimingLanesCaches() {
    for (const char* file : {"a.profile", "b.profile"}) {
      TimingProfile profile;
      profile.set_design("by hand");
      profile.set_corner("none");
      profile.set_netlist(1);
      profile.set_critical_ps(10000);
      profile.set_vec_size(1);
      profile.set_negative_activations(false);
      for (const std::uint32_t period : {9800u, 9500u}) {
        ClockProfile& clock = *profile.add_clock();
        clock.set_period_ps(period);
        clock.add_product()->add_split(0);
      }
      write_timing_profile(folder_ / file, profile);
    }
  }

  TimingDescription description(const char* file, double clock_mhz) const {
    TimingDescription timing;
    timing.add_profile((folder_ / file).string());
    timing.set_clock_mhz(clock_mhz);
    return timing;
  }

  const TemporaryFolder folder_;
};

constexpr double kSlow = 1e6 / 9800, kFast = 1e6 / 9500;

TEST_F(TimingLanesCaches, ShareWhatHasTheSameProfilesAndClock) {
  TimingLanesCache cache;
  const auto lanes = cache.load(description("a.profile", kSlow));
  EXPECT_EQ(lanes->period_ps, 9800);
  TimingDescription one_layer = description("a.profile", kSlow);
  one_layer.add_layer("conv1");
  EXPECT_EQ(cache.load(one_layer), lanes);
  const auto fast = cache.load(description("a.profile", kFast));
  EXPECT_EQ(fast->period_ps, 9500);
  EXPECT_NE(cache.load(description("b.profile", kSlow)), lanes);
  // Still in use: not read again.
  std::filesystem::remove(folder_ / "a.profile");
  EXPECT_EQ(cache.load(description("a.profile", kSlow)), lanes);
  EXPECT_EQ(cache.load(description("a.profile", kFast)), fast);
}

TEST_F(TimingLanesCaches, KeepTheLastOnlyForTheNextRun) {
  TimingLanesCache cache;
  std::weak_ptr<const TimingLanes> slow = cache.load(description("a.profile", kSlow));
  EXPECT_FALSE(slow.expired());  // the next network of the same clock has it
  EXPECT_EQ(cache.load(description("a.profile", kSlow)), slow.lock());
  cache.load(description("a.profile", kFast));
  EXPECT_TRUE(slow.expired());
  EXPECT_NE(cache.load(description("a.profile", kSlow)), nullptr);
}

}  // namespace
}  // namespace inure
