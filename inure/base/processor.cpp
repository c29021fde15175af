#include "inure/base/processor.hpp"

#include <cstdlib>
#include <string_view>

namespace inure {

bool vector_kernels_allowed() {
  const char* const plain = std::getenv("INURE_PLAIN");
  return plain == nullptr || std::string_view(plain) != "1";
}

}  // namespace inure
