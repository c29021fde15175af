#pragma once

#include <string>
#include <vector>

namespace inure {

// Lines of cells, printed in aligned columns: text to the left, numbers to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}

  // As many cells as the header has; fewer are filled up with empty ones, more throw Error.
  void add(std::vector<std::string> row);

  // The header, a rule and the rows; every line ends with a newline, none with a space.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace inure
