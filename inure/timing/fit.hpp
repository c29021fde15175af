#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "inure/errors/operand_trace.hpp"
#include "inure/errors/timing_profile.hpp"
#include "inure/timing/multiplier_step.hpp"

namespace inure::timing {

// How many changes of operands are tried, and how fine the classes are.
struct ProductFit {
  std::vector<int> periods_ps;
  bool negative_activations = true;        // false: after a ReLU
  std::int64_t transitions = 1 << 25;      // for all periods together
  int max_classes = 2048, max_deltas = 8;  // a period; kept of a class, the most frequent ones
};

// A multiplier's errors by classes of operands, for each period: the leaves of a tree of tests on
// the operands' and products' bits (timing_profile.proto). The tree is grown from a sample of
// changes of operands as networks have them: activations with deviations of 8 to 57, a third of
// them signed (with negative_activations), half of them near to the one before; weights with
// deviations of 10 to 44; an eighth of the weights, a sixteenth of the activations anywhere. The
// leaf whose best test tells most of errors and of deltas is divided first, until no test tells
// anything or there are max_classes. On all threads; the result does not depend on their number.
// Throws Error as MultiplierStep does.
std::vector<RegisterProfile> fit_products(const Netlist& netlist, const Multiplier& multiplier,
                                          const ProductFit& fit);

// What a multiplier's late bits capture, exactly, as logic for all periods; sets late_bit and
// captured of the profiles, one for each period. None where rising and falling delays differ (as
// those of standard cells do) or the logic is larger than trees of classes would be. Throws Error
// as step_response does.
std::optional<ProductLogic> fit_logic(const Netlist& netlist, const Multiplier& multiplier,
                                      const std::vector<int>& periods_ps,
                                      std::vector<RegisterProfile>& profiles);

// What a whole lane captures wrong at one period on a mix of synthetic operands.
struct LaneFit {
  RegisterProfile accumulator;   // what it and the sum before it add wrongly, by class of step
  std::vector<double> products;  // by multiplier: the part that is wrong
  double wrong_steps = 0;        // at most: the sum of all registers' rates
};

// Runs a lane for `cycles` cycles over some thousands of sequences of operands
// (LaneSimulator::side_by_side), all different: activations with deviations of 15 to 45, neighbours
// correlated or not, after a ReLU or (half of them, with negative_activations) signed; weights with
// deviations of 20 and 30, balanced or not; outputs of 25 to 600 steps, which begin anywhere. The
// tree of classes (timing_profile.proto) is grown from all steps with an error and a part of the
// others, of an output's first two steps in as many cycles more, with outputs of 2 to 40 steps;
// without `tree` only the rates are found. With traces, theirs are the operands instead, each
// sequence's from elsewhere. Throws Error as LaneSimulator does, and where a trace does not
// fit.
LaneFit fit_sums(const Netlist& netlist, int vec_size, int period_ps, bool negative_activations,
                 int cycles, std::span<const OperandTrace> traces = {}, bool tree = true);

// Throws Error where the accumulator, at the safe clock, is not the sum of products since `first`.
void check_sums(const Netlist& netlist, int vec_size, int critical_ps);

}  // namespace inure::timing
