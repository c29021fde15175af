#include "inure/timing/characterize.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <system_error>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/progress.hpp"
#include "inure/timing/circuit_check.hpp"
#include "inure/timing/fit.hpp"
#include "inure/timing/lane_names.hpp"
#include "inure/timing/multiplier_step.hpp"

namespace inure::timing {
namespace {

namespace fs = std::filesystem;

// Of a profile at effort 1: changes of a multiplier's operands, cycles of the lane.
constexpr int kTransitions = 1 << 26, kCycles = 2000;
constexpr int kMostClasses = 8192;  // of a product at one clock
// The scan for clocks: a step of an FPGA's errors is narrow, cells' errors rise slowly (and take a
// hundred times as long to simulate).
struct Scan {
  int cycles, clocks;  // of the lane for each clock; between the first errors and collapse
};
constexpr Scan kScanHx8k = {100, 64}, kScanOsu018 = {150, 20};
constexpr double kFirstErrors = 1e-5, kCollapse = 0.1;
constexpr int kFewestClocks = 8, kMostClocks = 10;
constexpr int kProfileVersion = 7;  // of the fit: results of others in the cache are not taken

std::size_t index(int i) { return static_cast<std::size_t>(i); }

std::uint64_t mix(std::uint64_t state, std::uint64_t word) {
  state = (state ^ word) * 0xBF58476D1CE4E5B9u;
  return state ^ state >> 31;
}

std::string name_of(const Characterization& what) {
  const auto pipeline = what.design.parameters.find("PIPELINE");
  const bool own = what.design.top == "lane" && pipeline != what.design.parameters.end();
  return fmt::format("{}_{}", what.technology == Technology::kHx8k ? "hx8k" : "osu018",
                     own ? fmt::format("p{}", pipeline->second) : what.design.top);
}

Circuit make_circuit(const Characterization& what, int seed) {
  Circuit circuit;
  circuit.name = name_of(what);
  if (what.technology == Technology::kHx8k) {
    const Ice40Flow flow = run_ice40_flow(what.design, seed, what.cache);
    circuit.name += fmt::format("_seed{}", seed);
    circuit.corner =
        fmt::format("iCE40 HX8K, ct256, nextpnr-ice40's delays (worst corner), seed {}", seed);
    circuit.flow = flow;
    circuit.icetime_critical_ps = flow.icetime_critical_ps;
    circuit.netlist = flow.read();
  } else {
    const Osu018Flow flow = run_osu018_flow(what.design, what.target_ps, what.cache);
    circuit.corner = fmt::format(
        "osu018 cells, 0.18 um, 1.8 V, 25 C, typical, wires without delay, mapped for {} ps{}",
        what.target_ps, what.shorter_arcs ? ", exclusive ors by their shorter arcs" : "");
    circuit.flow = flow;
    circuit.library_critical_ps = flow.library_critical_ps;
    circuit.netlist = flow.read();
  }
  circuit.timing = analyse(circuit.netlist);
  if (what.shorter_arcs) circuit.netlist.take_shorter_arcs();
  circuit.vec_size = name_registers(circuit.netlist, what.design);
  check_operands(circuit, what.design);
  check_products(circuit, what.design);
  try {
    check_sums(circuit.netlist, circuit.vec_size, circuit.timing.critical_ps);
  } catch (const Error& error) {
    fail("{}: {} (the contract is in rtl/lane.v)", what.design.name(), error.what());
  }
  for (const OperandTrace& trace : what.traces) {
    if (trace.vec_size == circuit.vec_size) continue;
    fail("trace of layer {}: of {} multipliers; the lane of {} has {}", trace.layer, trace.vec_size,
         what.design.name(), circuit.vec_size);
  }
  return circuit;
}

int slowest(const std::vector<Circuit>& circuits) {
  int critical = 0;
  for (const Circuit& circuit : circuits) critical = std::max(critical, circuit.timing.critical_ps);
  return critical;
}

int period_at(int critical_ps, double clock) {
  return static_cast<int>(std::lround(critical_ps / clock));
}

Scan scan_of(const Characterization& what) {
  return what.technology == Technology::kHx8k ? kScanHx8k : kScanOsu018;
}

// The part of steps with an error at these clocks, the mean over all circuits.
std::vector<double> scan(const Characterization& what, const std::vector<Circuit>& circuits,
                         const std::vector<double>& clocks) {
  const int critical = slowest(circuits);
  const int cycles = scan_of(what).cycles;
  std::vector<double> found(clocks.size() * circuits.size());
  parallel_for(static_cast<std::int64_t>(found.size()), [&](std::int64_t task) {
    const auto i = static_cast<std::size_t>(task);
    const Circuit& circuit = circuits[i / clocks.size()];
    const int period = period_at(critical, clocks[i % clocks.size()]);
    if (period >= circuit.timing.critical_ps) return;  // none
    found[i] = fit_sums(circuit.netlist, circuit.vec_size, period, what.negative_activations,
                        cycles, {}, false)
                   .wrong_steps;
  });
  std::vector<double> rates(clocks.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    rates[i % clocks.size()] += found[i] / static_cast<double>(circuits.size());
  }
  return rates;
}

struct ClockRange {
  double low = 1, high = 1;  // without errors; where the lane has collapsed
};

ClockRange find_range(const Characterization& what, const std::vector<Circuit>& circuits) {
  constexpr double kStep = 0.04;
  Progress progress("looking for the first errors", "clocks", 0);
  ClockRange range;
  for (double clock = 1 + kStep; clock < kFastestClock; clock += 2 * kStep) {
    const auto rates = scan(what, circuits, {clock, clock + kStep});
    progress.advance(2);
    for (std::size_t i = 0; i < rates.size(); ++i) {
      range.high = clock + kStep * static_cast<double>(i);
      if (rates[i] >= kCollapse) return range;
      if (rates[i] < kFirstErrors) range.low = range.high;
    }
  }
  return range;
}

// An FPGA's errors come in steps, so that several wanted rates may have one clock: then further
// clocks in the middle of the widest gaps.
void fill_up(std::set<double>& clocks) {
  while (clocks.size() > 1 && clocks.size() < kFewestClocks) {
    auto widest = clocks.begin();
    for (auto at = widest; std::next(at) != clocks.end(); ++at) {
      if (*std::next(at) - *at > *std::next(widest) - *widest) widest = at;
    }
    clocks.insert((*widest + *std::next(widest)) / 2);
  }
}

// The clocks nearest to rates that are evenly spaced in the logarithm.
std::vector<double> evenly_spaced(const std::vector<double>& clocks,
                                  const std::vector<double>& rates) {
  const auto first =
      std::find_if(rates.begin(), rates.end(), [](double rate) { return rate >= kFirstErrors; });
  if (first == rates.end()) return {};
  const double low = std::log(*first);
  const double high = std::log(std::min(kCollapse, *std::max_element(first, rates.end())));
  std::set<double> chosen;
  for (int i = 0; i < kMostClocks; ++i) {
    const double wanted = low + (high - low) * i / (kMostClocks - 1);
    double best = std::numeric_limits<double>::max(), nearest = 0;
    for (auto rate = first; rate != rates.end(); ++rate) {
      const double distance = std::abs(std::log(std::max(*rate, 1e-9)) - wanted);
      if (distance >= best) continue;
      best = distance;
      nearest = clocks[static_cast<std::size_t>(rate - rates.begin())];
    }
    chosen.insert(nearest);
  }
  fill_up(chosen);
  return {chosen.begin(), chosen.end()};
}

std::vector<double> choose_clocks(const Characterization& what,
                                  const std::vector<Circuit>& circuits) {
  const int count = scan_of(what).clocks;
  const ClockRange range = find_range(what, circuits);
  std::vector<double> clocks;
  for (int i = 1; i <= count; ++i) {
    clocks.push_back(range.low + (range.high - range.low) * i / count);
  }
  const auto chosen = evenly_spaced(clocks, scan(what, circuits, clocks));
  if (chosen.empty()) {
    fail("{}: no errors up to {} f_STA; give --clocks", what.design.name(), kFastestClock);
  }
  return chosen;
}

std::uint64_t hash_traces(const std::vector<OperandTrace>& traces) {
  std::uint64_t state = 3;
  for (const OperandTrace& trace : traces) {
    for (const std::int8_t a : trace.activations) state = mix(state, static_cast<std::uint8_t>(a));
    for (const std::int8_t b : trace.weights) state = mix(state, static_cast<std::uint8_t>(b));
    for (const std::uint8_t first : trace.first) state = mix(state, first);
  }
  return state;
}

std::string operands_of(const Characterization& what) {
  return fmt::format(
      "products: {} synthetic changes of operands, activations {}; sums: {} cycles of some "
      "thousand sequences of {}",
      std::lround(what.effort * kTransitions),
      what.negative_activations ? "-128 to 127" : "0 to 127", std::lround(what.effort * kCycles),
      what.traces.empty()
          ? "synthetic operands, and as many of short outputs"
          : fmt::format("{} ({:016x})", what.traces_from, hash_traces(what.traces)));
}

TimingProfile header(const Characterization& what, const Circuit& circuit) {
  TimingProfile profile;
  std::string parameters;
  for (const auto& [name, value] : what.design.parameters) {
    parameters += fmt::format(" {}={}", name, value);
  }
  for (const auto& [name, value] : what.design.ties) {
    parameters += fmt::format(", {} held at {}", name, value);
  }
  profile.set_design(fs::path(what.design.name()).filename().string() + ": " + what.design.top +
                     parameters);
  profile.set_corner(circuit.corner);
  for (const std::string& version : circuit.flow.tool_versions) profile.add_made_by(version);
  profile.add_made_by(operands_of(what));
  profile.set_netlist(hash_netlist(circuit.netlist));
  profile.set_critical_ps(static_cast<std::uint32_t>(circuit.timing.critical_ps));
  profile.set_vec_size(static_cast<std::uint32_t>(circuit.vec_size));
  profile.set_negative_activations(what.negative_activations);
  return profile;
}

// By logic where that is exact, with one class for people; else by trees.
void add_products(const Characterization& what, const Circuit& circuit, TimingProfile& profile,
                  Progress& progress) {
  ProductFit fit;
  for (const ClockProfile& clock : profile.clock()) {
    fit.periods_ps.push_back(static_cast<int>(clock.period_ps()));
  }
  fit.negative_activations = what.negative_activations;
  const std::int64_t transitions = std::llround(what.effort * kTransitions);
  for (int e = 0; e < circuit.vec_size; ++e) {
    const Multiplier multiplier = lane_multiplier(circuit.netlist, circuit.vec_size, e);
    std::vector<RegisterProfile> late(fit.periods_ps.size());
    const auto logic = fit_logic(circuit.netlist, multiplier, fit.periods_ps, late);
    fit.transitions = std::max<std::int64_t>(1 << 18, logic ? transitions / 32 : transitions);
    fit.max_classes = logic ? 1 : kMostClasses;
    auto by_period = fit_products(circuit.netlist, multiplier, fit);
    for (int c = 0; c < profile.clock_size(); ++c) {
      by_period[index(c)].MergeFrom(late[index(c)]);
      *profile.mutable_clock(c)->add_product() = std::move(by_period[index(c)]);
    }
    *profile.add_product_logic() = logic.value_or(ProductLogic());
    progress.advance();
  }
}

void add_sums(const Characterization& what, const Circuit& circuit, TimingProfile& profile) {
  std::vector<LaneFit> fits(index(profile.clock_size()));
  const int cycles = std::max(50, static_cast<int>(what.effort * kCycles));
  parallel_for(profile.clock_size(), [&](std::int64_t i) {
    const int c = static_cast<int>(i);
    fits[index(c)] =
        fit_sums(circuit.netlist, circuit.vec_size, static_cast<int>(profile.clock(c).period_ps()),
                 what.negative_activations, cycles, what.traces);
  });
  for (int c = 0; c < profile.clock_size(); ++c) {
    ClockProfile& clock = *profile.mutable_clock(c);
    LaneFit& fit = fits[index(c)];
    if (fit.accumulator.error_class_size() > 0) {
      *clock.mutable_accumulator() = std::move(fit.accumulator);
    }
    for (int e = 0; e < circuit.vec_size; ++e) {
      clock.mutable_product(e)->set_rate(fit.products[index(e)]);
    }
  }
}

fs::path cached_profile(const TimingProfile& unfitted, const fs::path& cache) {
  std::uint64_t state = kProfileVersion;
  for (const char c : unfitted.SerializeAsString())
    state = mix(state, static_cast<unsigned char>(c));
  return cache / fmt::format("timing-{:016x}.profile", state);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("{}: cannot be made: {}", folder.string(), error.message());
}

}  // namespace

Technology parse_technology(const std::string& name) {
  if (name == "hx8k") return Technology::kHx8k;
  if (name == "osu018") return Technology::kOsu018;
  fail("technology \"{}\" is not known; known: hx8k, osu018", name);
}

std::uint64_t hash_netlist(const Netlist& netlist) {
  std::uint64_t state = 2;
  const auto add = [&](int word) { state = mix(state, static_cast<std::uint64_t>(word)); };
  const auto add_edges = [&](Edges edges) { add(edges.rise), add(edges.fall); };
  for (const Gate& gate : netlist.gates()) {
    state = mix(state, gate.truth);
    add(gate.output);
    for (const Pin& pin : netlist.pins(gate)) add(pin.net), add_edges(pin.wire), add_edges(pin.arc);
  }
  for (const Register& what : netlist.registers())
    add(what.d), add(what.q), add_edges(what.clock_to_q);
  return state;
}

std::vector<Circuit> make_circuits(const Characterization& what) {
  std::vector<Circuit> circuits;
  const bool fpga = what.technology == Technology::kHx8k;
  const std::vector<int> seeds = fpga ? what.seeds : std::vector{0};
  Progress progress(fpga ? "placing" : "mapping", "circuits",
                    static_cast<std::int64_t>(seeds.size()));
  for (const int seed : seeds) {
    progress.note(fpga ? fmt::format("seed {}", seed) : "");
    circuits.push_back(make_circuit(what, seed));
    progress.advance();
  }
  return circuits;
}

std::vector<int> choose_periods(const Characterization& what,
                                const std::vector<Circuit>& circuits) {
  const auto clocks = what.clocks.empty() ? choose_clocks(what, circuits) : what.clocks;
  std::set<int, std::greater<>> periods;
  for (const double clock : clocks) {
    if (!(clock >= 0.5 && clock <= kFastestClock)) {
      fail("clock {}: expected 0.5 to {}, relative to f_STA", clock, kFastestClock);
    }
    periods.insert(period_at(slowest(circuits), clock));
  }
  return {periods.begin(), periods.end()};
}

TimingProfile fit_profile(const Characterization& what, const Circuit& circuit,
                          const std::vector<int>& periods_ps, const std::string& command) {
  TimingProfile profile = header(what, circuit);
  for (const int period : periods_ps) {
    profile.add_clock()->set_period_ps(static_cast<std::uint32_t>(period));
  }
  const std::string note = note_of_passing(circuit, periods_ps);
  if (!note.empty()) profile.add_made_by(note);
  const fs::path file = cached_profile(profile, what.cache);
  std::error_code ignored;
  if (fs::exists(file, ignored)) {
    profile = read_timing_profile(file);
  } else {
    Progress progress(fmt::format("fitting {}", circuit.name), "registers", circuit.vec_size + 1);
    add_products(what, circuit, profile, progress);
    add_sums(what, circuit, profile);
    make_folder(what.cache);
    write_timing_profile(file, profile);
  }
  profile.add_made_by(command);
  return profile;
}

std::vector<int> write_tables(const Characterization& what, const Circuit& circuit,
                              const std::vector<int>& periods_ps, const fs::path& folder) {
  std::vector<int> sensible = periods_ps;
  for (int e = 0; e < circuit.vec_size; ++e) {
    const auto rates =
        sample_error_rates(circuit.netlist, lane_multiplier(circuit.netlist, circuit.vec_size, e),
                           periods_ps, what.negative_activations, 1 << 20);
    for (std::size_t i = 0; i < rates.size(); ++i) {
      if (rates[i] > kMaxTableRate) std::erase(sensible, periods_ps[i]);
    }
  }
  if (sensible.empty()) {
    fail(
        "{}: at every clock a multiplier errs in more than {} of all products: too many for a "
        "table",
        circuit.name, kMaxTableRate);
  }
  make_folder(folder);
  for (int e = 0; e < circuit.vec_size; ++e) {
    const Enumeration enumeration{
        fmt::format("{}, {}, multiplier {}", header(what, circuit).design(), circuit.corner, e),
        sensible,
        what.negative_activations,
        {}};
    const auto made =
        enumerate_products(circuit.netlist, lane_multiplier(circuit.netlist, circuit.vec_size, e),
                           enumeration, what.cache);
    std::error_code error;
    const fs::path file = folder / fmt::format("product_{}.table", e),
                   half = file.string() + ".part";
    fs::copy_file(made.file, half, fs::copy_options::overwrite_existing, error);
    if (!error) fs::rename(half, file, error);
    if (error) fail("{}: cannot be written: {}", file.string(), error.message());
  }
  return sensible;
}

}  // namespace inure::timing
