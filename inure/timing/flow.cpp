#include "inure/timing/flow.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <initializer_list>
#include <string_view>
#include <tuple>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/fingerprint.hpp"
#include "inure/base/label.hpp"
#include "inure/timing/json_netlist.hpp"
#include "inure/timing/nextpnr.hpp"
#include "inure/timing/process.hpp"
#include "inure/timing/sdf.hpp"
#include "inure/timing/sta.hpp"
#include "inure/timing/standard_cells.hpp"
#include "inure/timing/tool_log.hpp"
#include "inure/timing/work_folder.hpp"

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
    const std::string line = complaint(folder / step.log);
    const bool system_verilog =
        line.find(".sv:") != std::string::npos && line.find("syntax error") != std::string::npos;
    fail("{}: ended with {}: {}{} (log: {})", step.command[0], status, line,
         system_verilog ? "; yosys reads a part of SystemVerilog only, rewrite it in Verilog" : "",
         (folder / step.log).string());
  }
}

std::vector<std::string> tool_versions(const std::vector<Step>& queries, const fs::path& folder) {
  std::vector<std::string> found;
  for (const Step& query : queries) {
    run_step(query, folder);
    for_each_line(folder / query.log, [&](std::string_view line) {
      found.push_back(query.package + ": " + label_of(line));
      return false;
    });
    fs::remove(folder / query.log);
  }
  return found;
}

double read_icetime(const fs::path& report) {
  const auto ns = numbers_after(report, "Total path delay:").first;
  if (!ns || !(*ns > 0 && *ns < 1e9)) fail("{}: no total path delay", report.string());
  return *ns * 1000;
}

std::string describe(const Design& design, const std::vector<Step>& steps,
                     const std::vector<std::string>& versions) {
  std::string text = fmt::format("design {} ({})\n", design.top,
                                 label_of(fs::path(design.name()).filename().string()));
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

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
  return text;
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
  WorkFolder work(cache);
  result.tool_versions = tool_versions(versions, work.path());
  const std::string made_by = describe(design, steps, result.tool_versions);
  result.folder = cache / Fingerprint().add(made_by).add(extra).add(sources.everything()).text();
  result.cached = is_whole(result.folder);
  if (result.cached) return;
  write_sources(sources, work.path());
  write_file_atomically(work.path() / "made_by.txt", made_by);
  prepare(work.path());
  try {
    for (const Step& step : steps) {
      // Before anything else: what the tools would refuse in words of their own.
      if (&step == &steps[sources.vhdl]) check_design(design, sources, work.path(), most_pins);
      run_step(step, work.path());
    }
    check(work.path());
  } catch (const Error& error) {
    const std::string before = work.path().string();
    work.keep_as_failed();
    throw Error(replaced(error.what(), before, work.path().string()));
  }
  work.keep(result.folder);
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
  const fs::path log = folder / "sta.log";
  const Numbers slacks = numbers_after(log, "worst slack");
  if (slacks.count != 2 || !fs::exists(folder / "mapped.sdf")) {
    fail("sta: {} (log: {})", complaint(log), log.string());
  }
  const auto critical = [&](double slack) {
    if (std::isfinite(slack)) return 1000 * (kSlowClockNs - slack);
    fail(
        "sta: no path between registers that the port clk clocks; expected all registers on its "
        "rising edge (log: {})",
        log.string());
  };
  return {critical(*slacks.first), critical(*slacks.last)};
}

// Throws Error where a tool ended well but wrote what no tool writes.
void check_ice40(const fs::path& folder) {
  read_icetime(folder / "icetime.txt");
  read_nextpnr_critical_path(folder / "report.json");
  read_sdf(folder / "placed.sdf");
  for (const char* file : {"placed.json", "synthesis.json"}) {
    only_module(parse_json(folder / file), (folder / file).string());
  }
}

// (Of cells that timing does not model the SDF file may say what read_sdf refuses.)
void check_osu018(const fs::path& folder) {
  read_sta(folder);
  only_module(parse_json(folder / "mapped.json"), (folder / "mapped.json").string());
  std::string last;
  for_each_line(folder / "mapped.sdf", [&](std::string_view line) {
    if (line.find_first_not_of(" \t\r") != line.npos) last = line;
    return true;
  });
  if (last.find(')') == last.npos) fail("{}: is cut off", (folder / "mapped.sdf").string());
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
      [](const fs::path&) {}, check_ice40);
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
      check_osu018);
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
