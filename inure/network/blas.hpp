#pragma once

#include <string>
#include <vector>

namespace inure {

// What is wrong with the linear algebra libraries of this process, a line each with what to
// install: the reference BLAS (20 times slower than OpenBLAS), or OpenBLAS with threads of its own
// beside OpenMP's.
std::vector<std::string> blas_warnings();

// Takes OpenBLAS's buffers, which stay. Throws Error where the limit of address space leaves no
// room for them: OpenBLAS itself would ask for them without an end.
void reserve_blas_buffers();

// While it lives, libtorch, oneDNN and OpenBLAS run single-threaded on this thread. Needed inside
// every body of parallel_for that calls them, for two reasons. libtorch sets OpenMP's count anew
// when a thread uses it first. And oneDNN plans for OpenMP's count, but gets one thread inside a
// parallel region: its weight gradients then wait for ever at a barrier for the others.
class SingleThreaded {
 public:
  SingleThreaded();
  ~SingleThreaded();
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int before_;
};

}  // namespace inure
