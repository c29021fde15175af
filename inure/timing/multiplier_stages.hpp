#pragma once

#include <span>
#include <vector>

#include "inure/timing/step_response.hpp"

namespace inure::timing {

struct Multiplier;

// The register stages of a multiplier, the operands' first: what each captures is a function of the
// registers of the one before. The last one is the product; a multiplier without registers between
// has one stage.
struct MultiplierStage {
  std::vector<int> launching, capturing;
};

// Throws Error where another register than operands leads to the product, or registers of different
// stages do.
std::vector<MultiplierStage> multiplier_stages(const Netlist& netlist,
                                               const Multiplier& multiplier);

// The registers that lead to some others, through any number of cycles, these excluded.
std::vector<int> registers_before(const Netlist& netlist, const std::vector<int>& registers);

// Whether any of these registers leads to one of them in one cycle.
bool keep_state(const Netlist& netlist, const std::vector<int>& registers);

// Those of some registers and of the ones before them that lead to none that keeps a state, one
// that leads to itself: what such a register captures wrongly is gone with the next step.
std::vector<int> passing_registers(const Netlist& netlist, const std::vector<int>& registers);

// What the product captures as logic of the operands, one step before and now; as step_response for
// one stage. With more stages, those between are taken to have held the right values in the step
// before: what is captured wrongly of one step twice, in two stages, may then be another error.
struct ProductResponse : StepResponse {
  std::vector<std::vector<int>> held;  // by stage but the first, by launching register: before
};
ProductResponse product_response(const Netlist& netlist, std::span<const MultiplierStage> stages,
                                 std::span<const int> periods_ps);

// As check_step, of all stages.
StepPaths check_product(const Netlist& netlist, std::span<const MultiplierStage> stages,
                        std::span<const int> periods_ps);

}  // namespace inure::timing
