#include "inure/timing/sdf.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"

namespace inure::timing {
namespace {

constexpr double kMostPs = 1e6;  // of one delay

std::string unescape(std::string_view name) {
  std::string plain;
  plain.reserve(name.size());
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '\\' && i + 1 < name.size()) ++i;
    plain += name[i];
  }
  return plain;
}

// A reader of nested lists, one pass over the text.
class Reader {
 public:
  Reader(std::string path, std::string_view text, int per_ps)
      : path_(std::move(path)), text_(text), per_ps_(per_ps) {}

  Sdf read() {
    open();
    expect("DELAYFILE");
    while (at_list()) {
      const std::string_view keyword = enter();
      if (keyword == "TIMESCALE") {
        read_timescale();
      } else if (keyword == "CELL") {
        read_cell();
      } else {
        skip_rest();
      }
    }
    close();
    return std::move(sdf_);
  }

 private:
  [[noreturn]] void bad(std::string_view wanted) const {
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(std::min(at_, text_.size()));
    fail("{}:{}: expected {}", path_, 1 + std::count(text_.begin(), end, '\n'), wanted);
  }
  static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool at_list() {
    skip_space();
    return at_ < text_.size() && text_[at_] == '(';
  }
  bool at_end_of_list() {
    skip_space();
    if (at_ >= text_.size()) bad("')'");
    return text_[at_] == ')';
  }
  void open() {
    if (!at_list()) bad("'('");
    ++at_;
  }
  void close() {
    if (!at_end_of_list()) bad("')'");
    ++at_;
  }
  void skip_rest() {  // to the end of the list that was entered
    for (int depth = 1; depth > 0; ++at_) {
      if (at_ >= text_.size()) bad("')'");
      if (text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == '"') {
        at_ = std::min(text_.find('"', at_ + 1), text_.size());
      } else if (text_[at_] == '(') {
        ++depth;
      } else if (text_[at_] == ')') {
        --depth;
      }
    }
  }
  std::string_view word() {  // empty at a parenthesis
    skip_space();
    const std::size_t begin = at_;
    while (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != '(' && text_[at_] != ')') {
      at_ += text_[at_] == '\\' ? 2 : 1;
    }
    at_ = std::min(at_, text_.size());
    return text_.substr(begin, at_ - begin);
  }
  std::string_view enter() {
    open();
    return word();
  }
  void expect(std::string_view keyword) {
    if (word() != keyword) bad(keyword);
  }

  void read_timescale() {
    const std::string text(
        text_.substr(at_, std::min<std::size_t>(text_.find(')', at_) - at_, 32)));
    char unit[4] = {};
    double number = 0;
    if (std::sscanf(text.c_str(), " %lf %3s", &number, unit) != 2) bad("a time such as 1ps");
    const std::string_view name(unit);
    const double ps = name == "ps" ? 1 : name == "ns" ? 1e3 : name == "us" ? 1e6 : 0;
    if (ps == 0) bad("a time in ps, ns or us");
    if (!(number > 0 && number * ps <= 1e6)) bad("a time scale above 0, up to 1us");
    scale_ = number * ps * per_ps_;
    skip_rest();
  }

  void read_cell() {
    std::string instance;
    while (at_list()) {
      const std::string_view keyword = enter();
      if (keyword == "INSTANCE") {
        instance = unescape(word());
        close();
      } else if (keyword == "DELAY") {
        read_delays(instance);
      } else if (keyword == "TIMINGCHECK") {
        read_checks(sdf_.cells[instance]);
      } else {
        skip_rest();
      }
    }
    close();
  }

  void read_delays(const std::string& instance) {
    while (at_list()) {
      if (enter() != "ABSOLUTE") bad("ABSOLUTE delays");
      while (at_list()) read_delay(instance);
      close();
    }
    close();
  }

  void read_delay(const std::string& instance) {
    const std::string_view keyword = enter();
    if (keyword == "INTERCONNECT") {
      word();
      const std::string sink = unescape(word());
      sdf_.wires[sink] = read_edges();
    } else if (keyword == "IOPATH") {
      read_path_after_keyword(instance);
    } else if (keyword == "COND") {
      while (at_ < text_.size() && text_.substr(at_, 7) != "(IOPATH") ++at_;
      read_path(instance);
    } else if (keyword == "CONDELSE") {
      read_path(instance);
    } else {
      bad("INTERCONNECT or IOPATH");
    }
    close();
  }

