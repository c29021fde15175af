#include "inure/timing/late_bound.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <unordered_map>
#include <vector>

#include "inure/timing/step_response.hpp"

namespace inure::timing {
namespace {

constexpr int kNoGate = -1;
constexpr int kBefore = std::numeric_limits<int>::min();  // before anything changes
constexpr std::uint64_t kIfElse = 0b11100100, kOr3 = 0b11111110;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

class Builder {
 public:
  Builder(const Netlist& netlist, std::span<const int> launching, int max_nodes)
      : netlist_(netlist),
        max_nodes_(max_nodes),
        graph_(static_cast<int>(launching.size())),
        windows_(change_windows(netlist, launching)),
        nets_(index(netlist.net_count())) {
    for (std::size_t i = 0; i < launching.size(); ++i) {
      const Register& what = netlist.registers()[index(launching[i])];
      Net& net = nets_[index(what.q)];
      net.launch = static_cast<int>(i);
      net.clock_to_q = what.clock_to_q;
    }
    for (std::size_t g = 0; g < netlist.gates().size(); ++g) {
      nets_[index(netlist.gates()[g].output)].gate = static_cast<int>(g);
    }
  }

  int late(int net, int time);  // may the net have another value than its settled one, from then on
  LogicGraph& graph() { return graph_; }

 private:
  struct Net {
    int gate = kNoGate, launch = -1;
    Edges clock_to_q;
    int settled = -1;
    std::unordered_map<int, int> late;  // by time
  };

  int settled(int net);
  int late_pin(const Pin& pin, int time);
  int late_launch(const Net& net, int time);
  int varies(std::uint64_t truth, std::span<const int> settled, std::span<const int> late);
  int if_else(int condition, int yes, int no) {
    return graph_.make(kIfElse, std::array{condition, no, yes});
  }

  const Netlist& netlist_;
  const int max_nodes_;
  LogicGraph graph_;
  const std::vector<ChangeWindow> windows_;
  std::vector<Net> nets_;
};

int Builder::settled(int id) {
  Net& net = nets_[index(id)];
  if (net.gate == kNoGate) return graph_.input(net.launch);
  if (net.settled >= 0) return net.settled;
  const Gate& gate = netlist_.gates()[index(net.gate)];
  std::vector<int> in;
  for (const Pin& pin : netlist_.pins(gate)) in.push_back(settled(pin.net));
  return net.settled = graph_.make(gate.truth, in);
}

int Builder::late_launch(const Net& net, int time) {
  return if_else(graph_.input(net.launch), time < net.clock_to_q.rise, time < net.clock_to_q.fall);
}

int Builder::late_pin(const Pin& pin, int time) {
  if (time == kBefore) return late(pin.net, kBefore);
  return if_else(settled(pin.net), late(pin.net, time - pin.delay(true)),
                 late(pin.net, time - pin.delay(false)));
}

// Whether a function is no constant where the late pins are free, the others settled. The last pin
// is tried both ways.
int Builder::varies(std::uint64_t truth, std::span<const int> settled, std::span<const int> late) {
  if (settled.empty()) return 0;
  const std::size_t rest = settled.size() - 1;
  const std::uint64_t rows = std::uint64_t{1} << rest;
  const std::uint64_t mask = (std::uint64_t{1} << rows) - 1;
  const std::uint64_t low = truth & mask, high = truth >> rows & mask;
  const auto others = settled.first(rest);
  const int at_low = varies(low, others, late.first(rest));
  const int at_high = varies(high, others, late.first(rest));
  const int fixed = if_else(settled[rest], at_high, at_low);
  if (late[rest] == 0) return fixed;
  const int differ = graph_.make(low ^ high, others);
  const int free = graph_.make(kOr3, std::array{at_low, at_high, differ});
  return if_else(late[rest], free, fixed);
}

int Builder::late(int id, int time) {
  Net& net = nets_[index(id)];
  const auto [first, last] = windows_[index(id)];
  if (time != kBefore && time >= last) return 0;
  if (time < first) time = kBefore;
  if (net.gate == kNoGate) return late_launch(net, time);
  if (graph_.size() > max_nodes_) return 1;
  const auto known = net.late.find(time);
  if (known != net.late.end()) return known->second;
  const Gate& gate = netlist_.gates()[index(net.gate)];
  std::vector<int> values, late_pins;
  for (const Pin& pin : netlist_.pins(gate)) {
    values.push_back(settled(pin.net));
    late_pins.push_back(late_pin(pin, time));
  }
  const int result = varies(gate.truth, values, late_pins);
  net.late.emplace(time, result);
  return result;
}

}  // namespace

LateBound late_bound(const Netlist& netlist, std::span<const int> launching,
                     std::span<const int> capturing, int period_ps, int max_nodes) {
  Builder builder(netlist, launching, max_nodes);
  LateBound bound;
  for (const int r : capturing) {
    const int late = builder.late(netlist.registers()[index(r)].d, period_ps);
    bound.late = builder.graph().make_or(bound.late, late);
  }
  if (builder.graph().size() > max_nodes) bound.late = 1;
  bound.graph = std::move(builder.graph());
  return bound;
}

}  // namespace inure::timing
