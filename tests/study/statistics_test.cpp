#include "inure/study/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "inure/base/error.hpp"

namespace inure {
namespace {

// Two-sided quantiles of printed tables.
TEST(StudentT, IsThatOfTheTables) {
  const struct {
    double p;
    int degrees;
    double t;
  } table[] = {{0.95, 1, 12.7062},   {0.95, 2, 4.3027},  {0.95, 3, 3.1824},  {0.95, 4, 2.7764},
               {0.95, 9, 2.2622},    {0.95, 10, 2.2281}, {0.95, 30, 2.0423}, {0.95, 100, 1.9840},
               {0.99, 2, 9.9248},    {0.99, 5, 4.0321},  {0.90, 7, 1.8946},  {0.50, 1, 1.0000},
               {0.95, 10000, 1.9602}};
  for (const auto& row : table) {
    EXPECT_NEAR(student_t(row.p, row.degrees), row.t, 5.1e-5)
        << row.p << " with " << row.degrees << " degrees";
  }
  // One degree is Cauchy's distribution.
  EXPECT_NEAR(student_t(0.8, 1), std::tan(0.8 * std::numbers::pi / 2), 1e-9);
  EXPECT_THROW(student_t(1, 3), Error);
  EXPECT_THROW(student_t(0.95, 0), Error);
}

TEST(Confidence, IsMeanAndHalfWidth) {
  const double values[] = {0.80, 0.82, 0.87};  // deviation 0.036056
  const Interval interval = confidence_95(values);
  EXPECT_EQ(interval.n, 3);
  EXPECT_NEAR(interval.mean, 0.83, 1e-12);
  ASSERT_TRUE(interval.half_width);
  EXPECT_NEAR(*interval.half_width, 4.302653 * 0.0360555 / std::sqrt(3.0), 1e-6);
}

TEST(Confidence, OneRunHasNoInterval) {
  const double value[] = {0.5};
  EXPECT_EQ(confidence_95(value).mean, 0.5);
  EXPECT_FALSE(confidence_95(value).half_width);
  EXPECT_THROW(confidence_95({}), Error);
}

}  // namespace
}  // namespace inure
