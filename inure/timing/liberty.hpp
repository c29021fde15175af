#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace inure::timing {

// What a standard cell computes, from a Liberty library; its delays come from the SDF file.
struct LibertyCell {
  std::vector<std::string> inputs;               // in the library's order
  std::map<std::string, std::uint64_t> outputs;  // truth tables over the inputs: bit k is input k

  bool is_register =
      false;  // captures `data` on the rising edge of `clock` and shows it at `output`
  std::string clock, data, output;

  std::string unsupported;  // why it cannot be used: a latch, a reset, a tristate, ...
};

using LibertyCells = std::map<std::string, LibertyCell>;

// Throws Error that names the file and the line or cell.
LibertyCells read_liberty(const std::filesystem::path& path);

// The truth table of a Liberty function such as "(!((A B)+C))" over these inputs; operators are
// ! and ' for not, ^, * or & or a space for and, + or |. Throws Error.
std::uint64_t truth_of(const std::string& function, const std::vector<std::string>& inputs);

}  // namespace inure::timing
