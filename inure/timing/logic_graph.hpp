#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace inure::timing {

// A combinational function of many bits as a graph of nodes of up to three inputs, each function
// stored once. Ids: 0 and 1 are the constants, then come the inputs, then the nodes; a node's
// inputs have smaller ids than it has.
class LogicGraph {
 public:
  static constexpr int kMaxInputs = 6;

  struct Node {
    std::uint8_t truth = 0;             // bit i: the value where input k has bit k of i
    std::array<int, 3> in = {0, 0, 0};  // the unused ones are the constant 0, and do not matter
    bool operator==(const Node&) const = default;
  };

  explicit LogicGraph(int inputs) : inputs_(inputs) {}

  int input(int i) const { return 2 + i; }
  int inputs() const { return inputs_; }
  int first_node() const { return 2 + inputs_; }
  int size() const { return first_node() + static_cast<int>(nodes_.size()); }
  const Node& node(int id) const { return nodes_[static_cast<std::size_t>(id - first_node())]; }

  // The id of a function of up to kMaxInputs others: simplified, split into nodes of three inputs.
  int make(std::uint64_t truth, std::span<const int> in);
  int make_or(int a, int b);
  int make_and(int a, int b);

 private:
  struct Hash {
    std::size_t operator()(const Node& node) const;
  };
  int split(std::uint64_t truth, std::span<const int> in);
  int store(const Node& node);

  int inputs_;
  std::vector<Node> nodes_;
  std::unordered_map<Node, int, Hash> ids_;
};

// Evaluates functions of a graph for kLanes assignments at once.
class LogicProgram {
 public:
  static constexpr int kLanes = 8192;
  static constexpr int kWords = kLanes / 64;
  using Block = std::array<std::uint64_t, kWords>;  // lane i is bit i % 64 of word i / 64

  LogicProgram(const LogicGraph& graph, std::vector<int> outputs);

  int instructions() const { return static_cast<int>(instructions_.size()); }
  int outputs() const { return static_cast<int>(output_slots_.size()); }

  // The values under way; one for each thread.
  class State {
   public:
    explicit State(const LogicProgram& program);
    Block& input(int i) { return blocks_[static_cast<std::size_t>(2 + i)]; }
    const Block& input(int i) const { return blocks_[static_cast<std::size_t>(2 + i)]; }

   private:
    friend class LogicProgram;
    std::vector<Block> blocks_;
  };

  void run(State& state) const;
  const Block& output(const State& state, int i) const {
    return state.blocks_[static_cast<std::size_t>(output_slots_[static_cast<std::size_t>(i)])];
  }

 private:
  struct Instruction {
    std::uint8_t truth;
    int out;
    std::array<int, 3> in;
  };
  static void execute(const std::vector<Instruction>& instructions, Block* blocks);

  std::vector<Instruction> instructions_;
  std::vector<int> output_slots_;
  int slots_ = 0;
};

}  // namespace inure::timing
