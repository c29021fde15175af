#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "inure/accelerator/accelerator.hpp"
#include "inure/base/error.hpp"
#include "inure/base/label.hpp"

namespace inure {
namespace {

constexpr double kMostMhz = 1e5;
constexpr double kMostRelativeClock = 10;
constexpr double kMostVolt = 100;

using Names = google::protobuf::RepeatedPtrField<std::string>;

// Above 0 and at most `most`; not-a-number is neither.
void check_positive(double value, double most, const std::string& what) {
  if (value > 0 && value <= most) return;
  fail("{} is {}; it is above 0, and {} at most", what, value, most);
}

void check_names(const Names& names, const std::string& what) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (name.empty()) fail("{}: a layer without a name; name one of the network's", what);
    if (!seen.insert(name).second) {
      fail("{}: layer \"{}\" is there twice; keep one", what, label_of(name));
    }
  }
}

void check_layers(const AcceleratorDescription& description, const std::string& name) {
  Names formatted;
  for (const LayerFormat& format : description.format()) {
    const std::string layer = label_of(format.layer());
    for (const int fraction : {format.weights(), format.input(), format.output()}) {
      if (fraction < kLeastFraction || fraction > kMostFraction) {
        fail("{}: layer \"{}\" has a fraction of {}; {} to {} make sense for 8 bits", name, layer,
             fraction, kLeastFraction, kMostFraction);
      }
    }
    if (std::count(formatted.begin(), formatted.end(), format.layer()) > 0) {
      fail("{}: layer \"{}\" has two formats; keep one", name, layer);
    }
    formatted.Add()->assign(format.layer());
  }
  check_names(formatted, name + ": format");
  check_names(description.host_layer(), name + ": host_layer");
  check_names(description.accelerator_layer(), name + ": accelerator_layer");
  for (const std::string& host : description.host_layer()) {
    for (const std::string& demanded : description.accelerator_layer()) {
      if (host != demanded) continue;
      fail("{}: layer \"{}\" is both a host_layer and an accelerator_layer; keep one", name,
           label_of(host));
    }
  }
}

int high_bit(const BitFlipDescription& flip) {
  const auto most = static_cast<std::uint32_t>(bits_of(flip.where()));
  return static_cast<int>(flip.has_high_bit() ? std::min(flip.high_bit(), most) : most - 1);
}

void check_flip(const BitFlipDescription& flip, const std::string& what) {
  if (!(flip.rate() >= 0 && flip.rate() <= 1)) {
    fail("{}: the rate is {}; it is a probability for each bit, 0 to 1", what, flip.rate());
  }
  const auto bits = static_cast<std::uint32_t>(bits_of(flip.where()));
  const std::uint32_t high = flip.has_high_bit() ? flip.high_bit() : bits - 1;
  if (high >= bits || flip.low_bit() > high) {
    fail("{}: bits {} to {}; a value there has bits 0 to {}, low before high", what, flip.low_bit(),
         high, bits - 1);
  }
  check_names(flip.layer(), what);
}

// A bit has one rate: of two, a reader could take the larger, the sum or the last.
void check_overlap(const BitFlipDescription& one, const BitFlipDescription& other,
                   const std::string& what) {
  if (one.where() != other.where()) return;
  const int low = static_cast<int>(std::max(one.low_bit(), other.low_bit()));
  const int high = std::min(high_bit(one), high_bit(other));
  const auto shared = [&](const std::string& layer) {
    return std::count(other.layer().begin(), other.layer().end(), layer) > 0;
  };
  const bool same_layer = one.layer().empty() || other.layer().empty() ||
                          std::any_of(one.layer().begin(), one.layer().end(), shared);
  if (low > high || !same_layer) return;
  fail("{}: two of them flip bits {} to {}; give each bit of a layer one rate", what, low, high);
}

void check_flips(const AcceleratorDescription& description, const std::string& name) {
  const auto& flips = description.errors().bit_flip();
  for (int i = 0; i < flips.size(); ++i) {
    const std::string what = fmt::format("{}: errors: bit_flip in {}", name,
                                         BitFlipDescription::Where_Name(flips[i].where()));
    check_flip(flips[i], what);
    for (int k = 0; k < i; ++k) check_overlap(flips[k], flips[i], what);
  }
}

