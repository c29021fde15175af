#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "inure/errors/product_table.hpp"
#include "inure/timing/multiplier_step.hpp"

namespace inure::timing {

struct Enumeration {
  std::string made_by;  // goes into the table: the design, the tools, the multiplier
  std::vector<int> periods_ps;
  bool negative_activations = true;  // false: after a ReLU, a quarter of the work
  std::vector<int> weight_pairs;     // ProductTable::pair(b_previous, b); none: all 65,536
};

struct EnumeratedProducts {
  ProductTable table;
  std::filesystem::path file;  // in the cache
  bool cached = false;         // it was there already
};

// All errors of a multiplier at these clock periods, found by trying every change of operands, but
// for those to a product which is never late (late_bound.hpp: at sensible clocks nineteen of twenty
// and more). On all threads; the result does not depend on their number. The table is kept in
// `cache` (made if it is missing) under a hash of the circuit and of what was asked; an enumeration
// that is cut off goes on where it was, by parts of 4096 pairs. Transport delays, as
// TimingSimulator has without a glitch filter: with one, what is captured may depend on older
// operands too.
//
// Throws Error as MultiplierStep does, and where a clock has more exceptions than a table can
// sensibly hold (2^28).
EnumeratedProducts enumerate_products(const Netlist& netlist, const Multiplier& multiplier,
                                      const Enumeration& what, const std::filesystem::path& cache);

// The part of products that are wrong at each period, over `count` random changes of operands
// (uniform, except for the sign of activations; a pair of weights for 2048 of them): to choose
// clocks by.
std::vector<double> sample_error_rates(const Netlist& netlist, const Multiplier& multiplier,
                                       const std::vector<int>& periods_ps,
                                       bool negative_activations, std::int64_t count);

}  // namespace inure::timing
