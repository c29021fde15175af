#include "inure/timing/flow.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <sstream>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/timing/nextpnr.hpp"
#include "inure/timing/process.hpp"
#include "inure/timing/sta.hpp"
#include "inure/timing/standard_cells.hpp"

namespace inure::timing {
namespace {

namespace fs = std::filesystem;

struct Step {
  std::vector<std::string> command;
  std::string log, package;
  bool may_loop = false;  // then it is ended after kMostSeconds of processor time
};
constexpr int kMostSeconds = 120;

constexpr int kPins = 206;  // of the package ct256

// Resets and enables become logic before the registers are mapped: those that synthesis made of a
// product that is skipped or a sum that begins again.
std::vector<Step> ice40_steps(const Design& design, const Sources& sources, int seed) {
  const std::string script =
      yosys_reading(design, sources) +
      fmt::format(
          "synth_ice40 -top {0} -run begin:map_ffs; dffunmap; synth_ice40 -top {0} -run "
          "map_ffs: -json synthesis.json; stat",
          design.top);
  // The clock is never met, or met with ease: that is what the characterisation is about.
  return {{{"yosys", "-p", script}, "yosys.log", "yosys"},
          {{"nextpnr-ice40", "--hx8k", "--package", "ct256", "--json", "synthesis.json", "--freq",
            "100", "--seed", std::to_string(seed), "--timing-allow-fail", "--sdf", "placed.sdf",
            "--write", "placed.json", "--asc", "placed.asc", "--report", "report.json"},
           "nextpnr.log",
           "nextpnr-ice40",
           true},
          {{"icetime", "-d", "hx8k", "-P", "ct256", "-t", "-r", "icetime.txt", "placed.asc"},
           "icetime.log",
           "fpga-icestorm and fpga-icestorm-chipdb"}};
}

constexpr const char* kOsu018 = "/usr/share/qflow/tech/osu018/osu018_stdcells.lib";

// Buffers after 8 readers at most: a slow edge from a driver with many readers has negative delays
// in this library. The Verilog file is read again so that the JSON netlist has the instance names
// that OpenSTA sees.
std::vector<Step> osu018_steps(const Design& design, const Sources& sources, int target_ps) {
  const std::string abc = fmt::format(
      "+strash;ifraig;scorr;dc2;dch,-f;map,-D,{0};topo;buffer,-p,-N,8;upsize,-D,{0};dnsize,-D,{0};"
      "stime,-p",
      target_ps);
  const std::string map =
      yosys_reading(design, sources) +
      fmt::format(
          "synth -flatten -top {}; dfflibmap -liberty cells.lib; abc -liberty cells.lib "
          "-script \"{}\"; opt_clean; splitnets; stat -liberty cells.lib; write_verilog "
          "-noattr -noexpr -simple-lhs mapped.v",
          design.top, abc);
  const std::string list = fmt::format(
      "read_liberty -lib cells.lib; read_verilog mapped.v; hierarchy -top {}; opt_clean; "
      "write_json "
      "mapped.json",
      design.top);
  return {{{"yosys", "-p", map}, "yosys.log", "yosys"},
          {{"yosys", "-p", list}, "yosys-json.log", "yosys"},
          {{"sta", "-exit", "sta.tcl"}, "sta.log", "opensta"}};
}

// A clock so slow that the worst slack tells the critical path; with the library's delays, then
// with those that the SDF file holds.
constexpr int kSlowClockNs = 1000;

std::string sta_script(const Design& design) {
  return fmt::format(
      "read_liberty cells.lib\nread_verilog mapped.v\nlink_design {}\n"
      "create_clock -name clk -period {} [get_ports clk]\n"
      "report_worst_slack -digits 4\nwrite_sdf -divider / -digits 4 mapped.sdf\n"
      "read_sdf mapped.sdf\nreport_worst_slack -digits 4\n",
      design.top, kSlowClockNs);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// The line in which the tool says what is wrong, or its last one.
std::string complaint(const fs::path& log) {
  std::istringstream lines(read_file(log));
  std::string line, last;
  while (std::getline(lines, line)) {
    if (line.find("ERROR") != std::string::npos || line.rfind("Error", 0) == 0) return line;
    if (!line.empty()) last = line;
  }
  return last;
}

void run_step(const Step& step, const fs::path& folder) {
  std::vector<std::string> command = step.command;
  if (step.may_loop) {
    command.insert(command.begin(),
                   {"prlimit", fmt::format("--cpu={}:{}", kMostSeconds, kMostSeconds + 10)});
  }
  const int status = run_program(command, folder, step.log, step.package);
  if (status == 128 + SIGXCPU) {
    fail(
        "{}: ended after {} s of processor time, since the design's wires find no way: try another "
        "seed, --seeds (log: {})",
        step.command[0], kMostSeconds, (folder / step.log).string());
  }
  if (status) {
    fail("{}: ended with {}: {} (log: {})", step.command[0], status, complaint(folder / step.log),
         (folder / step.log).string());
  }
}

// 128 bits of FNV-1a. Names a folder; guards against accidents, not against attacks.
std::string content_hash(std::string_view text) {
  std::string hash;
  for (const std::uint64_t start : {0xcbf29ce484222325u, 0x84222325cbf29ce4u}) {
    std::uint64_t state = start;
    for (const char c : text) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    hash += fmt::format("{:016x}", state);
  }
  return hash;
}

class TemporaryFolder {
 public:
  explicit TemporaryFolder(const fs::path& parent) {
    std::error_code error;
    fs::create_directories(parent, error);
    std::string name = (parent / "unfinished-XXXXXX").string();
    if (error || !mkdtemp(name.data())) fail("{}: a folder cannot be made there", parent.string());
    path = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!keep) fs::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  fs::path path;
  bool keep = false;
};

std::vector<std::string> tool_versions(const std::vector<Step>& queries, const fs::path& folder) {
  std::vector<std::string> found;
  for (const Step& query : queries) {
    run_step(query, folder);
    const std::string line = first_line(read_file(folder / query.log));
    found.push_back(query.package + ": " + line);
    fs::remove(folder / query.log);
  }
  return found;
}

double read_icetime(const fs::path& report) {
  const std::string text = read_file(report);
  const std::string label = "Total path delay:";
  const std::size_t at = text.find(label);
  if (at == std::string::npos) fail("{}: no total path delay", report.string());
  return std::strtod(text.c_str() + at + label.size(), nullptr) * 1000;
}

std::string describe(const Design& design, const std::vector<Step>& steps,
                     const std::vector<std::string>& versions) {
  std::string text = fmt::format("design {} ({})\n", design.top,
                                 std::filesystem::path(design.name()).filename().string());
  for (const std::string& version : versions) text += version + '\n';
  for (const Step& step : steps) {
    for (const std::string& word : step.command) {
      text += word.find(' ') == std::string::npos ? word + ' ' : '"' + word + "\" ";
    }
    text.back() = '\n';
  }
  return text;
}

void write_sources(const Sources& sources, const fs::path& folder) {
  for (const auto* list : {&sources.files, &sources.included}) {
    for (const Sources::File& file : *list) {
      fs::create_directories((folder / file.name).parent_path());
      write_file_atomically(folder / file.name, file.text);
    }
  }
}

void check_design(const Design& design, const Sources& sources, const fs::path& folder,
                  int most_pins) {
  const std::string script = yosys_elaboration(design, sources, "elaborated.json");
  run_step({{"yosys", "-p", script}, "yosys-elaborate.log", "yosys"}, folder);
  check_elaborated(folder / "elaborated.json", design, most_pins);
}

// `prepare` adds files to the folder, `check` throws where a result is missing; `extra` is more
// that decides what comes out.
template <typename Prepare, typename Check>
void run_in_cache(const Design& design, const Sources& sources, std::vector<Step> versions,
                  std::vector<Step> steps, int most_pins, const std::string& extra,
                  const fs::path& cache, FlowResult& result, Prepare&& prepare, Check&& check) {
  if (sources.vhdl) {
    versions.insert(versions.begin(), {{"ghdl", "--version"}, "version", "ghdl"});
    steps.insert(steps.begin(), {ghdl_command(design, sources), kFromVhdl, "ghdl"});
  }
  for (const Step& step : steps) check_program(step.command[0], step.package);
  TemporaryFolder work(cache);
  result.tool_versions = tool_versions(versions, work.path);
  const std::string made_by = describe(design, steps, result.tool_versions);
  result.folder = cache / content_hash(made_by + extra + sources.everything());
  result.cached = fs::exists(result.folder);
  if (result.cached) return;
  write_sources(sources, work.path);
  write_file_atomically(work.path / "made_by.txt", made_by);
  prepare(work.path);
  work.keep = true;  // for its logs, unless everything goes well
  for (const Step& step : steps) {
    // Before anything else: what the tools would refuse in words of their own.
    if (&step == &steps[sources.vhdl]) check_design(design, sources, work.path, most_pins);
    run_step(step, work.path);
  }
  check(work.path);
  std::error_code error;
  fs::rename(work.path, result.folder, error);
  if (error && !fs::exists(result.folder)) {  // another process may have been faster
    fail("{}: cannot be renamed to {}", work.path.string(), result.folder.string());
  }
  work.keep = false;
}

const std::vector<Step>& ice40_versions() {
  static const std::vector<Step> queries = {
      {{"yosys", "-V"}, "version", "yosys"},
      {{"nextpnr-ice40", "--version"}, "version", "nextpnr-ice40"}};
  return queries;
}

const std::vector<Step>& osu018_versions() {
  static const std::vector<Step> queries = {{{"yosys", "-V"}, "version", "yosys"},
                                            {{"sta", "-version"}, "version", "opensta"}};
  return queries;
}

// The critical paths in ps, by the library's delays and by the file's. OpenSTA ends with 0 whatever
// happens: its results show whether it worked.
std::pair<double, double> read_sta(const fs::path& folder) {
  const std::string text = read_file(folder / "sta.log"), label = "worst slack";
  const std::size_t first = text.find(label), last = text.rfind(label);
  if (first == last || !fs::exists(folder / "mapped.sdf")) {
    fail("sta: {} (log: {})", complaint(folder / "sta.log"), (folder / "sta.log").string());
  }
  const auto critical = [&](std::size_t at) {
    const double slack = std::strtod(text.c_str() + at + label.size(), nullptr);
    if (std::isfinite(slack)) return 1000 * (kSlowClockNs - slack);
    fail(
        "sta: no path between registers that the port clk clocks; expected all registers on its "
        "rising edge (log: {})",
        (folder / "sta.log").string());
  };
  return {critical(first), critical(last)};
}

// What was read is what the tool timed: otherwise an arc was lost or misread.
void check_critical_path(double own_ps, const FlowResult& flow) {
  if (std::abs(own_ps - flow.critical_ps) > 0.001 * flow.critical_ps) {
    fail("{}: the netlist's critical path is {:.1f} ps, the tool's {:.1f} ps; expected the same",
         flow.folder.string(), own_ps, flow.critical_ps);
  }
}

std::vector<std::string> missing_of(std::initializer_list<const char*> tools) {
  std::vector<std::string> missing;
  for (const char* tool : tools) {
    if (!has_program(tool)) missing.push_back(tool);
  }
  return missing;
}

}  // namespace

Netlist Ice40Flow::read() const {
  Netlist read = read_nextpnr(netlist, sdf, synthesis);
  check_critical_path(analyse(read).critical_ps, *this);
  return read;
}

Netlist Osu018Flow::read() const {
  const LibertyCells cells = read_liberty(library);
  // Whole picoseconds add up to 0.1 % of a path: the check is made in tenths.
  const Netlist finer = read_standard_cells(netlist, sdf, cells, 10);
  check_critical_path(analyse(finer).critical_ps / 10.0, *this);
  return read_standard_cells(netlist, sdf, cells);
}

Ice40Flow run_ice40_flow(const Design& design, int seed, const fs::path& cache) {
  Ice40Flow flow;
  const Sources sources = read_sources(design);
  run_in_cache(
      design, sources, ice40_versions(), ice40_steps(design, sources, seed), kPins, "", cache, flow,
      [](const fs::path&) {}, [](const fs::path& folder) { read_icetime(folder / "icetime.txt"); });
  flow.synthesis = flow.folder / "synthesis.json";
  flow.netlist = flow.folder / "placed.json";
  flow.sdf = flow.folder / "placed.sdf";
  flow.report = flow.folder / "report.json";
  flow.critical_ps = read_nextpnr_critical_path(flow.report);
  flow.icetime_critical_ps = read_icetime(flow.folder / "icetime.txt");
  return flow;
}

Osu018Flow run_osu018_flow(const Design& design, int target_ps, const fs::path& cache) {
  if (!fs::exists(kOsu018)) fail("{}: not found; install the package qflow-tech-osu018", kOsu018);
  Osu018Flow flow;
  flow.library = kOsu018;
  const std::string script = sta_script(design);
  const Sources sources = read_sources(design);
  run_in_cache(
      design, sources, osu018_versions(), osu018_steps(design, sources, target_ps), 0,
      script + read_file(flow.library), cache, flow,
      [&](const fs::path& folder) {
        fs::create_symlink(flow.library, folder / "cells.lib");
        write_file_atomically(folder / "sta.tcl", script);
      },
      read_sta);
  flow.netlist = flow.folder / "mapped.json";
  flow.sdf = flow.folder / "mapped.sdf";
  std::tie(flow.library_critical_ps, flow.critical_ps) = read_sta(flow.folder);
  return flow;
}

std::vector<std::string> missing_ice40_tools() {
  return missing_of({"yosys", "nextpnr-ice40", "icetime"});
}

std::vector<std::string> missing_osu018_tools() {
  auto missing = missing_of({"yosys", "sta"});
  if (!fs::exists(kOsu018)) missing.push_back("qflow-tech-osu018");
  return missing;
}

}  // namespace inure::timing
