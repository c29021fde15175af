#include "inure/timing/characterize.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstdlib>

#include "commands.hpp"
#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/report/table.hpp"

namespace inure::app {

namespace {

namespace fs = std::filesystem;

struct Options {
  std::string technology, top = "lane", prefix, xor_arcs = "longer", cache = ".inure-cache", output;
  std::vector<std::string> designs = {"rtl/lane.v"}, includes, parameters, ties, registers, traces;
  std::vector<int> seeds = {1};
  std::vector<double> clocks;
  int target_ps = 1000;
  double effort = 1;
  bool relu = false, tables = false;
};

std::map<std::string, int> numbers_of(const char* option, const std::vector<std::string>& texts) {
  std::map<std::string, int> numbers;
  for (const std::string& text : texts) {
    const std::size_t at = text.find('=');
    int value = 0;
    if (at == std::string::npos || !CLI::detail::lexical_cast(text.substr(at + 1), value)) {
      fail("{} {}: expected NAME=NUMBER", option, text);
    }
    numbers[text.substr(0, at)] = value;
  }
  return numbers;
}

std::map<std::string, std::vector<std::string>> registers_of(const Options& options) {
  std::map<std::string, std::vector<std::string>> registers;
  for (const std::string& text : options.registers) {
    const std::size_t at = text.find('=');
    if (at == std::string::npos || text.find(' ') != std::string::npos) {
      fail("--register {}: expected NAME=REGISTER,...", text);
    }
    for (const std::string& part : CLI::detail::split(text.substr(at + 1), ',')) {
      registers[text.substr(0, at)].push_back(part);
    }
  }
  return registers;
}

timing::Characterization characterization_of(const Options& options) {
  timing::Characterization what;
  what.design.files = {options.designs.begin(), options.designs.end()};
  what.design.top = options.top;
  what.design.parameters = numbers_of("--parameter", options.parameters);
  what.design.includes = {options.includes.begin(), options.includes.end()};
  what.design.ties = numbers_of("--tie", options.ties);
  what.design.registers = registers_of(options);
  what.design.prefix = options.prefix;
  what.technology = timing::parse_technology(options.technology);
  what.seeds = options.seeds;
  what.target_ps = options.target_ps;
  what.shorter_arcs = options.xor_arcs == "shorter";
  if (what.shorter_arcs && what.technology != timing::Technology::kOsu018) {
    fail("--xor-arcs shorter: of osu018 only; hx8k's arcs have one delay each");
  }
  what.negative_activations = !options.relu;
  what.clocks = options.clocks;
  what.effort = options.effort;
  what.cache = fs::absolute(options.cache);
  for (const std::string& path : options.traces) {
    const OperandTrace& trace = what.traces.emplace_back(read_operand_trace(path));
    what.traces_from += (what.traces_from.empty() ? "" : ", ") + trace.layer;
  }
  return what;
}

// What repeats this run: without what has no effect on the result.
std::string command_of(const Options& options, const timing::Characterization& what) {
  std::string text =
      fmt::format("inure characterize --technology {} --design {} --top {}", options.technology,
                  fmt::join(options.designs, " --design "), options.top);
  const auto add = [&](const char* option, const std::vector<std::string>& values) {
    for (const std::string& value : values) text += fmt::format(" {} {}", option, value);
  };
  add("--parameter", options.parameters);
  add("-I", options.includes);
  add("--tie", options.ties);
  add("--register", options.registers);
  if (!options.prefix.empty()) text += " --prefix " + options.prefix;
  text += what.technology == timing::Technology::kHx8k
              ? fmt::format(" --seeds {}", fmt::join(options.seeds, ","))
              : fmt::format(" --target-ps {}", options.target_ps);
  if (what.shorter_arcs) text += " --xor-arcs shorter";
  if (!options.clocks.empty()) text += fmt::format(" --clocks {}", fmt::join(options.clocks, ","));
  add("--trace", options.traces);
  if (options.relu) text += " --relu";
  if (options.effort != 1) text += fmt::format(" --effort {}", options.effort);
  return text + " --output DIR";
}

void print(const timing::Circuit& circuit) {
  const auto mhz = [](double ps) { return 1e6 / ps; };
  const int own = circuit.timing.critical_ps;
  fmt::print(
      "{}: critical path {:.0f} ps ({:.1f} MHz) by the tool, {} ps ({:.1f} MHz) by ours{}{}{}\n",
      circuit.name, circuit.flow.critical_ps, mhz(circuit.flow.critical_ps), own, mhz(own),
      circuit.icetime_critical_ps > 0
          ? fmt::format(", {:.0f} ps with pads by icetime", circuit.icetime_critical_ps)
          : "",
      circuit.library_critical_ps > 0
          ? fmt::format(", {:.0f} ps by all of the library's arcs", circuit.library_critical_ps)
          : "",
      circuit.flow.cached ? " (cached)" : "");
}

std::string rate(double value) { return value > 0 ? fmt::format("{:.1e}", value) : "-"; }

// The part of the errors that were seen whose delta is exactly a power of two, plus or minus.
std::string powers_of_two(const ClockProfile& clock) {
  double powers = 0, all = 0;
  const auto add = [&](const RegisterProfile& what) {
    for (const ErrorClass& c : what.error_class()) {
      for (int i = 0; i < c.delta_size(); ++i) {
        const auto size = static_cast<std::uint64_t>(std::abs(std::int64_t{c.delta(i)}));
        if (std::has_single_bit(size)) powers += c.count(i);
        all += c.count(i);
      }
    }
  };
  for (const RegisterProfile& product : clock.product()) add(product);
  add(clock.accumulator());
  return all > 0 ? fmt::format("{:.0f} %", 100 * powers / all) : "-";
}

// Wrong captures per step by register, on the synthetic operands.
void print(const TimingProfile& profile, double slowest_ps) {
  std::vector<std::string> columns = {"f/f_STA", "MHz", "ps"};
  for (std::uint32_t i = 0; i < profile.vec_size(); ++i)
    columns.push_back(fmt::format("product {}", i));
  columns.insert(columns.end(), {"accumulator", "+-2^k"});
  Table table(columns);
  for (const ClockProfile& clock : profile.clock()) {
    std::vector<std::string> row = {fmt::format("{:.3f}", slowest_ps / clock.period_ps()),
                                    fmt::format("{:.2f}", 1e6 / clock.period_ps()),
                                    std::to_string(clock.period_ps())};
    for (const RegisterProfile& product : clock.product()) row.push_back(rate(product.rate()));
    row.push_back(rate(clock.accumulator().rate()));
    row.push_back(powers_of_two(clock));
    table.add(row);
  }
  fmt::print("{}", table.text());
}

void characterize(const Options& options) {
  const timing::Characterization what = characterization_of(options);
  std::error_code error;
  fs::create_directories(options.output, error);
  if (error) fail("{}: cannot be made: {}", options.output, error.message());
  const std::vector<timing::Circuit> circuits = timing::make_circuits(what);
  double slowest = 0;
  for (const timing::Circuit& circuit : circuits) {
    print(circuit);
    slowest = std::max<double>(slowest, circuit.timing.critical_ps);
  }
  flush_output();
  const std::vector<int> periods = timing::choose_periods(what, circuits);
  for (const timing::Circuit& circuit : circuits) {
    const TimingProfile profile =
        timing::fit_profile(what, circuit, periods, command_of(options, what));
    const fs::path file = fs::path(options.output) / (circuit.name + ".profile");
    write_timing_profile(file, profile);
    fmt::print("\n{} ({} kB): wrong captures per step\n", file.string(),
               (fs::file_size(file) + 999) / 1000);
    print(profile, slowest);
    fmt::print("{}", timing::caution(profile));
    flush_output();
    if (!options.tables) continue;
    const fs::path folder = fs::path(options.output) / (circuit.name + ".tables");
    const auto of_tables = timing::write_tables(what, circuit, periods, folder);
    fmt::print("{}: exact tables of the products at {} ps\n", folder.string(),
               fmt::join(of_tables, ", "));
  }
}

}  // namespace

void add_characterize_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "characterize", "Place a circuit and measure what its registers capture when overclocked");
  auto options = std::make_shared<Options>();
  command->add_option("--technology", options->technology, "hx8k (FPGA) or osu018 (cells)")
      ->required()
      ->type_name("NAME");
  command
      ->add_option(
          "--design", options->designs,
          "A circuit that keeps the contract of rtl/lane.v: Verilog, SystemVerilog (.sv) or "
          "VHDL (.vhd, by ghdl); repeat it for several files")
      ->capture_default_str()
      ->type_name("FILE");
  command->add_option("-I", options->includes, "A folder of files that the design includes")
      ->type_name("DIR");
  command->add_option("--top", options->top, "Its top module")
      ->capture_default_str()
      ->type_name("NAME");
  command->add_option("--parameter", options->parameters, "Of the top module, NAME=NUMBER")
      ->type_name("NAME=N");
  command
      ->add_option("--tie", options->ties,
                   "Hold an input port of the top module, PORT=NUMBER: rst=0, en=1")
      ->type_name("PORT=N");
  command
      ->add_option("--register", options->registers,
                   "The designer's names of activation, weight or product, lowest bits first: "
                   "product=p0,p1,p2,p3")
      ->type_name("NAME=R,...");
  command
      ->add_option("--prefix", options->prefix,
                   "The instance below the top module whose registers are meant; by default the "
                   "only one that has them")
      ->type_name("INSTANCE");
  command->add_option("--seeds", options->seeds, "Of the placement (hx8k): a profile for each")
      ->delimiter(',')
      ->check(kNotNegative)
      ->capture_default_str()
      ->type_name("N,...");
  command->add_option("--target-ps", options->target_ps, "What the mapping aims at (osu018)")
      ->check(kPositive)
      ->capture_default_str()
      ->type_name("PS");
  command
      ->add_option("--xor-arcs", options->xor_arcs,
                   "Which of an exclusive or's arcs counts, longer or shorter (osu018): which of "
                   "them acts depends on its other input, and the two show the spread")
      ->check(CLI::IsMember({"longer", "shorter"}))
      ->capture_default_str()
      ->type_name("WHICH");
  command
      ->add_option("--clocks", options->clocks,
                   "Relative to f_STA of the slowest seed; by default up to ten are chosen, from "
                   "the first errors to collapse")
      ->delimiter(',')
      ->type_name("F,...");
  command
      ->add_option(
          "--trace", options->traces,
          "Operands for sums and accumulators (files of inure trace), several for a mix; by "
          "default synthetic ones")
      ->type_name("FILE");
  command->add_flag("--relu", options->relu, "Activations of 0 to 127 only, as after a ReLU");
  command->add_flag("--tables", options->tables, "Also the exact tables of the products' errors");
  command->add_option("--effort", options->effort, "Factor of the number of trials")
      ->check(CLI::Range(0.001, 1000.0))
      ->capture_default_str()
      ->type_name("X");
  command->add_option("--cache", options->cache, "Where results of the tools and tables are kept")
      ->capture_default_str()
      ->type_name("DIR");
  command->add_option("--output", options->output, "Where to write the profiles")
      ->required()
      ->type_name("DIR");
  command->footer(
      "Runs yosys, nextpnr-ice40 and icetime, or yosys and OpenSTA, and simulates what the\n"
      "registers capture at clocks beyond the safe one. Writes NAME.profile for each seed, and\n"
      "with --tables the folder NAME.tables. What is in the cache is not computed again.\n\n"
      "Example:\n"
      "  inure characterize --technology hx8k --parameter PIPELINE=3 --seeds 1,2 --output "
      "profiles");
  command->callback([options] { characterize(*options); });
}

}  // namespace inure::app
