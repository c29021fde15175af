#include "inure/timing/nextpnr.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "inure/base/error.hpp"
#include "inure/timing/json_netlist.hpp"
#include "inure/timing/sdf.hpp"

namespace inure::timing {
namespace {

// Those of a function's pins that it depends on.
std::vector<int> needed_pins(std::uint64_t truth, const std::vector<int>& pins) {
  std::vector<int> needed;
  for (std::size_t k = 0; k < pins.size(); ++k) {
    bool depends = false;
    for (int i = 0; i < 1 << pins.size(); ++i) {
      depends |= (truth >> i & 1) != (truth >> (i ^ 1 << k) & 1);
    }
    if (depends) needed.push_back(pins[k]);
  }
  return needed;
}

class Importer {
 public:
  Importer(const Json& module, const Sdf& sdf, std::string path)
      : module_(module), sdf_(sdf), path_(std::move(path)) {}

  Netlist import(const Json& synthesis) {
    for (const auto& [name, net] : module_.at("netnames").items()) {
      const int bit = net.at("bits").at(0).get<int>();
      if (!nets_.contains(bit)) nets_.emplace(bit, netlist_.add_net(name));
    }
    ideal_.resize(static_cast<std::size_t>(netlist_.net_count()));
    for (const auto& [name, cell] : module_.at("cells").items()) {
      if (cell.at("type") == "SB_IO") import_pad(name, cell);
    }
    for (const auto& [name, cell] : module_.at("cells").items()) {
      const std::string& type = cell.at("type").get_ref<const std::string&>();
      if (type == "ICESTORM_LC") {
        import_logic(name, cell);
      } else if (type == "SB_GB") {
        import_global(name, cell);
      } else if (type != "SB_IO") {
        fail("{}: cell {} is a {}; only logic cells have delays that can be trusted", path_, name,
             type);
      }
    }
    add_aliases(synthesis);
    netlist_.finish(path_);
    return std::move(netlist_);
  }

 private:
  int net_of(const Json& cell, const char* port) const {  // -1: not connected
    const auto& connections = cell.at("connections");
    const auto at = connections.find(port);
    if (at == connections.end() || at->empty()) return -1;
    return nets_.at(at->at(0).get<int>());
  }

  static bool flag(const Json& cell, const char* name) {
    const auto& parameters = cell.at("parameters");
    const auto at = parameters.find(name);
    return at != parameters.end() && at->get_ref<const std::string&>() == "1";
  }

  Pin pin(const std::string& name, const std::string& port, int net, Edges arc) const {
    const auto wire = sdf_.wires.find(name + "/" + port);
    if (wire == sdf_.wires.end()) {
      fail("{}: no wire delay to {}/{} in the SDF file", path_, name, port);
    }
    if (net < 0) fail("{}: {}/{} is not connected", path_, name, port);
    return {net, ideal_[static_cast<std::size_t>(net)] ? Edges{} : wire->second, arc, {}};
  }

  void import_logic(const std::string& name, const Json& cell) {
    static const Sdf::Cell none;
    const auto found = sdf_.cells.find(name);
    const Sdf::Cell& times = found == sdf_.cells.end() ? none : found->second;
    if (flag(cell, "CARRY_ENABLE") && net_of(cell, "COUT") >= 0) import_carry(name, cell, times);
    if (net_of(cell, "O") < 0) return;
    if (flag(cell, "DFF_ENABLE")) {
      check_register(name, cell);
      Register what;
      what.name = name;
      what.q = net_of(cell, "O");
      what.d = netlist_.add_net(name + "/D");
      const Sdf::Path* path = times.find_path("CLK", "O");
      if (!path) fail("{}: no delay from {}/CLK to its O in the SDF file", path_, name);
      what.clock_to_q = path->delay;
      import_lut(name, cell, times, what.d, true);
      netlist_.add_register(std::move(what));
    } else {
      import_lut(name, cell, times, net_of(cell, "O"), false);
    }
  }

