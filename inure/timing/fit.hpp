#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "inure/errors/operand_trace.hpp"
#include "inure/errors/timing_profile.hpp"
#include "inure/timing/multiplier_step.hpp"

namespace inure::timing {

// How operands are classed, and how many changes of them are tried.
struct ProductFit {
  std::vector<int> periods_ps;
  bool negative_activations = true;               // false: after a ReLU
  std::vector<int> activation_bins, weight_bins;  // the lowest value of each (timing_profile.proto)
  // Pairs of weights that are drawn for each pair of weight bins. With each of them 2048 changes of
  // activations are tried, which the pairs of activation bins share evenly.
  int weight_pairs = 1024;
  int max_deltas = 16;  // kept of a class, the most frequent ones
};

// The bins that profiles have unless something else is asked for: chosen by measurement
// (profiles/README.md).
std::vector<int> default_activation_bins(bool negative_activations);
std::vector<int> default_weight_bins();

// A multiplier's errors by classes of operands, for each period: a stratified sample, as many
// trials for each class whether it is frequent in networks or not. Within its bin an operand is
// drawn with a density that falls with its magnitude as in networks (operand_density). A class with
// fewer than 8 errors in all periods keeps its rate, but its deltas are those of its wider class,
// which has only the operands' signs, as many as it had errors. On all threads; the result does not
// depend on their number. Throws Error as MultiplierStep does.
std::vector<RegisterProfile> fit_products(const Netlist& netlist, const Multiplier& multiplier,
                                          const ProductFit& fit);

// How often an operand has this value among those that are not 0, relative to others: the mean of
// two normal densities with deviations of 16 and 48, so that small values are frequent and large
// ones occur.
double operand_density(int value);

// What a whole lane captures wrong at one period on a mix of synthetic operands.
struct LaneFit {
  RegisterProfile sum, accumulator;  // by class of step (sum_class.hpp)
  std::vector<double> products;      // by multiplier: the part that is wrong
  double wrong_steps = 0;            // at most: the sum of all registers' rates
};

// Runs a lane for `cycles` cycles over some thousands of sequences of operands
// (LaneSimulator::side_by_side), all different: activations with deviations of 15 to 45, neighbours
// correlated or not, after a ReLU or (half of them, with negative_activations) signed; weights with
// deviations of 20 and 30, balanced or not; outputs of 25 to 600 steps, which begin anywhere. An
// error's class is that of the step whose sum is captured, by the right sums. A class with fewer
// than 300 trials is given rate and deltas of its wider class, in which the products' signs do not
// count. The 32 most frequent deltas are kept.
// With traces, theirs are the operands instead, each sequence's from elsewhere. Throws Error as LaneSimulator does, and where a trace
// does not fit.
LaneFit fit_sums(const Netlist& netlist, int vec_size, int period_ps, bool negative_activations,
                 int cycles, std::span<const OperandTrace> traces = {});

// Throws Error where the accumulator, at the safe clock, is not the sum of products since `first`.
void check_sums(const Netlist& netlist, int vec_size, int critical_ps);

}  // namespace inure::timing
