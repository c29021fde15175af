#include "inure/timing/step_response.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>

#include "inure/base/error.hpp"

namespace inure::timing {
namespace {

constexpr int kNoGate = -1, kUnknown = -2;
constexpr int kBefore = std::numeric_limits<int>::min();  // before anything changes

std::size_t index(int i) { return static_cast<std::size_t>(i); }

class Builder {
 public:
  Builder(const Netlist& netlist, std::span<const int> launching, std::span<const int> capturing,
          int max_nodes)
      : netlist_(netlist),
        max_nodes_(max_nodes),
        nets_(index(netlist.net_count())),
        graph_(2 * static_cast<int>(launching.size())),
        windows_(change_windows(netlist, launching)),
        launching_(static_cast<int>(launching.size())) {
    for (std::size_t i = 0; i < launching.size(); ++i) {
      const Register& what = netlist.registers()[index(launching[i])];
      Net& net = nets_[index(what.q)];
      net.gate = kNoGate;
      net.launch = static_cast<int>(i);
      net.clock_to_q = what.clock_to_q;
    }
    for (std::size_t g = 0; g < netlist.gates().size(); ++g) {
      nets_[index(netlist.gates()[g].output)].gate = static_cast<int>(g);
    }
    for (const int r : capturing) find_cone(netlist.registers()[index(r)].d);
  }

  const StepPaths& paths() const { return paths_; }
  int value(int net, int time);  // the graph's id of a net at a time
  LogicGraph take_graph() { return std::move(graph_); }

 private:
  struct Net {
    int gate = kUnknown, launch = -1;
    Edges clock_to_q;
    bool in_cone = false;
    std::vector<int> times;               // when it may change; only where it was asked for
    std::unordered_map<int, int> values;  // by time
  };

  void find_cone(int end);
  const std::vector<int>& change_times(int net);
  int over_window(int net, int from, int to, bool any);
  int launched(int net, int time);

