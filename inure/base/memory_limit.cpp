#include "inure/base/memory_limit.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

#include "inure/base/error.hpp"

namespace inure {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// The number of kilobytes behind a name, in bytes: "MemAvailable:   1234 kB".
std::uint64_t kilobytes_of(const char* file, const std::string& name) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(name, 0) != 0) continue;
    std::istringstream rest(line.substr(name.size()));
    std::uint64_t kilobytes = 0;
    if (rest >> kilobytes) return kilobytes * 1024;
  }
  return kNoLimit;
}

// A file that holds one number; "max" is none.
std::uint64_t number_in(const char* file) {
  std::uint64_t number = 0;
  std::ifstream stream(file);
  return stream >> number ? number : kNoLimit;
}

std::uint64_t left_of(std::uint64_t limit, std::uint64_t used) {
  if (limit == kNoLimit || used == kNoLimit) return kNoLimit;
  return limit > used ? limit - used : 0;
}

// What caches hold of a group's memory is given back when it is needed.
std::uint64_t group_memory(const char* limit, const char* used, const char* statistics,
                           const std::string& cache) {
  const std::uint64_t all = number_in(limit);
  if (all == kNoLimit) return kNoLimit;
  std::uint64_t cached = 0;
  std::ifstream lines(statistics);
  std::string name;
  for (std::uint64_t value = 0; lines >> name >> value;) {
    if (name == cache) cached = value;
  }
  const std::uint64_t taken = number_in(used);
  return left_of(all, taken == kNoLimit ? kNoLimit : taken - std::min(taken, cached));
}

}  // namespace

std::uint64_t address_space_left() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kNoLimit;
  return left_of(limit.rlim_cur, kilobytes_of("/proc/self/status", "VmSize:"));
}

std::uint64_t available_memory() {
  return std::min({kilobytes_of("/proc/meminfo", "MemAvailable:"),
                   group_memory("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current",
                                "/sys/fs/cgroup/memory.stat", "file"),
                   group_memory("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                                "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                                "/sys/fs/cgroup/memory/memory.stat", "total_cache"),
                   address_space_left()});
}

void check_memory(std::uint64_t bytes, const std::function<std::string()>& who) {
  constexpr std::uint64_t kAlwaysThere = 16 << 20;
  if (bytes <= kAlwaysThere) return;
  const std::uint64_t there = available_memory();
  if (bytes <= there) return;
  constexpr double kGigabyte = 1e9;
  const std::string asked =
      bytes == kNoLimit ? "more than 1e10 GB" : fmt::format("{:.3g} GB", bytes / kGigabyte);
  fail("{}: needs {} of memory; {:.3g} GB are free", who(), asked, there / kGigabyte);
}

}  // namespace inure
