#include "inure/timing/liberty.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/label.hpp"
#include "inure/timing/netlist.hpp"

namespace inure::timing {
namespace {

constexpr int kMostNested = 64;  // of groups, and of a function's parentheses and negations

// name (argument, ...) { attributes and groups }
struct Group {
  std::string name, argument;  // the first argument
  std::map<std::string, std::string> attributes;
  std::vector<Group> groups;
};

class Reader {
 public:
  Reader(std::string path, std::string_view text) : path_(std::move(path)), text_(text) {}

  Group read() {
    Group file;
    read_statements(file, 0);
    return file;
  }

 private:
  [[noreturn]] void bad(std::string_view wanted) const {
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(std::min(at_, text_.size()));
    fail("{}:{}: expected {}", path_, 1 + std::count(text_.begin(), end, '\n'), wanted);
  }
  void skip_space() {
    while (at_ < text_.size()) {
      if (text_.substr(at_, 2) == "/*") {
        at_ = text_.find("*/", at_ + 2);
        if (at_ == std::string_view::npos) bad("the end of a comment");
        at_ += 2;
      } else if (std::isspace(static_cast<unsigned char>(text_[at_])) || text_[at_] == '\\') {
        ++at_;
      } else {
        return;
      }
    }
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string word() {
    skip_space();
    const std::size_t begin = at_;
    if (at_ < text_.size() && text_[at_] == '"') {
      at_ = text_.find('"', at_ + 1);
      if (at_ == std::string_view::npos) bad("the end of a string");
      return std::string(text_.substr(begin + 1, at_++ - begin - 1));
    }
    constexpr std::string_view kEnds = ":;,(){}\"";
    while (at_ < text_.size() && kEnds.find(text_[at_]) == std::string_view::npos &&
           !std::isspace(static_cast<unsigned char>(text_[at_]))) {
      ++at_;
    }
    if (at_ == begin) bad("a word");
    return std::string(text_.substr(begin, at_ - begin));
  }

  void read_statements(Group& group, int depth) {
    if (depth > kMostNested) bad("no group within so many others");
    const bool nested = depth > 0;
    while (true) {
      if (take(';')) continue;
      if (nested && take('}')) return;
      skip_space();
      if (at_ >= text_.size()) {
        if (nested) bad("'}'");
        return;
      }
      read_statement(group, depth);
    }
  }

  void read_statement(Group& group, int depth) {
    std::string name = word();
    if (take(':')) {
      group.attributes[name] = word();
      while (at_ < text_.size() && text_[at_] != ';' && text_[at_] != '\n') ++at_;
      return;
    }
    if (!take('(')) bad("':' or '(' after " + label_of(name));
    std::string first;
    for (bool any = false; !take(')');) {
      const std::string argument = word();
      if (!std::exchange(any, true)) first = argument;
      take(',');
    }
    if (!take('{')) return;  // an attribute with several values
    group.groups.push_back({std::move(name), std::move(first), {}, {}});
    // The reference stays good: only this group's own list grows meanwhile.
    read_statements(group.groups.back(), depth + 1);
  }

  std::string path_;
  std::string_view text_;
  std::size_t at_ = 0;
};

// Truth tables of all inputs' combinations at once.
class Function {
 public:
  Function(const std::string& text, const std::vector<std::string>& inputs)
      : text_(text), inputs_(inputs) {}

  std::uint64_t truth() {
    const std::uint64_t value = any_of();
    if (at_ < text_.size()) bad();
    const int rows = 1 << inputs_.size();
    return rows == 64 ? value : value & ((std::uint64_t{1} << rows) - 1);
  }

