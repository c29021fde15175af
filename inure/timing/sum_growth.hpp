#pragma once

#include <cstdint>
#include <vector>

#include "inure/errors/sum_tree.hpp"

namespace inure::timing {

// Steps of a lane for the tree of its sums' classes: each with an error; of the others one of
// kRightKept, which counts as all.
inline constexpr std::uint32_t kRightKept = 8;
struct SumSample {
  SumTree::Tests tests;
  std::int32_t delta = 0;  // 0: right

  bool test(int test) const { return tests[static_cast<unsigned>(test) / 32] >> test % 32 & 1; }
};

// Grows the tree from samples: the leaf whose best test tells most of errors and of which delta
// they have is divided first, until no test tells more than chance or there are `most` leaves. Of a
// leaf the most frequent deltas are kept, which tell of 98 % of its errors (32 at most). `rate` is
// that of all samples. Without errors: an empty profile.
RegisterProfile grow_sum_tree(std::vector<SumSample> samples, int most);

}  // namespace inure::timing
