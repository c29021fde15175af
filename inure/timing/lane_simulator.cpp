#include "inure/timing/lane_simulator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "inure/base/clones.hpp"
#include "inure/base/error.hpp"
#include "inure/timing/multiplier_stages.hpp"
#include "inure/timing/step_response.hpp"

namespace inure::timing {
namespace {

using Block = LaneSimulator::Block;
constexpr int kOperandBits = 8, kProductBits = 16, kAccumulatorBits = 32;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// Bit k of row i <-> bit i of row k: by halves (Warren, Hacker's Delight, section 7-3).
template <int kHalf>
[[gnu::always_inline]] inline void swap_halves(std::uint64_t* rows, std::uint64_t mask) {
  for (int block = 0; block < 64; block += 2 * kHalf) {
    for (int i = block; i < block + kHalf; ++i) {
      const std::uint64_t swapped = (rows[i] >> kHalf ^ rows[i + kHalf]) & mask;
      rows[i + kHalf] ^= swapped;
      rows[i] ^= swapped << kHalf;
    }
  }
}

INURE_CLONES
void transpose(std::uint64_t* rows) {
  swap_halves<32>(rows, 0x00000000FFFFFFFFu);
  swap_halves<16>(rows, 0x0000FFFF0000FFFFu);
  swap_halves<8>(rows, 0x00FF00FF00FF00FFu);
  swap_halves<4>(rows, 0x0F0F0F0F0F0F0F0Fu);
  swap_halves<2>(rows, 0x3333333333333333u);
  swap_halves<1>(rows, 0x5555555555555555u);
}

std::int32_t sign_extended(std::uint64_t word, std::size_t bits) {
  const int unused = 32 - static_cast<int>(bits);
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(word) << unused) >> unused;
}

// The numbers of the 64 sequences of one machine word; `bit` gives a register's block.
template <typename BitOf>
void numbers(const std::vector<int>& registers, std::size_t word, BitOf&& bit,
             std::int32_t* values) {
  std::uint64_t rows[64] = {};
  for (std::size_t k = 0; k < registers.size(); ++k) rows[k] = bit(registers[k])[word];
  transpose(rows);
  for (int i = 0; i < 64; ++i) values[i] = sign_extended(rows[i], registers.size());
}

template <typename BitOf>
std::int32_t number(const std::vector<int>& registers, int sequence, BitOf&& bit) {
  std::uint64_t value = 0;
  for (std::size_t k = 0; k < registers.size(); ++k) {
    value |= (bit(registers[k])[index(sequence / 64)] >> sequence % 64 & 1) << k;
  }
  return sign_extended(value, registers.size());
}

// Of all sequences that `values` has room for.
template <typename BitOf>
void all_numbers(const std::vector<int>& registers, BitOf&& bit, std::span<std::int32_t> values) {
  std::int32_t part[64];
  for (std::size_t first = 0; first < values.size(); first += 64) {
    numbers(registers, first / 64, bit, part);
    std::copy_n(part, std::min<std::size_t>(64, values.size() - first), values.data() + first);
  }
}

INURE_CLONES
void add_difference(const Block& a, const Block& b, Block& lanes) {
  for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] |= a[i] ^ b[i];
}

}  // namespace

LaneSimulator::LaneSimulator(const Netlist& netlist, int vec_size, int period_ps)
    : netlist_(netlist), vec_size_(vec_size), period_(period_ps) {
  find_words();
  find_ports();
  find_depths();
  const std::vector<int> all = launching(), periods = {period_ps};
  by_events_ = check_step(netlist, all, logic_, periods).edges_differ;
  const StepResponse response =
      step_response(netlist, all, logic_, by_events_ ? std::vector<int>{} : periods);
  std::vector<int> outputs = response.settled;
  for (const auto& ids : response.captured) outputs.insert(outputs.end(), ids.begin(), ids.end());
  program_ = std::make_unique<LogicProgram>(response.graph, outputs);
}

std::vector<int> LaneSimulator::launching() const {
  std::vector<int> all;
  for (std::size_t r = 0; r < netlist_.registers().size(); ++r) all.push_back(static_cast<int>(r));
  return all;
}

void LaneSimulator::find_words() {
  const auto products = netlist_.find_registers("product", kProductBits * vec_size_);
  for (int element = 0; element < vec_size_; ++element) {
    const auto first = products.begin() + kProductBits * element;
    words_.push_back(
        {fmt::format("product {}", element), std::vector<int>(first, first + kProductBits)});
  }
  const auto result = netlist_.find_output_registers("result", kAccumulatorBits);
  keeps_state_ = keep_state(netlist_, result);
  words_.push_back({"accumulator", result});
}

