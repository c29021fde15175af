#include "inure/network/blas.hpp"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <omp.h>

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

}  // namespace inure
