#include "inure/errors/sum_tree.hpp"

#include <algorithm>
#include <bit>
#include <span>

namespace inure {
namespace {

// Bit k where all bits from k to 31 are set.
std::uint32_t top_run(std::uint32_t word) {
  const int length = std::countl_one(word);
  return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
}

// How many of `count` bits (16 at most) are set, in quarters, as so many ones: none, or up to four.
std::uint32_t level(std::uint32_t bits, std::uint32_t count) {
  bits -= bits >> 1 & 0x5555;
  bits = (bits & 0x3333) + (bits >> 2 & 0x3333);
  bits = (bits + (bits >> 4)) & 0x0F0F;
  const std::uint32_t set = 4 * ((bits + (bits >> 8)) & 0x1F);
  return std::uint32_t{set > 0} | std::uint32_t{set > count} << 1 |
         std::uint32_t{set > 2 * count} << 2 | std::uint32_t{set > 3 * count} << 3;
}

std::uint32_t levels(std::uint32_t signs, int vec_size) {
  const auto count = static_cast<std::uint32_t>(std::min(vec_size, ProductSigns::kMost));
  return level(signs & 0xFFFF, count) | level(signs >> 16, count) << 4;
}

}  // namespace

SumTree::Tests SumTree::tests(int step, int vec_size, const SumContents& before,
                              const SumContents& now) {
  const std::uint32_t result = now.accumulator + now.sum;
  const std::uint32_t result_before = before.accumulator + before.sum;
  const std::uint32_t carries = now.accumulator ^ now.sum ^ result;
  const std::uint32_t carries_before = before.accumulator ^ before.sum ^ result_before;
  return {now.sum,
          before.sum,
          now.sum ^ before.sum,
          now.accumulator,
          before.accumulator,
          now.accumulator ^ before.accumulator,
          result,
          result_before,
          result ^ result_before,
          carries,
          carries_before,
          carries ^ carries_before,
          top_run(carries ^ carries_before),
          top_run(now.accumulator ^ now.sum),
          top_run(result ^ result_before),
          std::uint32_t{step == 0} | std::uint32_t{step == 1} << 1 |
              levels(now.signs, vec_size) << 8 | levels(before.signs, vec_size) << 16,
          now.signs,
          before.signs,
          now.signs ^ before.signs};
}

SumTree::SumTree(const RegisterProfile& accumulator, const std::string& where) {
  if (accumulator.split().empty()) return;
  const std::span split(accumulator.split().data(),
                        static_cast<std::size_t>(accumulator.split_size()));
  tree_ = TestTree(split, kTests, where);
  leaves_.resize(static_cast<std::size_t>(tree_.leaves()));
  for (const ErrorClass& what : accumulator.error_class()) {
    if (what.rate() <= 0) continue;
    Leaf& leaf = leaves_.at(what.id());
    leaf.rate = what.rate();
    double all = 0, sum = 0;
    for (const std::uint32_t count : what.count()) all += count;
    for (int i = 0; i < what.delta_size(); ++i) {
      leaf.deltas.emplace_back(what.delta(i), (sum += what.count(i)) / all);
    }
    leaf.deltas.back().second = 1;
  }
}

}  // namespace inure
