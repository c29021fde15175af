#include "inure/errors/timing_lanes.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "inure/base/error.hpp"
#include "inure/base/progress.hpp"

namespace inure {
namespace {

std::shared_ptr<const ExceptionSet> exceptions_of_table(const std::filesystem::path& file,
                                                        double period_ps) {
  ProductTable table = read_product_table(file);
  const auto found = std::count(table.enumerated.begin(), table.enumerated.end(), true);
  if (found != ProductTable::kPairs) {
    fail("{}: has {} of the {} pairs of weights; make a whole table", file.string(), found,
         ProductTable::kPairs);
  }
  for (auto& clock : table.clocks) {
    if (std::abs(clock.period_ps - period_ps) <= 1e-3 * period_ps) {
      return std::make_shared<const ExceptionSet>(clock, table.negative_activations);
    }
  }
  fail("{}: has no clock period of {:.0f} ps; make the tables at the profile's clocks",
       file.string(), period_ps);
}

TimingLanes::Lane make_lane(const TimingProfile& profile, int clock, const std::string& tables,
                            Progress& progress) {
  TimingLanes::Lane lane;
  const double period = profile.clock(clock).period_ps();
  for (int v = 0; v < static_cast<int>(profile.vec_size()); ++v) {
    if (tables.empty()) {
      lane.products.push_back(std::make_shared<const ExceptionSet>(
          expand_products(profile, clock, v), profile.negative_activations()));
    } else {
      const auto file = std::filesystem::path(tables) / fmt::format("product_{}.table", v);
      lane.products.push_back(exceptions_of_table(file, period));
    }
    progress.advance();
  }
  lane.sums = SumTree(profile.clock(clock).accumulator(), profile.design());
  return lane;
}

}  // namespace

double TimingLanes::largest_sum_rate() const {
  double largest = 0;
  for (const Lane& lane : lanes) {
    for (const SumTree::Leaf& leaf : lane.sums.leaves()) largest = std::max(largest, leaf.rate);
  }
  return largest;
}

void refuse_negative_activations(const std::string& layer) {
  fail(
      "errors: timing: layer \"{}\" has negative activations, and the profile or its tables know "
      "only 0 to 127; make them without --relu",
      layer);
}

double delay_factor(const VoltageDescription& v) {
  const auto delay = [&](double volt) { return volt / std::pow(volt - v.threshold(), v.alpha()); };
  return delay(v.supply()) / delay(v.nominal());
}

TimingProfiles read_timing_profiles(const TimingDescription& d) {
  if (d.profile_size() == 0) {
    fail("errors: timing: no profile; name one or more files of `inure characterize`");
  }
  if (d.has_clock_mhz() == d.has_relative_clock()) {
    fail("errors: timing: give either clock_mhz or relative_clock");
  }
  const double clock = d.has_clock_mhz() ? d.clock_mhz() : d.relative_clock();
  TimingProfiles read;
  double slowest = 0;
  for (const std::string& file : d.profile()) {
    read.profiles.push_back(read_timing_profile(file));
    slowest = std::max(slowest, static_cast<double>(read.profiles.back().critical_ps()));
    if (read.profiles.back().vec_size() != read.profiles[0].vec_size()) {
      fail("{}: a lane of {} multipliers; that of {} has {}", file, read.profiles.back().vec_size(),
           d.profile(0), read.profiles[0].vec_size());
    }
  }
  read.period_ps = d.has_clock_mhz() ? 1e6 / clock : slowest / clock;
  if (d.has_voltage()) read.period_ps /= delay_factor(d.voltage());
  return read;
}

std::shared_ptr<const TimingLanes> load_timing_lanes(const TimingDescription& d) {
  const auto [profiles, period_ps] = read_timing_profiles(d);
  auto lanes = std::make_shared<TimingLanes>();
  lanes->vec_size = static_cast<int>(profiles[0].vec_size());
  lanes->period_ps = period_ps;
  Progress progress("making timing errors ready", "multipliers",
                    std::int64_t{d.profile_size()} * lanes->vec_size);
  for (int i = 0; i < d.profile_size(); ++i) {
    int clock = 0;
    try {
      clock = find_clock(profiles[i], lanes->period_ps);
    } catch (const Error& error) {
      fail("{}: {}", d.profile(i), error.what());
    }
    const std::string tables = d.tables_size() > 0 ? d.tables(i) : "";
    lanes->lanes.push_back(make_lane(profiles[i], clock, tables, progress));
  }
  lanes->negative_activations = lanes->lanes[0].products[0]->negative_activations();
  for (const TimingLanes::Lane& lane : lanes->lanes) {
    for (const auto& product : lane.products) {
      if (product->negative_activations() == lanes->negative_activations) continue;
      fail(
          "errors: timing: some profiles or tables know negative activations and others do not; "
          "make all with --relu or all without");
    }
  }
  return lanes;
}

std::shared_ptr<const TimingLanes> TimingLanesCache::load(const TimingDescription& description) {
  TimingDescription what = description;
  what.clear_layer();  // which layers err is another question
  const std::lock_guard lock(mutex_);
  std::weak_ptr<const TimingLanes>& known = known_[what.SerializeAsString()];
  std::shared_ptr<const TimingLanes> lanes = known.lock();
  if (!lanes) {
    last_.reset();  // before: both may be of gigabytes
    lanes = load_timing_lanes(what);
  }
  known = last_ = lanes;
  return lanes;
}

}  // namespace inure
