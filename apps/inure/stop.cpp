#include "stop.hpp"

#include <signal.h>
#include <unistd.h>

namespace inure::app {
namespace {

// Signals know no context: the flag that the handler sets is the program's one global.
std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void request_stop(int) {
  if (stop_requested.exchange(true)) _exit(kInterrupted);
}

}  // namespace

const std::atomic<bool>& stop_on_signals() {
  struct sigaction action = {};
  action.sa_handler = request_stop;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return stop_requested;
}

}  // namespace inure::app
