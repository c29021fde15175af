#pragma once

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "inure/timing/netlist.hpp"

namespace inure::timing {

// Delays in the Standard Delay Format (IEEE 1497), as nextpnr and OpenSTA write it: INTERCONNECT,
// IOPATH, SETUP and SETUPHOLD; the worst corner of each triple. Names are unescaped.
struct Sdf {
  struct Path {
    std::string from, to;
    Edges delay;  // by the edge at `to`
  };
  struct Setup {
    std::string pin;
    Edges time;  // by the edge at the pin
  };
  struct Cell {
    std::vector<Path> paths;  // where conditions or edges give several, the longest
    std::vector<Setup> setups;

    const Path* find_path(std::string_view from, std::string_view to) const;
    const Setup* find_setup(std::string_view pin) const;
  };

  std::unordered_map<std::string, Edges> wires;  // by the sink, "cell/PIN"
  std::unordered_map<std::string, Cell> cells;   // by instance
};

// Times are rounded to units of 1 / per_ps picoseconds. Throws Error that names the file and line.
Sdf read_sdf(const std::filesystem::path& path, int per_ps = 1);

}  // namespace inure::timing
