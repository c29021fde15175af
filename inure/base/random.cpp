#include "inure/base/random.hpp"

#include <cmath>
#include <numbers>

namespace inure {

std::uint32_t RandomStream::next() {
  if (used_ == 4) {
    block_ = philox(counter_, key_);
    ++counter_[3];
    used_ = 0;
  }
  return block_[static_cast<std::size_t>(used_++)];
}

double RandomStream::gaussian() {
  // The second number of the pair is dropped: a stream then holds no state besides its position.
  const double radius = std::sqrt(-2.0 * std::log(uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::uint32_t RandomStream::below(std::uint32_t bound) {
  // Lemire, "Fast random integer generation in an interval" (2019): the words that would favour the
  // low numbers are drawn again.
  const std::uint32_t refused = (0u - bound) % bound;
  for (;;) {
    const std::uint64_t product = std::uint64_t{next()} * bound;
    if (static_cast<std::uint32_t>(product) >= refused) {
      return static_cast<std::uint32_t>(product >> 32);
    }
  }
}

}  // namespace inure