// Equal faults are one (error_model.cpp).
void check_stuck(const AcceleratorDescription& description, const std::string& name) {
  const std::string what = name + ": errors: stuck_at";
  const auto at_most = [&](const char* part, std::uint32_t value, std::uint32_t bound) {
    if (value < bound) return;
    fail("{}: {} {} does not exist; there are 0 to {}", what, part, value, bound - 1);
  };
  std::map<std::tuple<unsigned, unsigned, unsigned>, unsigned> values;
  for (const StuckAtDescription& fault : description.errors().stuck_at()) {
    at_most("lane", fault.lane(), description.lane_num());
    at_most("multiplier", fault.multiplier(), description.vec_size());
    at_most("bit", fault.bit(), 16);
    at_most("value", fault.value(), 2);
    const auto [known, fresh] =
        values.try_emplace({fault.lane(), fault.multiplier(), fault.bit()}, fault.value());
    if (known->second == fault.value()) continue;
    fail("{}: bit {} of lane {}, multiplier {} is stuck at 0 and at 1; keep one", what, fault.bit(),
         fault.lane(), fault.multiplier());
  }
}

void check_voltage(const VoltageDescription& v, const std::string& what) {
  if (!(v.threshold() >= 0 && v.supply() > v.threshold() && v.nominal() > v.threshold())) {
    fail("{}: supply {} and nominal {} must be above the threshold {}", what, v.supply(),
         v.nominal(), v.threshold());
  }
  check_positive(v.supply(), kMostVolt, what + ": supply");
  check_positive(v.nominal(), kMostVolt, what + ": nominal");
  if (!(v.alpha() >= 1 && v.alpha() <= 2)) {
    fail("{}: alpha is {}; the law has 1 to 2", what, v.alpha());
  }
}

void check_timing(const AcceleratorDescription& description, const std::string& name) {
  const TimingDescription& timing = description.errors().timing();
  const std::string what = name + ": errors: timing";
  if (timing.tables_size() != 0 && timing.tables_size() != timing.profile_size()) {
    fail("{}: {} tables for {} profiles; give one for each, or none", what, timing.tables_size(),
         timing.profile_size());
  }
  if (timing.profile_size() > static_cast<int>(description.lane_num())) {
    fail("{}: {} profiles for {} lanes; a lane has one, give no more than lanes", what,
         timing.profile_size(), description.lane_num());
  }
  if (timing.has_clock_mhz() && timing.has_relative_clock()) {
    fail("{}: give either clock_mhz or relative_clock", what);
  }
  if (timing.has_clock_mhz()) {
    check_positive(timing.clock_mhz(), kMostMhz, what + ": clock_mhz");
    if (description.has_clock_mhz() && description.clock_mhz() != timing.clock_mhz()) {
      fail("{}: clock_mhz is {}, and that of the accelerator {}; keep one", what,
           timing.clock_mhz(), description.clock_mhz());
    }
  }
  if (timing.has_relative_clock()) {
    check_positive(timing.relative_clock(), kMostRelativeClock, what + ": relative_clock");
  }
  if (timing.has_voltage()) check_voltage(timing.voltage(), what + ": voltage");
  check_names(timing.layer(), what);
}

}  // namespace

int bits_of(BitFlipDescription::Where where) {
  switch (where) {
    case BitFlipDescription::PRODUCTS:
      return 16;
    case BitFlipDescription::ACCUMULATORS:
      return 32;
    default:
      return 8;
  }
}

void check_description(const AcceleratorDescription& description, const std::string& name) {
  for (const auto& [what, value] : {std::pair{"vec_size", description.vec_size()},
                                    std::pair{"lane_num", description.lane_num()}}) {
    if (value < 1 || value > 1024) fail("{}: {} is {}; 1 to 1024 are possible", name, what, value);
  }
  if (description.has_clock_mhz()) {
    check_positive(description.clock_mhz(), kMostMhz, name + ": clock_mhz");
  }
  check_layers(description, name);
  check_flips(description, name);
  check_stuck(description, name);
  if (description.errors().has_timing()) check_timing(description, name);
}

}  // namespace inure
