#pragma once

#include <atomic>

namespace inure::app {

inline constexpr int kInterrupted = 130;  // the exit code, as shells say it of SIGINT

// From now on SIGINT and SIGTERM set the flag that this returns; a second one ends the program at
// once.
const std::atomic<bool>& stop_on_signals();

}  // namespace inure::app
