#pragma once

#include <algorithm>
#include <cstdint>

#include "inure/errors/sum_tree.hpp"

// The tests of SumTree, for one step and for many side by side. All are inlined, or there would be
// calls in place of vectors.
namespace inure {

// Bit k where all bits from k to 31 are set.
[[gnu::always_inline]] inline std::uint32_t top_run(std::uint32_t word) {
  std::uint32_t other = ~word;  // and all bits below its highest one
  other |= other >> 1;
  other |= other >> 2;
  other |= other >> 4;
  other |= other >> 8;
  other |= other >> 16;
  return ~other;
}

// How many of `count` bits (16 at most) are set, in quarters, as so many ones: none, or up to four.
[[gnu::always_inline]] inline std::uint32_t level(std::uint32_t bits, std::uint32_t count) {
  bits -= bits >> 1 & 0x5555;
  bits = (bits & 0x3333) + (bits >> 2 & 0x3333);
  bits = (bits + (bits >> 4)) & 0x0F0F;
  const std::uint32_t set = 4 * ((bits + (bits >> 8)) & 0x1F);
  return std::uint32_t{set > 0} | std::uint32_t{set > count} << 1 |
         std::uint32_t{set > 2 * count} << 2 | std::uint32_t{set > 3 * count} << 3;
}

[[gnu::always_inline]] inline std::uint32_t levels(std::uint32_t signs, std::uint32_t count) {
  return level(signs & 0xFFFF, count) | level(signs >> 16, count) << 4;
}

// put(word, its 32 outcomes)
template <typename Put>
[[gnu::always_inline]] inline void put_outcomes(int step, int vec_size, const SumContents& before,
                                                const SumContents& now, const Put& put) {
  const std::uint32_t result = now.accumulator + now.sum;
  const std::uint32_t result_before = before.accumulator + before.sum;
  const std::uint32_t carries = now.accumulator ^ now.sum ^ result;
  const std::uint32_t carries_before = before.accumulator ^ before.sum ^ result_before;
  put(0, now.sum), put(1, before.sum), put(2, now.sum ^ before.sum);
  put(3, now.accumulator), put(4, before.accumulator), put(5, now.accumulator ^ before.accumulator);
  put(6, result), put(7, result_before), put(8, result ^ result_before);
  put(9, carries), put(10, carries_before), put(11, carries ^ carries_before);
  put(SumTree::kCarryRunWord, top_run(carries ^ carries_before));
  put(SumTree::kOtherRunWord, top_run(now.accumulator ^ now.sum));
  put(14, top_run(result ^ result_before));
  const auto count = static_cast<std::uint32_t>(std::min(vec_size, ProductSigns::kMost));
  put(SumTree::kLevelWord, std::uint32_t{step == 0} | std::uint32_t{step == 1} << 1 |
                               levels(now.signs, count) << 8 | levels(before.signs, count) << 16);
  put(16, now.signs), put(17, before.signs), put(18, now.signs ^ before.signs);
  put(19, result_before ^ now.sum ^ (result_before + now.sum));
}

}  // namespace inure
