#include "inure/errors/sites.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace inure {
namespace {

TEST(SiteSampler, FastEqualsPlain) {
  std::vector<std::int64_t> buffer;
  for (const double rate : {1.0, 0.7, 0.1, 1e-3, 1e-6, 1e-9, 0.0}) {
    const SiteSampler sampler(rate, 2);
    for (std::uint32_t row = 0; row < 50; ++row) {
      const ErrorKey key{7, 11, row % 2 == 0, 5, row * 3};
      const std::int64_t count = rate > 0.01 ? 1000 : 10'000'000;
      const auto fast = sampler.sample(key, row, count, buffer);
      ASSERT_EQ(std::vector(fast.begin(), fast.end()), sampler.sample_plain(key, row, count))
          << "rate " << rate << " row " << row;
    }
  }
}

TEST(SiteWords, AreTheSameOneByOne) {
  const ErrorKey key{7, 11, true, 5, 3};
  std::vector<std::uint32_t> in_row(1000), some;
  site_words(key, 2, 9, 0, in_row);
  for (std::uint32_t k = 0; k < in_row.size(); k += 1 + k % 7) some.push_back(k);
  std::vector<std::uint32_t> words = some;
  site_words(key, 2, 9, words);
  for (std::size_t i = 0; i < some.size(); ++i) {
    ASSERT_EQ(words[i], in_row[some[i]]) << "word " << some[i];
    ASSERT_EQ(words[i], site_word(key, 2, 9, some[i])) << "word " << some[i];
  }
}

// Independent hits: their number is binomial and their places uniform. Bounds of five standard
// deviations.
TEST(SiteSampler, RateAndPlacesAreRight) {
  for (const double rate : {0.5, 0.03, 1e-4, 3e-7}) {
    const SiteSampler sampler(rate, 0);
    const std::int64_t count = rate > 0.01 ? 20'000 : 4'000'000;
    constexpr int kRows = 400;
    double hits = 0, places = 0;
    std::vector<std::int64_t> buffer;
    for (std::uint32_t row = 0; row < kRows; ++row) {
      const auto row_hits = sampler.sample({1, 2, true, 3, 4}, row, count, buffer);
      hits += static_cast<double>(row_hits.size());
      for (const std::int64_t hit : row_hits) {
        ASSERT_GE(hit, 0);
        ASSERT_LT(hit, count);
        places += static_cast<double>(hit) / static_cast<double>(count) - 0.5;
      }
    }
    const double expected = rate * static_cast<double>(count) * kRows;
    EXPECT_NEAR(hits, expected, 5 * std::sqrt(expected * (1 - rate))) << "rate " << rate;
    EXPECT_NEAR(places / hits, 0, 5 * std::sqrt(1.0 / 12 / hits)) << "rate " << rate;
  }
}

TEST(SiteSampler, EveryPartOfTheKeyMatters) {
  const SiteSampler sampler(0.01, 0), other_model(0.01, 1);
  const ErrorKey key{1, 2, true, 3, 4};
  const auto base = sampler.sample_plain(key, 5, 100'000);
  const auto differs = [&](const SiteSampler& s, const ErrorKey& k, std::uint32_t row) {
    return s.sample_plain(k, row, 100'000) != base;
  };
  EXPECT_FALSE(differs(sampler, key, 5));
  EXPECT_TRUE(differs(sampler, {9, 2, true, 3, 4}, 5));
  EXPECT_TRUE(differs(sampler, {1, 9, true, 3, 4}, 5));
  EXPECT_TRUE(differs(sampler, {1, 2, false, 3, 4}, 5));
  EXPECT_TRUE(differs(sampler, {1, 2, true, 9, 4}, 5));
  EXPECT_TRUE(differs(sampler, {1, 2, true, 3, 9}, 5));
  EXPECT_TRUE(differs(sampler, key, 9));
  EXPECT_TRUE(differs(other_model, key, 5));
}

}  // namespace
}  // namespace inure
