#pragma once

#include <cstdint>
#include <functional>

namespace inure {

// More threads crash libraries or are not had from the system.
inline constexpr int kMaxThreads = 256;

// The number of threads that parallel_for uses; by default OMP_NUM_THREADS, or all processors that
// the process may use. set_threads(0) means that default; a count that is negative,
// above kMaxThreads or more than the system gives throws Error. Also sets
// OpenMP's count for the calling thread, which libtorch and OpenBLAS follow.
void set_threads(int count);
int threads();

// Runs body(i) for every i in [0, count), in any order, on threads() threads (OpenMP's pool).
// Within the body libraries run single-threaded, unless count is 1. When bodies throw, the
// exception of the lowest i is thrown here, after the others have ended. Nested calls run in
// sequence. A result must not depend on which thread ran what.
void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body);

}  // namespace inure
