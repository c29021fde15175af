#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace inure {

// One line that is rewritten in place, with speed and time left, on a terminal; silent otherwise
// (a log file gets the plain log lines of whoever works). Not thread-safe: one thread reports.
class Progress {
 public:
  // label: "converting"; unit: "images"; total 0 where it is not known.
  Progress(std::string label, std::string unit, std::int64_t total);
  ~Progress();  // clears the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::int64_t count = 1);
  void set(std::int64_t done);
  void note(std::string text);  // shown at the end of the line, e.g. "loss 0.31"
  void clear();                 // before a log line is printed

 private:
  void draw(bool force);

  std::string label_, unit_, note_;
  std::int64_t total_, done_ = 0, first_ = -1;
  bool terminal_;
  std::chrono::steady_clock::time_point start_, drawn_;
};

}  // namespace inure
