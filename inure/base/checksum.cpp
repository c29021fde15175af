#include "inure/base/checksum.hpp"

#include <algorithm>
#include <cstring>

namespace inure {

// Each step maps the state one to one for a given word, and the word one to one for a given state:
// states that differ stay apart. The constant is odd, from the golden ratio.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t state = bytes.size();
  while (!bytes.empty()) {
    std::uint64_t word = 0;
    const std::size_t size = std::min(sizeof word, bytes.size());
    std::memcpy(&word, bytes.data(), size);
    bytes.remove_prefix(size);
    state = (state ^ word) * 0x9E3779B97F4A7C15;
    state ^= state >> 32;
  }
  return state;
}

}  // namespace inure
