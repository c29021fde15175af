#include "inure/timing/multiplier_step.hpp"

#include <algorithm>
#include <bit>
#include <string>

#include "inure/base/clones.hpp"
#include "inure/base/error.hpp"
#include "inure/timing/step_response.hpp"

namespace inure::timing {
namespace {

using Block = MultiplierStep::Block;
constexpr int kOperandBits = Multiplier::kOperandBits, kProductBits = Multiplier::kProductBits;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

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
    : netlist_(netlist), stages_(multiplier_stages(netlist, multiplier)), periods_(periods_ps) {
  by_events_ = check_product(netlist, stages_, periods_).edges_differ;
  const ProductResponse response =
      product_response(netlist, stages_, by_events_ ? std::vector<int>{} : periods_);
  std::vector<int> outputs = response.settled;
  const auto add = [&](const std::vector<int>& ids) {
    outputs.insert(outputs.end(), ids.begin(), ids.end());
  };
  for (const auto& ids : response.captured) add(ids);
  if (by_events_) {
    for (const auto& ids : response.held) add(ids);
  }
  program_ = std::make_unique<LogicProgram>(response.graph, outputs);
  check_arithmetic();
}

namespace {

// What a multiplier makes of all operands, by kinds of multipliers that are none of ours.
class Arithmetic {
 public:
  void add(int a, int b, int got) {
    const auto is = [&](int product) { return got == static_cast<std::uint16_t>(product); };
    const int differs = got ^ static_cast<std::uint16_t>(a * b);
    if (differs && !differs_) first_ = {a, b, static_cast<std::int16_t>(got)};
    differs_ |= differs;
    unsigned_activations_ &= is((a & 255) * b);
    unsigned_weights_ &= is(a * (b & 255));
    unsigned_both_ &= is((a & 255) * (b & 255));
  }
  void check() const {
    if (!differs_) return;
    fail("multiplier: its registers settle at {} for {} * {}; expected {}{}", first_.got, first_.a,
         first_.b, first_.a * first_.b, hint());
  }

 private:
  struct Example {
    int a = 0, b = 0, got = 0;
  };

  std::string hint() const {
    if (unsigned_activations_)
      return ": it has unsigned activations; two's complement is supported";
    if (unsigned_weights_) return ": it has unsigned weights; two's complement is supported";
    if (unsigned_both_) {
      return ": it has unsigned activations and weights; two's complement is supported";
    }
    const int bits = std::bit_width(static_cast<unsigned>(differs_));
    if (bits > Multiplier::kProductBits / 2) return "";
    return fmt::format(
        ": an approximate multiplier, wrong in the lowest {} bits, is not supported: "
        "the product must be a * b",
        bits);
  }

  int differs_ = 0;  // the bits that do, of any product
  bool unsigned_activations_ = true, unsigned_weights_ = true, unsigned_both_ = true;
  Example first_;
};

}  // namespace

void MultiplierStep::check_arithmetic() const {
  LogicProgram::State state(*program_);
  Arithmetic arithmetic;
  constexpr int kNow = 2 * kOperandBits;  // the first input of the current operands
  for (int lane = 0; lane < 65536; lane += kLanes) {
    for (int bit = 0; bit < 2 * kOperandBits; ++bit)
      count_lanes(state.input(kNow + bit), lane, bit);
    program_->run(state);
    for (int i = 0; i < kLanes; ++i) {
      int got = 0;
      for (int bit = 0; bit < kProductBits; ++bit) {
        got |= static_cast<int>(program_->output(state, bit)[index(i / 64)] >> i % 64 & 1) << bit;
      }
      arithmetic.add(static_cast<std::int8_t>(lane + i),
                     static_cast<std::int8_t>((lane + i) >> kOperandBits), got);
    }
  }
  arithmetic.check();
}

MultiplierStep::Run::Run(const MultiplierStep& step) : step_(step), state_(*step.program_) {
  if (!step.by_events_) return;
  for (const MultiplierStage& stage : step.stages_) {
    events_.push_back(std::make_unique<StepSimulator>(step.netlist_, stage.launching,
                                                      stage.capturing, step.periods_));
  }
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
  if (!events_.empty()) run_events();
}

void MultiplierStep::Run::run_events() {
  constexpr int kInputs = 2 * kOperandBits, kWords = StepSimulator::kWords;
  static_assert(LogicProgram::kWords % kWords == 0);
  for (int first = 0; first < LogicProgram::kWords; first += kWords) {
    for (int i = 0; i < kInputs; ++i) {
      std::copy_n(state_.input(i).begin() + first, kWords, events_[0]->before(i).begin());
      std::copy_n(state_.input(kInputs + i).begin() + first, kWords, events_[0]->now(i).begin());
    }
    events_[0]->run();
    for (int p = 0; p < step_.periods(); ++p) {
      run_stages(p, first);
      for (int bit = 0; bit < kProductBits; ++bit) {
        std::copy_n(events_.back()->captured(p, bit).begin(), kWords,
                    by_events_[index(p)][index(bit)].begin() + first);
      }
    }
  }
}

// All stages but the first, each from what the one before captured at this period.
void MultiplierStep::Run::run_stages(int period, int first) {
  int output = kProductBits;  // behind the right product
  for (std::size_t s = 1; s < events_.size(); ++s) {
    for (int i = 0; i < static_cast<int>(step_.stages_[s].launching.size()); ++i, ++output) {
      std::copy_n(step_.program_->output(state_, output).begin() + first, StepSimulator::kWords,
                  events_[s]->before(i).begin());
      events_[s]->now(i) = events_[s - 1]->captured(period, i);
    }
    events_[s]->run();
  }
}

const Block& MultiplierStep::Run::right(int bit) const {
  return step_.program_->output(state_, bit);
}

const Block& MultiplierStep::Run::captured(int period, int bit) const {
  if (!events_.empty()) return by_events_[index(period)][index(bit)];
  return step_.program_->output(state_, (1 + period) * kProductBits + bit);
}

Block MultiplierStep::Run::wrong(int period) const {
  Block lanes{};
  for (int bit = 0; bit < kProductBits; ++bit)
    add_difference(right(bit), captured(period, bit), lanes);
  return lanes;
}

}  // namespace inure::timing
