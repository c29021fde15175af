#include "inure/train/attach_accelerator.hpp"

#include "inure/base/error.hpp"

namespace inure {

std::string attach_accelerator(Network&, const std::filesystem::path& file) {
  fail("{}: accelerators are not available in this build; leave --accelerator away", file.string());
}

}  // namespace inure
