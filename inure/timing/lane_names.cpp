#include "inure/timing/lane_names.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include "inure/base/error.hpp"

namespace inure::timing {
namespace {

constexpr const char* kContract = "(the contract is in rtl/lane.v)";

std::size_t index(int i) { return static_cast<std::size_t>(i); }

class Namer {
 public:
  Namer(Netlist& netlist, const Design& design)
      : netlist_(netlist),
        design_(design),
        where_(design.name()),
        registers_(index(netlist.net_count())) {
    for (const Register& what : netlist.registers()) registers_[index(what.q)] = true;
  }

  // Names the registers; returns their number of bits.
  int name(const std::string& contract) {
    std::vector<int> nets;
    const auto own = design_.registers.find(contract);
    if (own != design_.registers.end()) {
      for (const std::string& part : own->second) add(contract, base_of(part), nets);
    } else {
      add(contract, base_of(contract), nets);
    }
    for (std::size_t bit = 0; bit < nets.size(); ++bit) {
      netlist_.set_name(fmt::format("{}[{}]", contract, bit), nets[bit]);
    }
    return static_cast<int>(nets.size());
  }

 private:
  int bit(const std::string& base, int i) const {
    return netlist_.find_net(fmt::format("{}[{}]", base, i));
  }
  bool exists(const std::string& base) const {
    return netlist_.find_net(base) >= 0 || first_bit(base) >= 0;
  }
  int first_bit(const std::string& base) const {
    constexpr int kLargestOffset = 64;
    for (int i = 0; i < kLargestOffset; ++i) {
      if (bit(base, i) >= 0) return i;
    }
    return -1;
  }

  // The full name: with the instances before it.
  std::string base_of(const std::string& name) const {
    if (!design_.prefix.empty()) return design_.prefix + "." + name;
    if (exists(name)) return name;
    std::set<std::string> found;
    const std::string end = "." + name;
    for (const auto& [full, net] : netlist_.names()) {
      const std::size_t at = full.rfind(end);
      if (at == std::string::npos) continue;
      const std::string rest = full.substr(at + end.size());
      const bool is_bit = rest.empty() || (rest.front() == '[' && rest.back() == ']' &&
                                           rest.find('.') == std::string::npos);
      if (is_bit && registers_[index(net)]) found.insert(full.substr(0, at + end.size()));
    }
    if (found.size() > 1) {
      fail(
          "{}: {} is the name of several registers: {}; say whose by --prefix INSTANCE, or all by "
          "--register {}={}",
          where_, name, fmt::join(found, ", "), name, fmt::join(found, ","));
    }
    return found.empty() ? name : *found.begin();
  }

  void add(const std::string& contract, const std::string& base, std::vector<int>& nets) const {
    const int first = first_bit(base);
    if (first < 0 && netlist_.find_net(base) < 0) {
      fail(
          "{}: no registers {}[0] ...; expected {}, kept by the synthesis, or the designer's own "
          "names, --register {}=NAME,.. {}",
          where_, base, expected(contract), contract, kContract);
    }
    std::vector<int> found;
    if (first < 0) found.push_back(netlist_.find_net(base));
    constexpr int kMostBits = 4096;
    for (int i = first; first >= 0 && i < kMostBits; ++i) {
      if (bit(base, i) >= 0) found.push_back(bit(base, i));
    }
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (registers_[index(found[i])]) continue;
      if (contract == "product") {
        fail(
            "{}: {}[{}] is not the output of a register: a fused multiply-accumulate, without "
            "registers between multiplier and accumulator, is not supported, since a profile "
            "tells the errors of both apart {}",
            where_, base, i, kContract);
      }
      fail("{}: {}[{}] is not the output of a register; expected {} {}", where_, base, i,
           expected(contract), kContract);
    }
    nets.insert(nets.end(), found.begin(), found.end());
  }

  static const char* expected(const std::string& contract) {
    return contract == "product" ? "16 bits for each product" : "8 bits for each product";
  }

  Netlist& netlist_;
  const Design& design_;
  const std::string where_;
  std::vector<bool> registers_;  // by net: it is the output of one
};

}  // namespace

int name_registers(Netlist& netlist, const Design& design) {
  for (const auto& [name, parts] : design.registers) {
    if (name == "activation" || name == "weight" || name == "product") continue;
    fail("--register {}: expected activation, weight or product", name);
  }
  Namer namer(netlist, design);
  const int activation = namer.name("activation"), weight = namer.name("weight");
  const int product = namer.name("product");
  if (activation % 8 != 0 || weight != activation || product != 2 * activation) {
    const bool short_product =
        weight == activation && product < 2 * activation && !design.registers.contains("product");
    fail(
        "{}: registers activation of {} bits, weight of {}, product of {}; expected 8, 8 and 16 "
        "for "
        "each product{} {}",
        design.name(), activation, weight, product,
        short_product ? ": a truncated multiplier, some bits of whose product are constant, is not "
                        "supported, since its product is not a * b"
                      : "",
        kContract);
  }
  return activation / 8;
}

}  // namespace inure::timing
