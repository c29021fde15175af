#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "inure/timing/characterize.hpp"
#include "inure/timing/lane_errors.hpp"

// Is what a profile says about a lane's errors true? How much two lists of errors on the same trace
// differ: those that the circuit makes and those that a model foresees.
namespace inure::timing {

// The circuit of a profile made again, by the command that the profile holds; or found in the
// cache. files: where its design lies now; none: where the command says, seen from here, from the
// profile's folder or from one above it; `name` is the profile's file. Throws Error, with `name`
// before it, where the profile holds no such command, the design is not there or the circuit has
// become another one: by its critical path or its hash.
Circuit circuit_of(const TimingProfile& profile, const std::string& name,
                   const std::vector<std::filesystem::path>& files,
                   const std::filesystem::path& cache);

// Sums of the errors of so many steps in a row, wherever in the trace they begin.
inline constexpr std::array<int, 3> kDotProducts = {25, 150, 800};

struct ErrorStatistics {
  std::int64_t steps = 0;
  double wrong_steps = 0;               // part of all steps in which any register erred
  std::vector<double> products;         // by multiplier: part that was wrong
  double sums = 0;                      // sum or accumulator
  std::vector<double> product_bits;     // by multiplier and bit (16): part that was flipped
  std::array<double, 32> value_bits{};  // of the accumulated value, after each step
  std::array<std::vector<std::int32_t>, 3> dot_products;  // errors, sorted
};
ErrorStatistics measure(const LaneErrors& errors, const OperandTrace& trace);

struct Difference {
  double rate_ratio = 1;       // of wrong steps, b's by a's; 1 where both are 0
  std::array<double, 3> ks{};  // Kolmogorov-Smirnov distance of the dot products' errors
  double product_bit = 0;      // the largest difference of a bit's flip rate
  double value_bit = 0;
};
Difference compare(const ErrorStatistics& a, const ErrorStatistics& b);

// The largest difference of two samples' distribution functions. Both sorted, none empty.
double kolmogorov_smirnov(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b);

}  // namespace inure::timing
