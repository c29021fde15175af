#include "inure/timing/logic_graph.hpp"

#include <algorithm>
#include <bit>
#include <optional>

#include "inure/base/clones.hpp"

namespace inure::timing {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// Truth tables of up to six inputs, as integers.
struct Table {
  std::uint64_t truth;
  int inputs;

  bool at(int i) const { return truth >> i & 1; }
  int rows() const { return 1 << inputs; }

  // The function of the other inputs where input k has this value.
  Table cofactor(int k, bool value) const {
    Table rest{0, inputs - 1};
    for (int i = 0; i < rest.rows(); ++i) {
      const int low = i & ((1 << k) - 1);
      const int full = (i - low) << 1 | static_cast<int>(value) << k | low;
      rest.truth |= std::uint64_t{at(full)} << i;
    }
    return rest;
  }
};

// f(x) = outer(inner(x in `inside`), x outside): found where the function of the rest takes only
// two forms over the values of the inputs inside. Inputs of `outer`: inner first.
struct Split {
  std::uint64_t inner = 0, outer = 0;
};

std::optional<Split> find_split(const Table& f, unsigned inside) {
  const int inner_inputs = std::popcount(inside);
  std::array<std::uint64_t, 64> forms{};
  for (int i = 0; i < f.rows(); ++i) {
    int column = 0, row = 0, columns = 0, rows = 0;
    for (int k = 0; k < f.inputs; ++k) {
      if (inside >> k & 1) {
        column |= (i >> k & 1) << columns++;
      } else {
        row |= (i >> k & 1) << rows++;
      }
    }
    forms[index(column)] |= std::uint64_t{f.at(i)} << row;
  }
  Split split;
  const std::uint64_t zero = forms[0];
  std::uint64_t one = zero;
  for (int column = 0; column < 1 << inner_inputs; ++column) {
    const std::uint64_t form = forms[index(column)];
    if (form == zero) continue;
    if (one != zero && form != one) return std::nullopt;
    one = form;
    split.inner |= std::uint64_t{1} << column;
  }
  for (int row = 0; row < 1 << (f.inputs - inner_inputs); ++row) {
    split.outer |= (zero >> row & 1) << (2 * row) | (one >> row & 1) << (2 * row + 1);
  }
  return split;
}

}  // namespace

