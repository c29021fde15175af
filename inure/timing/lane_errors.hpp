#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "inure/errors/operand_trace.hpp"
#include "inure/errors/product_table.hpp"
#include "inure/errors/sum_tree.hpp"
#include "inure/errors/timing_profile.hpp"
#include "inure/timing/lane_simulator.hpp"

// A lane's errors on a trace of operands, step by step: those that the circuit makes, and those
// that a model foresees.
namespace inure::timing {

// What was captured wrong of one number in one step.
struct StepError {
  std::int64_t step = 0;
  std::int32_t right = 0;  // for what the registers before really held
  std::int32_t delta = 0;  // captured - right, modulo 2^32
};

// All errors of a lane over a trace, in order of steps. A step's errors lie in different cycles:
// its products are captured first, the accumulator that includes them last. So each is an additive
// delta on the accumulator of the step's output. The accumulator's are those of all registers
// behind the products (sum_deltas.hpp): all deltas together are what the result holds wrongly.
struct LaneErrors {
  std::vector<std::vector<StepError>> products;  // by multiplier
  std::vector<StepError> accumulator;
};

// What the circuit does. The trace is cut into pieces of some outputs that are simulated side by
// side, on all threads; each piece is led in by the output before it, which is thrown away: at its
// first step the accumulator may have held something else than in one long run, where that output
// had an error in its own first step. Throws Error where the trace has another vec_size.
LaneErrors simulate_errors(const LaneSimulator& lane, const OperandTrace& trace);

// A model of a lane at one clock period: of a profile (expand_products, SumTree), or exact
// tables in the place of its product classes.
struct LaneModel {
  std::vector<ProductTable::Clock> products;  // by multiplier
  bool negative_activations = true;
  SumTree sums;
};

// What a model foresees, step by step, as injection does: products by table; sums by a draw for
// their class, with right products and with the accumulator that errors of sums before have left.
// Throws Error where the model does not know
// the trace's activations.
LaneErrors predict_errors(const LaneModel& model, const OperandTrace& trace, std::uint64_t seed);

// The baseline: every bit of every register flips on its own, at the rate that it had in `truth`.
LaneErrors flip_independently(const LaneErrors& truth, const OperandTrace& trace,
                              std::uint64_t seed);

// The sum of a step's products and their signs; and by bit the part of all steps in which a
// register's was flipped.
std::int32_t sum_of_products(const OperandTrace& trace, std::int64_t step);
std::uint32_t signs_of_products(const OperandTrace& trace, std::int64_t step);
std::vector<double> flip_rates(const std::vector<StepError>& errors, int bits, std::int64_t steps);

}  // namespace inure::timing
