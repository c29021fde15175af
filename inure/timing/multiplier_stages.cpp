#include "inure/timing/multiplier_stages.hpp"

#include <algorithm>
#include <set>

#include "inure/base/error.hpp"
#include "inure/timing/multiplier_step.hpp"

namespace inure::timing {
namespace {

constexpr int kMostStages = 8;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// The registers that some registers' D depends on.
class Sources {
 public:
  explicit Sources(const Netlist& netlist)
      : netlist_(netlist), gate_(index(netlist.net_count()), -1), register_(gate_) {
    for (std::size_t g = 0; g < netlist.gates().size(); ++g) {
      gate_[index(netlist.gates()[g].output)] = static_cast<int>(g);
    }
    for (std::size_t r = 0; r < netlist.registers().size(); ++r) {
      register_[index(netlist.registers()[r].q)] = static_cast<int>(r);
    }
  }

  std::set<int> of(const std::vector<int>& capturing, bool ports = false) const {
    std::set<int> found, seen;
    std::vector<int> open;
    for (const int r : capturing) open.push_back(netlist_.registers()[index(r)].d);
    while (!open.empty()) {
      const int net = open.back();
      open.pop_back();
      if (!seen.insert(net).second) continue;
      if (register_[index(net)] >= 0) {
        found.insert(register_[index(net)]);
      } else if (gate_[index(net)] >= 0) {
        for (const Pin& pin : netlist_.pins(netlist_.gates()[index(gate_[index(net)])])) {
          open.push_back(pin.net);
        }
      } else if (!ports) {
        fail("it depends on the port {} in the same cycle; expected registers of operands",
             netlist_.net_name(net));
      }
    }
    return found;
  }

 private:
  const Netlist& netlist_;
  std::vector<int> gate_, register_;  // by net that they drive; -1: none
};

// The functions `outputs` of a graph in another one, where the inputs are `inputs`.
std::vector<int> copied(const LogicGraph& from, const std::vector<int>& inputs,
                        const std::vector<int>& outputs, LogicGraph& to) {
  std::vector<int> place = {0, 1};
  place.insert(place.end(), inputs.begin(), inputs.end());
  for (int id = from.first_node(); id < from.size(); ++id) {
    const LogicGraph::Node& node = from.node(id);
    const std::array<int, 3> in = {place[index(node.in[0])], place[index(node.in[1])],
                                   place[index(node.in[2])]};
    place.push_back(to.make(node.truth, in));
  }
  std::vector<int> result;
  for (const int id : outputs) result.push_back(place[index(id)]);
  return result;
}

std::vector<int> joined(std::vector<int> a, const std::vector<int>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

std::vector<MultiplierStage> multiplier_stages(const Netlist& netlist,
                                               const Multiplier& multiplier) {
  const std::vector<int> operands = joined(multiplier.activation, multiplier.weight);
  const Sources sources(netlist);
  std::vector<MultiplierStage> stages;
  std::vector<int> capturing = multiplier.product;
  while (true) {
    const std::set<int> behind = sources.of(capturing);
    const auto is_operand = [&](int r) {
      return std::find(operands.begin(), operands.end(), r) != operands.end();
    };
    const auto others =
        std::count_if(behind.begin(), behind.end(), [&](int r) { return !is_operand(r); });
    if (others == 0) {
      stages.push_back({operands, capturing});
      std::reverse(stages.begin(), stages.end());
      return stages;
    }
    const int other = *std::find_if_not(behind.begin(), behind.end(), is_operand);
    if (others != static_cast<std::ptrdiff_t>(behind.size()) || stages.size() == kMostStages) {
      fail(
          "register {} leads to it beside others of another stage; expected stages one after the "
          "other, from its activation and weight on",
          netlist.net_name(netlist.registers()[index(other)].q));
    }
    const std::vector<int> before(behind.begin(), behind.end());
    stages.push_back({before, capturing});
    capturing = before;
  }
}

std::vector<int> registers_before(const Netlist& netlist, const std::vector<int>& registers) {
  const Sources sources(netlist);
  std::set<int> found;
  for (std::vector<int> open = registers; !open.empty();) {
    std::vector<int> next;
    for (const int r : sources.of(open, true)) {
      const bool own = std::find(registers.begin(), registers.end(), r) != registers.end();
      if (!own && found.insert(r).second) next.push_back(r);
    }
    open = std::move(next);
  }
  return {found.begin(), found.end()};
}

bool keep_state(const Netlist& netlist, const std::vector<int>& registers) {
  const std::set<int> behind = Sources(netlist).of(registers, true);
  return std::any_of(registers.begin(), registers.end(), [&](int r) { return behind.contains(r); });
}

std::vector<int> passing_registers(const Netlist& netlist, const std::vector<int>& registers) {
  const Sources sources(netlist);
  std::vector<std::vector<int>> readers(netlist.registers().size());
  for (std::size_t r = 0; r < readers.size(); ++r) {
    for (const int from : sources.of({static_cast<int>(r)}, true)) {
      readers[index(from)].push_back(static_cast<int>(r));
    }
  }
  const auto reached = [&](int r) {
    std::set<int> found;
    for (std::vector<int> open = {r}; !open.empty();) {
      const int from = open.back();
      open.pop_back();
      for (const int to : readers[index(from)]) {
        if (found.insert(to).second) open.push_back(to);
      }
    }
    return found;
  };
  std::vector<std::set<int>> after;
  for (std::size_t r = 0; r < readers.size(); ++r) after.push_back(reached(static_cast<int>(r)));
  const auto keeps = [&](int r) { return after[index(r)].contains(r); };
  std::vector<int> all = registers_before(netlist, registers), passing;
  all.insert(all.end(), registers.begin(), registers.end());
  for (const int r : all) {
    if (!keeps(r) && std::none_of(after[index(r)].begin(), after[index(r)].end(), keeps)) {
      passing.push_back(r);
    }
  }
  return passing;
}

StepPaths check_product(const Netlist& netlist, std::span<const MultiplierStage> stages,
                        std::span<const int> periods_ps) {
  StepPaths all;
  for (const MultiplierStage& stage : stages) {
    const StepPaths paths = check_step(netlist, stage.launching, stage.capturing, periods_ps);
    all.longest_ps = std::max(all.longest_ps, paths.longest_ps);
    all.edges_differ |= paths.edges_differ;
  }
  return all;
}

ProductResponse product_response(const Netlist& netlist, std::span<const MultiplierStage> stages,
                                 std::span<const int> periods_ps) {
  ProductResponse all{step_response(netlist, stages[0].launching, stages[0].capturing, periods_ps),
                      {}};
  if (stages.size() == 1) return all;
  const int operands = static_cast<int>(stages[0].launching.size());
  std::vector<int> before;  // the operands before, twice: for what a stage held a step ago
  for (int i = 0; i < operands; ++i) before.push_back(all.graph.input(i));
  before = joined(before, before);
  for (const MultiplierStage& stage : stages.subspan(1)) {
    const StepResponse next = step_response(netlist, stage.launching, stage.capturing, periods_ps);
    const LogicGraph so_far = all.graph;
    const std::vector<int> held = copied(so_far, before, all.settled, all.graph);
    for (std::size_t p = 0; p < periods_ps.size(); ++p) {
      all.captured[p] =
          copied(next.graph, joined(held, all.captured[p]), next.captured[p], all.graph);
    }
    all.held.push_back(held);
    all.settled = copied(next.graph, joined(held, all.settled), next.settled, all.graph);
    all.longest_ps = std::max(all.longest_ps, next.longest_ps);
  }
  return all;
}

}  // namespace inure::timing