  void import_lut(const std::string& name, const Json& cell, const Sdf::Cell& times, int output,
                  bool captured) {
    const auto& bits = cell.at("parameters").at("LUT_INIT").get_ref<const std::string&>();
    if (bits.size() != 16 || bits.find_first_not_of("01") != std::string::npos) {
      fail("{}: cell {}: LUT_INIT is {}; expected 16 digits of 0 or 1", path_, name, bits);
    }
    std::array<std::string, 4> ports;
    std::vector<int> places;  // of the connected pins
    for (int i = 0; i < 4; ++i) {
      ports[static_cast<std::size_t>(i)] = fmt::format("I{}", i);
      if (net_of(cell, ports[static_cast<std::size_t>(i)].c_str()) >= 0) places.push_back(i);
    }
    const auto truth_over = [&](const std::vector<int>& pins) {  // the others are 0
      std::uint64_t truth = 0;
      for (int i = 0; i < 1 << pins.size(); ++i) {
        int full = 0;
        for (std::size_t k = 0; k < pins.size(); ++k) full |= (i >> k & 1) << pins[k];
        if (bits[static_cast<std::size_t>(15 - full)] == '1') truth |= std::uint64_t{1} << i;
      }
      return truth;
    };
    // A pin that the function does not depend on has no arc: the router uses it as it likes.
    const std::vector<int> needed = needed_pins(truth_over(places), places);
    std::vector<Pin> pins;
    for (const int i : needed) {
      const std::string& port = ports[static_cast<std::size_t>(i)];
      pins.push_back(
          pin(name, port, net_of(cell, port.c_str()), lut_arc(name, port, times, captured)));
    }
    netlist_.add_gate(name, truth_over(needed), pins, output);
  }

  Edges lut_arc(const std::string& name, const std::string& port, const Sdf::Cell& times,
                bool captured) const {
    if (captured) {
      const Sdf::Setup* setup = times.find_setup(port);
      if (!setup) fail("{}: no setup time of {}/{} in the SDF file", path_, name, port);
      return setup->time;
    }
    const Sdf::Path* path = times.find_path(port, "O");
    if (!path) fail("{}: no delay from {}/{} to its O in the SDF file", path_, name, port);
    return path->delay;
  }

  void import_carry(const std::string& name, const Json& cell, const Sdf::Cell& times) {
    std::vector<Pin> pins;
    std::array<int, 3> place = {-1, -1, -1};  // of I1, I2, CIN among the pins
    const std::array<const char*, 3> ports = {"I1", "I2", "CIN"};
    const bool constant = flag(cell, "CIN_CONST");
    for (std::size_t i = 0; i < 3; ++i) {
      const int net = net_of(cell, ports[i]);
      if (net < 0 || (i == 2 && constant)) continue;
      const Sdf::Path* path = times.find_path(ports[i], "COUT");
      if (!path) {
        fail("{}: no delay from {}/{} to its COUT in the SDF file", path_, name, ports[i]);
      }
      place[i] = static_cast<int>(pins.size());
      pins.push_back(pin(name, ports[i], net, path->delay));
    }
    std::uint64_t truth = 0;
    for (int i = 0; i < 1 << pins.size(); ++i) {
      int ones = constant && flag(cell, "CIN_SET") ? 1 : 0;
      for (const int k : place) ones += k >= 0 && (i >> k & 1);
      if (ones >= 2) truth |= std::uint64_t{1} << i;
    }
    netlist_.add_gate(name + "/COUT", truth, pins, net_of(cell, "COUT"));
  }

  void check_register(const std::string& name, const Json& cell) {
    if (flag(cell, "NEG_CLK")) {
      fail("{}: register {} uses the falling clock edge; expected the rising one", path_, name);
    }
    if (net_of(cell, "SR") >= 0) {
      fail("{}: register {} has a set or reset, which timing does not model", path_, name);
    }
    if (net_of(cell, "CEN") >= 0) {
      fail("{}: register {} has a clock enable, which timing does not model", path_, name);
    }
    const int clock = net_of(cell, "CLK");
    const auto wire = sdf_.wires.find(name + "/CLK");
    if (clock < 0 || wire == sdf_.wires.end()) {
      fail("{}: register {} has no clock or no delay to it", path_, name);
    }
    if (clock_ < 0) {
      clock_ = clock;
      clock_delay_ = wire->second;
    }
    if (clock_ != clock) {
      fail("{}: register {} has another clock than the registers before; expected one clock", path_,
           name);
    }
    if (clock_delay_.rise != wire->second.rise) {
      fail("{}: register {} gets its clock after {} ps, others after {} ps; expected no skew",
           path_, name, wire->second.rise, clock_delay_.rise);
    }
  }

