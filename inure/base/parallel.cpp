#include "inure/base/parallel.hpp"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <latch>
#include <system_error>
#include <thread>
#include <vector>

#include "inure/base/error.hpp"

namespace inure {
namespace {

// Asked before main: whoever asks first later may be a thread that was made single for a library.
const int kDefaultThreads = std::min(omp_get_max_threads(), kMaxThreads);

// OpenMP keeps its count for each thread apart: a thread of our own (a prefetcher) would not see
// what the main thread asked for. Affects speed only, never a result.
std::atomic<int> chosen_threads{0};

// OpenMP ends the process where the system refuses it a thread: tried before, with threads of ours.
// Twice as many, because a prefetcher's thread has a pool of its own.
void check_threads_can_be_had(int count) {
  if (count <= omp_get_num_procs()) return;
  std::latch end(1);
  std::vector<std::thread> made;
  std::string refused;
  try {
    while (static_cast<int>(made.size()) < 2 * count) made.emplace_back([&] { end.wait(); });
  } catch (const std::system_error& error) {
    refused = error.code().message();
  }
  end.count_down();
  for (std::thread& thread : made) thread.join();
  if (refused.empty()) return;
  fail("threads: the system does not give {} threads: {}; ask for fewer", count, refused);
}

}  // namespace

void set_threads(int count) {
  if (count < 0) fail("threads: {} is negative; give a positive number, or 0 for all", count);
  if (count > kMaxThreads) {
    fail("threads: {} are too many; at most {} (this machine has {} processors)", count,
         kMaxThreads, omp_get_num_procs());
  }
  check_threads_can_be_had(count == 0 ? kDefaultThreads : count);
  chosen_threads = count;
  omp_set_num_threads(count == 0 ? kDefaultThreads : count);
}

int threads() {
  const int count = chosen_threads;
  return count == 0 ? kDefaultThreads : count;
}

void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  if (count <= 1 || threads() == 1 || omp_in_parallel()) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::exception_ptr error;
  std::int64_t error_at = count;
#pragma omp parallel for schedule(dynamic) num_threads(threads())
  for (std::int64_t i = 0; i < count; ++i) {
    try {
      body(i);
    } catch (...) {
#pragma omp critical(inure_parallel_for)
      if (i < error_at) {
        error = std::current_exception();
        error_at = i;
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace inure
