#pragma once

#include <atomic>

namespace inure::app {

inline constexpr int kInterrupted = 130;  // the exit code, as shells say it of SIGINT

// From now on SIGINT, SIGTERM and SIGHUP (the terminal is gone) set the flag that this returns; a
// second one ends the program at once.
const std::atomic<bool>& stop_on_signals();

// While there is one of these, the first signal ends the program at once too, as does one that came
// before: for work that looks at no flag and has nothing to lose.
class EndOnSignals {
 public:
  EndOnSignals();
  ~EndOnSignals();
  EndOnSignals(const EndOnSignals&) = delete;
  EndOnSignals& operator=(const EndOnSignals&) = delete;
};

}  // namespace inure::app
