#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace inure::timing {

// Visits the lines of a tool's log until `visit` returns false. A log may be of any length: no more
// than a piece of it is held, and of a line the first 4096 bytes. Throws Error where there is none.
void for_each_line(const std::filesystem::path& log,
                   const std::function<bool(std::string_view)>& visit);

// The line in which the tool says what is wrong, or its last one, as a label.
std::string complaint(const std::filesystem::path& log);

// The number after the first and after the last `label` in the log, each nothing where there is
// none.
struct Numbers {
  std::optional<double> first, last;
  int count = 0;  // of lines with the label and a number
};
Numbers numbers_after(const std::filesystem::path& log, std::string_view label);

}  // namespace inure::timing