  const Netlist& netlist_;
  const int max_nodes_;
  std::vector<Net> nets_;
  LogicGraph graph_;
  const std::vector<ChangeWindow> windows_;
  const int launching_;
  StepPaths paths_;
};

void Builder::find_cone(int end) {
  paths_.longest_ps = std::max(paths_.longest_ps, windows_[index(end)].last);
  std::vector<int> open = {end};
  while (!open.empty()) {
    Net& net = nets_[index(open.back())];
    const int id = open.back();
    open.pop_back();
    if (net.in_cone) continue;
    net.in_cone = true;
    if (net.gate == kUnknown) {
      fail("step response: {} leads to the captured registers; only the {} launching ones may",
           netlist_.net_name(id), launching_);
    }
    if (net.gate == kNoGate) continue;
    for (const Pin& pin : netlist_.pins(netlist_.gates()[index(net.gate)])) {
      open.push_back(pin.net);
      paths_.edges_differ |= pin.delay(true) != pin.delay(false);
    }
  }
}

const std::vector<int>& Builder::change_times(int id) {
  Net& net = nets_[index(id)];
  if (!net.times.empty()) return net.times;
  if (net.gate == kNoGate) {
    net.times = {net.clock_to_q.rise, net.clock_to_q.fall};
  } else {
    for (const Pin& pin : netlist_.pins(netlist_.gates()[index(net.gate)])) {
      for (const int time : change_times(pin.net)) {
        net.times.push_back(time + pin.delay(true));
        net.times.push_back(time + pin.delay(false));
      }
    }
  }
  std::sort(net.times.begin(), net.times.end());
  net.times.erase(std::unique(net.times.begin(), net.times.end()), net.times.end());
  return net.times;
}

int Builder::launched(int id, int time) {
  const Net& net = nets_[index(id)];
  const auto [first, last] = windows_[index(id)];
  const int before = graph_.input(net.launch), now = graph_.input(launching_ + net.launch);
  if (time < first) return before;
  if (time >= last) return now;
  // Between: only the faster edge has come.
  return net.clock_to_q.rise < net.clock_to_q.fall ? graph_.make_or(before, now)
                                                   : graph_.make_and(before, now);
}

int Builder::over_window(int net, int from, int to, bool any) {
  int result = value(net, from);
  const auto& times = change_times(net);
  for (auto at = std::upper_bound(times.begin(), times.end(), from); at != times.end() && *at <= to;
       ++at) {
    const int next = value(net, *at);
    result = any ? graph_.make_or(result, next) : graph_.make_and(result, next);
  }
  return result;
}

int Builder::value(int id, int time) {
  Net& net = nets_[index(id)];
  if (net.gate == kNoGate) return launched(id, time);
  const auto [first, last] = windows_[index(id)];
  if (time < first) time = kBefore;
  if (time > last) time = last;
  const auto known = net.values.find(time);
  if (known != net.values.end()) return known->second;
  const Gate& gate = netlist_.gates()[index(net.gate)];
  std::vector<int> in;
  for (const Pin& pin : netlist_.pins(gate)) {
    const int rise = pin.delay(true), fall = pin.delay(false);
    if (time == kBefore) {
      in.push_back(value(pin.net, kBefore));
    } else if (rise == fall) {
      in.push_back(value(pin.net, time - rise));
    } else {
      in.push_back(over_window(pin.net, time - std::max(rise, fall), time - std::min(rise, fall),
                               rise < fall));
    }
  }
  const int result = graph_.make(gate.truth, in);
  if (graph_.size() > max_nodes_) {
    fail("step response: more than {} nodes; give longer clock periods", max_nodes_);
  }
  net.values.emplace(time, result);
  return result;
}

void check_periods(int longest, std::span<const int> periods) {
  for (const int period : periods) {
    if (2 * static_cast<std::int64_t>(period) >= longest) continue;
    fail(
        "step response: a period of {} ps is shorter than half the longest path, {} ps: what is "
        "captured then depends on more than the previous and the current operands; give {} ps or "
        "more",
        period, longest, (longest + 1) / 2);
  }
}

}  // namespace

std::vector<ChangeWindow> change_windows(const Netlist& netlist, std::span<const int> launching) {
  std::vector<ChangeWindow> windows(index(netlist.net_count()));
  for (const int r : launching) {
    const auto& [rise, fall] = netlist.registers()[index(r)].clock_to_q;
    windows[index(netlist.registers()[index(r)].q)] = {std::min(rise, fall), std::max(rise, fall)};
  }
  for (const Gate& gate : netlist.gates()) {
    if (gate.pin_count == 0) continue;
    ChangeWindow& out = windows[index(gate.output)];
    out.first = std::numeric_limits<int>::max();
    for (const Pin& pin : netlist.pins(gate)) {
      const ChangeWindow& in = windows[index(pin.net)];
      const int rise = pin.delay(true), fall = pin.delay(false);
      out.first = std::min(out.first, in.first + std::min(rise, fall));
      out.last = std::max(out.last, in.last + std::max(rise, fall));
    }
  }
  return windows;
}

StepPaths check_step(const Netlist& netlist, std::span<const int> launching,
                     std::span<const int> capturing, std::span<const int> periods_ps) {
  const Builder builder(netlist, launching, capturing, 0);
  check_periods(builder.paths().longest_ps, periods_ps);
  return builder.paths();
}

StepResponse step_response(const Netlist& netlist, std::span<const int> launching,
                           std::span<const int> capturing, std::span<const int> periods_ps,
                           int max_nodes) {
  Builder builder(netlist, launching, capturing, max_nodes);
  StepResponse response;
  response.longest_ps = builder.paths().longest_ps;
  check_periods(response.longest_ps, periods_ps);
  const auto at_time = [&](int time) {
    std::vector<int> ids;
    for (const int r : capturing) {
      ids.push_back(builder.value(netlist.registers()[index(r)].d, time));
    }
    return ids;
  };
  response.settled = at_time(response.longest_ps);
  for (const int period : periods_ps) response.captured.push_back(at_time(period));
  response.graph = builder.take_graph();
  return response;
}

}  // namespace inure::timing