  void read_path(const std::string& instance) {
    if (enter() != "IOPATH") bad("IOPATH");
    read_path_after_keyword(instance);
    close();
  }

  void read_path_after_keyword(const std::string& instance) {
    const std::string from = read_port(nullptr);
    const std::string to = unescape(word());
    add_path(sdf_.cells[instance], from, to, read_edges());
  }

  static void add_path(Sdf::Cell& cell, const std::string& from, const std::string& to,
                       Edges delay) {
    for (Sdf::Path& path : cell.paths) {
      if (path.from != from || path.to != to) continue;
      path.delay.rise = std::max(path.delay.rise, delay.rise);
      path.delay.fall = std::max(path.delay.fall, delay.fall);
      return;
    }
    cell.paths.push_back({from, to, delay});
  }

  void read_checks(Sdf::Cell& cell) {
    while (at_list()) {
      const std::string_view keyword = enter();
      if (keyword != "SETUPHOLD" && keyword != "SETUP") {
        skip_rest();
        continue;
      }
      std::string_view edge;
      const std::string pin = read_port(&edge);
      read_port(nullptr);
      const int time = read_triple();
      skip_rest();
      auto at = std::find_if(cell.setups.begin(), cell.setups.end(),
                             [&](const Sdf::Setup& setup) { return setup.pin == pin; });
      if (at == cell.setups.end()) at = cell.setups.insert(at, {pin, {}});
      if (edge != "negedge") at->time.rise = time;
      if (edge != "posedge") at->time.fall = time;
    }
    close();
  }

  // A port, or (posedge port) or (negedge port).
  std::string read_port(std::string_view* edge) {
    if (!at_list()) return unescape(word());
    const std::string_view which = enter();
    if (edge) *edge = which;
    std::string port = unescape(word());
    close();
    return port;
  }

  Edges read_edges() {
    Edges edges;
    edges.rise = edges.fall = read_triple();
    if (at_list()) edges.fall = read_triple();
    while (at_list()) read_triple();  // to and from Z
    return edges;
  }

  int read_triple() {  // the last number of (min:typ:max), any of which may be left out
    open();
    skip_space();
    const std::size_t end = text_.find(')', at_);
    if (end == std::string_view::npos) bad("')'");
    double worst = 0;
    bool any = false;
    while (at_ < end) {
      double value;
      const auto read = std::from_chars(text_.data() + at_, text_.data() + end, value);
      if (read.ec == std::errc()) {
        worst = value;
        any = true;
        at_ = static_cast<std::size_t>(read.ptr - text_.data());
      } else if (text_[at_] == ':' || is_space(text_[at_])) {
        ++at_;
      } else {
        bad("a number");
      }
    }
    if (!any) bad("a delay");
    close();
    const double units = worst * scale_;
    if (!(std::abs(units) <= kMostPs * per_ps_)) bad("a delay of at most 1us");
    return static_cast<int>(std::lround(units));
  }

  std::string path_;
  std::string_view text_;
  std::size_t at_ = 0;
  int per_ps_;
  double scale_ = 1000.0 * per_ps_;  // the standard's default is 1 ns
  Sdf sdf_;
};

}  // namespace

const Sdf::Path* Sdf::Cell::find_path(std::string_view from, std::string_view to) const {
  const auto at = std::find_if(paths.begin(), paths.end(), [&](const Path& path) {
    return path.from == from && path.to == to;
  });
  return at == paths.end() ? nullptr : &*at;
}

const Sdf::Setup* Sdf::Cell::find_setup(std::string_view pin) const {
  const auto at = std::find_if(setups.begin(), setups.end(),
                               [&](const Setup& setup) { return setup.pin == pin; });
  return at == setups.end() ? nullptr : &*at;
}

Sdf read_sdf(const std::filesystem::path& path, int per_ps) {
  const std::string text = read_file(path);
  return Reader(path.string(), text, per_ps).read();
}

}  // namespace inure::timing
