#include "inure/timing/standard_cells.hpp"

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "inure/timing/json_netlist.hpp"
#include "inure/timing/sdf.hpp"

namespace inure::timing {
namespace {

class Importer {
 public:
  Importer(const Json& module, const LibertyCells& library, std::string path)
      : module_(module), library_(library), path_(std::move(path)) {}

  Netlist import(const std::filesystem::path& sdf, int per_ps) {
    // First: of a cell that timing does not model the SDF file may say what read_sdf refuses.
    for (const auto& [name, cell] : module_.at("cells").items()) library_cell(name, cell);
    sdf_ = read_sdf(sdf, per_ps);
    for (const auto& [name, net] : module_.at("netnames").items()) {
      each_bit(name, net, [&](const std::string& bit_name, int bit) {
        const auto known = nets_.find(bit);
        if (known == nets_.end()) {
          nets_[bit] = netlist_.add_net(bit_name);
        } else {
          netlist_.add_alias(bit_name, known->second);
        }
      });
    }
    for (const auto& [name, port] : module_.at("ports").items()) {
      const bool output = port.at("direction") == "output";
      if (!output && port.at("direction") != "input") continue;
      each_bit(name, port, [&](const std::string& bit_name, int bit) {
        if (output) return netlist_.add_output(bit_name, nets_.at(bit));
        netlist_.add_input(bit_name, nets_.at(bit));
        ideal_.insert(nets_.at(bit));
      });
    }
    for (const auto& [name, cell] : module_.at("cells").items()) import_cell(name, cell);
    netlist_.finish(path_);
    return std::move(netlist_);
  }

 private:
  const LibertyCell& library_cell(const std::string& name, const Json& cell) const {
    const auto& type = cell.at("type").get_ref<const std::string&>();
    const auto known = library_.find(type);
    if (known == library_.end()) {
      fail("{}: cell {} is a {}, which the library does not have", path_, name, type);
    }
    const LibertyCell& what = known->second;
    if (!what.unsupported.empty()) {
      fail("{}: cell {} is a {}, which {}: timing does not model it", path_, name, type,
           what.unsupported);
    }
    return what;
  }

  void import_cell(const std::string& name, const Json& cell) {
    const LibertyCell& what = library_cell(name, cell);
    const auto times = sdf_.cells.find(name);
    if (times == sdf_.cells.end()) fail("{}: no delays of cell {} in the SDF file", path_, name);
    if (what.is_register) {
      import_register(name, cell, what, times->second);
    } else {
      for (const auto& [pin, truth] : what.outputs) {
        if (!is_connected(cell, pin)) continue;
        import_gate(what.outputs.size() == 1 ? name : name + "/" + pin, name, cell, what, pin,
                    truth, times->second);
      }
    }
  }

  void import_gate(const std::string& gate, const std::string& name, const Json& cell,
                   const LibertyCell& what, const std::string& output, std::uint64_t truth,
                   const Sdf::Cell& times) {
    std::vector<Pin> pins;
    for (const std::string& input : what.inputs) {
      const Sdf::Path* path = times.find_path(input, output);
      if (!path) {
        fail("{}: no delay from {}/{} to its {} in the SDF file", path_, name, input, output);
      }
      pins.push_back(pin(name, cell, input, path->delay));
    }
    netlist_.add_gate(gate, truth, pins, net_of(name, cell, output));
  }

  void import_register(const std::string& name, const Json& cell, const LibertyCell& what,
                       const Sdf::Cell& times) {
    if (!is_connected(cell, what.output)) return;
    const int clock = net_of(name, cell, what.clock);
    if (clock_ < 0) clock_ = clock;
    if (clock != clock_ || !ideal_.contains(clock)) {
      fail("{}: register {} is clocked by {}; expected one clock, an input port, without gates",
           path_, name, netlist_.net_name(clock));
    }
    const Sdf::Path* path = times.find_path(what.clock, what.output);
    const Sdf::Setup* setup = times.find_setup(what.data);
    if (!path || !setup) {
      fail("{}: no {} of register {} in the SDF file", path_,
           path ? "setup time" : "clock-to-output delay", name);
    }
    const int d = netlist_.add_net(name + "/" + what.data);
    const Pin data = pin(name, cell, what.data, setup->time);
    netlist_.add_gate(name + "/" + what.data, 0b10, std::span(&data, 1), d);
    netlist_.add_register({name, d, net_of(name, cell, what.output), path->delay});
  }

  static bool is_connected(const Json& cell, const std::string& port) {
    const auto& connections = cell.at("connections");
    const auto at = connections.find(port);
    return at != connections.end() && !at->empty();
  }

  int net_of(const std::string& name, const Json& cell, const std::string& port) {
    if (!is_connected(cell, port)) fail("{}: {}/{} is not connected", path_, name, port);
    const Json& bit = cell.at("connections").at(port).at(0);
    if (bit.is_number()) return nets_.at(bit.get<int>());
    const auto& constant = bit.get_ref<const std::string&>();
    if (constant != "0" && constant != "1") {
      fail("{}: {}/{} is undefined ({})", path_, name, port, constant);
    }
    int& net = constants_[constant == "1"];
    if (net < 0) {
      net = netlist_.add_net("constant " + constant);
      ideal_.insert(net);
      netlist_.add_gate("constant " + constant, constant == "1", {}, net);
    }
    return net;
  }

  Pin pin(const std::string& name, const Json& cell, const std::string& port, Edges arc) {
    const int net = net_of(name, cell, port);
    if (ideal_.contains(net)) return {net, {}, arc, {}};
    const auto wire = sdf_.wires.find(name + "/" + port);
    if (wire == sdf_.wires.end()) {
      fail("{}: no wire delay to {}/{} in the SDF file", path_, name, port);
    }
    return {net, wire->second, arc, {}};
  }

  const Json& module_;
  Sdf sdf_;
  const LibertyCells& library_;
  std::string path_;
  Netlist netlist_;
  std::unordered_map<int, int> nets_;  // by yosys's bit
  std::unordered_set<int> ideal_;      // input ports and constants: no wire delay
  int constants_[2] = {-1, -1};
  int clock_ = -1;
};

}  // namespace

Netlist read_standard_cells(const std::filesystem::path& json, const std::filesystem::path& sdf,
                            const LibertyCells& library, int per_ps) {
  const Json mapped = parse_json(json);
  try {
    return Importer(only_module(mapped, json.string()), library, json.string()).import(sdf, per_ps);
  } catch (const Json::exception& error) {
    fail("{}: not a netlist of yosys: {}", json.string(), error.what());
  } catch (const std::out_of_range&) {
    fail("{}: a connection to a net that the file does not name", json.string());
  }
}

}  // namespace inure::timing
