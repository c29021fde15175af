#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace inure::timing {

// A circuit as its author wrote it. The port contract of a lane is in rtl/lane.v.
struct Design {
  std::vector<std::filesystem::path> files;  // Verilog, SystemVerilog (.sv), or all VHDL (.vhd)
  std::string top;
  std::map<std::string, int> parameters;        // of the top module
  std::vector<std::filesystem::path> includes;  // folders of what the files include
  std::map<std::string, int> ties;              // input ports of the top module that are held
  // The designer's names of what the contract calls activation, weight and product: registers,
  // the lowest bits first.
  std::map<std::string, std::vector<std::string>> registers;
  std::string prefix;  // of the instance whose registers have the contract's names

  std::string name() const;  // of the files, for messages
};

// What a design is made of, by the names in the folder in which the tools run.
struct Sources {
  struct File {
    std::string name, text;
    std::filesystem::path path;
  };
  std::vector<File> files;     // in the order in which they are read
  std::vector<File> included;  // by `include or $readmem, found as a compiler would find them
  bool vhdl = false;

  std::string everything() const;  // decides what comes out
};

// Throws Error where a file cannot be read, a name is none, VHDL is mixed with Verilog.
Sources read_sources(const Design& design);

// yosys's commands that read the design, with its parameters and ties.
std::string yosys_reading(const Design& design, const Sources& sources);

// For VHDL: ghdl's command, whose output is the Verilog file that yosys_reading reads.
inline constexpr const char* kFromVhdl = "from_vhdl.v";
std::vector<std::string> ghdl_command(const Design& design, const Sources& sources);

// yosys's commands that write the design as it is before synthesis. check_elaborated throws Error
// where timing does not know something's delays, the ports are not the contract's or (most_pins >
// 0) there are too many, with the author's names.
std::string yosys_elaboration(const Design& design, const Sources& sources,
                              const std::string& json);
void check_elaborated(const std::filesystem::path& json, const Design& design, int most_pins);

}  // namespace inure::timing