// The input port that a net repeats, directly or through gates of one pin; -1 where there is none.
int LaneSimulator::input_behind(int net, bool& inverted) const {
  inverted = false;
  for (auto gate = netlist_.gates().rbegin(); gate != netlist_.gates().rend(); ++gate) {
    if (gate->output != net) continue;
    const auto pins = netlist_.pins(*gate);
    if (pins.empty()) return -1;
    for (const Pin& pin : pins) {
      if (pin.net != pins[0].net) return -1;
    }
    const std::uint64_t last = (std::uint64_t{1} << pins.size()) - 1;
    const bool low = gate->truth & 1, high = gate->truth >> last & 1;
    if (low == high) return -1;
    inverted ^= low;
    net = pins[0].net;
  }
  for (std::size_t i = 0; i < netlist_.inputs().size(); ++i) {
    if (netlist_.inputs()[i].net == net) return static_cast<int>(i);
  }
  return -1;
}

void LaneSimulator::find_ports() {
  const int bits = kOperandBits * vec_size_;
  std::vector<int> operand_of(netlist_.inputs().size(), -2);
  const auto name = [&](const char* port, int count, int first) {
    const auto inputs = netlist_.find_inputs(port, count);
    for (int bit = 0; bit < count; ++bit) operand_of[index(inputs[index(bit)])] = first + bit;
  };
  name("activations", bits, 0);
  name("weights", bits, bits);
  name("first", 1, kFirst);
  for (const int r : launching()) {
    bool inverted = false;
    const int input = input_behind(netlist_.registers()[index(r)].d, inverted);
    if (input < 0) {
      logic_.push_back(r);
      continue;
    }
    if (operand_of[index(input)] == -2) {
      fail("lane: the port {} leads to {}; expected first, activations and weights only",
           netlist_.inputs()[index(input)].name, netlist_.registers()[index(r)].name);
    }
    ports_.push_back({r, operand_of[index(input)], inverted});
  }
}

// In a breadth-first walk from the operands' registers.
void LaneSimulator::find_depths() {
  std::vector<std::vector<int>> sources(index(netlist_.net_count()));  // registers behind a net
  std::vector<int> depth(netlist_.registers().size(), -1);
  for (std::size_t r = 0; r < depth.size(); ++r) {
    sources[index(netlist_.registers()[r].q)] = {static_cast<int>(r)};
  }
  for (const Gate& gate : netlist_.gates()) {
    auto& behind = sources[index(gate.output)];
    for (const Pin& pin : netlist_.pins(gate)) {
      const auto& more = sources[index(pin.net)];
      behind.insert(behind.end(), more.begin(), more.end());
    }
    std::sort(behind.begin(), behind.end());
    behind.erase(std::unique(behind.begin(), behind.end()), behind.end());
  }
  std::vector<int> reached;
  for (const Port& port : ports_) {
    if (port.operand != kFirst) reached.push_back(port.reg);
  }
  for (int at = 0; !reached.empty(); ++at) {
    for (const int r : reached) depth[index(r)] = at;
    std::vector<int> next;
    for (const int r : logic_) {
      const auto& behind = sources[index(netlist_.registers()[index(r)].d)];
      const bool follows = std::any_of(behind.begin(), behind.end(),
                                       [&](int from) { return depth[index(from)] == at; });
      if (depth[index(r)] < 0 && follows) next.push_back(r);
    }
    reached = std::move(next);
  }
  for (const Word& word : words_) {
    int cycles = 0;
    for (const int r : word.registers) cycles = std::max(cycles, depth[index(r)]);
    if (cycles == 0) fail("lane: no operand leads to {}", word.name);
    cycles_to_.push_back(cycles);
  }
}

LaneSimulator::Run::Run(const LaneSimulator& lane, int sequences)
    : lane_(lane),
      sequences_(sequences),
      stride_(index(2 * lane.vec_size_ + 7) / 8 * 8),
      operands_(kSequences * stride_),
      operand_bits_(8 * stride_),
      state_(*lane.program_),
      captured_(lane.netlist_.registers().size()),
      settled_(captured_.size()) {
  if (sequences < 1 || sequences > kSequences) {
    fail("lane simulator: {} sequences; expected 1 to {}", sequences, kSequences);
  }
  for (std::size_t r = 0; r < captured_.size(); ++r) settled_[r] = &captured_[r];
  for (std::size_t i = 0; i < lane.logic_.size(); ++i) {
    settled_[index(lane.logic_[i])] = &lane.program_->output(state_, static_cast<int>(i));
  }
  if (lane.by_events_) {
    const std::vector<int> all = lane.launching(), periods = {lane.period_};
    events_ = std::make_unique<StepSimulator>(lane.netlist_, all, lane.logic_, periods);
  }
  // All is settled: what the registers will put out first.
  lane.program_->run(state_);
  for (const int r : lane.logic_) captured_[index(r)] = settled_bit(r);
  for (const Port& port : lane.ports_) {
    captured_[index(port.reg)].fill(-static_cast<std::uint64_t>(port.inverted));
  }
}

const Block& LaneSimulator::Run::held_bit(int reg) const {
  return state_.input(static_cast<int>(captured_.size()) + reg);
}

void LaneSimulator::Run::set_first(int sequence, bool value) {
  const std::uint64_t bit = std::uint64_t{1} << sequence % 64;
  std::uint64_t& word = first_[index(sequence / 64)];
  word = value ? word | bit : word & ~bit;
}

