#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace inure {

// Four bytes, wherever they begin.
inline std::uint32_t load_word(const void* from) {
  std::uint32_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// Begins to bring what will soon be needed into the second cache.
inline void fetch_lines(const void* from, std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  for (std::size_t i = 0; i < bytes; i += kLine) {
    __builtin_prefetch(static_cast<const char*>(from) + i, 0, 2);
  }
}

}  // namespace inure
