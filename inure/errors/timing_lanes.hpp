#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "inure/accelerator/description.pb.h"
#include "inure/errors/exception_set.hpp"
#include "inure/errors/sum_tree.hpp"
#include "inure/errors/timing_profile.hpp"

namespace inure {

// What lanes capture wrong at one clock period, ready for use: lane l of an accelerator errs as
// number l % lanes.size() says.
struct TimingLanes {
  struct Lane {
    std::vector<std::shared_ptr<const ExceptionSet>> products;  // one a multiplier
    SumTree sums;
  };
  std::vector<Lane> lanes;
  int vec_size = 0;
  double period_ps = 0;  // as the circuit sees it: a low voltage has been taken into account
  bool negative_activations = true;  // of all profiles and tables

  const Lane& of(int lane) const { return lanes[static_cast<std::size_t>(lane) % lanes.size()]; }
  double largest_sum_rate() const;
};

// The profiles that a description names, and the clock period that it asks for as the circuit sees
// it: a low voltage has been taken into account. Throws Error that names the file or what the
// description lacks.
struct TimingProfiles {
  std::vector<TimingProfile> profiles;
  double period_ps = 0;
};
TimingProfiles read_timing_profiles(const TimingDescription& description);

// Reads profiles and tables, and makes product classes into exceptions (seconds, and gigabytes
// where one product in ten is wrong). Throws Error that names the file or what the description
// lacks; where a profile has not the clock, the message lists those that it has.
std::shared_ptr<const TimingLanes> load_timing_lanes(const TimingDescription& description);

// Loads lanes, but not again those that somebody still uses or that it loaded last: what it takes
// to make them ready is shared by all networks, and by all runs one after another, that have the
// same profiles, tables and clock. The files are taken to stay as they are. For all threads.
class TimingLanesCache {
 public:
  // As load_timing_lanes.
  std::shared_ptr<const TimingLanes> load(const TimingDescription& description);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const TimingLanes>> known_;  // by description
  std::shared_ptr<const TimingLanes> last_;
};

// Throws the Error for a layer with activations below 0 on lanes that know none.
[[noreturn]] void refuse_negative_activations(const std::string& layer);

// By how much the delays grow at the supply, against the nominal one.
double delay_factor(const VoltageDescription& voltage);

}  // namespace inure
