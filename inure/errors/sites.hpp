#pragma once

#include <cstdint>
#include <vector>

#include "inure/errors/error_model.hpp"

namespace inure {

// Independent events: each of `count` sites is hit with probability `rate`. The hits are drawn by
// their gaps, which are geometric: gap = floor(ln u / ln(1 - rate)), so the cost follows the number
// of hits. Word k of the Philox stream of (key, model, row) gives gap k. The logarithm is our own,
// made of IEEE operations only: the same hits on every machine, by the scalar and by the vector
// code.
class SiteSampler {
 public:
  SiteSampler(double rate, std::uint32_t model);

  // Ascending. `hits` is cleared first.
  void sample(const ErrorKey& key, std::uint32_t row, std::int64_t count,
              std::vector<std::int64_t>& hits) const;
  // Its plain twin.
  void sample_plain(const ErrorKey& key, std::uint32_t row, std::int64_t count,
                    std::vector<std::int64_t>& hits) const;

 private:
  double rate_, per_log_;  // per_log_ = 1 / ln(1 - rate)
  std::uint32_t model_;
};

}  // namespace inure
