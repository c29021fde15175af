#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "inure/errors/timing_profile.pb.h"

// Errors of a lane's sum and accumulator by classes of steps (timing_profile.proto).
namespace inure {

// What makes a sum late, and so makes a class:
//   - the step: an output's first one (the old accumulator is masked away), its second, a later
//   one;
//   - how many of the products are negative and how many are not 0, now and in the step before:
//     their sign extensions change all upper bits of the adders, and a 0 stands for a change of all
//     bits of a product;
//   - the signs of accumulator and sum and, where they differ, where the carry chain through the
//     upper bits begins: at the highest bit in which the two agree.
inline constexpr int kSumPhases = 3, kSignLevels = 4, kSumChains = 8;
inline constexpr int kSigns = (kSignLevels + 1) * (kSignLevels + 2) / 2;
inline constexpr int kSumClasses = kSumPhases * kSigns * kSigns * kSumChains;
inline constexpr int kWideSums = 2;  // kinds of wider classes, which stand for thin ones

// Of `count` products of vec_size: 0 for none, else 1 to 4, the quarter.
constexpr int sign_level(int count, int vec_size) {
  return (count * kSignLevels + vec_size - 1) / vec_size;
}
// The first class of signs with this level of products that are not 0; that of the negative ones is
// added.
constexpr int first_signs(int nonzero_level) { return nonzero_level * (nonzero_level + 1) / 2; }

// What counts of a step's products.
struct ProductSigns {
  int negative = 0, nonzero = 0;

  void add(int product) {
    negative += product < 0;
    nonzero += product != 0;
  }
  // 0 to kSigns - 1.
  int of(int vec_size) const {
    return first_signs(sign_level(nonzero, vec_size)) + sign_level(negative, vec_size);
  }
};

// 0, 1: both not negative, both negative. Else by the lowest bit of the chain, below 9, below 12 or
// above: 2 to 4 where the sum is the negative one, 5 to 7 where the accumulator is.
constexpr int sum_chain(std::int32_t accumulator, std::int32_t sum) {
  const auto differ = static_cast<std::uint32_t>(accumulator ^ sum);
  const int negative = accumulator < 0;
  const int chain = (differ >> 8 != 0xFFFFFF) + (differ >> 11 != 0x1FFFFF);
  return differ >> 31 == 0 ? negative : 2 + 3 * negative + chain;  // without branches: it is hot
}

// `sum` is added to `accumulator`; step counts from
// an output's first one. Signs are ProductSigns::of the step's products and of those before, 0 in
// the first step.
constexpr int sum_class(int step, std::int32_t accumulator, std::int32_t sum, int signs_before,
                        int signs) {
  return ((std::min(step, kSumPhases - 1) * kSigns + signs_before) * kSigns + signs) * kSumChains +
         sum_chain(accumulator, sum);
}

// The right sums of a lane, step by step, modulo 2^32.
struct SumState {
  std::int32_t accumulator = 0, sum = 0;
  int step_of_output = -1, signs = 0, signs_before = 0;

  void step(bool first, std::int32_t next_sum, const ProductSigns& products, int vec_size) {
    accumulator = first ? 0 : after();
    signs_before = first ? 0 : signs;
    step_of_output = first ? 0 : step_of_output + 1;
    sum = next_sum;
    signs = products.of(vec_size);
  }
  // What the accumulator should hold after the step.
  std::int32_t after() const {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(accumulator) +
                                     static_cast<std::uint32_t>(sum));
  }
  int sum_class() const {
    return inure::sum_class(step_of_output, accumulator, sum, signs_before, signs);
  }
};

struct SumClass {
  double rate = 0;
  // Ascending by delta: P(delta of an error <= this one); the last is 1.
  std::vector<std::pair<std::int32_t, double>> deltas;
};

// The errors of the register `sum` and of the accumulator as one, which both add a delta to the
// accumulator. P = 1 - (1 - p1)(1 - p2); the deltas are mixed by their rates (that both err in one
// step counts as one of the two). [kSumClasses]
std::vector<SumClass> sum_classes(const TimingProfile& profile, int clock);

}  // namespace inure