 private:
  [[noreturn]] void bad() const {
    fail("function \"{}\": not understood at {}", label_of(text_), at_ + 1);
  }
  char next() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  std::uint64_t any_of() {
    std::uint64_t value = all_of();
    for (char c = next(); c == '+' || c == '|'; c = next()) {
      ++at_;
      value |= all_of();
    }
    return value;
  }
  std::uint64_t all_of() {
    std::uint64_t value = odd_of();
    for (char c = next(); c && c != '+' && c != '|' && c != ')'; c = next()) {
      if (c == '*' || c == '&') ++at_;
      value &= odd_of();
    }
    return value;
  }
  std::uint64_t odd_of() {
    std::uint64_t value = inverted();
    while (next() == '^') {
      ++at_;
      value ^= inverted();
    }
    return value;
  }
  std::uint64_t inverted() {
    bool odd = false;
    for (; next() == '!'; ++at_) odd = !odd;
    const std::uint64_t value = plain();
    return odd ? ~value : value;
  }
  std::uint64_t plain() {
    std::uint64_t value = operand();
    while (next() == '\'') {
      ++at_;
      value = ~value;
    }
    return value;
  }
  std::uint64_t operand() {
    if (next() == '(') {
      if (++depth_ > kMostNested) bad();
      ++at_;
      const std::uint64_t value = any_of();
      if (next() != ')') bad();
      ++at_;
      --depth_;
      return value;
    }
    const std::size_t begin = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_')) {
      ++at_;
    }
    const std::string name = text_.substr(begin, at_ - begin);
    if (name.empty()) bad();
    if (name == "0") return 0;
    if (name == "1") return ~std::uint64_t{0};
    const auto input = std::find(inputs_.begin(), inputs_.end(), name);
    if (input == inputs_.end()) bad();
    const auto place = input - inputs_.begin();
    std::uint64_t value = 0;
    for (int row = 0; row < 64; ++row) value |= std::uint64_t{row >> place & 1u} << row;
    return value;
  }

  const std::string& text_;
  const std::vector<std::string>& inputs_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

const std::string* attribute(const Group& group, const std::string& name) {
  const auto at = group.attributes.find(name);
  return at == group.attributes.end() ? nullptr : &at->second;
}

void read_register(const Group& ff, LibertyCell& cell) {
  const std::string* data = attribute(ff, "next_state");
  const std::string* clock = attribute(ff, "clocked_on");
  const auto is_input = [&](const std::string* name) {
    return name && std::find(cell.inputs.begin(), cell.inputs.end(), *name) != cell.inputs.end();
  };
  if (attribute(ff, "clear") || attribute(ff, "preset")) {
    cell.unsupported = "has a set or reset";
  } else if (!is_input(clock)) {
    cell.unsupported = "does not capture on the rising clock edge";
  } else if (!is_input(data)) {
    cell.unsupported = "captures more than one plain input";
  } else {
    cell.is_register = true;
    cell.clock = *clock;
    cell.data = *data;
  }
}

LibertyCell read_cell(const Group& group) {
  LibertyCell cell;
  std::vector<std::pair<std::string, std::string>> functions;
  const Group* ff = nullptr;
  for (const Group& part : group.groups) {
    if (part.name == "latch") cell.unsupported = "is a latch";
    if (part.name == "ff") ff = &part;
    if (part.name != "pin") continue;
    if (part.argument.empty()) fail("a pin has no name");
    const std::string* direction = attribute(part, "direction");
    if (direction && *direction == "input") cell.inputs.push_back(part.argument);
    if (attribute(part, "three_state")) cell.unsupported = "has a tristate output";
    const std::string* function = attribute(part, "function");
    if (direction && *direction == "output" && function) {
      functions.emplace_back(part.argument, *function);
    }
  }
  if (ff && cell.unsupported.empty()) read_register(*ff, cell);
  if (cell.inputs.size() > Netlist::kMaxPins) cell.unsupported = "has too many inputs";
  if (!cell.unsupported.empty()) return cell;
  for (const auto& [pin, function] : functions) {
    if (!cell.is_register) {
      cell.outputs[pin] = truth_of(function, cell.inputs);
    } else if (function == ff->argument) {
      cell.output = pin;
    } else {
      cell.unsupported = "has an inverted output";
    }
  }
  return cell;
}

}  // namespace

std::uint64_t truth_of(const std::string& function, const std::vector<std::string>& inputs) {
  if (inputs.size() > Netlist::kMaxPins) {
    fail("function \"{}\": {} inputs; up to {} are supported", function, inputs.size(),
         Netlist::kMaxPins);
  }
  return Function(function, inputs).truth();
}

LibertyCells read_liberty(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  LibertyCells cells;
  for (const Group& library : Reader(path.string(), text).read().groups) {
    for (const Group& group : library.groups) {
      if (group.name != "cell") continue;
      if (group.argument.empty()) fail("{}: a cell has no name", path.string());
      try {
        cells[group.argument] = read_cell(group);
      } catch (const Error& error) {
        fail("{}: cell {}: {}", path.string(), label_of(group.argument), error.what());
      }
    }
  }
  if (cells.empty()) fail("{}: no cells; expected a Liberty library", path.string());
  return cells;
}

}  // namespace inure::timing