void LaneSimulator::Run::set_first(bool value) { first_.fill(-static_cast<std::uint64_t>(value)); }

void LaneSimulator::Run::cycle() {
  const int registers = static_cast<int>(captured_.size());
  for (int r = 0; r < registers; ++r) {
    state_.input(r) = state_.input(registers + r);
    state_.input(registers + r) = captured_[index(r)];
  }
  take_ports();
  lane_.program_->run(state_);
  if (events_) {
    run_events();
  } else {
    run_logic();
  }
}

void LaneSimulator::Run::take_ports() {
  std::uint64_t rows[64];
  for (int word = 0; 64 * word < sequences_; ++word) {
    for (std::size_t byte = 0; byte < stride_; byte += 8) {
      for (int i = 0; i < 64; ++i) std::memcpy(&rows[i], operands_of(64 * word + i) + byte, 8);
      transpose(rows);
      for (std::size_t bit = 0; bit < 64; ++bit) {
        operand_bits_[8 * byte + bit][index(word)] = rows[bit];
      }
    }
  }
  for (const Port& port : lane_.ports_) {
    Block& bits = captured_[index(port.reg)];
    bits = port.operand == kFirst ? first_ : operand_bits_[index(port.operand)];
    if (!port.inverted) continue;
    for (std::uint64_t& word : bits) word = ~word;
  }
}

void LaneSimulator::Run::run_logic() {
  const int logic = static_cast<int>(lane_.logic_.size());
  for (int i = 0; i < logic; ++i) {
    captured_[index(lane_.logic_[index(i)])] = lane_.program_->output(state_, logic + i);
  }
}

void LaneSimulator::Run::run_events() {
  constexpr int kWords = StepSimulator::kWords;
  static_assert(LogicProgram::kWords % kWords == 0);
  const int registers = static_cast<int>(captured_.size());
  for (int first = 0; 64 * first < sequences_; first += kWords) {
    for (int r = 0; r < registers; ++r) {
      std::copy_n(state_.input(r).begin() + first, kWords, events_->before(r).begin());
      std::copy_n(state_.input(registers + r).begin() + first, kWords, events_->now(r).begin());
    }
    events_->run();
    for (std::size_t i = 0; i < lane_.logic_.size(); ++i) {
      std::copy_n(events_->captured(0, static_cast<int>(i)).begin(), kWords,
                  captured_[index(lane_.logic_[i])].begin() + first);
    }
  }
}

Block LaneSimulator::Run::wrong(int word) const {
  Block lanes{};
  for (const int r : lane_.words_[index(word)].registers) {
    add_difference(captured_bit(r), settled_bit(r), lanes);
  }
  for (int sequence = sequences_; sequence < kSequences; ++sequence) {
    lanes[index(sequence / 64)] &= ~(std::uint64_t{1} << sequence % 64);
  }
  return lanes;
}

int LaneSimulator::Run::find_errors(int word, std::vector<Error>& errors) const {
  errors.clear();
  const Block lanes = wrong(word);
  const auto& registers = lane_.words_[index(word)].registers;
  std::int32_t got[64], right[64];
  for (std::size_t w = 0; w < lanes.size(); ++w) {
    if (!lanes[w]) continue;
    numbers(
        registers, w, [&](int r) -> const Block& { return captured_bit(r); }, got);
    numbers(
        registers, w, [&](int r) -> const Block& { return settled_bit(r); }, right);
    for (std::uint64_t left = lanes[w]; left; left &= left - 1) {
      const int i = std::countr_zero(left);
      const auto delta = static_cast<std::uint32_t>(got[i]) - static_cast<std::uint32_t>(right[i]);
      errors.push_back({64 * static_cast<int>(w) + i, static_cast<std::int32_t>(delta), right[i]});
    }
  }
  return static_cast<int>(errors.size());
}

std::int32_t LaneSimulator::Run::captured(int word, int sequence) const {
  return number(lane_.words_[index(word)].registers, sequence,
                [&](int r) -> const Block& { return captured_bit(r); });
}

std::int32_t LaneSimulator::Run::settled(int word, int sequence) const {
  return number(lane_.words_[index(word)].registers, sequence,
                [&](int r) -> const Block& { return settled_bit(r); });
}

void LaneSimulator::Run::captured(int word, std::span<std::int32_t> values) const {
  all_numbers(
      lane_.words_[index(word)].registers, [&](int r) -> const Block& { return captured_bit(r); },
      values);
}

void LaneSimulator::Run::settled(int word, std::span<std::int32_t> values) const {
  all_numbers(
      lane_.words_[index(word)].registers, [&](int r) -> const Block& { return settled_bit(r); },
      values);
}

void LaneSimulator::Run::held(int word, std::span<std::int32_t> values) const {
  all_numbers(
      lane_.words_[index(word)].registers, [&](int r) -> const Block& { return held_bit(r); },
      values);
}

}  // namespace inure::timing
