#include <map>
#include <set>

#include "inure/timing/design.hpp"
#include "inure/timing/json_netlist.hpp"

namespace inure::timing {
namespace {

// A design after yosys's proc and flatten, before any mapping.
class ElaboratedDesign {
 public:
  ElaboratedDesign(const Json& module, const Design& design)
      : module_(module), design_(design), where_(design.name()) {
    for (const auto& [name, net] : module.at("netnames").items()) {
      for (const Json& bit : net.at("bits")) {
        if (!bit.is_number() || name.starts_with('$')) continue;
        auto& known = names_[bit.get<int>()];  // the shortest: that of the outermost instance
        if (known.empty() || name.size() < known.size()) known = name;
      }
    }
  }

  void check(int most_pins) const {
    check_cells();
    check_ports(most_pins);
  }

 private:
  std::string name_of(const Json& bits) const {
    for (const Json& bit : bits) {
      const auto found = bit.is_number() ? names_.find(bit.get<int>()) : names_.end();
      if (found != names_.end()) return found->second;
    }
    return "of no name";
  }

  static bool parameter_is(const Json& cell, const char* name, char last) {
    const auto& parameters = cell.at("parameters");
    const auto at = parameters.find(name);
    return at != parameters.end() && at->is_string() && !at->get<std::string>().empty() &&
           at->get<std::string>().back() == last;
  }

  void check_cells() const {
    for (const auto& [name, cell] : module_.at("cells").items()) {
      const auto& type = cell.at("type").get_ref<const std::string&>();
      if (!type.starts_with('$')) {
        check_foreign(name, type);
      } else if (cell.at("connections").contains("Q")) {
        check_register(type, cell);
      }
    }
  }

  void check_foreign(const std::string& name, const std::string& type) const {
    if (type.find("MAC16") != std::string::npos || type.find("DSP") != std::string::npos) {
      fail(
          "{}: {} is a {}: DSP blocks have no usable delays (the tools give placeholders); write "
          "the multiplication as logic, a * b",
          where_, name, type);
    }
    if (type.find("RAM") != std::string::npos) {
      fail("{}: {} is a {}: memory blocks are not supported; expected registers and logic", where_,
           name, type);
    }
    if (!type.starts_with("SB_")) {
      fail("{}: {} is a {}, which no file of the design has; give its file too, by --design",
           where_, name, type);
    }
  }

  void check_register(const std::string& type, const Json& cell) const {
    const Json& connections = cell.at("connections");
    const std::string name = name_of(connections.at("Q"));
    if (type.starts_with("$dlatch") || type.starts_with("$adlatch") || type == "$sr") {
      fail("{}: {} is a latch; expected registers on the rising edge of clk", where_, name);
    }
    if (!connections.contains("CLK")) return;
    if (parameter_is(cell, "CLK_POLARITY", '0')) {
      fail(
          "{}: register {} is on the falling edge of {}; expected all registers on the rising "
          "edge of clk",
          where_, name, name_of(connections.at("CLK")));
    }
    for (const char* port : {"ARST", "ALOAD", "SET", "CLR"}) {
      if (!connections.contains(port)) continue;
      const std::string by = name_of(connections.at(port));
      const int inactive = parameter_is(cell, (std::string(port) + "_POLARITY").c_str(), '0');
      fail(
          "{}: register {} has an asynchronous reset in use, by {}, which timing does not model; "
          "hold it inactive, --tie {}={}",
          where_, name, by, by, inactive);
    }
    const std::string clock = name_of(connections.at("CLK"));
    if (clock != "clk") {
      fail("{}: register {} is clocked by {}; expected one clock, the port clk", where_, name,
           clock);
    }
  }

  int width(const char* name, const char* direction) const {
    const auto port = module_.at("ports").find(name);
    if (port == module_.at("ports").end() || port->at("direction") != direction) {
      fail(
          "{}: module {} has no {} port {}; a lane has clk, first, activations, weights and result "
          "(the contract is in rtl/lane.v)",
          where_, design_.top, direction, name);
    }
    return static_cast<int>(port->at("bits").size());
  }

  void check_ports(int most_pins) const {
    width("clk", "input"), width("first", "input");
    const int activations = width("activations", "input"), weights = width("weights", "input");
    if (activations % 8 != 0 || activations != weights) {
      fail("{}: activations has {} bits, weights {}; expected as many of both, 8 for each product",
           where_, activations, weights);
    }
    if (const int result = width("result", "output"); result < 32) {
      fail("{}: result has {} bits; expected an accumulator of 32", where_, result);
    }
    std::set<int> read;
    for (const auto& [name, cell] : module_.at("cells").items()) {
      for (const auto& [port, bits] : cell.at("connections").items()) {
        for (const Json& bit : bits) {
          if (bit.is_number()) read.insert(bit.get<int>());
        }
      }
    }
    static const std::set<std::string> known = {"clk", "first", "activations", "weights"};
    int pins = 0;
    for (const auto& [name, port] : module_.at("ports").items()) {
      pins += static_cast<int>(port.at("bits").size());
      if (port.at("direction") == "output" || known.contains(name)) continue;
      for (const Json& bit : port.at("bits")) {
        if (!bit.is_number() || !read.contains(bit.get<int>())) continue;
        fail(
            "{}: the input port {} is none of a lane's; hold it at a value, --tie {}=VALUE (a "
            "reset "
            "inactive, an enable active)",
            where_, name, name);
      }
    }
    if (most_pins > 0 && pins > most_pins) {
      fail("{}: its ports have {} bits; the package has {} pins: fewer products a cycle, or osu018",
           where_, pins, most_pins);
    }
  }

  const Json& module_;
  const Design& design_;
  const std::string where_;
  std::map<int, std::string> names_;  // by bit
};

}  // namespace

void check_elaborated(const std::filesystem::path& json, const Design& design, int most_pins) {
  const Json root = parse_json(json);
  try {
    ElaboratedDesign(root.at("modules").at(design.top), design).check(most_pins);
  } catch (const Json::exception& error) {
    fail("{}: not a design of yosys: {}", json.string(), error.what());
  }
}

}  // namespace inure::timing
