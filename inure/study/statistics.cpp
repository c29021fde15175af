#include "inure/study/statistics.hpp"

#include <cmath>
#include <numbers>

#include "inure/base/error.hpp"

namespace inure {
namespace {

// P(|T| <= t).
double within(double t, int degrees) {
  const double angle = std::atan(t / std::sqrt(degrees));
  const double sine = std::sin(angle), cosine = std::cos(angle);
  const bool odd = degrees % 2 == 1;
  double term = odd ? cosine : 1, sum = degrees == 1 ? 0 : term;
  for (int k = odd ? 3 : 2; k <= degrees - 2; k += 2) {
    term *= cosine * cosine * (k - 1) / k;
    sum += term;
  }
  return odd ? 2 / std::numbers::pi * (angle + sine * sum) : sine * sum;
}

}  // namespace

double student_t(double p, int degrees) {
  if (!(p > 0 && p < 1) || degrees < 1) {
    fail("student_t: p = {} with {} degrees of freedom; p is in (0, 1), degrees are 1 or more", p,
         degrees);
  }
  double low = 0, high = 1;
  while (within(high, degrees) < p) high *= 2;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    (within(middle, degrees) < p ? low : high) = middle;
  }
  return high;
}

Interval confidence_95(std::span<const double> values) {
  if (values.empty()) fail("confidence_95: no values");
  Interval interval;
  interval.n = static_cast<int>(values.size());
  for (const double value : values) interval.mean += value / interval.n;
  if (interval.n == 1) return interval;
  double squares = 0;
  for (const double value : values) squares += (value - interval.mean) * (value - interval.mean);
  const double deviation = std::sqrt(squares / (interval.n - 1));
  interval.half_width = student_t(0.95, interval.n - 1) * deviation / std::sqrt(interval.n);
  return interval;
}

}  // namespace inure
