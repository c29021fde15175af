#include "inure/timing/circuit_check.hpp"

#include <algorithm>

#include "inure/base/error.hpp"
#include "inure/timing/multiplier_stages.hpp"
#include "inure/timing/multiplier_step.hpp"

namespace inure::timing {
namespace {

constexpr const char* kNote = "note: ";  // before lines of made_by that people should see

std::size_t index(int i) { return static_cast<std::size_t>(i); }

}  // namespace

void check_products(const Circuit& circuit, const Design& design) {
  for (int e = 0; e < circuit.vec_size; ++e) {
    try {
      MultiplierStep(circuit.netlist, lane_multiplier(circuit.netlist, circuit.vec_size, e), {});
    } catch (const Error& error) {
      fail("{}: product {}: {} (the contract is in rtl/lane.v)", design.name(), e, error.what());
    }
  }
}

// What the operands' registers capture counts as right, so what leads to them must be fast.
void check_operands(const Circuit& circuit, const Design& design) {
  std::vector<int> operands;
  for (const char* name : {"activation", "weight"}) {
    const auto more = circuit.netlist.find_registers(name, 8 * circuit.vec_size);
    operands.insert(operands.end(), more.begin(), more.end());
  }
  std::vector<int> all = registers_before(circuit.netlist, operands);
  all.insert(all.end(), operands.begin(), operands.end());
  for (const int r : all) {
    const int arrival = circuit.timing.arrival_ps[index(r)];
    if (arrival * kFastestClock < circuit.timing.critical_ps) continue;
    fail(
        "{}: register {}, up to the operands, has a path of {} ps of the lane's {}, so that it may "
        "err, which no profile tells; expected operands that come from ports or fast registers {}",
        design.name(), circuit.netlist.net_name(circuit.netlist.registers()[index(r)].q), arrival,
        circuit.timing.critical_ps, "(the contract is in rtl/lane.v)");
  }
}

std::string note_of_passing(const Circuit& circuit, const std::vector<int>& periods_ps) {
  const auto result = circuit.netlist.find_output_registers("result", 32);
  int longest = 0;
  for (const int r : passing_registers(circuit.netlist, result)) {
    longest = std::max(longest, circuit.timing.arrival_ps[index(r)]);
  }
  if (std::all_of(periods_ps.begin(), periods_ps.end(), [&](int p) { return p >= longest; })) {
    return "";
  }
  return fmt::format(
      "{}from {:.4f} f_STA on, registers behind the sums err too; their errors last "
      "one step, so that they matter in an output's last step only, and are not in "
      "this profile",
      kNote, static_cast<double>(circuit.timing.critical_ps) / longest);
}

std::string caution(const TimingProfile& profile) {
  std::string text;
  for (const std::string& line : profile.made_by()) {
    if (line.starts_with(kNote)) text += line + '\n';
  }
  if (!profile.corner().starts_with("osu018")) return text;
  return text +
         "osu018: these figures hold for operands like a network's. On uniform signed operands 1.7 "
         "times too many\nwrong products are foreseen at 1.19 f_STA, on extreme ones half of the "
         "wrong sums; and which single event errs\ndepends on how exclusive ors' arcs are taken (a "
         "third of the events at 1.19; characterize --xor-arcs shorter\nshows the spread).\n";
}

}  // namespace inure::timing