std::size_t LogicGraph::Hash::operator()(const Node& node) const {
  std::uint64_t hash = node.truth;
  for (const int in : node.in) {
    hash = (hash ^ static_cast<std::uint64_t>(in)) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return hash;
}

int LogicGraph::make_or(int a, int b) { return make(0b1110, std::array{a, b}); }
int LogicGraph::make_and(int a, int b) { return make(0b1000, std::array{a, b}); }

int LogicGraph::make(std::uint64_t truth, std::span<const int> in) {
  // Drops constant inputs, inputs that come twice and inputs that do not matter.
  std::vector<int> kept(in.begin(), in.end());
  Table table{truth, static_cast<int>(kept.size())};
  for (int k = table.inputs - 1; k >= 0; --k) {
    const int id = kept[index(k)];
    const auto same = std::find(kept.begin(), kept.begin() + k, id) - kept.begin();
    std::optional<Table> rest;
    if (id < 2) {
      rest = table.cofactor(k, id == 1);
    } else if (same < k) {
      const Table low = table.cofactor(k, false), high = table.cofactor(k, true);
      rest = low;
      for (int i = 0; i < low.rows(); ++i) {
        if (!(i >> same & 1) || low.at(i) == high.at(i)) continue;
        rest->truth ^= std::uint64_t{1} << i;
      }
    } else if (table.cofactor(k, false).truth == table.cofactor(k, true).truth) {
      rest = table.cofactor(k, false);
    }
    if (!rest) continue;
    table = *rest;
    kept.erase(kept.begin() + k);
  }
  // An input that was dropped may have been the only one to make another matter.
  if (kept.size() < in.size() && !kept.empty()) return make(table.truth, kept);
  if (kept.empty()) return static_cast<int>(table.truth & 1);
  if (kept.size() == 1 && table.truth == 0b10) return kept[0];
  return split(table.truth, kept);
}

int LogicGraph::split(std::uint64_t truth, std::span<const int> in) {
  const Table table{truth, static_cast<int>(in.size())};
  if (table.inputs <= 3) {
    Node node;
    std::copy(in.begin(), in.end(), node.in.begin());
    std::uint64_t wide = truth;  // the unused inputs do not matter
    for (int k = table.inputs; k < 3; ++k) wide |= wide << (1 << k);
    node.truth = static_cast<std::uint8_t>(wide);
    return store(node);
  }
  for (unsigned inside = 1; inside < 1u << table.inputs; ++inside) {
    const int size = std::popcount(inside);
    if (size < 2 || size > 3 || size == table.inputs) continue;
    const auto found = find_split(table, inside);
    if (!found) continue;
    std::vector<int> inner, outer = {0};
    for (int k = 0; k < table.inputs; ++k) {
      (inside >> k & 1 ? inner : outer).push_back(in[index(k)]);
    }
    outer[0] = make(found->inner, inner);
    return make(found->outer, outer);
  }
  const int last = table.inputs - 1;
  const auto rest = in.first(index(last));
  const int low = make(table.cofactor(last, false).truth, rest);
  const int high = make(table.cofactor(last, true).truth, rest);
  return make(0b11001010, std::array{low, high, in.back()});
}

int LogicGraph::store(const Node& node) {
  const auto [at, added] = ids_.emplace(node, size());
  if (added) nodes_.push_back(node);
  return at->second;
}

LogicProgram::LogicProgram(const LogicGraph& graph, std::vector<int> outputs)
    : output_slots_(std::move(outputs)) {
  // The last reader of every node that is needed; -1 where none is.
  const int first = graph.first_node();
  constexpr int kAlways = 1 << 30;
  std::vector<int> last(index(graph.size()), -1);
  for (const int id : output_slots_) last[index(id)] = kAlways;
  for (int id = graph.size() - 1; id >= first; --id) {
    if (last[index(id)] < 0) continue;
    for (const int in : graph.node(id).in) last[index(in)] = std::max(last[index(in)], id);
  }
  // A slot is free again after the last reader of its node.
  std::vector<int> slot(index(graph.size()), -1), free;
  for (int id = 0; id < first; ++id) slot[index(id)] = id;
  slots_ = first;
  for (int id = first; id < graph.size(); ++id) {
    if (last[index(id)] < 0) continue;
    const LogicGraph::Node& node = graph.node(id);
    Instruction what{node.truth, 0, {}};
    for (std::size_t k = 0; k < 3; ++k) what.in[k] = slot[index(node.in[k])];
    if (free.empty()) free.push_back(slots_++);
    what.out = slot[index(id)] = free.back();
    free.pop_back();
    for (std::size_t k = 0; k < 3; ++k) {
      const int in = node.in[k];
      if (in < first || last[index(in)] != id) continue;
      last[index(in)] = kAlways;  // once, though it may be read by two inputs
      free.push_back(slot[index(in)]);
    }
    instructions_.push_back(what);
  }
  for (int& id : output_slots_) id = slot[index(id)];
}

LogicProgram::State::State(const LogicProgram& program) : blocks_(index(program.slots_)) {
  blocks_[1].fill(~std::uint64_t{0});
}

void LogicProgram::run(State& state) const { execute(instructions_, state.blocks_.data()); }

// Each node by its truth table: a tree of selections whose leaves are constants.
INURE_CLONES
void LogicProgram::execute(const std::vector<Instruction>& instructions, Block* blocks) {
  for (const Instruction& what : instructions) {
    std::uint64_t leaf[8];
    for (int i = 0; i < 8; ++i) leaf[i] = -(std::uint64_t{what.truth} >> i & 1);
    const std::uint64_t* a = blocks[what.in[0]].data();
    const std::uint64_t* b = blocks[what.in[1]].data();
    const std::uint64_t* c = blocks[what.in[2]].data();
    std::uint64_t* out = blocks[what.out].data();
    const std::uint64_t flip0 = leaf[0] ^ leaf[1], flip1 = leaf[2] ^ leaf[3];
    const std::uint64_t flip2 = leaf[4] ^ leaf[5], flip3 = leaf[6] ^ leaf[7];
#pragma GCC ivdep
    for (int i = 0; i < kWords; ++i) {
      const std::uint64_t v0 = leaf[0] ^ (a[i] & flip0), v1 = leaf[2] ^ (a[i] & flip1);
      const std::uint64_t v2 = leaf[4] ^ (a[i] & flip2), v3 = leaf[6] ^ (a[i] & flip3);
      const std::uint64_t low = v0 ^ (b[i] & (v0 ^ v1)), high = v2 ^ (b[i] & (v2 ^ v3));
      out[i] = low ^ (c[i] & (low ^ high));
    }
  }
}

}  // namespace inure::timing