  void import_pad(const std::string& name, const Json& cell) {
    for (const char* port : {"INPUT_CLK", "OUTPUT_CLK", "CLOCK_ENABLE", "OUTPUT_ENABLE"}) {
      if (net_of(cell, port) >= 0) {
        fail("{}: pad {} uses {}; expected a plain input or output", path_, name, port);
      }
    }
    const std::string port = name.substr(0, name.find("$sb_io"));
    const int output = net_of(cell, "D_OUT_0");
    if (output >= 0) netlist_.add_output(port, output);
    const int net = net_of(cell, "D_IN_0");
    if (net < 0) return;
    netlist_.add_input(port, net);
    ideal_[static_cast<std::size_t>(net)] = true;
  }

  void import_global(const std::string& name, const Json& cell) {
    static constexpr const char *kFrom = "USER_SIGNAL_TO_GLOBAL_BUFFER",
                                *kTo = "GLOBAL_BUFFER_OUTPUT";
    const auto times = sdf_.cells.find(name);
    const Sdf::Path* path =
        times == sdf_.cells.end() ? nullptr : times->second.find_path(kFrom, kTo);
    if (!path) fail("{}: no delay through the global buffer {} in the SDF file", path_, name);
    const Pin from = pin(name, kFrom, net_of(cell, kFrom), path->delay);
    const int to = net_of(cell, kTo);
    if (to < 0) fail("{}: {}/{} is not connected", path_, name, kTo);
    netlist_.add_gate(name, 0b10, std::span(&from, 1), to);
  }

  // The synthesis gives a net several names; nextpnr keeps one.
  void add_aliases(const Json& synthesis) {
    std::unordered_map<int, int> net_of_bit;
    const auto each_name = [&](auto&& visit) {
      for (const auto& [name, net] : synthesis.at("netnames").items()) each_bit(name, net, visit);
    };
    std::vector<bool> driven(static_cast<std::size_t>(netlist_.net_count()));
    for (const Gate& gate : netlist_.gates()) driven[static_cast<std::size_t>(gate.output)] = true;
    for (const Register& what : netlist_.registers())
      driven[static_cast<std::size_t>(what.q)] = true;
    each_name([&](const std::string& name, int bit) {
      const int net = netlist_.find_net(name);
      if (net >= 0 && driven[static_cast<std::size_t>(net)]) net_of_bit[bit] = net;
    });
    each_name([&](const std::string& name, int bit) {
      const auto net = net_of_bit.find(bit);
      if (net != net_of_bit.end()) netlist_.add_alias(name, net->second);
    });
  }

  const Json& module_;
  const Sdf& sdf_;
  std::string path_;
  Netlist netlist_;
  std::unordered_map<int, int> nets_;  // by nextpnr's bit
  std::vector<bool> ideal_;            // by net: it comes from a pad
  int clock_ = -1;
  Edges clock_delay_;
};

}  // namespace

Netlist read_nextpnr(const std::filesystem::path& json, const std::filesystem::path& sdf,
                     const std::filesystem::path& synthesis) {
  const Sdf delays = read_sdf(sdf);
  const Json placed = parse_json(json), synthesised = parse_json(synthesis);
  try {
    return Importer(only_module(placed, json.string()), delays, json.string())
        .import(only_module(synthesised, synthesis.string()));
  } catch (const Json::exception& error) {
    fail("{}: not a netlist of nextpnr-ice40: {}", json.string(), error.what());
  } catch (const std::out_of_range&) {
    fail("{}: a connection to a net that the file does not name", json.string());
  }
}

double read_nextpnr_critical_path(const std::filesystem::path& report) {
  try {
    const Json paths = parse_json(report).at("critical_paths");
    for (const Json& path : paths) {
      const auto& from = path.at("from").get_ref<const std::string&>();
      if (from == "<async>" || from != path.at("to").get_ref<const std::string&>()) continue;
      double ns = 0;
      for (const Json& part : path.at("path")) ns += part.at("delay").get<double>();
      return ns * 1000;
    }
  } catch (const Json::exception& error) {
    fail("{}: not a report of nextpnr: {}", report.string(), error.what());
  }
  fail("{}: no path between registers on the rising edge of one clock; expected all of them there",
       report.string());
}

}  // namespace inure::timing
