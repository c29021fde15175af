#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "inure/errors/product_table.hpp"
#include "inure/errors/timing_profile.pb.h"

namespace inure {

// A profile's file: text where the name ends in .txt, else binary. Both throw Error of one line
// where the file cannot be read or written or the profile contradicts its schema
// (timing_profile.proto): bins, classes, rates, deltas and clocks are all checked.
TimingProfile read_timing_profile(const std::filesystem::path& path);
void write_timing_profile(const std::filesystem::path& path, const TimingProfile& profile);

// The index of the clock whose period is within 0.1 % of this one. Throws Error that lists the
// clocks there are.
int find_clock(const TimingProfile& profile, double period_ps);

// The bins of a product's operands, and its class (timing_profile.proto).
class ProductBins {
 public:
  // The lowest value of each bin, ascending; the first is the lowest value there is.
  ProductBins(std::span<const int> activation_bins, std::span<const int> weight_bins);
  explicit ProductBins(const TimingProfile& profile);

  int activation_bins() const { return activation_bins_; }
  int weight_bins() const { return weight_bins_; }
  std::uint32_t classes() const {
    return id_of_bins(activation_bins_ - 1, weight_bins_ - 1, activation_bins_ - 1,
                      weight_bins_ - 1) +
           1;
  }

  int activation_bin(int a) const { return activation_bin_[byte(a)]; }
  int weight_bin(int b) const { return weight_bin_[byte(b)]; }
  std::uint32_t id_of_bins(int a_before, int b_before, int a, int b) const {
    const auto bin = [](int i) { return static_cast<std::uint32_t>(i); };
    return ((bin(a_before) * bin(weight_bins_) + bin(b_before)) * bin(activation_bins_) + bin(a)) *
               bin(weight_bins_) +
           bin(b);
  }
  std::uint32_t id(int a_before, int b_before, int a, int b) const {
    return id_of_bins(activation_bin(a_before), weight_bin(b_before), activation_bin(a),
                      weight_bin(b));
  }

 private:
  static std::size_t byte(int value) { return static_cast<std::uint8_t>(value); }

  int activation_bins_ = 0, weight_bins_ = 0;
  std::array<std::uint8_t, 256> activation_bin_{}, weight_bin_{};  // by byte
};

// One multiplier's errors at one clock as a list of exceptions: exactly those that its late bits
// say (product_logic.hpp); or, from classes, made up so that it has the profile's statistics: each
// change of operands errs with its class's rate, with one of its class's deltas, by their counts.
// Which ones do is drawn here, once for all (Philox, keyed by the netlist's hash, the multiplier
// and the period): the same operands then always err in the same way, as on silicon. All weight
// pairs count as enumerated; activations are those of the profile. Deltas are kept modulo 2^16.
// With a tree of classes (tree_draw.hpp says how) all sites are gone through, some tenths of a
// second to some seconds, with logic some seconds; the result does not depend on the number of
// threads.
//
// Throws Error where more than 2^28 exceptions would come out: about a sixteenth of all changes.
ProductTable::Clock expand_products(const TimingProfile& profile, int clock, int multiplier);

}  // namespace inure
