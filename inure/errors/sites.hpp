#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inure/base/random.hpp"
#include "inure/errors/error_model.hpp"

namespace inure {

// Pass, stage and model make a random key of their own; places and images then count.
PhiloxKey pass_key(const ErrorKey& key, std::uint32_t model);

// Words 0, 1, 2, ... of the random stream of (key, model, row). The first asks for one of them, the
// second for words.size() of them from `first` on; first is a multiple of kSiteWords.
inline constexpr int kSiteWords = 64;
std::uint32_t site_word(const ErrorKey& key, std::uint32_t model, std::uint32_t row,
                        std::uint32_t k);
void site_words(const ErrorKey& key, std::uint32_t model, std::uint32_t row, std::uint32_t first,
                std::span<std::uint32_t> words);
// Some others: k becomes word k.
void site_words(const ErrorKey& key, std::uint32_t model, std::uint32_t row,
                std::span<std::uint32_t> words);

// Independent events: each of `count` sites is hit with probability `rate`. The hits are drawn by
// their gaps, which are geometric: gap = floor(ln u / ln(1 - rate)), so the cost follows the number
// of hits. The u are the words of the stream of (key, model, row). The logarithm is our own,
// in single precision and made of IEEE operations only: the same hits on every machine, by the
// scalar and by the vector code. Deviations from the ideal: u has 24 bits, so a gap above 17 / rate
// never comes (probability 3e-8), and for rates below 1e-7 gaps have steps of more than one site.
class SiteSampler {
 public:
  SiteSampler(double rate, std::uint32_t model);

  // Ascending. They lie in `buffer`, which grows as needed and is best kept from call to call.
  std::span<const std::int64_t> sample(const ErrorKey& key, std::uint32_t row, std::int64_t count,
                                       std::vector<std::int64_t>& buffer) const;
  // Its plain twin.
  std::vector<std::int64_t> sample_plain(const ErrorKey& key, std::uint32_t row,
                                         std::int64_t count) const;

 private:
  double rate_;
  float per_log_;  // 1 / ln(1 - rate)
  std::uint32_t model_;
};

}  // namespace inure
