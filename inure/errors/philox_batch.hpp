#pragma once

#include <cstdint>

#include "inure/base/random.hpp"

namespace inure {

// `count` blocks of philox() side by side: word w of counter i is words[w][i], and becomes word w
// of its block. Words of 32 bits in 64: so the compiler keeps them in vectors through the wide
// products. To be inlined into a function with INURE_CLONES.
template <int count>
[[gnu::always_inline]] inline void philox_batch(const PhiloxKey& key,
                                                std::uint64_t (&words)[4][count]) {
  constexpr std::uint64_t kLow = 0xFFFFFFFF;
  auto& [c0, c1, c2, c3] = words;
  std::uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
#pragma GCC unroll 1  // or the compiler unrolls it all and finds no vectors
    for (int i = 0; i < count; ++i) {
      const std::uint64_t p0 = c0[i] * 0xD2511F53u, p1 = c2[i] * 0xCD9E8D57u;
      c0[i] = (p1 >> 32) ^ c1[i] ^ k0;
      c1[i] = p1 & kLow;
      c2[i] = (p0 >> 32) ^ c3[i] ^ k1;
      c3[i] = p0 & kLow;
    }
  }
}

}  // namespace inure
