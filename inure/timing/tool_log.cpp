#include "inure/timing/tool_log.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

#include "inure/base/error.hpp"
#include "inure/base/label.hpp"

namespace inure::timing {
namespace {

constexpr std::size_t kLongestLine = 4096;

}  // namespace

void for_each_line(const std::filesystem::path& log,
                   const std::function<bool(std::string_view)>& visit) {
  std::ifstream file(log, std::ios::binary);
  if (!file) fail("{}: cannot be read: {}", log.string(), std::strerror(errno));
  std::vector<char> piece(1 << 16);
  std::string line;
  bool begun = false;
  do {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    std::string_view rest(piece.data(), static_cast<std::size_t>(file.gcount()));
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const std::string_view part = rest.substr(0, end);
      line += part.substr(0, kLongestLine - line.size());
      begun = end == std::string_view::npos;
      if (begun) break;
      rest.remove_prefix(end + 1);
      if (!visit(line)) return;
      line.clear();
    }
  } while (file);
  if (begun) visit(line);
}

std::string complaint(const std::filesystem::path& log) {
  std::string last;
  for_each_line(log, [&](std::string_view line) {
    const bool error = line.find("ERROR") != line.npos || line.starts_with("Error");
    if (!line.empty()) last = line;
    return !error;
  });
  return label_of(last);
}

Numbers numbers_after(const std::filesystem::path& log, std::string_view label) {
  Numbers numbers;
  for_each_line(log, [&](std::string_view line) {
    const std::size_t at = line.find(label);
    if (at == line.npos) return true;
    const std::string rest(line.substr(at + label.size()));
    char* end = nullptr;
    const double value = std::strtod(rest.c_str(), &end);
    if (end == rest.c_str()) return true;
    if (!numbers.first) numbers.first = value;
    numbers.last = value;
    ++numbers.count;
    return true;
  });
  return numbers;
}

}  // namespace inure::timing
