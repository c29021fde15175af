#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "inure/timing/logic_graph.hpp"
#include "inure/timing/multiplier_stages.hpp"
#include "inure/timing/step_simulator.hpp"

namespace inure::timing {

// A multiplier between registers, bit 0 first: product <= activation * weight, signed, in one
// period or, where it has register stages of its own, in several.
struct Multiplier {
  static constexpr int kOperandBits = 8, kProductBits = 16;
  std::vector<int> activation, weight, product;  // registers: 8, 8, 16
};

// That of one element of a lane that keeps the contract of rtl/lane.v.
Multiplier lane_multiplier(const Netlist& netlist, int vec_size, int element);

// What a multiplier captures at several periods when its operands change, for kLanes changes at
// once: by step_response where rising and falling delays agree, else by StepSimulator, which is
// fast where few of the operands' bits differ between neighbouring lanes.
class MultiplierStep {
 public:
  static constexpr int kLanes = LogicProgram::kLanes;
  using Block = LogicProgram::Block;
  enum Operand { kPreviousActivation, kPreviousWeight, kActivation, kWeight };

  // Keeps a reference to the netlist. Throws Error as product_response does, and where the settled
  // product is not the arithmetic one.
  MultiplierStep(const Netlist& netlist, const Multiplier& multiplier,
                 const std::vector<int>& periods_ps);

  int periods() const { return static_cast<int>(periods_.size()); }

  // The values under way; one for each thread.
  class Run {
   public:
    explicit Run(const MultiplierStep& step);

    Block& input(Operand operand, int bit);
    void set_all(Operand operand, int value);  // in all lanes
    void run();
    const Block& right(int bit) const;
    const Block& captured(int period, int bit) const;
    Block wrong(int period) const;  // the lanes whose product is

   private:
    void run_events();
    void run_stages(int period, int first);

    const MultiplierStep& step_;
    LogicProgram::State state_;
    std::vector<std::unique_ptr<StepSimulator>> events_;                  // by stage
    std::vector<std::array<Block, Multiplier::kProductBits>> by_events_;  // by period
  };

 private:
  void check_arithmetic() const;

  const Netlist& netlist_;
  const std::vector<MultiplierStage> stages_;
  const std::vector<int> periods_;
  bool by_events_ = false;
  // The right product; then the captured ones; by events, what the stages between held before.
  std::unique_ptr<const LogicProgram> program_;
};

// Lane i of the block gets bit `bit` of first + i; first is a multiple of 64.
void count_lanes(MultiplierStep::Block& block, int first, int bit);

}  // namespace inure::timing
