#include "inure/network/blas.hpp"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <omp.h>

#include <algorithm>
#include <limits>

#include "inure/base/error.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/base/parallel.hpp"

namespace inure {

SingleThreaded::SingleThreaded() {
  at::get_num_threads();  // libtorch's initialisation, which sets the count; and ours, which reads
                          // it
  threads();
  before_ = omp_get_max_threads();
  omp_set_num_threads(1);
}

SingleThreaded::~SingleThreaded() { omp_set_num_threads(before_); }

std::vector<std::string> blas_warnings() {
  if (!dlsym(RTLD_DEFAULT, "sgemm_")) return {};  // linked otherwise: nothing can be said
  const auto parallel = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_parallel"));
  if (!parallel) {
    if (dlsym(RTLD_DEFAULT, "MKL_Get_Version")) return {};
    return {"the BLAS is not OpenBLAS: layers may be 20 times slower; install libopenblas0-openmp"};
  }
  constexpr int kPthreads = 1;  // 0: sequential, 2: OpenMP
  if (parallel() == kPthreads) {
    return {
        "OpenBLAS uses threads of its own, which fight OpenMP's: slower, and results may depend on "
        "the number of threads; install libopenblas0-openmp and remove libopenblas0-pthread"};
  }
  return {};
}

void reserve_blas_buffers() {
  const std::uint64_t left = address_space_left();
  if (left == std::numeric_limits<std::uint64_t>::max()) return;  // there is no limit
  const auto take = reinterpret_cast<void* (*)(int)>(dlsym(RTLD_DEFAULT, "blas_memory_alloc"));
  const auto give = reinterpret_cast<void (*)(void*)>(dlsym(RTLD_DEFAULT, "blas_memory_free"));
  if (!take || !give) return;
  constexpr std::uint64_t kBuffer = 129 << 20, kOthers = 64 << 20;
  const auto count = static_cast<std::uint64_t>(std::min(threads(), 64));
  if (left < count * kBuffer + kOthers) {
    fail(
        "the limit of address space (ulimit -v) leaves {} MB; the BLAS needs {} MB for {} threads: "
        "raise the limit, or give fewer --threads",
        left >> 20, (count * kBuffer + kOthers) >> 20, count);
  }
  std::vector<void*> buffers;
  while (buffers.size() < count) buffers.push_back(take(0));
  for (void* buffer : buffers) give(buffer);
}

}  // namespace inure
