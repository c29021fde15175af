#include "inure/base/finite.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace inure {
namespace {

using Limits = std::numeric_limits<float>;

TEST(Finite, TellsNumbersFromNanAndInfinity) {
  for (const float value : {0.0f, -0.0f, 1.0f, -Limits::max(), Limits::max(), Limits::min(),
                            Limits::denorm_min(), -Limits::denorm_min()}) {
    EXPECT_TRUE(is_finite(value)) << value;
  }
  for (const float value : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                            -Limits::quiet_NaN(), Limits::signaling_NaN()}) {
    EXPECT_FALSE(is_finite(value)) << value;
  }
}

TEST(Finite, FindsTheFirstAtEveryPosition) {
  std::mt19937 random(1);
  EXPECT_FALSE(find_not_finite({}).has_value());
  for (const std::int64_t count : {1, 3, 4095, 4096, 4097, 9000}) {
    std::vector<float> values(count, 1.5f);
    EXPECT_FALSE(find_not_finite(values).has_value()) << count;
    for (int i = 0; i < 50; ++i) {
      const auto at = i == 0   ? count - 1
                      : i == 1 ? 0
                               : static_cast<std::int64_t>(random() % static_cast<unsigned>(count));
      std::vector<float> bad = values;
      bad[at] = i % 2 == 0 ? std::nanf("") : -Limits::infinity();
      EXPECT_EQ(find_not_finite(bad), at) << "of " << count;
      bad.back() = std::nanf("");
      EXPECT_EQ(find_not_finite(bad), at) << "of " << count << " with one at the end";
    }
  }
}

}  // namespace
}  // namespace inure
