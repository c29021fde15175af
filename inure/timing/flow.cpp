#include "inure/timing/flow.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <system_error>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/timing/nextpnr.hpp"
#include "inure/timing/process.hpp"

namespace inure::timing {
namespace {

namespace fs = std::filesystem;

struct Step {
  std::vector<std::string> command;
  std::string log, package;
};

void check_identifier(std::string_view name, std::string_view what) {
  const auto fits = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) ||
      !std::all_of(name.begin(), name.end(), fits)) {
    fail("design: {} '{}' is not a plain Verilog identifier", what, name);
  }
}

std::vector<Step> steps_of(const Design& design, int seed) {
  check_identifier(design.top, "the top module");
  std::string script = "read_verilog design.v; ";
  for (const auto& [name, value] : design.parameters) {
    check_identifier(name, "the parameter");
    script += fmt::format("chparam -set {} {} {}; ", name, value, design.top);
  }
  script += fmt::format("synth_ice40 -top {} -json synthesis.json; stat", design.top);
  // The clock is never met, or met with ease: that is what the characterisation is about.
  return {{{"yosys", "-p", script}, "yosys.log", "yosys"},
          {{"nextpnr-ice40", "--hx8k", "--package", "ct256", "--json", "synthesis.json", "--freq",
            "100", "--seed", std::to_string(seed), "--timing-allow-fail", "--sdf", "placed.sdf",
            "--write", "placed.json", "--asc", "placed.asc", "--report", "report.json"},
           "nextpnr.log",
           "nextpnr-ice40"},
          {{"icetime", "-d", "hx8k", "-P", "ct256", "-t", "-r", "icetime.txt", "placed.asc"},
           "icetime.log",
           "fpga-icestorm and fpga-icestorm-chipdb"}};
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// The line in which the tool says what is wrong, or its last one.
std::string complaint(const fs::path& log) {
  std::istringstream lines(read_file(log));
  std::string line, last;
  while (std::getline(lines, line)) {
    if (line.find("ERROR") != std::string::npos) return line;
    if (!line.empty()) last = line;
  }
  return last;
}

void run_step(const Step& step, const fs::path& folder) {
  const int status = run_program(step.command, folder, step.log, step.package);
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

std::vector<std::string> tool_versions(const fs::path& folder) {
  const Step versions[] = {{{"yosys", "-V"}, "version-yosys", "yosys"},
                           {{"nextpnr-ice40", "--version"}, "version-nextpnr", "nextpnr-ice40"}};
  std::vector<std::string> found;
  for (const Step& step : versions) {
    run_step(step, folder);
    found.push_back(first_line(read_file(folder / step.log)));
    fs::remove(folder / step.log);
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

std::string describe(const Design& design, int seed, const std::vector<Step>& steps,
                     const std::vector<std::string>& versions) {
  std::string text = fmt::format("design {} ({}), seed {}\n", design.top,
                                 design.verilog.filename().string(), seed);
  for (const std::string& version : versions) text += version + '\n';
  for (const Step& step : steps) {
    for (const std::string& word : step.command) {
      text += word.find(' ') == std::string::npos ? word + ' ' : '"' + word + "\" ";
    }
    text.back() = '\n';
  }
  return text;
}

}  // namespace

Netlist Ice40Flow::read() const { return read_nextpnr(netlist, sdf, synthesis); }

Ice40Flow run_ice40_flow(const Design& design, int seed, const fs::path& cache) {
  const std::vector<Step> steps = steps_of(design, seed);
  const std::string source = read_file(design.verilog);
  TemporaryFolder work(cache);
  Ice40Flow flow;
  flow.tool_versions = tool_versions(work.path);
  const std::string made_by = describe(design, seed, steps, flow.tool_versions);
  flow.folder = cache / content_hash(made_by + source);
  flow.cached = fs::exists(flow.folder);
  if (!flow.cached) {
    write_file_atomically(work.path / "design.v", source);
    write_file_atomically(work.path / "made_by.txt", made_by);
    work.keep = true;  // for its logs, unless everything goes well
    for (const Step& step : steps) run_step(step, work.path);
    std::error_code error;
    fs::rename(work.path, flow.folder, error);
    if (error && !fs::exists(flow.folder)) {  // another process may have been faster
      fail("{}: cannot be renamed to {}", work.path.string(), flow.folder.string());
    }
    work.keep = false;
  }
  flow.synthesis = flow.folder / "synthesis.json";
  flow.netlist = flow.folder / "placed.json";
  flow.sdf = flow.folder / "placed.sdf";
  flow.report = flow.folder / "report.json";
  flow.critical_ps = read_nextpnr_critical_path(flow.report);
  flow.icetime_critical_ps = read_icetime(flow.folder / "icetime.txt");
  return flow;
}

std::vector<std::string> missing_ice40_tools() {
  std::vector<std::string> missing;
  for (const char* tool : {"yosys", "nextpnr-ice40", "icetime"}) {
    if (!has_program(tool)) missing.push_back(tool);
  }
  return missing;
}

}  // namespace inure::timing
