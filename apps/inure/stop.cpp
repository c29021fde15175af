#include "stop.hpp"

#include <signal.h>
#include <unistd.h>

namespace inure::app {
namespace {

// Signals know no context: what the handler reads and sets are the program's only globals.
std::atomic<bool> stop_requested = false, end_at_once = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void end_now() {
  constexpr char kText[] = "\nInterrupted; what is done is kept. To go on: the same command\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kText, sizeof kText - 1);
  _exit(kInterrupted);
}

void request_stop(int) {
  if (stop_requested.exchange(true)) _exit(kInterrupted);
  if (end_at_once) end_now();
}

}  // namespace

const std::atomic<bool>& stop_on_signals() {
  struct sigaction action = {};
  action.sa_handler = request_stop;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction before = {};  // nohup has it ignored, and it stays so
  sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
  return stop_requested;
}

EndOnSignals::EndOnSignals() {
  end_at_once = true;
  if (stop_requested) end_now();
}

EndOnSignals::~EndOnSignals() { end_at_once = false; }

}  // namespace inure::app
