#include "inure/report/table.hpp"

#include <algorithm>
#include <cstdlib>

#include "inure/base/error.hpp"

namespace inure {
namespace {

// Columns on a terminal: the bytes that begin a character of UTF-8.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

// "12", "-0.5", "87.3 %": a number and at most a unit.
bool is_number(const std::string& text) {
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  return end != text.c_str() && (*end == '\0' || *end == ' ' || *end == '%');
}

std::string aligned(const std::string& text, std::size_t columns, bool right) {
  const std::string space(columns - width(text), ' ');
  return right ? space + text : text + space;
}

}  // namespace

void Table::add(std::vector<std::string> row) {
  if (row.size() > rows_.front().size()) {
    fail("table: a row of {} cells under a header of {}", row.size(), rows_.front().size());
  }
  row.resize(rows_.front().size());
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<std::string> lines(rows_.size());
  for (std::size_t column = 0; column < rows_.front().size(); ++column) {
    std::size_t columns = 0;
    bool right = rows_.size() > 1;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const std::string& cell = rows_[i][column];
      columns = std::max(columns, width(cell));
      if (i > 0 && !cell.empty() && !is_number(cell)) right = false;
    }
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (column > 0) lines[i] += "  ";
      lines[i] += aligned(rows_[i][column], columns, right);
    }
  }
  std::string result;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t length = width(lines[i]);
    lines[i].erase(lines[i].find_last_not_of(' ') + 1);
    result += lines[i] + "\n";
    if (i == 0) result += std::string(length, '-') + "\n";
  }
  return result;
}

}  // namespace inure
