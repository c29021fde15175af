#include "inure/timing/sta.hpp"

#include <algorithm>
#include <array>

#include "inure/base/error.hpp"

namespace inure::timing {
namespace {

constexpr int kNever = -1;
constexpr int kLongest = 1'000'000'000;  // of a path: one delay more fits an int

std::size_t index(int i) { return static_cast<std::size_t>(i); }

struct Arrival {
  std::array<int, 2> at = {kNever, kNever};  // by edge: falling, rising
  std::array<int, 2> from_net = {-1, -1};    // the net before on the longest path
  std::array<int, 2> from_edge = {0, 0};
  int later() const { return at[1] >= at[0] ? 1 : 0; }
};

int by_edge(Edges edges, int edge) { return edge ? edges.rise : edges.fall; }

void pass(const Pin& pin, const Arrival& in, Arrival& out) {
  for (int edge = 0; edge < 2; ++edge) {
    if (in.at[index(edge)] == kNever) continue;
    for (int to = 0; to < 2; ++to) {
      if (pin.sense == Sense::kPositive && to != edge) continue;
      if (pin.sense == Sense::kNegative && to == edge) continue;
      const int at = in.at[index(edge)] + by_edge(pin.wire, edge) + by_edge(pin.arc, to);
      if (at > kLongest) fail("a path of more than {} ps; expected shorter delays", kLongest);
      if (at <= out.at[index(to)]) continue;
      out.at[index(to)] = at;
      out.from_net[index(to)] = pin.net;
      out.from_edge[index(to)] = edge;
    }
  }
}

}  // namespace

StaticTiming analyse(const Netlist& netlist) {
  std::vector<Arrival> arrivals(index(netlist.net_count()));
  for (const Register& what : netlist.registers()) {
    arrivals[index(what.q)].at = {what.clock_to_q.fall, what.clock_to_q.rise};
  }
  for (const Gate& gate : netlist.gates()) {
    for (const Pin& pin : netlist.pins(gate)) {
      pass(pin, arrivals[index(pin.net)], arrivals[index(gate.output)]);
    }
  }
  StaticTiming timing;
  for (std::size_t r = 0; r < netlist.registers().size(); ++r) {
    const Arrival& arrival = arrivals[index(netlist.registers()[r].d)];
    const int at = arrival.at[index(arrival.later())];
    timing.arrival_ps.push_back(at);
    if (at > timing.critical_ps) {
      timing.critical_ps = at;
      timing.critical_register = static_cast<int>(r);
    }
  }
  if (timing.critical_register < 0) return timing;
  int net = netlist.registers()[index(timing.critical_register)].d;
  int edge = arrivals[index(net)].later();
  while (net >= 0) {
    timing.path.push_back(net);
    const Arrival& arrival = arrivals[index(net)];
    net = arrival.from_net[index(edge)];
    edge = arrival.from_edge[index(edge)];
  }
  std::reverse(timing.path.begin(), timing.path.end());
  return timing;
}

int longest_arrival(const StaticTiming& timing, const std::vector<int>& registers) {
  int longest = kNever;
  for (const int r : registers) longest = std::max(longest, timing.arrival_ps[index(r)]);
  return longest;
}

}  // namespace inure::timing
