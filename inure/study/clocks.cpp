#include "inure/study/clocks.hpp"

#include <algorithm>
#include <cmath>

#include "inure/base/error.hpp"
#include "inure/errors/timing_lanes.hpp"
#include "inure/errors/timing_profile.hpp"

namespace inure {
namespace {

struct Profiles {
  std::vector<TimingProfile> profiles;
  double slowest_ps = 0;  // 1 / f_STA of the slowest
  double factor = 1;      // of the delays, at the supply

  explicit Profiles(const TimingDescription& timing) {
    if (timing.profile_size() == 0) {
      fail("errors: timing: no profile; name one or more files of `inure characterize`");
    }
    for (const std::string& file : timing.profile()) {
      profiles.push_back(read_timing_profile(file));
      slowest_ps = std::max(slowest_ps, static_cast<double>(profiles.back().critical_ps()));
    }
    if (timing.has_voltage()) factor = delay_factor(timing.voltage());
  }
  double period_ps(double clock) const { return slowest_ps / clock / factor; }
};

bool is_free_of_errors(const TimingDescription& timing, double clock) {
  return clock <= 1 && !timing.has_voltage();
}

void check(const Profiles& known, const TimingDescription& timing, double clock) {
  for (int i = 0; i < timing.profile_size(); ++i) {
    try {
      find_clock(known.profiles[i], known.period_ps(clock));
    } catch (const Error& error) {
      fail("{}: at {:.4g} f_STA: {}", timing.profile(i), clock, error.what());
    }
  }
}

}  // namespace

std::vector<double> interesting_clocks(const TimingDescription& timing) {
  const Profiles known(timing);
  std::vector<double> clocks;
  if (!timing.has_voltage()) clocks.push_back(1);
  for (const ClockProfile& clock : known.profiles[0].clock()) {
    const double relative = known.slowest_ps / known.factor / clock.period_ps();
    const double rounded = std::round(relative * 1e4) / 1e4;
    if (is_free_of_errors(timing, rounded)) continue;
    try {
      check(known, timing, rounded);
      clocks.push_back(rounded);
    } catch (const Error&) {  // not all of them hold it
    }
  }
  if (std::ranges::all_of(clocks, [&](double c) { return is_free_of_errors(timing, c); })) {
    fail("{}: no clock with errors that all profiles hold; characterize them at the same clocks",
         timing.profile(0));
  }
  std::sort(clocks.begin(), clocks.end());
  return clocks;
}

void check_clocks(const TimingDescription& timing, const std::vector<double>& clocks) {
  const Profiles known(timing);
  for (const double clock : clocks) {
    if (!is_free_of_errors(timing, clock)) check(known, timing, clock);
  }
}

AcceleratorDescription at_clock(AcceleratorDescription description, double relative_clock) {
  ErrorsDescription& errors = *description.mutable_errors();
  if (is_free_of_errors(errors.timing(), relative_clock)) {
    errors.clear_timing();
    return description;
  }
  errors.mutable_timing()->clear_clock_mhz();
  errors.mutable_timing()->set_relative_clock(relative_clock);
  return description;
}

}  // namespace inure
