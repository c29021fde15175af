#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "inure/timing/logic_graph.hpp"
#include "inure/timing/netlist.hpp"
#include "inure/timing/step_simulator.hpp"

namespace inure::timing {

// A whole lane that keeps the contract of rtl/lane.v, feedback included, at one clock period, for
// many independent sequences of operands at once: bit for bit what TimingSimulator captures without
// a glitch filter. In every cycle what a register captures is a function of the contents of the
// registers now and one cycle before: by step_response where rising and falling delays agree (tens
// of millions of lane cycles a second on one core), else by StepSimulator.
class LaneSimulator {
 public:
  static constexpr int kSequences = LogicProgram::kLanes;
  using Block = LogicProgram::Block;

  // A number in registers, two's complement.
  struct Word {
    std::string name;            // "product 0", "accumulator"
    std::vector<int> registers;  // bit 0 first
  };

  // Keeps a reference to the netlist. Throws Error as step_response does: where the period is
  // shorter than half the longest path; and where a name or port of the contract is missing.
  LaneSimulator(const Netlist& netlist, int vec_size, int period_ps);

  int vec_size() const { return vec_size_; }
  int period_ps() const { return period_; }
  // How many sequences to run at once: fewer cost as much, more need not be faster.
  int side_by_side() const { return by_events_ ? StepSimulator::kLanes : kSequences; }
  // How many cycles after that in which operands were at the ports their products and the
  // accumulator that includes them are captured: 1 and 3 with PIPELINE 3.
  int cycles_to(int word) const { return cycles_to_[static_cast<std::size_t>(word)]; }

  // The products by number; then the accumulator, which is what the port `result` shows.
  const std::vector<Word>& words() const { return words_; }
  int product(int element) const { return element; }
  int accumulator() const { return static_cast<int>(words_.size()) - 1; }
  bool keeps_state() const { return keeps_state_; }  // the accumulator: it leads to itself

  class Run;

 private:
  static constexpr int kFirst = -1;  // in Port: the input `first`
  struct Port {                      // a register that a port feeds
    int reg;
    int operand;  // bit of the activations, then of the weights; or kFirst
    bool inverted;
  };

  void find_words();
  void find_ports();
  void find_depths();
  std::vector<int> launching() const;  // all registers
  int input_behind(int net, bool& inverted) const;

  const Netlist& netlist_;
  const int vec_size_, period_;
  std::vector<Word> words_;
  std::vector<int> cycles_to_;
  bool keeps_state_ = true;
  std::vector<Port> ports_;
  std::vector<int> logic_;  // the registers that no port feeds
  bool by_events_ = false;
  std::unique_ptr<const LogicProgram> program_;  // what logic_ should capture; then what it does
};

// Sequences under way; one object for each thread. At first all registers hold 0, settled.
class LaneSimulator::Run {
 public:
  // Less than kSequences: the others are not needed, which saves time where it goes by events.
  explicit Run(const LaneSimulator& lane, int sequences = kSequences);

  int sequences() const { return sequences_; }

  // The ports, to be written before a cycle; they keep what they have.
  std::int8_t* activations(int sequence) { return operands_of(sequence); }  // [vec_size]
  std::int8_t* weights(int sequence) { return operands_of(sequence) + lane_.vec_size_; }
  void set_first(int sequence, bool value);
  void set_first(bool value);  // of all

  // One clock edge, at which the registers put out what they last captured and the ports take their
  // values; one period; and the capture at its end: as TimingSimulator::cycle.
  void cycle();

  // Of the last cycle. "Settled" is what a register would have captured had the period been long
  // enough, from the contents that the registers really had.
  struct Error {
    int sequence;
    std::int32_t delta;  // captured - settled, modulo 2^32
    std::int32_t settled;
  };
  // Those of a word, in order of sequences; returns how many.
  int find_errors(int word, std::vector<Error>& errors) const;
  Block wrong(int word) const;  // the sequences whose word is; lane i is bit i % 64 of word i / 64

  std::int32_t captured(int word, int sequence) const;
  std::int32_t settled(int word, int sequence) const;
  // Of all sequences, and what the registers held in the cycle before the capture.
  void captured(int word, std::span<std::int32_t> values) const;
  void settled(int word, std::span<std::int32_t> values) const;
  void held(int word, std::span<std::int32_t> values) const;

  // Of one register.
  const Block& captured_bit(int reg) const { return captured_[static_cast<std::size_t>(reg)]; }
  const Block& settled_bit(int reg) const { return *settled_[static_cast<std::size_t>(reg)]; }
  const Block& held_bit(int reg) const;

 private:
  std::int8_t* operands_of(int sequence) {
    return operands_.data() + static_cast<std::size_t>(sequence) * stride_;
  }
  void take_ports();
  void run_logic();
  void run_events();

  const LaneSimulator& lane_;
  const int sequences_;
  const std::size_t stride_;           // bytes of operands a sequence, a multiple of 8
  std::vector<std::int8_t> operands_;  // [kSequences][stride_]: activations, weights
  std::vector<Block> operand_bits_;    // [8 * stride_]
  Block first_{};
  LogicProgram::State state_;  // inputs: what all registers held before, what they hold
  std::unique_ptr<StepSimulator> events_;
  std::vector<Block> captured_;        // by register
  std::vector<const Block*> settled_;  // by register
};

}  // namespace inure::timing
