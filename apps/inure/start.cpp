// What must be done before all else: before main, and before the constructors of the libraries.
#include "start.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>

#include "inure/base/parallel.hpp"

namespace inure::app {
namespace {

// With less, OpenBLAS's constructor asks for its buffers again and again without an end.
constexpr rlim_t kLeastAddressSpace = rlim_t{1100} << 20;

void check_address_space() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur >= kLeastAddressSpace) return;
  constexpr char kText[] =
      "inure: error: the limit of address space (ulimit -v) is too low for the program's "
      "libraries; set at least 1126400 KiB\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kText, sizeof kText - 1);
  _exit(1);
}

// OMP_NUM_THREADS beyond kMaxThreads crashes libraries before main: it is lowered in place.
void lower_thread_count(char** environment) {
  constexpr char kName[] = "OMP_NUM_THREADS=", kMost[] = "256";
  static_assert(kMaxThreads == 256);
  for (char** entry = environment; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, kName, sizeof kName - 1) != 0) continue;
    char* value = *entry + sizeof kName - 1;
    while (*value == ' ' || *value == '\t' || *value == '+') ++value;
    std::size_t digits = 0;
    long count = 0;
    while (value[digits] >= '0' && value[digits] <= '9') {
      if (count <= kMaxThreads) count = 10 * count + (value[digits] - '0');
      ++digits;
    }
    if (count > kMaxThreads) std::memcpy(value, kMost, sizeof kMost);  // not longer than it was
  }
}

void before_libraries(int, char**, char** environment) {
  check_address_space();
  lower_thread_count(environment);
}

[[gnu::section(".preinit_array"),
  gnu::used]] void (*const kBeforeLibraries)(int, char**, char**) = before_libraries;

void ignore(int) {}

}  // namespace

void prepare_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    const int null = open("/dev/null", O_RDWR);  // the lowest free number: this one
    if (null >= 0 && null != descriptor) dup2(null, descriptor);
  }
  struct sigaction action = {};  // a handler, which programs that are started do not inherit
  action.sa_handler = ignore;
  action.sa_flags = SA_RESTART;
  sigaction(SIGPIPE, &action, nullptr);
}

}  // namespace inure::app
