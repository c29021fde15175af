#include "inure/timing/multiplier_step.hpp"

#include <algorithm>

#include "inure/base/clones.hpp"
#include "inure/base/error.hpp"
#include "inure/timing/step_response.hpp"

namespace inure::timing {
namespace {

using Block = MultiplierStep::Block;
constexpr int kOperandBits = Multiplier::kOperandBits, kProductBits = Multiplier::kProductBits;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

std::vector<int> launching(const Multiplier& multiplier) {
  std::vector<int> registers = multiplier.activation;
  registers.insert(registers.end(), multiplier.weight.begin(), multiplier.weight.end());
  return registers;
}

INURE_CLONES
void add_difference(const Block& a, const Block& b, Block& lanes) {
  for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] |= a[i] ^ b[i];
}

}  // namespace

void count_lanes(Block& block, int first, int bit) {
  constexpr std::uint64_t kWithin[] = {0xAAAAAAAAAAAAAAAAu, 0xCCCCCCCCCCCCCCCCu,
                                       0xF0F0F0F0F0F0F0F0u, 0xFF00FF00FF00FF00u,
                                       0xFFFF0000FFFF0000u, 0xFFFFFFFF00000000u};
  for (int word = 0; word < LogicProgram::kWords; ++word) {
    const int lane = first + 64 * word;
    block[index(word)] = bit < 6 ? kWithin[bit] : -static_cast<std::uint64_t>(lane >> bit & 1);
  }
}

Multiplier lane_multiplier(const Netlist& netlist, int vec_size, int element) {
  const auto part = [&](const char* name, int bits) {
    const auto all = netlist.find_registers(name, bits * vec_size);
    const auto first = all.begin() + bits * element;
    return std::vector<int>(first, first + bits);
  };
  return {part("activation", kOperandBits), part("weight", kOperandBits),
          part("product", kProductBits)};
}

MultiplierStep::MultiplierStep(const Netlist& netlist, const Multiplier& multiplier,
                               const std::vector<int>& periods_ps)
    : netlist_(netlist),
      launching_(launching(multiplier)),
      product_(multiplier.product),
      periods_(periods_ps) {
  by_events_ = check_step(netlist, launching_, product_, periods_).edges_differ;
  const StepResponse response =
      step_response(netlist, launching_, product_, by_events_ ? std::vector<int>{} : periods_);
  std::vector<int> outputs = response.settled;
  for (const auto& ids : response.captured) outputs.insert(outputs.end(), ids.begin(), ids.end());
  program_ = std::make_unique<LogicProgram>(response.graph, outputs);
  check_arithmetic();
}

void MultiplierStep::check_arithmetic() const {
  LogicProgram::State state(*program_);
  constexpr int kNow = 2 * kOperandBits;  // the first input of the current operands
  for (int lane = 0; lane < 65536; lane += kLanes) {
    for (int bit = 0; bit < 2 * kOperandBits; ++bit)
      count_lanes(state.input(kNow + bit), lane, bit);
    program_->run(state);
    for (int i = 0; i < kLanes; ++i) {
      const int a = static_cast<std::int8_t>(lane + i);
      const int b = static_cast<std::int8_t>((lane + i) >> kOperandBits);
      int got = 0;
      for (int bit = 0; bit < kProductBits; ++bit) {
        got |= static_cast<int>(program_->output(state, bit)[index(i / 64)] >> i % 64 & 1) << bit;
      }
      if (got != static_cast<std::uint16_t>(a * b)) {
        fail("multiplier: its registers settle at {} for {} * {}; expected {}",
             static_cast<std::int16_t>(got), a, b, a * b);
      }
    }
  }
}

MultiplierStep::Run::Run(const MultiplierStep& step) : step_(step), state_(*step.program_) {
  if (!step.by_events_) return;
  events_ =
      std::make_unique<StepSimulator>(step.netlist_, step.launching_, step.product_, step.periods_);
  by_events_.resize(step.periods_.size());
}

Block& MultiplierStep::Run::input(Operand operand, int bit) {
  return state_.input(operand * kOperandBits + bit);
}

void MultiplierStep::Run::set_all(Operand operand, int value) {
  for (int bit = 0; bit < kOperandBits; ++bit) {
    input(operand, bit).fill(-static_cast<std::uint64_t>(value >> bit & 1));
  }
}

void MultiplierStep::Run::run() {
  step_.program_->run(state_);
  if (events_) run_events();
}

void MultiplierStep::Run::run_events() {
  constexpr int kInputs = 2 * kOperandBits, kWords = StepSimulator::kWords;
  static_assert(LogicProgram::kWords % kWords == 0);
  for (int first = 0; first < LogicProgram::kWords; first += kWords) {
    for (int i = 0; i < kInputs; ++i) {
      std::copy_n(state_.input(i).begin() + first, kWords, events_->before(i).begin());
      std::copy_n(state_.input(kInputs + i).begin() + first, kWords, events_->now(i).begin());
    }
    events_->run();
    for (int p = 0; p < step_.periods(); ++p) {
      for (int bit = 0; bit < kProductBits; ++bit) {
        std::copy_n(events_->captured(p, bit).begin(), kWords,
                    by_events_[index(p)][index(bit)].begin() + first);
      }
    }
  }
}

const Block& MultiplierStep::Run::right(int bit) const {
  return step_.program_->output(state_, bit);
}

const Block& MultiplierStep::Run::captured(int period, int bit) const {
  if (events_) return by_events_[index(period)][index(bit)];
  return step_.program_->output(state_, (1 + period) * kProductBits + bit);
}

Block MultiplierStep::Run::wrong(int period) const {
  Block lanes{};
  for (int bit = 0; bit < kProductBits; ++bit)
    add_difference(right(bit), captured(period, bit), lanes);
  return lanes;
}

}  // namespace inure::timing
